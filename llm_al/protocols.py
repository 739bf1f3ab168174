"""Every seam of the system. A plug-in is any object with these methods; there is no base class.

Settings are constructor fields (a frozen dataclass), so that ``repr`` is the recipe. Randomness comes
in as an argument. No method changes its inputs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from llm_al.bank import LabelledBank
from llm_al.measures import AnswerTime, RoundRecord
from llm_al.phrasing import Phrasing
from llm_al.pool import PoolView
from llm_al.types import (
    Annotation,
    AnnotatorKind,
    AnnotatorQuality,
    Consensus,
    Decision,
    Demonstration,
    Embeddings,
    Example,
    Known,
    Positions,
    Proba,
    Scores,
    TrainingSet,
)

Progress = Callable[[str, int, int], None]
"""Called with (what, done, total) now and then; total 0 means unknown."""


class Embedder(Protocol):
    """Turns texts into unit-length vectors."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vectors would; names the cache file."""
        ...

    @property
    def n_dimensions(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return shape (n, d), float32, rows of unit length; n = 0 gives shape (0, d)."""
        ...


class Scorer(Protocol):
    """Says how useful a label of each row would be."""

    def score(self, view: PoolView, rng: np.random.Generator) -> Scores:
        """Return shape (n,), float64, finite; higher means ask sooner.

        Raises
        ------
        ConfigError
            If it needs `view.proba` and there is none.
        """
        ...


class Selector(Protocol):
    """Picks rows."""

    def select(self, view: PoolView, scores: Scores, k: int, rng: np.random.Generator) -> Positions:
        """Return min(k, available) distinct available rows, most wanted first."""
        ...


class Strategy(Protocol):
    """A scorer and a selector together, or anything else that picks rows."""

    def query(self, view: PoolView, k: int, rng: np.random.Generator) -> tuple[Positions, Scores]:
        """Return picked rows, shape (k',), and their scores, shape (k',)."""
        ...


@runtime_checkable
class Annotator(Protocol):
    """Gives labels. What is not ready yet is simply absent from the answer."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> AnnotatorKind: ...

    def annotate(self, examples: Sequence[Example]) -> list[Annotation]:
        """Return any number of annotations (several prompts give several) for some of the examples."""
        ...


class Demonstrations(Protocol):
    """A way to choose solved examples for a model's prompt."""

    def choose(
        self, bank: LabelledBank, queries: Sequence[Example], embeddings: Embeddings, *, k: int
    ) -> list[tuple[Demonstration, ...]]:
        """Return at most k demonstrations for each query, in the order in which they are to be shown.

        `embeddings` has shape (q, d), unit-length rows. A text is never its own demonstration, nor is a
        near-duplicate of it.
        """
        ...


class Demonstrator(Protocol):
    """Shows an LLM annotator what has been labelled so far."""

    @property
    def k(self) -> int:
        """Most demonstrations of a text."""
        ...

    def learn(self, bank: LabelledBank, embed: Callable[[Sequence[Example]], Embeddings]) -> None:
        """Take the place of what was known; `embed` gives unit-length rows of texts that are asked about."""
        ...

    def show(self, queries: Sequence[Example]) -> list[tuple[Demonstration, ...]]:
        """Return the demonstrations of each query; empty ones as long as nothing was learnt."""
        ...


class Refine(Protocol):
    """Chooses which of the labels that LLMs gave alone are sure and typical enough to be demonstrated."""

    def __call__(self, embeddings: Embeddings, proba: Proba, labels: NDArray[np.int64], /) -> Positions:
        """Return distinct rows; of unit-length vectors (n, d), a student's proba (n, c) and LLM labels (n,)."""
        ...


class Aggregator(Protocol):
    """Turns annotations into a posterior over labels for each example."""

    def aggregate(
        self, annotations: Sequence[Annotation], *, known: Known | None = None
    ) -> tuple[list[Consensus], list[AnnotatorQuality]]:
        """Return one consensus an example, in order of first appearance, and the annotators' qualities.

        Examples of `known` without an annotation are not in the answer.
        """
        ...


class PseudoLabeler(Protocol):
    """Chooses unlabelled rows that the student may learn from with its own label."""

    def pseudo_label(self, view: PoolView, rng: np.random.Generator) -> tuple[Positions, Proba, NDArray[np.float64]]:
        """Return rows (m,), soft targets (m, c) and weights (m,); m may be 0. Only unlabelled rows."""
        ...


class FittedStudent(Protocol):
    """A trained classifier."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    def predict_proba(self, texts: Sequence[str], *, embeddings: Embeddings | None = None) -> Proba:
        """Return calibrated probabilities, shape (n, c). `embeddings` saves an encoding where it serves."""
        ...

    def predict(self, texts: Sequence[str]) -> list[str]:
        """Return the most probable label of each text."""
        ...

    def save(self, folder: Path) -> None:
        """Write everything that `students.load(folder)` needs in a fresh process."""
        ...


class Student(Protocol):
    """A recipe for a classifier."""

    def fit(self, training: TrainingSet, *, labels: Sequence[str], seed: int) -> FittedStudent:
        """Train from scratch. Classes without examples keep a (small) probability."""
        ...


class RoundState(Protocol):
    """A round that has begun."""

    @property
    def number(self) -> int: ...

    @property
    def step(self) -> str:
        """The last step that is complete."""
        ...


class SettledLabel(Protocol):
    """A label that a reviewer settled."""

    @property
    def label(self) -> str: ...


class SettledLabels(Protocol):
    """What reviewers settled."""

    def standing(self) -> Mapping[str, SettledLabel]:
        """Return what holds, by example id."""
        ...


class QueuedQuestion(Protocol):
    """A question that waits for a person."""

    @property
    def example_id(self) -> str: ...


class LoopStore(Protocol):
    """What the loop needs of the one truth of a project. Rows are appended; an undo is a retraction row."""

    @property
    def rulings(self) -> SettledLabels: ...

    def examples_by_id(self, ids: Sequence[str]) -> list[Example]: ...

    def add_annotations(self, annotations: Iterable[Annotation]) -> list[int]:
        """Append in one transaction; return row ids."""
        ...

    def annotations(self, *, ids: Sequence[str] | None = None, round: int | None = None) -> list[Annotation]:
        """Return standing annotations in row order: neither retractions nor what they take back."""
        ...

    def add_decisions(self, decisions: Iterable[Decision]) -> None:
        """Append in one transaction; what is there already is kept."""
        ...

    def decisions(self, *, example_id: str | None = None, round: int | None = None) -> list[Decision]: ...

    def enqueue(
        self,
        example_ids: Sequence[str],
        *,
        round: int,
        reason: str,
        priority: float = 0.0,
        is_blind: bool = False,
        n_wanted: int = 1,
        phrasing: Mapping[str, Phrasing] | None = None,
    ) -> int:
        """Ask people for labels; a question that was asked in this round is not asked again."""
        ...

    def pending(self) -> Sequence[QueuedQuestion]: ...

    def answer_times(self) -> Sequence[AnswerTime]:
        """Return every standing answer of a person with what they were asked, in row order."""
        ...

    def answer(self, annotation: Annotation) -> int:
        """Append a person's answer and take the example off the queue, together."""
        ...

    def spent_nanousd(self) -> int:
        """Return what has been settled, plus what is reserved and still open."""
        ...

    def begin_round(self, number: int, *, config_fingerprint: str, seed_state: Any) -> RoundState: ...

    def reach(self, number: int, step: str) -> None: ...

    def current_round(self) -> RoundState | None: ...

    def note(self, number: int, key: str, value: Any) -> None: ...

    def read_note(self, number: int, key: str) -> Any | None: ...

    def rounds(self) -> Sequence[Mapping[str, Any]]: ...

    def round_records(self) -> list[RoundRecord]: ...

    def finish_round(self, record: RoundRecord) -> None: ...
