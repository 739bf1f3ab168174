"""What is known about one LLM label before a person has looked at it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ShapeError
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, Embeddings, Example, Proba

__all__ = ["Context", "Evidence", "gather_evidence", "neighbour_shares", "smoothed_agreement"]

_BLOCK_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that speaks for or against the LLM's label of one example.

    Parameters
    ----------
    example_id : str
        The user's id.
    label : str or None
        Label that most prompts voted for; None without a valid vote for a label of the scheme.
    agreement : float
        Smoothed share of the votes for `label`, see `smoothed_agreement`; 0 without a vote.
    n_answers, n_valid : int
        Answers that arrived, and those among them that name a label or `none_of_these`.
    n_none_of_these : int
        Valid answers that say that no label fits.
    confidence : float or None
        Mean confidence of the answers that voted for `label`; None means unknown.
    student_label : str or None
        The student's own prediction; None before the first student.
    student_best, student_proba : float or None
        The student's probability of its own prediction, and of `label`.
    neighbour_share : float or None
        Share of the nearest labelled examples that carry `label`; None without labelled examples.
    n_chars : int
        Length of the text.
    failures : tuple of str
        Why answers are invalid, as the annotator wrote it down.
    """

    example_id: str
    label: str | None
    agreement: float
    n_answers: int
    n_valid: int
    n_none_of_these: int = 0
    confidence: float | None = None
    student_label: str | None = None
    student_best: float | None = None
    student_proba: float | None = None
    neighbour_share: float | None = None
    n_chars: int = 0
    failures: tuple[str, ...] = ()

    @property
    def student_agrees(self) -> bool | None:
        """Whether the student predicts the same label; None before the first student."""
        return None if self.student_label is None else self.student_label == self.label


@dataclass(frozen=True)
class Context:
    """What the pool says about a batch of examples, row by row.

    Parameters
    ----------
    labels : tuple of str
        Label names in class-index order, c of them.
    proba : ndarray of shape (n, c) or None
        Probabilities of the student of the *previous* round; None before the first.
    neighbours : ndarray of shape (n, c) or None
        Shares of `neighbour_shares`; None without labelled examples.
    """

    labels: tuple[str, ...]
    proba: Proba | None = None
    neighbours: Proba | None = None


def smoothed_agreement(count: float, n_votes: int, n_classes: int) -> float:
    """Return ``(count + 1/c) / (n_votes + 1)``: a share that few votes cannot push to 1.

    Examples
    --------
    >>> smoothed_agreement(3, 3, 10)
    0.775
    """
    return (count + 1.0 / n_classes) / (n_votes + 1.0)


def neighbour_shares(
    embeddings: Embeddings,
    labelled: Embeddings,
    *,
    label_index: NDArray[np.int64],
    n_classes: int,
    n_neighbours: int = 10,
) -> Proba | None:
    """Return how the labels of the nearest labelled examples are shared out.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
        Unit-length rows to describe; none of them among `labelled`.
    labelled : ndarray of shape (l, d)
        Unit-length rows with known labels.
    label_index : ndarray of shape (l,), int64
        Their class indices.
    n_classes, n_neighbours : int
        c, and how many neighbours vote; all of them when l is smaller.

    Returns
    -------
    ndarray of shape (n, c), or None when l is 0
        Rows sum to 1.
    """
    if len(labelled) == 0:
        return None
    known = np.asarray(labelled, dtype=np.float32)
    k = min(n_neighbours, len(known))
    shares = np.zeros((len(embeddings), n_classes))
    for start in range(0, len(embeddings), _BLOCK_ROWS):
        block = np.asarray(embeddings[start : start + _BLOCK_ROWS], dtype=np.float32)
        nearest = np.argpartition(-(block @ known.T), k - 1, axis=1)[:, :k]
        rows = np.repeat(np.arange(start, start + len(block)), k)
        np.add.at(shares, (rows, label_index[nearest].ravel()), 1.0 / k)
    return shares


def gather_evidence(examples: Sequence[Example], annotations: Sequence[Annotation], context: Context) -> list[Evidence]:
    """Bring together what is known about the LLM's answers, one row an example.

    The prompts of one model are one voter whose vote is split by their shares; several models count alike. An
    abstention is never a vote. On a tie the student's preference decides, then the order of the label list.

    Parameters
    ----------
    examples : sequence of Example, length n
        In the row order of `context`.
    annotations : sequence of Annotation
        LLM answers, in any order; answers to other examples are ignored.
    context : Context
        Student and neighbours.

    Raises
    ------
    ShapeError
        If an array of `context` does not have one row an example and one column a label.
    """
    for name, array in (("proba", context.proba), ("neighbours", context.neighbours)):
        expected = (len(examples), len(context.labels))
        if array is not None and array.shape != expected:
            raise ShapeError(
                f"{name} has shape {array.shape}; expected {expected}: one row an example, one column a label"
            )
    answers: dict[str, list[Annotation]] = {}
    for annotation in annotations:
        answers.setdefault(annotation.example_id, []).append(annotation)
    return [_describe(example, row, answers.get(example.id, []), context) for row, example in enumerate(examples)]


def _describe(example: Example, row: int, answers: Sequence[Annotation], context: Context) -> Evidence:
    valid = [a for a in answers if a.label is not None and a.label != SKIP]
    n_none = sum(a.label == NONE_OF_THESE for a in valid)
    shares = _vote_shares(valid)
    student = None if context.proba is None else context.proba[row]
    best = None if student is None else int(student.argmax())
    label = _winner(shares, context, row)
    index = None if label is None else context.labels.index(label)
    certain = [a.confidence for a in valid if a.label == label and a.confidence is not None]
    count = shares[label] * len(valid) if label is not None else 0.0
    return Evidence(
        example_id=example.id,
        label=label,
        agreement=smoothed_agreement(count, len(valid), len(context.labels)) if label is not None else 0.0,
        n_answers=len(answers),
        n_valid=len(valid),
        n_none_of_these=n_none,
        confidence=float(np.mean(certain)) if certain else None,
        student_label=None if best is None else context.labels[best],
        student_best=None if student is None or best is None else float(student[best]),
        student_proba=None if student is None or index is None else float(student[index]),
        neighbour_share=None if context.neighbours is None or index is None else float(context.neighbours[row, index]),
        n_chars=len(example.text),
        failures=tuple(a.reason for a in answers if a not in valid and a.reason),
    )


def _vote_shares(valid: Sequence[Annotation]) -> dict[str, float]:
    voters: dict[str, Counter[str]] = {}
    for annotation in valid:
        if annotation.label is not None:
            voters.setdefault(annotation.model or annotation.source, Counter())[annotation.label] += 1
    shares: dict[str, float] = {}
    for votes in voters.values():
        for label, count in votes.items():
            shares[label] = shares.get(label, 0.0) + count / votes.total() / len(voters)
    return shares


def _winner(shares: Mapping[str, float], context: Context, row: int) -> str | None:
    proba = np.zeros(len(context.labels)) if context.proba is None else context.proba[row]
    ranked = [
        (-round(shares[label], 9), -float(proba[index]), index)
        for index, label in enumerate(context.labels)
        if label in shares
    ]
    return context.labels[min(ranked)[2]] if ranked else None
