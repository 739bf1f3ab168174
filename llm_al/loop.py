"""The order of the steps: the only file that knows it.

A round is a state machine. Each step reads what earlier steps wrote to the store and writes its own result there, so
that a process may be killed anywhere: the next run begins at the step that was not reached, with the
same seed, and asks for nothing that has been answered.
"""

import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from llm_al.answers import Answers
from llm_al.candidates import evidence_to_json
from llm_al.corpus import Corpus
from llm_al.opinions import SecondOpinions, people_at_work
from llm_al.phrase import NOTE, phrasings_of
from llm_al.phrasing import Phrasing
from llm_al.places import Question
from llm_al.plan import Plan, RoundOutcome, Steps
from llm_al.protocols import Annotator, LoopStore, Progress
from llm_al.round_book import PSEUDO_NOTE, RoundBook
from llm_al.routers.evidence import gather_evidence
from llm_al.routers.two_stage import RouteInput
from llm_al.situation import Moment, Situation
from llm_al.student_files import StudentFiles
from llm_al.supervision import SUPERVISION_NOTE, Mixture
from llm_al.synthesis import synthetic_to_json
from llm_al.types import Annotation, AnnotatorKind, Decision, Outcome, Positions, Stage

__all__ = ["Loop"]

_CHUNK = 256
_ASKED_BEFORE = "the LLM has answered it before and its label was not accepted, so a person decides"


