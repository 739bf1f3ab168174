"""Labels of a trained student for new texts, at once or streamed from a file."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from llm_al.formats.export import ExportRow
from llm_al.formats.rows import Row
from llm_al.protocols import FittedStudent
from llm_al.types import Embeddings, Proba, Source

__all__ = ["Predictor"]

_CHUNK = 2048


@dataclass(frozen=True)
class Predictor:
    """A student with the vectors that it reads, where it reads any.

    Parameters
    ----------
    student : FittedStudent
    vectors : callable
        Embeds texts the way the project does; returns None where the student encodes texts itself.
    """

    student: FittedStudent
    vectors: Callable[[Sequence[str]], Embeddings | None]

    def rows(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Return text, label and probability of each text."""
        return [
            {"text": text, "label": self.student.labels[int(p.argmax())], "probability": float(p.max())}
            for text, p in zip(texts, self._proba(texts), strict=True)
        ]

    def stream(self, rows: Iterable[Row], note: Callable[[str], object]) -> Iterator[ExportRow]:
        """Yield a labelled row for each row with a text; at the end `note` is told of the others."""
        n_left_out, remaining = 0, iter(rows)
        while part := list(islice(remaining, _CHUNK)):
            readable = [row for row in part if row.text]
            n_left_out += len(part) - len(readable)
            proba = self._proba([str(row.text) for row in readable])
            yield from map(self._labelled, readable, proba)
        if n_left_out:
            note(f"{n_left_out} rows without a readable text were left out")

    def _labelled(self, row: Row, p: Any) -> ExportRow:
        names = self.student.labels
        label, shares = names[int(p.argmax())], dict(zip(names, map(float, p), strict=True))
        return ExportRow(row.id or str(row.number), str(row.text), label, shares[label], shares, Source.PSEUDO)

    def _proba(self, texts: Sequence[str]) -> Proba:
        return self.student.predict_proba(texts, embeddings=self.vectors(texts))
