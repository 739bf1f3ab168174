"""What is known about one LLM label before a person has looked at it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ShapeError
from llm_al.routers.agreement import Ballots, count_ballots
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, Example, Proba

__all__ = ["Context", "Evidence", "gather_evidence"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that speaks for or against the LLM's label of one example.

    None, or a missing entry of a mapping, means unknown. It never means 0.

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
        Mean confidence of the answers that voted for `label`.
    student_label : str or None
        The student's own prediction; None before the first student.
    student_best, student_proba, student_rival : float or None
        The student's probability of its own prediction, of `label`, and of the likeliest other label.
    neighbour_share, neighbour_rival : float or None
        Shares of the nearest labelled examples that carry `label` and the most frequent other label; None without
        labelled examples.
    n_chars : int
        Length of the text.
    failures : tuple of str
        Why answers are invalid, as the annotator wrote it down.
    votes : mapping of annotator to label
        What each valid answer says.
    confidences : mapping of annotator to float
        Confidence of each valid answer that has one.
    model_shares : mapping of model to float
        Share of each model's valid answers that vote for `label`.
    prompt_agreement, model_agreement : float or None
        Smoothed agreement over the prompts of one model, and over models; None where there is only one.
    signals : mapping of str to float
        Mean of each raw signal (see `types.Signal`) over the answers that voted for `label`.
    proba_margin, proba_entropy : float or None
        Of the mean class probabilities of the valid answers: ``p1 - p2``, and the entropy over ``log c``.
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
    student_rival: float | None = None
    neighbour_rival: float | None = None
    votes: Mapping[str, str] = field(default_factory=dict)
    confidences: Mapping[str, float] = field(default_factory=dict)
    model_shares: Mapping[str, float] = field(default_factory=dict)
    prompt_agreement: float | None = None
    model_agreement: float | None = None
    signals: Mapping[str, float] = field(default_factory=dict)
    proba_margin: float | None = None
    proba_entropy: float | None = None

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


def gather_evidence(
    examples: Sequence[Example],
    annotations: Sequence[Annotation],
    context: Context,
    *,
    labels: Sequence[str | None] | None = None,
) -> list[Evidence]:
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
    labels : sequence of str or None, length n
        Labels to judge instead of those that win the vote, for example one model's own.

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
    by_row = [_Case(example, row, tuple(answers.get(example.id, ()))) for row, example in enumerate(examples)]
    if labels is None:
        labels = [_winner(case.ballots.shares(), context, case.row) for case in by_row]
    return [_describe(case, label, context) for case, label in zip(by_row, labels, strict=True)]


@dataclass(frozen=True)
class _Case:
    example: Example
    row: int
    answers: Sequence[Annotation]

    @cached_property
    def ballots(self) -> Ballots:
        return count_ballots(self.answers)

    @cached_property
    def valid(self) -> list[Annotation]:
        return [a for a in self.answers if _is_valid(a)]


def _is_valid(answer: Annotation) -> bool:
    return answer.label is not None and answer.label != SKIP


def _describe(case: _Case, label: str | None, context: Context) -> Evidence:
    example, answers, valid, ballots = case.example, case.answers, case.valid, case.ballots
    return Evidence(
        example_id=example.id,
        label=label,
        agreement=0.0 if label is None else ballots.agreement(label, len(context.labels)),
        n_answers=len(answers),
        n_valid=len(valid),
        n_none_of_these=sum(a.label == NONE_OF_THESE for a in valid),
        n_chars=len(example.text),
        failures=tuple(a.reason for a in answers if not _is_valid(a) and a.reason),
        votes={a.source: a.label for a in valid if a.label is not None},
        confidences={a.source: a.confidence for a in valid if a.confidence is not None},
        **_from_answers(valid, ballots, label, context),
        **_from_context(label, case.row, context),
    )


def _from_answers(valid: Sequence[Annotation], ballots: Ballots, label: str | None, context: Context) -> dict[str, Any]:
    if label is None:
        return {}
    voters = [a for a in valid if a.label == label]
    certain = [a.confidence for a in voters if a.confidence is not None]
    names = sorted({name for a in voters for name in a.signals})
    signals = {name: float(np.mean([a.signals[name] for a in voters if name in a.signals])) for name in names}
    return {
        "confidence": float(np.mean(certain)) if certain else None,
        "signals": signals,
        "model_shares": ballots.model_shares(label),
        "prompt_agreement": ballots.prompt_agreement(label, len(context.labels)),
        "model_agreement": ballots.model_agreement(label, len(context.labels)),
        **_spread([a.proba for a in valid if a.proba is not None]),
    }


def _spread(probas: Sequence[Sequence[float]]) -> dict[str, float]:
    """Return margin and entropy of the mean probabilities; nothing where no answer has any."""
    if not probas:
        return {}
    mean = np.mean(np.array(probas, dtype=np.float64), axis=0)
    runner_up, best = np.partition(mean, -2)[-2:]
    positive = mean[mean > 0]
    entropy = -float((positive * np.log(positive)).sum()) / float(np.log(len(mean)))
    return {"proba_margin": float(best - runner_up), "proba_entropy": entropy}


def _from_context(label: str | None, row: int, context: Context) -> dict[str, Any]:
    student = None if context.proba is None else context.proba[row]
    near = None if context.neighbours is None else context.neighbours[row]
    index = None if label is None else context.labels.index(label)
    found: dict[str, Any] = {}
    if student is not None:
        best = int(student.argmax())
        found |= {"student_label": context.labels[best], "student_best": float(student[best])}
    if student is not None and index is not None:
        found |= {"student_proba": float(student[index]), "student_rival": _rival(student, index)}
    if near is not None and index is not None:
        found |= {"neighbour_share": float(near[index]), "neighbour_rival": _rival(near, index)}
    return found


def _rival(row: NDArray[np.float64], index: int) -> float:
    return float(np.delete(row, index).max())


def _winner(shares: Mapping[str, float], context: Context, row: int) -> str | None:
    proba = np.zeros(len(context.labels)) if context.proba is None else context.proba[row]
    ranked = [
        (-round(shares[label], 9), -float(proba[index]), index)
        for index, label in enumerate(context.labels)
        if label in shares
    ]
    return context.labels[min(ranked)[2]] if ranked else None
