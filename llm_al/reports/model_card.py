"""The README of a saved student: what it is for, what it learnt from and how good it is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from llm_al.measures import Certificate, Metrics
from llm_al.reports.amounts import clean, count, interval, number, percent
from llm_al.reports.tables import markdown, markdown_cell
from llm_al.types import Label, Source

__all__ = ["ModelCardData", "render"]

_SOURCE_NAMES = {
    Source.HUMAN: "people",
    Source.LLM: "LLM, accepted by the router",
    Source.PSEUDO: "pseudo-labels of an earlier student",
    Source.SYNTHETIC: "texts written by an LLM for labels without an example",
}
_USAGE = """\
```python
from llm_al.students.saved import load

student = load("path/to/this/folder")
student.predict(["a text"])
```"""


@dataclass(frozen=True)
class ModelCardData:
    """Everything that a model card states.

    Parameters
    ----------
    name : str
        Name of the project or model.
    labels : tuple of Label
        In class-index order.
    counts : mapping of str to int
        Source (``human``, ``llm``, ``pseudo``) -> number of training examples.
    metrics : Metrics or None
        Quality on the test split; None if it was not measured.
    not_measured : str
        Why there are no metrics.
    certificate : Certificate or None
        What the audit proves of the LLM labels in the training data.
    base_model : str or None
        Hub name of the encoder; None for a local folder.
    languages : tuple of str
        ISO 639-1 codes of the training texts, where known.
    license : str or None
        Licence identifier of the weights, where the user has chosen one.
    recipe : mapping of str to str
        `repr` of each step.
    versions : mapping of str to str
        Package -> version.
    """

    name: str
    labels: tuple[Label, ...]
    counts: Mapping[str, int]
    metrics: Metrics | None = None
    not_measured: str = "there was no test split"
    certificate: Certificate | None = None
    base_model: str | None = None
    languages: tuple[str, ...] = ()
    license: str | None = None
    recipe: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def render(facts: ModelCardData) -> str:
    """Return the card as Markdown with a YAML header that model hubs read.

    Names and descriptions are escaped, so no label can add a heading, a link or HTML.
    """
    sections = [
        f"# {markdown_cell(facts.name)}",
        f"A text classifier with {len(facts.labels)} labels, trained by active learning with llm_al.",
        "## Labels\n\n" + _labels(facts),
        "## Training data\n\n" + _training_data(facts),
        "## Measured quality\n\n" + _quality(facts),
        "## Intended use\n\n" + _intended_use(facts),
        "## Limits\n\n" + _limits(facts),
        "## Use\n\n" + _USAGE,
        "## Recipe\n\n" + _listing(facts.recipe, "step", "made as"),
        "## Versions\n\n" + _listing(facts.versions, "package", "version"),
    ]
    return _front_matter(facts) + "\n\n".join(sections) + "\n"


def _front_matter(facts: ModelCardData) -> str:
    header: dict[str, Any] = {
        "library_name": "llm_al",
        "pipeline_tag": "text-classification",
        "tags": ["text-classification", "active-learning", "llm_al"],
    }
    if facts.languages:
        header["language"] = list(facts.languages)
    if facts.license:
        header["license"] = facts.license
    if facts.base_model:
        header["base_model"] = facts.base_model
    if facts.metrics:
        header["model-index"] = [_index_entry(" ".join(clean(facts.name).split()), facts.metrics)]
    dumped = yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{dumped}---\n\n"


def _index_entry(name: str, metrics: Metrics) -> dict[str, Any]:
    measured = [
        ("accuracy", "Accuracy", metrics.accuracy),
        ("f1", "Macro F1", metrics.macro_f1),
        ("expected_calibration_error", "Expected calibration error", metrics.ece),
    ]
    result = {
        "task": {"type": "text-classification"},
        "dataset": {"name": f"{name} (test split)", "type": "private"},
        "metrics": [
            {"type": kind, "name": title, "value": round(float(value), 4)}
            for kind, title, value in measured
            if math.isfinite(value)
        ],
    }
    return {"name": name, "results": [result]}


def _labels(facts: ModelCardData) -> str:
    rows = [
        {"index": str(index), "label": label.name, "description": label.description}
        for index, label in enumerate(facts.labels)
    ]
    return markdown(rows, right=["index"])


def _training_data(facts: ModelCardData) -> str:
    rows = [{"labelled by": _SOURCE_NAMES.get(source, source), "examples": count(n)} for source, n in _by_source(facts)]
    rows.append({"labelled by": "all", "examples": count(sum(facts.counts.values()))})
    table = markdown(rows, right=["examples"])
    return table if facts.certificate is None else f"{table}\n\n{_audit(facts.certificate)}"


def _by_source(facts: ModelCardData) -> list[tuple[Any, int]]:
    known = [(source, facts.counts.get(source.value, 0)) for source in Source]
    others = [(name, n) for name, n in facts.counts.items() if name not in list(Source)]
    return [*known, *others]


def _audit(certificate: Certificate) -> str:
    if certificate.threshold is None or certificate.error_upper is None:
        return "No LLM label was accepted without a person."
    return (
        f"An audit of {count(certificate.n_audited)} LLM labels found {count(certificate.n_errors)} wrong: with "
        f"{percent(certificate.confidence, 0)} confidence, at most {percent(certificate.error_upper)} of the accepted "
        "LLM labels differ from what a person would say."
    )


def _quality(facts: ModelCardData) -> str:
    metrics = facts.metrics
    if metrics is None:
        return f"Not measured: {markdown_cell(facts.not_measured)}."
    summary = [
        {"measure": "accuracy", "value": interval(metrics.accuracy, metrics.accuracy_low, metrics.accuracy_high)},
        {"measure": "macro-F1", "value": number(metrics.macro_f1)},
        {"measure": "expected calibration error", "value": number(metrics.ece)},
    ]
    rows = [
        {
            "label": entry.label,
            "precision": number(entry.precision),
            "recall": number(entry.recall),
            "F1": number(entry.f1),
            "test texts": count(entry.support),
        }
        for entry in metrics.per_class
    ]
    table = markdown(rows, right=["precision", "recall", "F1", "test texts"])
    return f"On {count(metrics.n)} test texts.\n\n{markdown(summary, right=['value'])}\n\n{table}"


def _intended_use(facts: ModelCardData) -> str:
    return (
        f"Texts like those of the project {markdown_cell(facts.name)}: the same kind of writer, topic, length and "
        "language. Probabilities are calibrated on labelled texts of that project, so a threshold on them can send "
        "doubtful texts to a person."
    )


def _limits(facts: ModelCardData) -> str:
    limits = [
        "It always answers with one of the labels above, also for a text that none of them fits.",
        "It was not tested on texts of another source; measure it there before relying on it.",
        "It may carry the mistakes and preferences of the people and models that labelled its training texts.",
    ]
    rare = [entry.label for entry in facts.metrics.per_class if entry.support < 20] if facts.metrics else []
    if rare:
        names = ", ".join(markdown_cell(name) for name in rare[:10]) + (" and others" if len(rare) > 10 else "")
        limits.append(f"Fewer than 20 test texts each, so their figures are rough: {names}.")
    if facts.metrics is None:
        limits.append("Its quality is unknown, because it was not measured.")
    return "\n".join(f"- {limit}" for limit in limits)


def _listing(items: Mapping[str, str], key: str, value: str) -> str:
    return markdown([{key: name, value: text} for name, text in items.items()]) or "Not recorded."
