"""Making a project folder: everything is checked and built aside before anything appears."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from llm_al.config import ProjectConfig, validate_config
from llm_al.errors import ConfigError, DataError
from llm_al.formats.columns import AUTO
from llm_al.formats.labels import parse_labels, read_labels
from llm_al.formats.read import open_rows
from llm_al.intake.checked import Checked
from llm_al.intake.intake import Intake
from llm_al.store.files import translating_full_disk
from llm_al.store.lock import ProjectLock
from llm_al.store.store import SqlStore
from llm_al.types import NONE_OF_THESE, Annotation, AnnotatorKind, LabelScheme, Split

__all__ = ["Columns", "add_texts", "build_folder", "make_config", "read_guidelines", "read_label_list"]

CONFIG_NAME = "project.yaml"
GUIDELINES_NAME = "guidelines.md"
TEST_LABELS = "test-labels"
"""Annotator of the labels that came with the test split."""

_HEADER = """\
# A project of llm_al. docs/settings.md describes every setting; unknown keys are refused.
# Secrets do not belong here: the key of the LLM server comes from the environment (llm.api_key_env).
"""
_GUIDELINES = "# Guidelines\n\nGive each text the one label that fits it best.\n"


@dataclass(frozen=True)
class Columns:
    """Names of columns in a user's file; None finds them."""

    text: str | None = None
    id: str | None = None
    label: str | None = None


def read_guidelines(path: Path) -> str:
    """Return the page for annotators.

    Raises
    ------
    ConfigError
        If it is missing or no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; give the path of the guidelines page") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8") from None


def read_label_list(labels: Path | str | Sequence[Any] | Mapping[str, str]) -> list[dict[str, str]]:
    """Return labels as settings, from a file, a list of names, or a mapping of name to description."""
    pairs = read_labels(Path(labels)) if isinstance(labels, str | Path) else parse_labels(labels)
    return [{"name": name, "description": description} for name, description in pairs]


def make_config(folder: Path, labels: Any, settings: Mapping[str, Any] | None) -> ProjectConfig:
    """Return checked settings of a new project.

    Raises
    ------
    ConfigError
        If the folder is a project already, or a setting is wrong.
    """
    if (folder / CONFIG_NAME).exists():
        raise ConfigError(
            f"{folder} is a project already; choose another folder, or add texts with: llm-al add {folder}"
        )
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; give the name of a folder to create")
    given = {"name": folder.resolve().name, **(settings or {}), "labels": read_label_list(labels)}
    return validate_config(given, origin="the new project's settings")


@contextmanager
def build_folder(folder: Path, config: ProjectConfig, guidelines: str | None) -> Iterator[Path]:
    """Yield a temporary folder with settings and guidelines; its content is moved to `folder` at the end.

    After an error `folder` is as it was.
    """
    parent = folder.resolve().parent
    if not parent.is_dir():
        raise ConfigError(f"{parent} does not exist; create it first")
    with translating_full_disk(parent):
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.resolve().name}.", dir=parent))
        try:
            (aside / CONFIG_NAME).write_text(_yaml(config), encoding="utf-8")
            (aside / GUIDELINES_NAME).write_text(guidelines or _GUIDELINES, encoding="utf-8")
            # Made now, so that a command that is refused later leaves no trace.
            ProjectLock(aside).path.touch()
            yield aside
            folder.mkdir(exist_ok=True)
            # The settings come last: a folder is a project once they are there.
            for item in sorted(aside.iterdir(), key=lambda path: path.name == CONFIG_NAME):
                shutil.move(item, folder / item.name)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _yaml(config: ProjectConfig) -> str:
    values = config.model_dump(mode="json")
    labels = values.pop("labels")
    ordered = {"name": values.pop("name"), "labels": labels, **values}
    return _HEADER + yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=100)


def add_texts(
    store: SqlStore, source: Path | Iterable[Any], *, scheme: LabelScheme, split: Split, columns: Columns
) -> list[str]:
    """Check a source and append its texts, all or nothing; return what happened, one line each.

    Labels of a test split become annotations of `TEST_LABELS`.

    Raises
    ------
    DataError
        If the source cannot be used, or a test example has no label of the list.
    """
    label_column = columns.label or (AUTO if split is Split.TEST else None)
    rows = open_rows(source, text_column=columns.text, id_column=columns.id, label_column=label_column)
    existing = (example for chunk in store.iter_examples() for example in chunk)
    with Intake(split=split).run(rows, existing) as checked:
        labels = _test_labels(checked, scheme, rows.name) if split is Split.TEST else []
        store.add_examples((example for chunk in checked for example in chunk), is_atomic=True)
        # A test text that is in the pool already stays there, and its label must not be learned from.
        is_test = {e.id: e.split is Split.TEST for e in store.examples_by_id([label.example_id for label in labels])}
        store.add_annotations([label for label in labels if is_test[label.example_id]])
        return [*rows.notes, *checked.report.lines()]


def _test_labels(checked: Checked, scheme: LabelScheme, name: str) -> list[Annotation]:
    labels = []
    for given in checked.labels():
        if given.label not in (*scheme.names, NONE_OF_THESE):
            raise DataError(
                f"{name}, row {given.number}: unknown label {given.label!r}; choose from: {', '.join(scheme.names)}, "
                f"{NONE_OF_THESE}; correct the row or add the label to the list"
            )
        labels.append(Annotation(given.example_id, given.label, TEST_LABELS, kind=AnnotatorKind.HUMAN))
    if len(labels) < checked.report.n_added:
        n_missing = checked.report.n_added - len(labels)
        raise DataError(f"{name}: {n_missing} test texts have no label; a test split needs a label in every row")
    return labels
