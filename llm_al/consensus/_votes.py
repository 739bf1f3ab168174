"""Annotations as arrays: who voted for what, with the runs of one model merged to one voter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from llm_al.errors import LabelError
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorQuality, Consensus, Known

INTERVAL = 0.95


@dataclass(frozen=True)
class Votes:
    """Votes of v voters on n examples over c labels and, as outcome c, `none_of_these`.

    The four entry arrays run in parallel, one entry for each (example, voter, outcome) with a positive share; the
    shares of one voter on one example sum to 1.
    """

    labels: tuple[str, ...]
    example_ids: tuple[str, ...]
    voters: tuple[str, ...]
    is_human: NDArray[np.bool_]
    """Per voter, shape (v,)."""
    example: NDArray[np.intp]
    voter: NDArray[np.intp]
    outcome: NDArray[np.intp]
    share: NDArray[np.float64]
    gold: NDArray[np.intp]
    """Outcome that is settled for each example, -1 where none is, shape (n,)."""

    @property
    def n_outcomes(self) -> int:
        """Labels and none of these: c + 1."""
        return len(self.labels) + 1

    def totals(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum entries times `weight` by example and outcome, shape (n, c + 1)."""
        table = np.zeros((len(self.example_ids), self.n_outcomes))
        np.add.at(table, (self.example, self.outcome), weight)
        return table

    def clamped(self, posterior: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a copy of a posterior, shape (n, c + 1), with all weight on gold where there is gold."""
        rows = np.flatnonzero(self.gold >= 0)
        settled = posterior.copy()
        settled[rows] = 0.0
        settled[rows, self.gold[rows]] = 1.0
        return settled

    @property
    def is_settled_by_people(self) -> NDArray[np.bool_]:
        """Whether people answered and none of them disagrees, shape (n,)."""
        by_people = self.totals(np.where(self.is_human[self.voter], self.share, 0.0)) > 0
        return np.asarray(by_people.sum(axis=1) == 1, dtype=np.bool_)

    def with_people_standing(self, posterior: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a copy of a posterior, shape (n, c + 1), whose largest value is at what people agree on.

        Where it is elsewhere, the two change places.
        """
        kept = posterior.copy()
        rows = np.flatnonzero(self.is_settled_by_people)
        word = self.totals(np.where(self.is_human[self.voter], self.share, 0.0))[rows].argmax(axis=1)
        best = kept[rows].argmax(axis=1)
        kept[rows, best], kept[rows, word] = posterior[rows, word], posterior[rows, best]
        return kept

    @property
    def votes_of_people(self) -> NDArray[np.float64]:
        """How many people gave each label of the scheme, shape (n, c)."""
        return self.totals(np.where(self.is_human[self.voter], self.share, 0.0))[:, :-1]


def is_vote(annotation: Annotation) -> bool:
    """Whether it names an outcome; abstentions and skips do not."""
    return annotation.label is not None and annotation.label != SKIP


def voter_of(annotation: Annotation) -> str:
    """Return the voter's name: a person or rule by source, all runs of a model by model."""
    if annotation.kind.is_human or annotation.model is None:
        return f"source:{annotation.source}"
    return f"model:{annotation.model}"


def tabulate(annotations: Sequence[Annotation], labels: tuple[str, ...], *, known: Known | None = None) -> Votes:
    """Merge annotations to votes, examples in order of first appearance.

    Of several answers of one person to one example the last counts.

    Raises
    ------
    LabelError
        If an annotation, or the gold label of an example that is annotated, is outside `labels`.
    """
    outcome_index = {name: index for index, name in enumerate((*labels, NONE_OF_THESE))}
    examples = {id_: i for i, id_ in enumerate(dict.fromkeys(a.example_id for a in annotations))}
    # A later answer of the same annotator replaces the earlier one.
    latest = {(a.example_id, a.source): a for a in annotations if is_vote(a)}
    voters: dict[str, int] = {}
    is_human: list[bool] = []
    counts: dict[tuple[int, int, int], int] = {}
    for a in latest.values():
        if a.label not in outcome_index:
            raise LabelError(
                f"annotation of {a.example_id!r} by {a.source!r} has unknown label {a.label!r}; "
                f"choose from: {', '.join(outcome_index)}; correct the label or the label list"
            )
        name = voter_of(a)
        if name not in voters:
            voters[name] = len(voters)
            is_human.append(a.kind.is_human)
        key = (examples[a.example_id], voters[name], outcome_index[a.label])
        counts[key] = counts.get(key, 0) + 1
    keys = np.array(list(counts), dtype=np.intp).reshape(-1, 3)
    size = np.array(list(counts.values()), dtype=np.float64)
    ballots = np.zeros((len(examples), len(voters)))
    np.add.at(ballots, (keys[:, 0], keys[:, 1]), size)
    share = size / ballots[keys[:, 0], keys[:, 1]]
    return Votes(
        labels,
        tuple(examples),
        tuple(voters),
        np.array(is_human, dtype=np.bool_),
        keys[:, 0],
        keys[:, 1],
        keys[:, 2],
        share,
        _gold(tuple(examples), outcome_index, known),
    )


def _gold(examples: tuple[str, ...], outcome_index: dict[str, int], known: Known | None) -> NDArray[np.intp]:
    gold = np.full(len(examples), -1, dtype=np.intp)
    for row, id_ in enumerate(examples if known is not None and known.gold else ()):
        label = known.gold.get(id_) if known is not None else None
        if label is None:
            continue
        if label not in outcome_index:
            raise LabelError(
                f"gold label of {id_!r} is unknown label {label!r}; choose from: {', '.join(outcome_index)}; "
                "correct the label or the label list"
            )
        gold[row] = outcome_index[label]
    return gold


def mask_overruled(votes: Votes) -> NDArray[np.float64]:
    """Return entry weights: 0 for machines on examples where people answered and none of them disagrees, else 1."""
    return np.where(votes.is_settled_by_people[votes.example] & ~votes.is_human[votes.voter], 0.0, 1.0)


def to_consensus(votes: Votes, annotations: Sequence[Annotation], posterior: NDArray[np.float64]) -> list[Consensus]:
    """Turn posteriors over outcomes, shape (n, c + 1), into one `Consensus` an example; gold stands in any case."""
    sources: dict[str, dict[str, bool]] = {id_: {} for id_ in votes.example_ids}
    for a in annotations:
        if is_vote(a):
            sources[a.example_id][a.source] = a.kind.is_human
    names = (*votes.labels, NONE_OF_THESE)
    nothing = (0.0,) * len(votes.labels)
    result = []
    by_people = votes.votes_of_people
    rows = zip(votes.example_ids, votes.clamped(posterior), by_people, votes.gold, strict=True)
    for id_, row, counts, gold in rows:
        given = sources[id_]
        label = names[int(row.argmax())] if given or gold >= 0 else None
        kept = row[:-1]
        is_label = label is not None and label != NONE_OF_THESE
        values = tuple(float(p) for p in kept / kept.sum()) if is_label else nothing
        shares = tuple(float(p) for p in counts / counts.sum()) if counts.any() else ()
        result.append(Consensus(id_, label, values, tuple(given), any(given.values()), shares))
    return result


def measure_annotators(
    annotations: Sequence[Annotation], estimated: Mapping[str, float], *, known: Known | None = None
) -> list[AnnotatorQuality]:
    """Compare each annotator with gold, and where there is none with the people who answered the same examples.

    A person is compared with the *other* people. Their reference is the most frequent answer; a tie is none. With no
    reference the accuracy is the one in `estimated` (by voter), without interval, or None. The interval is
    Clopper-Pearson's, 95 %, two-sided. Answers that came after a review are harder than average, so the accuracy
    of a machine measured here is a cautious one.
    """
    gold = known.gold if known is not None else {}
    latest = {(a.example_id, a.source): a for a in annotations if is_vote(a)}
    people: dict[str, dict[str, str]] = {}
    for (id_, source), a in latest.items():
        if a.kind.is_human and a.label is not None:
            people.setdefault(id_, {})[source] = a.label
    by_source: dict[str, list[tuple[Annotation, str | None]]] = {}
    for a in latest.values():
        truth = gold.get(a.example_id) or _reference(people.get(a.example_id, {}), a.source)
        by_source.setdefault(a.source, []).append((a, truth))
    return [_measure(given, estimated) for given in by_source.values()]


def _measure(given: list[tuple[Annotation, str | None]], estimated: Mapping[str, float]) -> AnnotatorQuality:
    last = given[-1][0]
    known = [(a.label, truth) for a, truth in given if truth is not None]
    if not known:
        return AnnotatorQuality(last.source, last.kind, len(given), estimated.get(voter_of(last)))
    right = sum(label == truth for label, truth in known)
    low, high = _clopper_pearson(right, len(known))
    return AnnotatorQuality(last.source, last.kind, len(given), right / len(known), low, high, n_reference=len(known))


def _reference(answers: dict[str, str], source: str) -> str | None:
    others = [label for who, label in answers.items() if who != source]
    tally = sorted(((others.count(label), label) for label in set(others)), reverse=True)
    if not tally or (len(tally) > 1 and tally[0][0] == tally[1][0]):
        return None
    return tally[0][1]


def _clopper_pearson(right: int, n: int) -> tuple[float, float]:
    tail = (1.0 - INTERVAL) / 2.0
    low = float(beta.ppf(tail, right, n - right + 1)) if right else 0.0
    high = float(beta.ppf(1.0 - tail, right + 1, n - right)) if right < n else 1.0
    return low, high
