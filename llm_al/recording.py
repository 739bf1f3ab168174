"""Every LLM answer of a project as rows that can be replayed."""

from collections.abc import Iterator, Sequence
from typing import Any

from llm_al.formats.llm_runs import MAIN_RUN, RecordedRow
from llm_al.protocols import Aggregator
from llm_al.store.store import SqlStore
from llm_al.types import NANO_PER_USD, Annotation, AnnotatorKind

__all__ = ["human_labels", "recorded_rows"]

_CHUNK = 1_000


def human_labels(annotations: Sequence[Annotation], consensus: Aggregator) -> dict[str, str]:
    """Return example id -> label that people agree on or consensus settles; may be ``none_of_these``.

    Examples that people only skipped are left out.
    """
    people = [a for a in annotations if a.kind.is_human]
    return {vote.example_id: vote.label for vote in consensus.aggregate(people)[0] if vote.label is not None}


def recorded_rows(store: SqlStore, labels: Sequence[str], consensus: Aggregator) -> Iterator[RecordedRow]:
    """Yield one row for each example that an LLM has answered, in order of its first answer.

    The run of an answer is named by its source; the first one to have answered is the main run. `gold` is what
    people said about the example, where they did. Of several answers of one source the last counts.
    """
    annotations = store.annotations()
    gold = human_labels(annotations, consensus)
    by_id: dict[str, dict[str, Annotation]] = {}
    for answer in annotations:
        if answer.kind is AnnotatorKind.LLM:
            by_id.setdefault(answer.example_id, {})[answer.source] = answer
    ids = list(by_id)
    for start in range(0, len(ids), _CHUNK):
        for example in store.examples_by_id(ids[start : start + _CHUNK]):
            runs = {source: _cells(answer, labels) for source, answer in by_id[example.id].items()}
            main = next(iter(runs), MAIN_RUN)
            said = gold.get(example.id)
            yield RecordedRow(example.id, example.text, runs, main, runs.get(main), said)


def _cells(answer: Annotation, labels: Sequence[str]) -> dict[str, Any]:
    cells: dict[str, Any] = {
        "label": answer.label,
        "confidence": answer.confidence,
        "model": answer.model,
        "prompt": answer.prompt,
        "signals": {str(name): value for name, value in answer.signals.items()},
        "proba": None if answer.proba is None else dict(zip(labels, answer.proba, strict=False)),
        "reason": answer.reason,
        "round": answer.round,
        "request_hash": answer.request_hash,
        "n_tokens_in": answer.n_tokens_in,
        "n_tokens_out": answer.n_tokens_out,
        "cost_usd": answer.cost_nanousd / NANO_PER_USD,
        "duration_s": answer.duration_s,
    }
    is_kept = {"label", "signals"}
    return {key: value for key, value in cells.items() if key in is_kept or value not in (None, "", 0)}
