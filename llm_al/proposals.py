"""What an LLM proposes and people accept: descriptions of labels, rules for the guidelines."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from llm_al.annotators.tasks.material import Disagreement, LabelledTexts
from llm_al.config import read_yaml, validate_config
from llm_al.creation import CONFIG_NAME
from llm_al.errors import ConfigError, DataError
from llm_al.store.files import write_atomically
from llm_al.types import LabelScheme

if TYPE_CHECKING:
    from llm_al.llm_tasks import LLMTasks

__all__ = [
    "DESCRIPTIONS",
    "GUIDELINES",
    "DescriptionProposal",
    "Descriptions",
    "Gaps",
    "RuleProposal",
    "accept_descriptions",
    "accept_rules",
    "accepted_descriptions",
    "accepted_rules",
    "propose_descriptions",
    "propose_rules",
    "write_descriptions",
    "write_rules",
]

DESCRIPTIONS = Path("proposals/descriptions.yaml")
GUIDELINES = Path("proposals/guidelines.md")
_RULES = Path("proposals/guidelines.yaml")
"""The same rules for the machine."""

_HEADER = """\
# Descriptions of labels that an LLM proposes. Edit them here, then take over what is right:
#   llm-al propose descriptions FOLDER --accept NAME,...   (or: all)
# Accepting changes project.yaml and every prompt: LLM answers given so far are not reused for new questions.
"""
_PAGE = """\
# Gaps in the guidelines, as an LLM sees them