class Loop:
    """Run rounds over a corpus until a stopping rule holds or people have to answer.

    Parameters
    ----------
    steps : Steps
    plan : Plan
    corpus : Corpus
    store : LoopStore
        The truth. Everything else can be rebuilt from it.
    students : StudentFiles
    progress : callable
        Told how far a step is.
    """

    def __init__(
        self,
        steps: Steps,
        plan: Plan,
        corpus: Corpus,
        *,
        store: LoopStore,
        students: StudentFiles,
        progress: Progress = lambda _what, _done, _total: None,
    ) -> None:
        self.steps = steps
        self.plan = plan
        self.corpus = corpus
        self.store = store
        self.students = students
        self.progress = progress
        self.situation = Situation(corpus, store, students, steps.consensus, steps.router.n_neighbours)
        self.book = RoundBook(corpus, store, students, self.situation, steps.stopping)
        self._order: Mapping[str, Callable[[int], bool]] = {
            "select": self._select,
            "route": self._route,
            "annotate": self._annotate,
            "review": self._review,
            "ask": self._ask,
            "synthesise": self._synthesise,
            "train": self._train,
            "predict": self._predict,
        }

    def run(self) -> Iterator[RoundOutcome]:
        """Yield after each round; the last outcome has a stop reason, waiting questions or LLM answers under way."""
        while True:
            records = self.store.round_records()
            last = records[-1] if records else None
            if last and self.store.current_round() is None and (reason := self.book.stop_reason(last)):
                yield RoundOutcome(last.number, last, stop_reason=reason)
                return
            outcome = self._round(last.number + 1 if last else 1)
            yield outcome
            if outcome.n_waiting or outcome.n_llm_waiting or outcome.stop_reason:
                return

    def mixture(self, number: int, answers: Answers, accepted: Mapping[int, str]) -> Mixture:
        """Return what the student of a round learns from; nothing is written.

        Parameters
        ----------
        number : int
        answers : Answers
        accepted : mapping of pool position to label
            LLM labels that an audit covers.
        """
        now, synthesis = self.situation.moment(number, answers, accepted), self.steps.synthesis
        written = synthesis.training_set(self.situation.synthetic(), self.corpus) if synthesis is not None else None
        votes, rng = answers.llm_votes(self.corpus.scheme.names), self._rng(number, "mix")
        view = replace(now.view, is_outgrown=self.students.has_own_encoder(number - 1))
        return self.steps.supervision.mix(
            view, answers, accepted, rng, votes=votes, written=written, in_use=self.book.sources(number - 1)
        )

    def _round(self, number: int) -> RoundOutcome:
        state = self.store.begin_round(number, config_fingerprint=self.plan.fingerprint, seed_state=self.plan.seed)
        names = list(self._order)
        done = names.index(state.step) + 1 if state.step in names else 0
        for name in names[done:]:
            started = time.perf_counter()
            if not self._order[name](number):
                n_llm = getattr(self.steps.llm, "n_waiting", 0) if name == "annotate" else 0
                return RoundOutcome(number, None, n_waiting=len(self.store.pending()), n_llm_waiting=n_llm)
            self.store.note(number, f"seconds.{name}", round(time.perf_counter() - started, 3))
            self.store.reach(number, name)
        record = self.book.record(number, tuple(self._order))
        self.store.finish_round(record)
        return RoundOutcome(number, record, stop_reason=record.stop_reason)

    # The steps. Each returns False when people have to answer first, or a batch of LLM answers is under way.

    def _select(self, number: int) -> bool:
        now, rng = self.situation.now(number), self._rng(number, "select")
        n_llm = self._n_for_llm(now)
        places, n_places = self.plan.places, self.plan.places.open(now.answers.n_human)
        for_people, scores = self.steps.strategy.query(now.view, places.n_texts(n_places), rng)
        again = self._second_opinions(number, for_people, n_places)
        n_new = places.n_texts(n_places - len(again))
        for_people, scores = for_people[:n_new], scores[:n_new]
        decisions = again + self._selected(number, for_people, scores)
        if n_llm:
            is_new = now.view.is_available & ~now.answers.is_llm
            is_new[for_people] = False
            view = replace(now.view, is_available=is_new)
            decisions += self._selected(number, *self.steps.strategy.query(view, n_llm, rng))
        self.store.add_decisions(decisions)
        return True

    def _route(self, number: int) -> bool:
        now = self.situation.now(number)
        selected = self.situation.decided(number, Stage.SELECT, Outcome.SELECTED)
        n_second = len(self.situation.decided(number, Stage.SELECT, Outcome.SECOND_OPINION))
        was_asked = now.answers.is_llm[self.situation.rows(selected)]
        again = [d for d, asked in zip(selected, was_asked, strict=True) if asked]
        new = [d for d, asked in zip(selected, was_asked, strict=True) if not asked]
        places = self.plan.places
        n_places = places.n_texts(places.open(now.answers.n_human) - n_second) - len(again)
        request = self._route_input(now, new, max(n_places, 0))
        self.store.add_decisions(
            [Decision(d.example_id, number, Stage.ROUTE, Outcome.HUMAN, _ASKED_BEFORE, score=d.score) for d in again]
            + self.steps.router.route(request, self._rng(number, "route"))
        )
        return True

    def _annotate(self, number: int) -> bool:
        if self.steps.llm is None:
            return True
        self._teach(number)
        llm = _at_round(self.steps.llm, number)
        answered = self.situation.ids_llm_answered()
        routed = self.situation.decided(number, Stage.ROUTE, Outcome.LLM)
        ids = [d.example_id for d in routed if d.example_id not in answered]
        # A batch takes a day whatever its size.
        n_at_once = max(len(ids), 1) if getattr(llm, "is_batch", False) else _CHUNK
        for start in range(0, len(ids), n_at_once):
            self.progress("LLM answers", start, len(ids))
            given = llm.annotate(self.store.examples_by_id(ids[start : start + n_at_once]))
            if getattr(llm, "n_waiting", 0):
                # What is answered is in the ledger; taken now, an example would count as answered with votes missing.
                return False
            self.store.add_annotations([replace(a, round=number) for a in given])
        if reason := getattr(llm, "stop_reason", ""):
            self.store.note(number, "llm_stopped", reason)
        self.progress("LLM answers", len(ids), len(ids))
        return True

    def _review(self, number: int) -> bool:
        routed = self.situation.decided(number, Stage.ROUTE, Outcome.LLM)
        if not routed:
            return True
        now = self.situation.now(number)
        examples = self.store.examples_by_id([d.example_id for d in routed])
        given = _standing(self.steps.llm, self.store.annotations(round=number))
        cases = gather_evidence(examples, given, self.situation.context(now, self.situation.rows(routed)))
        calibrator = self.situation.candidates().calibrator(now.answers, self.corpus)
        decisions = self.steps.router.review(cases, self._rng(number, "review"), calibrator=calibrator, round=number)
        self.store.note(number, "evidence", evidence_to_json(cases))
        self.store.add_decisions(decisions)
        return True

    def _ask(self, number: int) -> bool:
        phrasings = self._phrasings(number)
        for question in self._questions(number):
            self.store.enqueue(
                question.example_ids,
                round=number,
                reason=question.reason,
                priority=question.priority,
                is_blind=question.is_blind,
                n_wanted=question.n_wanted,
                phrasing=phrasings,
            )
        waiting = self.store.examples_by_id([question.example_id for question in self.store.pending()])
        for done, example in enumerate(waiting):
            self.progress("human answers", done, len(waiting))
            for answer in self.steps.human.annotate([example]):
                self.store.answer(replace(answer, round=number))
        self.progress("human answers", len(waiting), len(waiting))
        return not self.store.pending()

    def _synthesise(self, number: int) -> bool:
        synthesis = self.steps.synthesis
        if synthesis is not None and self.store.read_note(number, "synthetic") is None:
            answers, known = self.situation.answers(), self.situation.synthetic()
            rng = self._rng(number, "synthesise")
            written = synthesis.make(answers, self.corpus, known, number=number, rng=rng)
            self.store.note(number, "synthetic", synthetic_to_json(written))
        return True

    def _train(self, number: int) -> bool:
        answers, candidates = self.situation.answers(), self.situation.candidates()
        certificate = None
        if len(candidates):
            tested = candidates.tested(answers, self.corpus)
            certificate = self.steps.router.certify(tested, self._rng(number, "certify"))
            self.store.note(number, "certificate", asdict(certificate))
        mixture = self.mixture(number, answers, candidates.accepted(certificate, self.corpus))
        self.store.note(number, SUPERVISION_NOTE, mixture.summary.to_json())
        self.store.note(number, PSEUDO_NOTE, mixture.pseudo_to_json())
        training = mixture.training_set(self.corpus)
        self.progress(f"training on {len(training)} labels", 0, 0)
        self.students.train(number, training, self.corpus.scheme.names, seed=self._seed(number, "student"))
        self.progress(f"training on {len(training)} labels", 1, 1)
        return True

    def _predict(self, number: int) -> bool:
        self.students.predict(number, self.corpus, self.progress)
        return True

    # What the steps stand on.

    def _teach(self, number: int) -> None:
        """Hand labels to the LLM's demonstrations: those that were there when the step began."""
        if self.steps.demonstrator is None:
            return
        last_row = self.store.read_note(number, "demonstrated_to")
        if last_row is None:
            # Other demonstrations would make other requests, and what was paid before a kill would be paid again.
            last_row = max((answer.row_id or 0 for answer in self.store.annotations()), default=0)
            self.store.note(number, "demonstrated_to", last_row)
        bank = self.situation.bank(last_row, self._agreed(number, last_row))
        self.steps.demonstrator.learn(bank, self.situation.embed)

    def _agreed(self, number: int, last_row: int) -> Mapping[str, str]:
        """Return the LLM's own labels that are demonstrated in a round: decided once, for the same reason."""
        if self.steps.refine is None:
            return {}
        kept: Mapping[str, str] | None = self.store.read_note(number, "demonstrated_by_llm")
        if kept is None:
            kept = self.situation.agreed(number, last_row, self.steps.refine)
            self.store.note(number, "demonstrated_by_llm", kept)
        return kept

    def _n_for_llm(self, now: Moment) -> int:
        """Return how many examples the LLM is asked about in a round."""
        # The first labels come from people: without them nothing could check the LLM.
        if self.steps.llm is None or not now.answers.n_human:
            return 0
        return min(self.plan.llm_per_round, int((now.view.is_available & ~now.answers.is_llm).sum()))

    def _questions(self, number: int) -> list[Question]:
        """Return what people are asked in a round: decided once, since answers change the budget that is left."""
        kept = self.store.read_note(number, "questions")
        if kept is None:
            picked = self.situation.decided(number, Stage.SELECT, Outcome.SELECTED)
            rank = {d.example_id: row for row, d in enumerate(picked)}
            direct = self.situation.decided(number, Stage.ROUTE, Outcome.HUMAN)
            questions = self.plan.places.share_out(
                self.situation.answers().n_human,
                audits=self.situation.decided(number, Stage.AUDIT),
                direct=sorted(direct, key=lambda d: rank[d.example_id]),
                doubtful=self.situation.decided(number, Stage.REVIEW, Outcome.ESCALATE),
                second=self.situation.decided(number, Stage.SELECT, Outcome.SECOND_OPINION),
            )
            kept = [asdict(question) for question in questions]
            self.store.note(number, "questions", kept)
        return [Question(**{**fields, "example_ids": tuple(fields["example_ids"])}) for fields in kept]

    def _phrasings(self, number: int) -> Mapping[str, Phrasing] | None:
        """Return how the questions of a round are put: decided once, since answers change what is known."""
        if self.steps.phrase is None:
            return None
        kept = self.store.read_note(number, NOTE)
        if kept is None:
            questions, rng = self._questions(number), self._rng(number, NOTE)
            kept = self.steps.phrase.decide(self.situation, number, questions, rng)
            self.store.note(number, NOTE, kept)
        return phrasings_of(kept)

    def _second_opinions(self, number: int, picks: Positions, n_places: int) -> list[Decision]:
        """Return the answered texts on which another opinion is worth more than the last new texts."""
        places, annotations = self.plan.places, self.store.annotations()
        n_people = max(len(people_at_work(annotations)), places.overlap)
        if n_people < 2 or not places.n_second(n_places):
            return []
        weighed = SecondOpinions(self.corpus, annotations, self.situation.settled(), n_people)
        chosen = weighed.choose(picks, places.n_second(n_places), per_pick=places.overlap)
        return [
            Decision(o.example_id, number, Stage.SELECT, Outcome.SECOND_OPINION, o.reason, score=o.score)
            for o in chosen
        ]

    def _selected(self, number: int, positions: Positions, scores: NDArray[np.float64]) -> list[Decision]:
        reason = "picked as number {} of {} from " + f"{len(self.corpus)} texts, with a score of {{:.3f}}"
        return [
            Decision(
                self.corpus.ids[int(row)],
                number,
                Stage.SELECT,
                Outcome.SELECTED,
                reason.format(rank, len(positions), score),
                score=float(score),
            )
            for rank, (row, score) in enumerate(zip(positions, scores, strict=True), start=1)
        ]

    def _route_input(self, now: Moment, selected: Sequence[Decision], n_human: int) -> RouteInput:
        context = self.situation.context(now, self.situation.rows(selected))
        return RouteInput(
            round=now.number,
            example_ids=[d.example_id for d in selected],
            scores=np.array([d.score or 0.0 for d in selected], dtype=np.float64),
            n_human=n_human,
            has_llm=self._n_for_llm(now) > 0,
            is_cold=now.answers.n_human == 0,
            proba=context.proba,
            neighbour_agreement=None if context.neighbours is None else context.neighbours.max(axis=1, initial=0.0),
        )

    def _seed(self, number: int, step: str) -> int:
        return int(np.random.SeedSequence([self.plan.seed, number, zlib.crc32(step.encode())]).generate_state(1)[0])

    def _rng(self, number: int, step: str) -> np.random.Generator:
        return np.random.default_rng(self._seed(number, step))


def _standing(llm: Annotator | None, answers: Sequence[Annotation]) -> list[Annotation]:
    """Return the LLM answers that a review weighs; a cascade's second model replaces its first."""
    given = [answer for answer in answers if answer.kind is AnnotatorKind.LLM]
    chosen: list[Annotation] = getattr(llm, "standing", lambda every: every)(given)
    return chosen


def _at_round(annotator: Annotator, number: int) -> Annotator:
    """Return the annotator as it is in a round, where it tells rounds apart: money is booked by round."""
    if "round" not in getattr(annotator, "__dataclass_fields__", {}):
        return annotator
    return cast(Annotator, replace(cast(Any, annotator), round=number))
