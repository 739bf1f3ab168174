"""What a student learns from in a round: people, accepted LLM labels, its own confident labels."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_al.answers import Answers
from llm_al.corpus import Corpus
from llm_al.errors import ShapeError
from llm_al.llm_votes import LLMVotes
from llm_al.pool import PoolView
from llm_al.protocols import PseudoLabeler
from llm_al.pseudo_labels._choice import Choice, choose
from llm_al.pseudo_labels._comparison import Without
from llm_al.pseudo_labels.guard import Guard, Rows
from llm_al.pseudo_labels.harm import HarmCheck
from llm_al.pseudo_labels.llm_rows import Labelled, LLMRows
from llm_al.pseudo_labels.precision import PrecisionEstimate
from llm_al.pseudo_labels.witness import witnessed
from llm_al.types import ChooseOwn, Embeddings, Positions, Proba, Source, TrainingSet
from llm_al.views import can_choose, view_of

__all__ = ["SUPERVISION_NOTE", "Mixture", "Summary", "Supervision"]

SUPERVISION_NOTE = "supervision"
"""Key of the note that keeps what a round learned from, and why."""


@dataclass(frozen=True)
class Summary:
    """How many labels of each source a student learned from, and why."""

    n_human: int
    n_llm: int
    n_pseudo: int
    sources: tuple[Source, ...]
    reason: str
    n_synthetic: int = 0
    pseudo_precision: float | None = None
    """Estimated share of right pseudo-labels; None where nothing can be said."""
    pseudo_interval: tuple[float, float] | None = None
    """About 95 %."""
    n_votes: int = 0
    """Rows with LLM answers that no audit covers."""
    view: int | None = None
    """The view that people's labels chose; None where they were too few to choose."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the store."""
        return {**self.__dict__, "sources": [str(source) for source in self.sources]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Summary":
        """Read what `to_json` wrote."""
        interval = values.get("pseudo_interval")
        plain = {"sources": tuple(Source(source) for source in values["sources"])}
        return cls(**{**values, **plain, "pseudo_interval": tuple(interval) if interval else None})


@dataclass(frozen=True)
class Mixture:
    """Pool rows with targets and weights, source after source.

    Parameters
    ----------
    positions : ndarray of shape (m,)
    targets : ndarray of shape (m, c)
    weights : ndarray of shape (m,)
    summary : Summary
    written : TrainingSet or None
        Synthetic texts, which have no place in the pool.
    mixup : float
        As in `TrainingSet`.
    unlabelled : ndarray of shape (u,)
        Pool rows on which the student trains itself.
    choose_own : callable or None
        As in `TrainingSet`.
    """

    positions: Positions
    targets: Proba
    weights: NDArray[np.float64]
    summary: Summary
    written: TrainingSet | None = None
    mixup: float = 0.0
    unlabelled: Positions = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    choose_own: ChooseOwn | None = None

    def pseudo_to_json(self) -> dict[str, list[int]]:
        """Return which rows have a pseudo-label, and which, as plain values."""
        n = len(self.positions)
        mine = slice(n - self.summary.n_pseudo, n)
        classes = self.targets[mine].argmax(axis=1)
        return {"positions": self.positions[mine].tolist(), "classes": classes.tolist()}

    def training_set(self, corpus: Corpus) -> TrainingSet:
        """Return the mixture with its texts and embeddings."""
        texts = corpus.texts_at(self.positions)
        vectors = np.asarray(corpus.vectors[self.positions], dtype=np.float32)
        rows, n_others = np.arange(len(self.positions)), len(self.positions) - self.summary.n_pseudo
        real = TrainingSet(
            texts,
            self.targets,
            self.weights,
            vectors,
            label_embeddings=corpus.label_vectors,
            is_human=rows < self.summary.n_human,
            is_pseudo=rows >= n_others,
            catch_all=corpus.scheme.catch_all_index,
            mixup=self.mixup,
            unlabelled=corpus.texts_at(self.unlabelled),
            choose_own=self.choose_own,
            unlabelled_embeddings=np.asarray(corpus.vectors[self.unlabelled], dtype=np.float32),
            view=self.summary.view,
        )
        return real if self.written is None else _joined(real, self.written)


@dataclass(frozen=True)
class _Part:
    """Rows of one source."""

    positions: Positions
    targets: Proba
    weights: NDArray[np.float64]
    without: Callable[[NDArray[np.intp]], Choice] | None = None
    """Gives the part as it would be without some of people's labels, named by their indices."""

    def __len__(self) -> int:
        return len(self.positions)

    def rows(self, view: PoolView) -> Rows:
        def rows_of(choice: Choice, without: Without | None = None) -> Rows:
            positions, targets, weights = choice
            return Rows(np.asarray(view.embeddings[positions], dtype=np.float32), targets, weights, without)

        given = self.without
        again = None if given is None else lambda unknown: rows_of(given(unknown))
        return rows_of((self.positions, self.targets, self.weights), again)

    def first(self, n: int) -> "_Part":
        return _Part(self.positions[:n], self.targets[:n], self.weights[:n])

    def rest(self, n: int) -> "_Part":
        return _Part(self.positions[n:], self.targets[n:], self.weights[n:])


@dataclass(frozen=True)
class Supervision:
    """Mixes the sources of labels; a guard keeps out what hurts.

    Parameters
    ----------
    pseudo_labeler : PseudoLabeler
    guard : Guard or None
        With one a student's own labels are `witnessed` too. None lets every source in with its own weights.
    llm_rows : LLMRows or None
        Learns from LLM answers that no audit covers too, corrected by what people's labels tell of each prompt and
        model. None learns from accepted labels only.
    is_subjective : bool
        Whether the student learns how people's votes are spread, instead of the label that they agree on.
    """

    pseudo_labeler: PseudoLabeler
    guard: Guard | None
    llm_rows: LLMRows | None = None
    is_subjective: bool = False

    def mix(
        self,
        view: PoolView,
        answers: Answers,
        accepted: Mapping[int, str],
        rng: np.random.Generator,
        *,
        votes: LLMVotes | None = None,
        written: TrainingSet | None = None,
        in_use: Collection[Source] = (),
    ) -> Mixture:
        """Return the training rows of a round.

        Parameters
        ----------
        view : PoolView
            With the probabilities of the student before; its labels hold people's and accepted LLM labels.
        answers : Answers
        accepted : mapping of pool position to label
            LLM labels that the audit covers. Where a person answered too, the person's label counts.
        rng : Generator
        votes : LLMVotes, optional
            Everything that LLMs said; used where `llm_rows` is set.
        written : TrainingSet, optional
            Synthetic texts with their embeddings; those of classes without a person's label are learned from,
            unless they hurt.
        in_use : collection of Source
            What the student of the round before learned from; pseudo-labels are kept more readily than they are let
            in.
        """
        view = replace(view, is_self_trained=Source.PSEUDO in in_use)
        human = _human(answers, view.n_classes, is_subjective=self.is_subjective)
        certified = _llm(view, answers, accepted)
        llm = self._from_votes(view, answers, votes, human, certified, rng)
        pseudo = self._pseudo(view, answers, human, rng)
        parts = {Source.HUMAN: human, Source.LLM: llm, Source.PSEUDO: pseudo}
        # A row may have both an LLM's label and a pseudo-label: the guard has weighed the two together.
        factors, reason = self._factors(view, parts, rng, in_use)
        used = {s: part for s, part in parts.items() if factors[s] > 0 and len(part)}
        n_votes = len(llm) - len(certified) if Source.LLM in used else 0
        n_pseudo = len(used[Source.PSEUDO]) if Source.PSEUDO in used else 0
        chosen = view.view if can_choose(len(human), view.n_classes) else None
        summary = Summary(len(human), len(certified), n_pseudo, tuple(used), reason, n_votes=n_votes, view=chosen)
        mixture = Mixture(
            np.concatenate([part.positions for part in used.values()] or [human.positions]),
            np.concatenate([part.targets for part in used.values()] or [human.targets]),
            np.concatenate([part.weights * factors[s] for s, part in used.items()] or [human.weights]),
            self._with_precision(summary, view, used.get(Source.PSEUDO), rng),
            mixup=float(getattr(self.pseudo_labeler, "mixup", 0.0)) if Source.PSEUDO in used else 0.0,
            unlabelled=self._unlabelled(view, answers, rng),
            choose_own=getattr(self.pseudo_labeler, "own_labels", None),
        )
        return mixture if written is None else self._with_written(mixture, view, written, rng)

    def _from_votes(
        self,
        view: PoolView,
        answers: Answers,
        votes: LLMVotes | None,
        human: _Part,
        certified: _Part,
        rng: np.random.Generator,
    ) -> _Part:
        """Return certified labels and, where every answer is learned from, the other rows that LLMs answered."""
        if self.llm_rows is None or votes is None or not len(votes):
            return certified
        # Rows of people show what each voter takes for what; rows that they hold to be outside are of no class.
        is_open = ~answers.is_asked[votes.positions] | np.isin(votes.positions, human.positions)
        asked = LLMVotes(votes.positions[is_open], votes.votes[is_open], votes.names)
        prepared = self.llm_rows.prepare(
            view,
            asked,
            Labelled(human.positions, human.targets),
            rng,
            certified=Labelled(certified.positions, certified.targets),
        )
        return _Part(*prepared.rows(), prepared.rows) if len(prepared) else certified

    def _factors(
        self, view: PoolView, parts: Mapping[Source, _Part], rng: np.random.Generator, in_use: Collection[Source]
    ) -> tuple[dict[Source, float], str]:
        if self.guard is None:
            return dict.fromkeys(parts, 1.0), "no guard"
        human, llm, pseudo = (parts[source].rows(view) for source in (Source.HUMAN, Source.LLM, Source.PSEUDO))
        verdict = self.guard.choose(human, llm, pseudo, rng, names=view.label_embeddings, in_use=in_use)
        factors = {Source.HUMAN: 1.0, Source.LLM: verdict.llm_weight, Source.PSEUDO: verdict.pseudo_weight}
        return factors, verdict.reason

    def _with_precision(
        self, summary: Summary, view: PoolView, pseudo: _Part | None, rng: np.random.Generator
    ) -> Summary:
        if pseudo is None:
            return summary
        found = PrecisionEstimate().of(view, pseudo.positions, pseudo.targets, rng)
        interval = None if found.low is None or found.high is None else (found.low, found.high)
        return replace(summary, pseudo_precision=found.estimate, pseudo_interval=interval)

    def _with_written(
        self, mixture: Mixture, view: PoolView, written: TrainingSet, rng: np.random.Generator
    ) -> Mixture:
        """Add synthetic texts of classes without a person's label, unless they hurt what people have labelled."""
        summary, factor, reason = mixture.summary, 1.0, ""
        parts = _Part(mixture.positions, mixture.targets, mixture.weights)
        human, others = parts.first(summary.n_human), parts.rest(summary.n_human)
        if self.guard is not None:
            factor, reason = HarmCheck().choose(
                human.rows(view), others.rows(view), _rows(written, view.view), rng, name="synthetic texts"
            )
        has_none = human.targets.sum(axis=0) == 0.0
        kept = np.flatnonzero(has_none[written.targets.argmax(axis=1)]) if factor > 0 else np.zeros(0, dtype=np.intp)
        told = replace(
            summary,
            n_synthetic=len(kept),
            sources=(*summary.sources, *([Source.SYNTHETIC] if len(kept) else [])),
            reason="; ".join(part for part in (summary.reason, reason) if part),
        )
        if not len(kept):
            return replace(mixture, summary=told)
        weights = written.weights[kept] * factor
        texts = [written.texts[int(row)] for row in kept]
        taken = TrainingSet(texts, written.targets[kept], weights, _vectors(written)[kept])
        return replace(mixture, summary=told, written=taken)

    def _unlabelled(self, view: PoolView, answers: Answers, rng: np.random.Generator) -> Positions:
        """Return the rows on which a student trains itself, if it changes its encoder; another makes no use of them."""
        draw: Any = getattr(self.pseudo_labeler, "draw", None)
        drawn: Positions = np.zeros(0, dtype=np.intp) if draw is None else draw(view, rng)
        return drawn[~answers.is_outside[drawn]]

    def _pseudo(self, view: PoolView, answers: Answers, human: _Part, rng: np.random.Generator) -> _Part:
        chosen = choose(self.pseudo_labeler, view, rng)
        if self.guard is not None:
            chosen = witnessed(view, chosen)
        # What people hold to be outside of all labels must not come back through the student.
        chosen = chosen.at(~answers.is_outside[chosen.positions])
        plain, given = chosen.plain, chosen.without
        without = None if given is None else lambda unknown: (plain[0], given(human.positions[unknown]), plain[2])
        return _Part(*plain, without)


def _vectors(written: TrainingSet) -> Embeddings:
    if written.embeddings is None:
        raise ShapeError("synthetic texts have no embeddings; give one vector a text")
    return written.embeddings


def _rows(written: TrainingSet, view: int) -> Rows:
    return Rows(view_of(_vectors(written), view), written.targets, written.weights)


def _joined(real: TrainingSet, written: TrainingSet) -> TrainingSet:
    vectors = [np.asarray(rows.embeddings, dtype=np.float32) for rows in (real, written)]
    is_human = np.ones(len(real), dtype=np.bool_) if real.is_human is None else real.is_human
    is_pseudo = np.zeros(len(real), dtype=np.bool_) if real.is_pseudo is None else real.is_pseudo
    of_neither = np.zeros(len(written), dtype=np.bool_)
    return replace(
        real,
        texts=[*real.texts, *written.texts],
        targets=np.concatenate([real.targets, written.targets]),
        weights=np.concatenate([real.weights, written.weights]),
        embeddings=np.concatenate(vectors),
        is_human=np.concatenate([is_human, of_neither]),
        is_pseudo=np.concatenate([is_pseudo, of_neither]),
    )


def _human(answers: Answers, n_classes: int, *, is_subjective: bool) -> _Part:
    positions = np.flatnonzero(answers.human >= 0)
    targets = np.eye(n_classes)[answers.human[positions]]
    if is_subjective:
        targets = answers.human_shares(positions.tolist(), n_classes)
    return _Part(positions, targets, np.ones(len(positions)))


def _llm(view: PoolView, answers: Answers, accepted: Mapping[int, str]) -> _Part:
    positions = np.array(sorted(row for row in accepted if not answers.is_asked[row]), dtype=np.intp)
    targets = answers.llm_posterior([int(row) for row in positions], view.n_classes)
    # The posterior and the reviewed label come from two ways of counting votes; the audit vouches for the label.
    differs = targets.argmax(axis=1) != view.labels[positions] if len(positions) else np.zeros(0, dtype=np.bool_)
    targets[differs] = np.eye(view.n_classes)[view.labels[positions[differs]]]
    return _Part(positions, targets, np.ones(len(positions)))
