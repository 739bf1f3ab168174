"""How far annotators agree beyond chance."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ShapeError
from llm_al.types import SKIP, Annotation

__all__ = [
    "Agreement",
    "Agreements",
    "PairAgreement",
    "PersonAgreement",
    "agreement_of",
    "cohen_kappa",
    "fleiss_kappa",
    "krippendorff_alpha",
    "pairwise",
]


@dataclass(frozen=True)
class Agreement:
    """A coefficient, or None with the reason why it is undefined."""

    value: float | None
    reason: str = ""


@dataclass(frozen=True)
class PairAgreement:
    """Two people, the examples that both answered, the share on which they agree, and Cohen's kappa."""

    first: str
    second: str
    n_examples: int
    share: float
    kappa: Agreement


@dataclass(frozen=True)
class PersonAgreement:
    """One person against everybody who answered the same examples.

    Parameters
    ----------
    name : str
    n_examples : int
        Examples that somebody else answered too.
    share : float or None
        Share of the others' answers that are the same; None without any.
    kappa : Agreement
        Mean of Cohen's kappa with each other person, weighted by common examples; pairs without a kappa left out.
    """

    name: str
    n_examples: int
    share: float | None
    kappa: Agreement


@dataclass(frozen=True)
class Agreements:
    """How far people agree: in all, in pairs, by label and by person.

    Parameters
    ----------
    n_examples : int
        Examples with answers of at least two people; every figure is about these.
    n_people : int
        People who gave any answer that is not a skip.
    krippendorff, fleiss, cohen : Agreement
        Krippendorff's alpha; Fleiss' kappa, where all examples have the same number of answers; the mean of Cohen's
        kappa over pairs of people, weighted by common examples.
    labels : mapping of str to Agreement
        For each answer that occurs, Krippendorff's alpha of "this one or another".
    people : tuple of PersonAgreement
        Sorted by name.
    pairs : tuple of PairAgreement
        Pairs with common examples, sorted by names.
    """

    n_examples: int
    n_people: int
    krippendorff: Agreement
    fleiss: Agreement
    cohen: Agreement
    labels: Mapping[str, Agreement]
    people: tuple[PersonAgreement, ...]
    pairs: tuple[PairAgreement, ...]


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> Agreement:
    """Return Cohen's kappa of two annotators, ``(p_o - p_e) / (1 - p_e)`` [1]_.

    Raises
    ------
    ShapeError
        If the two differ in length.

    References
    ----------
    .. [1] Cohen (1960). A coefficient of agreement for nominal scales. Educ. Psychol. Meas. 20(1), 37-46.

    Examples
    --------
    >>> cohen_kappa(["a", "a", "b", "b"], ["a", "a", "b", "a"]).value
    0.5
    """
    if len(first) != len(second):
        raise ShapeError(f"got {len(first)} and {len(second)} answers; give one answer of each annotator an example")
    if not first:
        return Agreement(None, "undefined because no example was answered by both")
    index = {label: i for i, label in enumerate(dict.fromkeys([*first, *second]))}
    if len(index) == 1:
        return Agreement(None, "undefined because only one label occurs")
    table = np.zeros((len(index), len(index)))
    np.add.at(table, ([index[a] for a in first], [index[b] for b in second]), 1.0 / len(first))
    observed, expected = float(np.trace(table)), float(table.sum(axis=1) @ table.sum(axis=0))
    return Agreement((observed - expected) / (1.0 - expected))


def fleiss_kappa(counts: NDArray[np.int64]) -> Agreement:
    """Return Fleiss' kappa [1]_.

    Parameters
    ----------
    counts : ndarray of shape (n, c)
        How many annotators gave each label to each example; the same number, at least 2, for each example.

    Raises
    ------
    ShapeError
        If `counts` is not two-dimensional or its rows differ in sum.

    References
    ----------
    .. [1] Fleiss (1971). Measuring nominal scale agreement among many raters. Psychol. Bull. 76(5), 378-382.
    """
    if counts.ndim != 2:
        raise ShapeError(f"counts has {counts.ndim} dimensions; expected 2: examples by labels")
    if not len(counts):
        return Agreement(None, "undefined because there are no examples")
    n_raters = counts.sum(axis=1)
    if np.ptp(n_raters):
        raise ShapeError(
            f"examples have {n_raters.min()} to {n_raters.max()} answers; use krippendorff_alpha for unequal counts"
        )
    m = int(n_raters[0])
    if m < 2:
        return Agreement(None, f"undefined because examples have {m} answers; at least 2 are needed")
    shares = counts.sum(axis=0) / counts.sum()
    expected = float((shares**2).sum())
    if np.count_nonzero(shares) == 1:
        return Agreement(None, "undefined because only one label occurs")
    observed = float(((counts.astype(np.float64) ** 2).sum(axis=1) - m).mean() / (m * (m - 1)))
    return Agreement((observed - expected) / (1.0 - expected))


