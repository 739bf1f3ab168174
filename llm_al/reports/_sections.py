"""What the sections of the report say, in numbers and sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

from llm_al.measures import Certificate, Metrics, ReportData, RoundRecord, SpendingLine
from llm_al.reports.amounts import NOT_MEASURED, count, number, percent, usd
from llm_al.reports.figures import last_metrics

__all__ = [
    "Confusion",
    "LabelRow",
    "StepTime",
    "Tile",
    "certificate_sentences",
    "label_rows",
    "last_certificate",
    "spending_by_prompt",
    "step_times",
    "subtitle",
    "tiles",
    "top_confusions",
    "why_no_certificate",
    "why_not_measured",
]


@dataclass(frozen=True)
class Tile:
    """One headline number."""

    name: str
    value: str
    note: str = ""
    fraction: str = ""
    """Decimals beyond the cent, set smaller; `value + fraction` is exact."""


@dataclass(frozen=True)
class Confusion:
    """Texts of one label that were taken for another."""

    true: str
    predicted: str
    n: int
    share: float


@dataclass(frozen=True)
class LabelRow:
    """A label with its exported examples by source."""

    name: str
    description: str
    human: int
    llm: int
    pseudo: int

    @property
    def total(self) -> int:
        """Exported examples of all sources."""
        return self.human + self.llm + self.pseudo


@dataclass(frozen=True)
class StepTime:
    """Seconds of one step over all rounds."""

    name: str
    seconds: float
    share: float


def subtitle(data: ReportData) -> str:
    """Return the line under the project's name."""
    if not data.rounds:
        return f"No round has finished yet. {count(data.n_pool)} texts, {len(data.labels)} labels."
    rounds = "1 round" if len(data.rounds) == 1 else f"{len(data.rounds)} rounds"
    return f"{rounds} over {count(data.n_pool)} texts with {len(data.labels)} labels"


def tiles(data: ReportData) -> list[Tile]:
    """Return the headline numbers of the newest round."""
    last = data.rounds[-1] if data.rounds else None
    spent = usd(sum(line.cost_nanousd for line in data.spending))
    calls = sum(line.n_calls for line in data.spending)
    cents = spent.index(".") + 3
    return [
        Tile("Human labels", count(last.n_human if last else 0), _human_note(data, last)),
        Tile("LLM labels accepted", count(last.n_llm_accepted if last else 0), _llm_note(last)),
        Tile(
            "Spent on LLM",
            spent[:cents],
            f"{count(calls)} calls" if calls else "no calls",
            spent[cents:],
        ),
        *_quality_tiles(data),
    ]


def _human_note(data: ReportData, last: RoundRecord | None) -> str:
    n_human = last.n_human if last else 0
    share = f" ({percent(n_human / data.n_pool)})" if data.n_pool else ""
    budget = "" if data.max_human_labels is None else f"; budget {count(data.max_human_labels)}"
    return f"of {count(data.n_pool)} texts{share}{budget}"


def _llm_note(last: RoundRecord | None) -> str:
    if last is None or not last.n_llm_answers:
        return "no LLM took part"
    return f"from {count(last.n_llm_answers)} answers"


def _quality_tiles(data: ReportData) -> list[Tile]:
    metrics = last_metrics(data)
    if metrics is None:
        reason = "there is no test split" if data.n_test == 0 else "not measured yet"
        if not data.rounds:
            reason = "no round has finished yet"
        return [Tile("Test accuracy", NOT_MEASURED, reason), Tile("Macro-F1", NOT_MEASURED, reason)]
    low, high = percent(metrics.accuracy_low), percent(metrics.accuracy_high)
    return [
        Tile("Test accuracy", percent(metrics.accuracy), f"interval {low} to {high}; {count(metrics.n)} test texts"),
        Tile("Macro-F1", number(metrics.macro_f1), f"calibration error {number(metrics.ece)}"),
    ]


def why_not_measured(data: ReportData) -> str:
    """Return why there are no metrics, in one sentence."""
    if not data.rounds:
        return "No round has finished yet, so there is nothing to measure."
    if data.n_test == 0:
        return (
            "There is no test split, so the student's quality was not measured; add labelled test texts to measure it."
        )
    return f"No round was measured on the {count(data.n_test)} test texts."


