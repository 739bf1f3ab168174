"""The nouns of the package: frozen data that every step reads and none changes.

Arrays follow one notation throughout: ``n`` examples, ``c`` classes, ``d`` embedding dimensions,
``k`` selected examples. An *ordinal* is an example's dense integer in the store, an *id* the user's own
stable string, a *position* a row of the view at hand.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import LabelError

Proba = NDArray[np.float64]
"""Class probabilities, shape ``(n, c)``; rows sum to 1."""
Embeddings = NDArray[np.float32] | NDArray[np.float16]
"""Unit-length sentence embeddings, shape ``(n, d)``, or ``(n, v, d)`` with v views of each text, see `llm_al.views`."""
Scores = NDArray[np.float64]
"""One number an example, shape ``(n,)``; higher means ask sooner."""
Positions = NDArray[np.intp]
"""Row positions into a view, shape ``(k,)``."""

NONE_OF_THESE = "none_of_these"
"""Answer of an annotator who holds that no label of the scheme fits."""
SKIP = "skip"
"""Answer of an annotator who does not want to decide; it is never a vote."""
RESERVED_LABELS = frozenset({NONE_OF_THESE, SKIP})

NANO_PER_USD = 1_000_000_000
"""Money is counted in whole nano-dollars, so that sums are exact."""


class Split(StrEnum):
    """Which part of the data an example belongs to."""

    POOL = "pool"
    TEST = "test"


class AnnotatorKind(StrEnum):
    """What stands behind an annotation."""

    HUMAN = "human"
    LLM = "llm"
    RULE = "rule"
    SIMULATED = "simulated"

    @property
    def is_human(self) -> bool:
        """Whether answers of this kind count against the human budget."""
        return self in (AnnotatorKind.HUMAN, AnnotatorKind.SIMULATED)


class Source(StrEnum):
    """Where an exported label came from."""

    HUMAN = "human"
    LLM = "llm"
    PSEUDO = "pseudo"
    SYNTHETIC = "synthetic"
    """A text that an LLM wrote: no example of the project, exported only on demand."""


class Signal(StrEnum):
    """Raw signals of an annotator's certainty; none of them is a calibrated probability."""

    TOKEN_PROBABILITY = "token_probability"
    """Probability of the answered code among all codes."""
    INVALID_MASS = "invalid_mass"
    """Probability of the answer's first token that lay outside all codes."""
    VERBALISED = "verbalised"
    """What it says about itself, in [0, 1]; five words are 0, .25, .5, .75 and 1."""
    P_TRUE = "p_true"
    """Probability of "yes" when it is shown its own label and asked whether it is right."""


class Stage(StrEnum):
    """The decisions that are written down for each example."""

    SELECT = "select"
    ROUTE = "route"
    REVIEW = "review"
    AUDIT = "audit"


class Outcome(StrEnum):
    """What a decision said."""

    SELECTED = "selected"
    SECOND_OPINION = "second_opinion"
    """Somebody has answered; another person is to answer too."""
    LLM = "llm"
    HUMAN = "human"
    CANDIDATE = "candidate"
    ESCALATE = "escalate"
    AUDIT = "audit"
    ACCEPT = "accept"
    HOLD = "hold"


@dataclass(frozen=True)
class Label:
    """A label and what it means, in the words that annotators are shown."""

    name: str
    description: str = ""

    @property
    def text(self) -> str:
        """Name and description as a sentence encoder takes them: words instead of identifiers."""
        words = self.name.replace("_", " ").replace("-", " ").strip() or self.name
        return f"{words}: {self.description.strip()}" if self.description.strip() else words