def krippendorff_alpha(counts: NDArray[np.int64]) -> Agreement:
    """Return Krippendorff's alpha for nominal labels, ``1 - D_o / D_e`` [1]_.

    Parameters
    ----------
    counts : ndarray of shape (n, c)
        How many annotators gave each label to each example; examples with fewer than 2 answers are ignored.

    Raises
    ------
    ShapeError
        If `counts` is not two-dimensional.

    References
    ----------
    .. [1] Krippendorff (2011). Computing Krippendorff's alpha-reliability. Univ. of Pennsylvania.
    """
    if counts.ndim != 2:
        raise ShapeError(f"counts has {counts.ndim} dimensions; expected 2: examples by labels")
    paired = counts[counts.sum(axis=1) > 1].astype(np.float64)
    if not len(paired):
        return Agreement(None, "undefined because no example has two answers")
    totals = paired.sum(axis=0)
    if np.count_nonzero(totals) == 1:
        return Agreement(None, "undefined because only one label occurs")
    m, n = paired.sum(axis=1), totals.sum()
    observed = float(((m**2 - (paired**2).sum(axis=1)) / (m - 1)).sum() / n)
    expected = float((n**2 - (totals**2).sum()) / (n * (n - 1)))
    return Agreement(1.0 - observed / expected)


def pairwise(annotations: Sequence[Annotation]) -> list[PairAgreement]:
    """Return the table of all pairs of people with common examples, sorted by names.

    Of several answers of one person to one example the last counts; skips and answers of machines do not.
    """
    return _pairs(_answers_of_people(annotations))


def agreement_of(annotations: Sequence[Annotation]) -> Agreements:
    """Measure how far people agree; skips and answers of machines are passed over.

    `none_of_these` is an answer like a label. Nothing here is an error: what has no value says why.

    Examples
    --------
    >>> from llm_al.types import AnnotatorKind
    >>> said = [Annotation("1", "a", who, AnnotatorKind.HUMAN) for who in ("human:ann", "human:bob")]
    >>> agreement_of(said).krippendorff.reason
    'undefined because only one label occurs'
    """
    answers = _answers_of_people(annotations)
    shared = [given for given in answers.values() if len(given) > 1]
    names = sorted({label for given in shared for label in given.values()})
    counts = np.array([[list(given.values()).count(name) for name in names] for given in shared], dtype=np.int64)
    counts = counts.reshape(len(shared), len(names))
    pairs = _pairs(answers)
    n_all = counts.sum(axis=1, keepdims=True)
    return Agreements(
        n_examples=len(shared),
        n_people=len({who for given in answers.values() for who in given}),
        krippendorff=krippendorff_alpha(counts),
        fleiss=_fleiss_if_equal(counts),
        cohen=_mean_kappa(pairs),
        labels={
            name: krippendorff_alpha(np.hstack([counts[:, [k]], n_all - counts[:, [k]]]))
            for k, name in enumerate(names)
        },
        people=_people(answers, pairs),
        pairs=tuple(pairs),
    )


def _answers_of_people(annotations: Sequence[Annotation]) -> dict[str, dict[str, str]]:
    """Return example id -> person -> label."""
    answers: dict[str, dict[str, str]] = {}
    for a in annotations:
        if a.kind.is_human and a.label is not None and a.label != SKIP:
            answers.setdefault(a.example_id, {})[a.source] = a.label
    return answers


def _pairs(answers: Mapping[str, Mapping[str, str]]) -> list[PairAgreement]:
    common: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for given in answers.values():
        for first, second in combinations(sorted(given), 2):
            common.setdefault((first, second), []).append((given[first], given[second]))
    return [
        PairAgreement(*pair, len(said), sum(a == b for a, b in said) / len(said), cohen_kappa(*zip(*said, strict=True)))
        for pair, said in sorted(common.items())
    ]


def _mean_kappa(pairs: Sequence[PairAgreement]) -> Agreement:
    if not pairs:
        return Agreement(None, "undefined because no two people answered the same example")
    known = [(pair.kappa.value, pair.n_examples) for pair in pairs if pair.kappa.value is not None]
    if not known:
        return Agreement(None, "undefined because no pair of people used more than one label")
    return Agreement(sum(value * n for value, n in known) / sum(n for _, n in known))


def _fleiss_if_equal(counts: NDArray[np.int64]) -> Agreement:
    n_raters = counts.sum(axis=1)
    if len(counts) and np.ptp(n_raters):
        return Agreement(None, f"undefined because examples have {n_raters.min()} to {n_raters.max()} answers")
    return fleiss_kappa(counts)


def _people(answers: Mapping[str, Mapping[str, str]], pairs: Sequence[PairAgreement]) -> tuple[PersonAgreement, ...]:
    own: dict[str, list[PairAgreement]] = {who: [] for given in answers.values() for who in given}
    n_examples = dict.fromkeys(own, 0)
    for pair in pairs:
        own[pair.first].append(pair)
        own[pair.second].append(pair)
    for given in answers.values():
        for who in given if len(given) > 1 else ():
            n_examples[who] += 1
    return tuple(PersonAgreement(who, n_examples[who], _share(own[who]), _mean_kappa(own[who])) for who in sorted(own))


def _share(pairs: Sequence[PairAgreement]) -> float | None:
    n = sum(pair.n_examples for pair in pairs)
    return sum(pair.share * pair.n_examples for pair in pairs) / n if n else None