def last_certificate(data: ReportData) -> Certificate | None:
    """Return the newest certificate of the run."""
    return next((record.certificate for record in reversed(data.rounds) if record.certificate), None)


def why_no_certificate(data: ReportData) -> str:
    """Return why there is no certificate, in one sentence."""
    if not any(record.n_llm_answers for record in data.rounds):
        return "No LLM took part in this run, so there is nothing to certify."
    return "No audit has been evaluated yet, so nothing is claimed about LLM labels and none was accepted."


def certificate_sentences(certificate: Certificate) -> list[str]:
    """Return what an audit proves, or why nothing was accepted, for a reader without statistics."""
    checked = (
        f"People answered {count(certificate.n_audited)} randomly drawn LLM-labelled texts without seeing "
        f"the LLM's answer, and disagreed with it on {count(certificate.n_errors)}."
    )
    if certificate.n_audited == 0:
        checked = "No LLM-labelled text has been audited by a person yet."
    if certificate.threshold is None:
        return ["No LLM label was accepted on its own.", checked, *_sentence(certificate.reason)]
    proven = (
        f"With {percent(certificate.confidence, 0)} confidence, at most {percent(certificate.error_upper)} of the "
        f"accepted LLM labels differ from what a person would say; {percent(certificate.max_error)} were allowed."
    )
    accepted = (
        "An LLM label was accepted when its estimated probability of being what a person would say "
        f"reached {number(certificate.threshold)}."
    )
    limits = "The bound is about the accepted labels as a whole, not about any single one."
    return [*([proven] if certificate.error_upper is not None else []), checked, accepted, limits]


def _sentence(text: str) -> list[str]:
    stripped = text.strip()
    if not stripped:
        return []
    return [stripped[0].upper() + stripped[1:] + ("" if stripped[-1] in ".!?" else ".")]


def label_rows(data: ReportData) -> list[LabelRow]:
    """Return one row a label in scheme order, then names outside the scheme."""
    descriptions = {label.name: label.description for label in data.labels}
    names = [*descriptions, *(name for name in data.label_sources if name not in descriptions)]
    rows = []
    for name in names:
        by_source = data.label_sources.get(name, {})
        counts = [by_source.get(source, 0) for source in ("human", "llm", "pseudo")]
        rows.append(LabelRow(name, descriptions.get(name, ""), *counts))
    return rows


def spending_by_prompt(spending: Sequence[SpendingLine]) -> list[SpendingLine]:
    """Return one line a model and prompt, summed over rounds (`round` is -1), dearest first."""
    totals: dict[tuple[str, str], SpendingLine] = {}
    for line in spending:
        key = (line.model, line.prompt)
        sum_ = totals.get(key, SpendingLine(*key, -1, 0, 0, 0, 0))
        totals[key] = SpendingLine(
            *key,
            -1,
            sum_.n_calls + line.n_calls,
            sum_.n_tokens_in + line.n_tokens_in,
            sum_.n_tokens_out + line.n_tokens_out,
            sum_.cost_nanousd + line.cost_nanousd,
        )
    return sorted(totals.values(), key=lambda line: (-line.cost_nanousd, line.model, line.prompt))


def top_confusions(metrics: Metrics, *, limit: int = 20) -> list[Confusion]:
    """Return the most frequent confusions; `share` is of all texts with the true label."""
    names = [entry.label for entry in metrics.per_class]
    found = [
        Confusion(names[true], names[predicted], n, n / sum(row))
        for true, row in enumerate(metrics.confusion)
        for predicted, n in enumerate(row)
        if n and true != predicted
    ]
    return sorted(found, key=lambda confusion: -confusion.n)[:limit]


def step_times(rounds: Sequence[RoundRecord]) -> list[StepTime]:
    """Return seconds by step over all rounds, in the order in which steps ran."""
    totals: dict[str, float] = {}
    for record in rounds:
        for step, seconds in record.seconds.items():
            totals[step] = totals.get(step, 0.0) + seconds
    whole = sum(totals.values())
    return [StepTime(step, seconds, seconds / whole if whole else 0.0) for step, seconds in totals.items()]