@dataclass(frozen=True)
class LabelScheme:
    """The closed list of labels, in the order that fixes class indices.

    Parameters
    ----------
    labels : tuple of Label
        At least two, with distinct names (compared without case), none of them reserved.
    guidelines : str
        The page that annotators read; part of every prompt.
    is_open : bool
        Whether texts may fit none of the labels. Where False, annotators are not offered `NONE_OF_THESE`.
    catch_all : str or None
        The label of texts that fit no other one. They have little in common, so that nothing is inferred from their
        looks.

    Raises
    ------
    LabelError
        If there are fewer than two labels, a name is empty, reserved or given twice, or `catch_all` is none of them.
    """

    labels: tuple[Label, ...]
    guidelines: str = ""
    is_open: bool = True
    catch_all: str | None = None

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise LabelError(
                f"a label list needs at least two labels; got {len(self.labels)}: {list(self.names)}; "
                "add the labels that the classifier has to tell apart"
            )
        seen: dict[str, str] = {}
        for name in self.names:
            if not name.strip():
                raise LabelError("a label name is empty; give every label a name")
            if name.casefold() in RESERVED_LABELS:
                raise LabelError(f"label name {name!r} is reserved; reserved are: none_of_these, skip; rename it")
            if name.casefold() in seen:
                raise LabelError(
                    f"label {name!r} is listed twice (first as {seen[name.casefold()]!r}); "
                    "names must differ by more than case; remove one"
                )
            seen[name.casefold()] = name
        if self.catch_all is not None and self.catch_all not in self.names:
            raise LabelError(
                f"catch_all is {self.catch_all!r}, which is no label; name one of: {', '.join(self.names)}; "
                "or leave it out if no label stands for everything else"
            )

    @property
    def catch_all_index(self) -> int | None:
        """Class index of the catch-all label; None without one."""
        return None if self.catch_all is None else self.names.index(self.catch_all)

    @property
    def names(self) -> tuple[str, ...]:
        """Label names in class-index order."""
        return tuple(label.name for label in self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def index(self, name: str) -> int:
        """Return the class index of `name`.

        Raises
        ------
        LabelError
            If `name` is not in the scheme.
        """
        try:
            return self.names.index(name)
        except ValueError:
            hint = "correct the label or add it to the label list"
            raise LabelError(f"unknown label {name!r}; choose from: {', '.join(self.names)}; {hint}") from None


@dataclass(frozen=True, slots=True)
class Example:
    """One text with its stable identity."""

    id: str
    text: str
    ordinal: int = -1
    split: Split = Split.POOL
    group: int = -1
    """Ordinal of the first near-duplicate, or the example's own."""
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A text that a person has labelled, shown to a model as a solved example."""

    text: str
    label: str
    """A label of the scheme, or `NONE_OF_THESE` where the scheme is open."""


@dataclass(frozen=True, slots=True)
class SyntheticText:
    """A text that an LLM wrote for a label; never an `Example`, never asked about, never tested on."""

    text: str
    label: str
    round: int


@dataclass(frozen=True, slots=True)
class Annotation:
    """A label and who gave it. Appended to the store, never changed.

    Parameters
    ----------
    example_id : str
        The user's id of the example.
    label : str or None
        A label of the scheme, `NONE_OF_THESE`, `SKIP`, or None for an abstention (no valid answer).
    source : str
        Name of the annotator. Runs of one model share `model` and differ in `source`.
    confidence : float or None
        The annotator's own confidence in [0, 1]; None means unknown, which is not 0.
    proba : tuple of float or None
        Class probabilities of length c in scheme order, when the annotator has them.
    reason : str
        Why an answer is missing, or a rationale.
    """

    example_id: str
    label: str | None
    source: str
    kind: AnnotatorKind = AnnotatorKind.RULE
    model: str | None = None
    prompt: str | None = None
    confidence: float | None = None
    proba: tuple[float, ...] | None = None
    signals: Mapping[str, float] = field(default_factory=dict)
    """What the annotator lets on about its own certainty, by name (see `Signal`); a missing one is unknown."""
    round: int = 0
    request_hash: str | None = None
    n_tokens_in: int = 0
    n_tokens_out: int = 0
    cost_nanousd: int = 0
    duration_s: float | None = None
    is_suggestion_shown: bool = False
    form: str = ""
    """How a person was asked (see `llm_al.phrasing.Form`); empty where nobody said."""
    reason: str = ""
    retracts: int | None = None
    """Row id of the annotation that this one takes back."""
    row_id: int | None = None
    """Row id in the store; None before it is stored."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for an example, and why, in words that a user reads."""

    example_id: str
    round: int
    stage: Stage
    outcome: Outcome
    reason: str
    score: float | None = None
    probability: float | None = None
    """Probability with which a random draw (the audit) would have picked this example."""


@dataclass(frozen=True, slots=True)
class Consensus:
    """What all annotators of one example say together."""

    example_id: str
    label: str | None
    """Most probable label; None when every vote abstained; may be `NONE_OF_THESE`."""
    posterior: tuple[float, ...]
    """Shape (c,); sums to 1 unless `label` is None or `NONE_OF_THESE`, then all zeros."""
    sources: tuple[str, ...]
    is_human: bool
    """Whether a person answered this example."""
    votes: tuple[float, ...] = ()
    """Shares of the labels among the people who gave one, shape (c,); empty without such a person."""


@dataclass(frozen=True)
class Known:
    """What is known of examples beside their annotations.

    Parameters
    ----------
    gold : mapping of str to str
        Example id -> label that is settled, or `NONE_OF_THESE`.
    proba : mapping of str to sequence of float
        Example id -> class probabilities, shape (c,), of a student that has not learned from this example.
    """

    gold: Mapping[str, str] = field(default_factory=dict)
    proba: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnnotatorQuality:
    """Estimated reliability of one annotator, with an interval."""

    name: str
    kind: AnnotatorKind
    n: int
    accuracy: float | None
    low: float | None = None
    high: float | None = None
    n_reference: int = 0
    """Answers that could be compared with a person's."""


ChooseOwn = Callable[[Embeddings, Proba, np.random.Generator], tuple[Positions, NDArray[np.float64]]]
"""Which labels of its own a student may learn from; see `TrainingSet`."""


@dataclass(frozen=True)
class TrainingSet:
    """What a student learns from.

    Parameters
    ----------
    texts : sequence of str, length n
    targets : ndarray of shape (n, c), float64
        Soft labels; rows sum to 1.
    weights : ndarray of shape (n,), float64
        Positive example weights; a human label weighs 1.
    embeddings : ndarray of shape (n, d) or (n, v, d), or None
        Fixed sentence embeddings of the texts, where they are at hand.
    label_embeddings : ndarray of shape (c, d) or (c, v, d), or None
        Unit vectors of the labels' names and descriptions, by the encoder of `embeddings`: a prior.
    is_human, is_pseudo : ndarray of shape (n,), bool, or None
        Rows that people labelled (None means all), and those with pseudo-labels (None means none).
    mixup : float
        Alpha of the Beta distribution by which a student that can do so mixes pairs of rows; 0 is not at all.
    unlabelled, unlabelled_embeddings : sequence of str, ndarray of shape (u, d) or (u, v, d) or None
        Texts on which a student that can do so trains itself, or one of its parts another.
    choose_own : callable or None
        Says which of these it may: from its own unit features (u, d) and probabilities (u, c) to rows and weights (k,).
    view : int or None
        The view of the vectors that people's labels prefer (`llm_al.views`); None leaves it to the student to find out.
    catch_all : int or None
        Class index of the label of texts that fit no other one, if there is such a label.
    """

    texts: Sequence[str]
    targets: Proba
    weights: NDArray[np.float64]
    embeddings: Embeddings | None = None
    label_embeddings: Embeddings | None = None
    is_human: NDArray[np.bool_] | None = None
    mixup: float = 0.0
    unlabelled: Sequence[str] = ()
    choose_own: ChooseOwn | None = None
    unlabelled_embeddings: Embeddings | None = None
    view: int | None = None
    is_pseudo: NDArray[np.bool_] | None = None
    catch_all: int | None = None

    def __len__(self) -> int:
        return len(self.texts)