Each number is a proposal. People decide: `llm-al propose guidelines FOLDER --accept 1,3` adds the rules to the end of
the guidelines. That changes every prompt: LLM answers given so far are not reused for new questions.
"""


@dataclass(frozen=True)
class DescriptionProposal:
    """A description of one label: the one in force and the proposed one, or why there is none."""

    label: str
    current: str
    proposed: str
    failure: str = ""


@dataclass(frozen=True)
class RuleProposal:
    """A rule for the guidelines, with the gap that it closes and the examples that show it."""

    number: int
    gap: str
    rule: str
    example_ids: tuple[str, ...]


@dataclass(frozen=True)
class Descriptions:
    """Proposed descriptions and where they stand."""

    path: Path
    proposals: tuple[DescriptionProposal, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"path": str(self.path), "proposals": [asdict(proposal) for proposal in self.proposals]}

    def text(self) -> str:
        """Return the proposals in a few lines."""
        lines = [
            f"{p.label}: {p.proposed}" if p.proposed else f"{p.label}: no proposal: {p.failure}" for p in self.proposals
        ]
        return "\n".join([*lines, f"written to {self.path}; take over with --accept NAME,... or --accept all"])


@dataclass(frozen=True)
class Gaps:
    """Proposed rules and where they stand."""

    path: Path
    proposals: tuple[RuleProposal, ...]
    n_disagreements: int
    failure: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        rules = [asdict(proposal) for proposal in self.proposals]
        return {
            "path": str(self.path),
            "n_disagreements": self.n_disagreements,
            "failure": self.failure,
            "proposals": rules,
        }

    def text(self) -> str:
        """Return the proposals in a few lines."""
        if self.failure:
            return f"no proposal: {self.failure}"
        if not self.n_disagreements:
            return "annotators disagree about nothing yet; nothing was asked"
        lines = [f"{p.number}. {p.gap}\n   rule: {p.rule} ({', '.join(p.example_ids)})" for p in self.proposals]
        if not lines:
            return f"{self.n_disagreements} disagreements, and the guidelines settle them; no gap was found"
        return "\n".join([*lines, f"written to {self.path}; add rules to the guidelines with --accept 1,..."])


def propose_descriptions(
    tasks: "LLMTasks", scheme: LabelScheme, known: Sequence[LabelledTexts], folder: Path
) -> Descriptions:
    """Ask for a description of each label of which texts are known, and write the proposals down."""
    current = {label.name: label.description for label in scheme.labels}
    told = {item.label: answer for item, answer in zip(known, tasks.describe(known), strict=True)}
    proposals = [
        DescriptionProposal(name, now, told[name].value or "", told[name].failure)
        if name in told
        else DescriptionProposal(name, now, "", "people have given this label to no text yet")
        for name, now in current.items()
    ]
    return Descriptions(write_descriptions(folder, proposals), tuple(proposals))


def propose_rules(tasks: "LLMTasks", cases: Sequence[Disagreement], folder: Path) -> Gaps:
    """Ask for the gaps that disagreements show, and write the proposals down."""
    told = tasks.critique(cases)
    proposals = tuple(
        RuleProposal(number, gap.gap, gap.rule, gap.example_ids) for number, gap in enumerate(told.value or (), start=1)
    )
    path = folder / GUIDELINES
    if not told.failure:
        path = write_rules(folder, proposals, {case.example_id: case.text for case in cases})
    return Gaps(path, proposals, len(cases), told.failure)


def accepted_descriptions(folder: Path, names: Sequence[str]) -> list[str]:
    """Take over descriptions; return what happened, one line each."""
    accepted, backup = accept_descriptions(folder, folder / CONFIG_NAME, names)
    return [
        f"{len(accepted)} descriptions are now in {CONFIG_NAME}: {', '.join(accepted)}; the old file is {backup.name}",
        "every prompt changes with them: the LLM is asked anew, and answers given so far are kept as they are",
    ]


def accepted_rules(folder: Path, page: str | None, numbers: Sequence[str]) -> list[str]:
    """Take over rules; return what happened, one line each.

    Raises
    ------
    DataError
        If a number is none.
    """
    if page is None:
        raise ConfigError("the project has no guidelines page; set guidelines: guidelines.md in project.yaml")
    if wrong := [number for number in numbers if not number.isdecimal()]:
        raise DataError(f"{wrong[0]!r} is no number of a rule; give numbers, separated by commas, such as 1,3")
    added, backup = accept_rules(folder, folder / page, [int(number) for number in numbers])
    if not added:
        return ["these rules stand in the guidelines already"]
    kept = f"; the old page is {backup.name}" if backup is not None else ""
    return [
        f"{len(added)} rules added to {page}{kept}",
        "every prompt changes with them: the LLM is asked anew, and answers given so far are kept as they are",
    ]


def _write(path: Path, content: str) -> None:
    write_atomically(path, lambda file: file.write(content.encode("utf-8", "replace")))


def _back_up(path: Path) -> Path:
    """Copy a file beside itself under the first free name."""
    n = 1
    while (copy := path.with_name(f"{path.name}.{n}.bak")).exists():
        n += 1
    shutil.copy2(path, copy)
    return copy


def _yaml(values: Any) -> str:
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)
    return text


def write_descriptions(folder: Path, proposals: Sequence[DescriptionProposal]) -> Path:
    """Write the proposals of a project for people to read and edit; return the file."""
    rows = [{"label": p.label, "current": p.current, "proposed": p.proposed} for p in proposals if p.proposed]
    _write(folder / DESCRIPTIONS, _HEADER + _yaml(rows))
    return folder / DESCRIPTIONS


def _read_rows(path: Path, keys: Sequence[str], command: str) -> list[dict[str, Any]]:
    if not path.exists():
        raise ConfigError(f"{path} does not exist; make proposals first: llm-al propose {command}")
    rows = read_yaml(path)
    if not isinstance(rows, list) or any(not isinstance(row, dict) or not row.keys() >= set(keys) for row in rows):
        raise ConfigError(f"{path} must be a list of {', '.join(keys)}; make the proposals again")
    return rows


def accept_descriptions(folder: Path, config_path: Path, names: Sequence[str]) -> tuple[list[str], Path]:
    """Put proposed descriptions into `project.yaml`; nothing else in it changes its value.

    Parameters
    ----------
    names : sequence of str
        Labels whose proposal is accepted, or ``all``.

    Returns
    -------
    accepted : list of str
    backup : Path
        The settings as they were.

    Raises
    ------
    ConfigError
        If there are no proposals, or the settings would not be valid.
    DataError
        If a name has no proposal.
    """
    rows = _read_rows(folder / DESCRIPTIONS, ("label", "proposed"), "descriptions")
    proposed = {str(row["label"]): " ".join(str(row["proposed"]).split()) for row in rows}
    accepted = list(proposed) if list(names) == ["all"] else list(dict.fromkeys(names))
    if unknown := [name for name in accepted if name not in proposed]:
        raise DataError(
            f"no description is proposed for {unknown[0]!r}; proposed are: {', '.join(proposed) or 'none'}; "
            "give these names, separated by commas, or: all"
        )
    settings = read_yaml(config_path)
    validate_config(settings, origin=str(config_path))
    settings["labels"] = [_described(label, proposed, accepted) for label in settings["labels"]]
    validate_config(settings, origin=f"{config_path} with the accepted descriptions")
    backup = _back_up(config_path)
    _write(config_path, _leading_comments(config_path) + _yaml(settings))
    return accepted, backup


def _described(label: Any, proposed: Mapping[str, str], accepted: Sequence[str]) -> Any:
    name = label if isinstance(label, str) else label["name"]
    if name not in accepted:
        return label
    return {**({"name": name} if isinstance(label, str) else label), "description": proposed[name]}


def _leading_comments(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    n = int(np.argmin([line.startswith("#") for line in [*lines, ""]]))
    return "".join(lines[:n])


def write_rules(folder: Path, proposals: Sequence[RuleProposal], texts: Mapping[str, str]) -> Path:
    """Write the proposed rules for people to read; return the page.

    Parameters
    ----------
    texts : mapping of example id to text
        Shown under each gap.
    """
    parts = [_PAGE]
    for proposal in proposals:
        shown = "\n".join(f"- `{id_}`: {_quoted(texts.get(id_, ''))}" for id_ in proposal.example_ids)
        parts.append(f"## {proposal.number}. {proposal.gap}\n\nRule: {proposal.rule}\n\n{shown}\n")
    if not proposals:
        parts.append("No gap was found.\n")
    rows = [{"number": p.number, "gap": p.gap, "rule": p.rule, "examples": list(p.example_ids)} for p in proposals]
    _write(folder / _RULES, _yaml(rows))
    _write(folder / GUIDELINES, "\n".join(parts))
    return folder / GUIDELINES


def _quoted(text: str, width: int = 200) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[:width]}..."


def accept_rules(folder: Path, page: Path, numbers: Sequence[int]) -> tuple[list[str], Path | None]:
    """Append proposed rules to the guidelines; return the new ones and the backup of the page, if there was one.

    A rule that stands there already is not added again.

    Raises
    ------
    ConfigError
        If there are no proposals.
    DataError
        If a number is not proposed.
    """
    rows = _read_rows(folder / _RULES, ("number", "rule"), "guidelines")
    rules = {int(row["number"]): " ".join(str(row["rule"]).split()) for row in rows}
    if unknown := [number for number in numbers if number not in rules]:
        raise DataError(
            f"no rule {unknown[0]} is proposed; proposed are: {', '.join(map(str, rules)) or 'none'}; "
            "give these numbers, separated by commas"
        )
    before = page.read_text(encoding="utf-8") if page.exists() else ""
    standing = {line.removeprefix("- ").strip() for line in before.splitlines()}
    new = [rules[number] for number in dict.fromkeys(numbers) if rules[number] not in standing]
    if not new:
        return [], None
    backup = _back_up(page) if page.exists() else None
    gap = "" if not before or before.endswith("\n\n") else "\n" if before.endswith("\n") else "\n\n"
    is_list = bool(before.strip()) and before.rstrip().splitlines()[-1].startswith("- ")
    joined = before.rstrip("\n") + "\n" if is_list else before + gap
    _write(page, joined + "".join(f"- {rule}\n" for rule in new))
    return new, backup
