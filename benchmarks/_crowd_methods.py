"""Ways of making one answer of several people's votes, each from a draw and a student's probabilities."""

import warnings
from collections.abc import Callable, Mapping

import numpy as np
from _people import Draw
from cleanlab.filter import find_label_issues
from cleanlab.multiannotator import get_label_quality_multiannotator, get_majority_vote_label
from numpy.typing import NDArray

from llm_al.consensus.crowdlab import Crowdlab
from llm_al.consensus.dawid_skene import DawidSkene, OneCoin
from llm_al.consensus.glad import Glad
from llm_al.consensus.mace import Mace
from llm_al.consensus.majority import Majority
from llm_al.consensus.weighted import Weighted
from llm_al.protocols import Aggregator
from llm_al.types import Known

Floats = NDArray[np.float64]
Method = Callable[[Draw, Floats], Floats]
"""Takes a draw and a student's probabilities (n, c); gives a posterior (n, c) whose largest value is the label."""

OURS = "dawid_skene with student (ours)"
PEERS = (
    "majority",
    "one-coin",
    "dawid-skene, textbook",
    "dawid_skene",
    "cleanlab without model",
    "cleanlab with model",
)
"""Among the best of which a method that is to be trusted must be."""


def _aggregate(method: Aggregator, draw: Draw, proba: Floats | None) -> Floats:
    known = None if proba is None else Known(proba={str(i): tuple(row) for i, row in enumerate(proba)})
    consensus, _ = method.aggregate(draw.annotations, known=known)
    posterior = np.zeros(draw.drawn.shape)
    for vote in consensus:
        posterior[int(vote.example_id)] = vote.posterior
    return posterior


def _ours(cls: Callable[..., Aggregator], *, hears_student: bool = False, **options: object) -> Method:
    def run(draw: Draw, proba: Floats) -> Floats:
        return _aggregate(cls(draw.crowd.labels, **options), draw, proba if hears_student else None)

    return run


def _table(draw: Draw) -> Floats:
    """Return labels as cleanlab takes them, shape (n, people), NaN where nobody answered."""
    people = {name: j for j, name in enumerate(dict.fromkeys(a.source for a in draw.annotations))}
    index = {name: k for k, name in enumerate(draw.crowd.labels)}
    table = np.full((len(draw.drawn), len(people)), np.nan)
    for a in draw.annotations:
        table[int(a.example_id), people[a.source]] = index[str(a.label)]
    return table


def _peer_without_model(draw: Draw, _: Floats) -> Floats:
    label = get_majority_vote_label(_table(draw), verbose=False).astype(int)
    # Ties are broken by the frequency of the labels; the shares of the votes are kept for the rest.
    shares = draw.drawn / draw.drawn.sum(axis=1, keepdims=True)
    shares[np.arange(len(label)), label] += 1e-6
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float64)


def _peer_with_model(draw: Draw, proba: Floats) -> Floats:
    """CROWDLAB where some text has two votes; below that it refuses, and confident learning is its own advice."""
    if draw.drawn.sum(axis=1).max() < 2:
        label, quality = _single_labels(draw.drawn.argmax(axis=1), proba)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = get_label_quality_multiannotator(_table(draw), proba, verbose=False)["label_quality"]
        label = found["consensus_label"].to_numpy().astype(int)
        quality = found["consensus_quality_score"].to_numpy(dtype=np.float64)
    c = draw.drawn.shape[1]
    posterior = np.repeat(((1.0 - quality) / (c - 1))[:, None], c, axis=1)
    posterior[np.arange(len(label)), label] = quality
    # Its label need not be its likeliest one.
    posterior[np.arange(len(label)), label] = np.maximum(quality, posterior.max(axis=1) + 1e-6)
    return np.asarray(posterior / posterior.sum(axis=1, keepdims=True), dtype=np.float64)


def _single_labels(given: NDArray[np.intp], proba: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Return labels, those that confident learning holds wrong replaced by the student's, and their probabilities."""
    is_wrong = find_label_issues(given, proba, n_jobs=1)
    label = np.where(is_wrong, proba.argmax(axis=1), given)
    return label, proba[np.arange(len(label)), label]


METHODS: Mapping[str, Method] = {
    "student alone": lambda _, proba: proba,
    "majority": _ours(Majority),
    "weighted": _ours(Weighted, people_stand=False),
    "one-coin": _ours(OneCoin, people_stand=False),
    "dawid-skene, textbook": _ours(
        DawidSkene, people_stand=False, target="truth", strength=0.1, kind_strength=0.1, vote_weight=1.0
    ),
    "dawid_skene": _ours(DawidSkene, people_stand=False),
    "glad": _ours(Glad, people_stand=False),
    "mace": _ours(Mace, people_stand=False),
    "cleanlab without model": _peer_without_model,
    "cleanlab with model": _peer_with_model,
    "one-coin with student": _ours(OneCoin, people_stand=False, hears_student=True),
    "glad with student": _ours(Glad, people_stand=False, hears_student=True),
    "mace with student": _ours(Mace, people_stand=False, hears_student=True),
    "crowdlab (ours)": _ours(Crowdlab, people_stand=False, hears_student=True),
    "dawid_skene with student, truth": _ours(DawidSkene, people_stand=False, hears_student=True, target="truth"),
    OURS: _ours(DawidSkene, people_stand=False, hears_student=True),
}
