"""Route before the LLM answers, review after it: `TwoStage`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError, ShapeError
from llm_al.measures import Certificate
from llm_al.routers.calibration import Calibrator
from llm_al.routers.evidence import Evidence
from llm_al.routers.threshold import Candidates, certify, decide
from llm_al.types import Decision, Outcome, Proba, Scores, Stage

__all__ = ["RouteInput", "TwoStage"]


@dataclass(frozen=True)
class RouteInput:
    """The examples selected in one round, row by row.

    Parameters
    ----------
    round : int
        Number of the round.
    example_ids : sequence of str, length n
        In the order of selection, most wanted first.
    scores : ndarray of shape (n,)
        What the strategy gave them; higher means ask sooner.
    n_human : int
        Places for people this round.
    has_llm : bool
        Whether an LLM may be asked.
    is_cold : bool
        Whether there is no student to learn from yet; then the first examples go to people.
    proba : ndarray of shape (n, c) or None
        The current student's probabilities.
    neighbour_agreement : ndarray of shape (n,) or None
        Largest share of one label among the nearest labelled examples.
    n_chars : ndarray of shape (n,) or None
        Lengths of the texts.
    max_text_chars : int or None
        Longest text that the LLM may be sent; longer ones go to people.

    Raises
    ------
    ShapeError
        If the arrays differ in length.
    """

    round: int
    example_ids: Sequence[str]
    scores: Scores
    n_human: int
    has_llm: bool
    is_cold: bool = False
    proba: Proba | None = None
    neighbour_agreement: NDArray[np.float64] | None = None
    n_chars: NDArray[np.int64] | None = None
    max_text_chars: int | None = None

    def __post_init__(self) -> None:
        for name in ("scores", "proba", "neighbour_agreement", "n_chars"):
            array = getattr(self, name)
            if array is not None and len(array) != len(self.example_ids):
                raise ShapeError(
                    f"{name} has {len(array)} rows; there are {len(self.example_ids)} examples; give one row each"
                )

    def __len__(self) -> int:
        return len(self.example_ids)

    @property
    def is_too_long(self) -> NDArray[np.bool_]:
        """Rows that the LLM may not be sent, shape (n,)."""
        if self.n_chars is None or self.max_text_chars is None:
            return np.zeros(len(self), dtype=np.bool_)
        return np.asarray(self.n_chars) > self.max_text_chars

    @property
    def margins(self) -> NDArray[np.float64] | None:
        """Distance between the student's two likeliest labels, shape (n,)."""
        if self.proba is None or not len(self):
            return None
        runner_up, best = np.partition(self.proba, -2, axis=1)[:, -2:].T
        return np.asarray(best - runner_up, dtype=np.float64)


@dataclass(frozen=True)
class TwoStage:
    """Send close calls to people and the rest to the LLM; believe the LLM only as far as audits prove it.

    Parameters
    ----------
    max_error, confidence : float
        The accepted LLM labels are wrong more often than `max_error` with probability at most ``1 - confidence``.
    audit_rate : float
        Share of the candidates that people check blind, drawn at random; in (0, 1], never 0.
    min_agreement : float
        Smoothed agreement of the prompts below which a person is asked. Ignored when there is one prompt only.
    n_neighbours : int
        Labelled neighbours to compare with; for `evidence.neighbour_shares`.
    student_veto : float
        A student that gives another label more than this probability sends the example to a person.

    Raises
    ------
    ConfigError
        If a setting is out of range.
    """

    max_error: float = 0.1
    confidence: float = 0.95
    audit_rate: float = 0.1
    min_agreement: float = 0.6
    n_neighbours: int = 10
    student_veto: float = 0.9

    def __post_init__(self) -> None:
        if not 0.0 < self.audit_rate <= 1.0:
            raise ConfigError(
                f"audit_rate is {self.audit_rate}; allowed is more than 0 up to 1: "
                "without an audit nothing is proven; try 0.1"
            )
        for name in ("max_error", "confidence"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is between 0 and 1; correct it")
        for name in ("min_agreement", "student_veto"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is 0 to 1; correct it")
        if self.n_neighbours < 1:
            raise ConfigError(f"n_neighbours is {self.n_neighbours}; allowed is 1 or more; correct it")

    def route(self, requests: RouteInput, rng: np.random.Generator) -> list[Decision]:
        """Return one decision (`llm`, `human` or `hold`) an example, in the order of the input.

        People get texts that are too long for the LLM first, then at cold start the first selected, otherwise the
        smallest margins (without a student: the highest scores); ties are broken by disagreement of the
        neighbours, then at random. What neither may answer is held.
        """
        order = _by_need_of_people(requests, rng)
        rank = np.empty(len(requests), dtype=np.intp)
        rank[order] = np.arange(len(requests))
        return [self._route_one(requests, row, int(rank[row])) for row in range(len(requests))]

    def review(
        self, cases: Sequence[Evidence], rng: np.random.Generator, *, calibrator: Calibrator, round: int
    ) -> list[Decision]:
        """Judge the LLM's answers, and draw the audit.

        Returns one review decision a case in the order of the input (`candidate`, `escalate`, or `hold` when nothing
        has arrived), then one audit decision for each candidate drawn. The score of a candidate is frozen here:
        store it, and never compute it again with a later student or calibrator. A candidate's
        `probability` is that of being drawn for the audit, drawn or not.
        """
        scores = calibrator.predict(cases)
        draws = rng.random(len(cases))
        reviews = [self._review_one(case, float(p), round) for case, p in zip(cases, scores, strict=True)]
        audits = [
            self._audit(decision, round)
            for decision, draw in zip(reviews, draws, strict=True)
            if decision.outcome is Outcome.CANDIDATE and draw < self.audit_rate
        ]
        return reviews + audits

    def certify(self, candidates: Candidates, rng: np.random.Generator) -> Certificate:
        """Return the lowest threshold that the audits support, see `threshold.certify`."""
        return certify(candidates, max_error=self.max_error, confidence=self.confidence, rng=rng)

    def decide(
        self, example_ids: Sequence[str], scores: Sequence[float], certificate: Certificate, *, round: int
    ) -> list[Decision]:
        """Accept or hold each candidate, see `threshold.decide`."""
        return decide(example_ids, scores, certificate, round=round)

    def _route_one(self, requests: RouteInput, row: int, rank: int) -> Decision:
        outcome, reason = _choose_route(requests, row, has_place=rank < requests.n_human)
        score = float(requests.scores[row])
        return Decision(requests.example_ids[row], requests.round, Stage.ROUTE, outcome, reason, score=score)

    def _review_one(self, case: Evidence, p: float, round: int) -> Decision:
        if case.n_answers == 0:
            reason = "the LLM has not answered yet"
            return Decision(case.example_id, round, Stage.REVIEW, Outcome.HOLD, reason)
        objection = self._objection(case)
        if objection:
            return Decision(case.example_id, round, Stage.REVIEW, Outcome.ESCALATE, objection, score=p)
        reason = (
            f"the LLM says {case.label!r} with a score of {p:.3f}: {_support(case)}; "
            "accepted once audits support that score"
        )
        return Decision(
            case.example_id, round, Stage.REVIEW, Outcome.CANDIDATE, reason, score=p, probability=self.audit_rate
        )

    def _objection(self, case: Evidence) -> str:
        if case.n_valid == 0:
            why = f": {case.failures[0]}" if case.failures else ""
            return f"none of the LLM's {case.n_answers} answers names a label of the list{why}"
        if case.label is None or 2 * case.n_none_of_these > case.n_valid:
            return f"{case.n_none_of_these} of the LLM's {case.n_valid} valid answers say that no label fits"
        if case.n_answers > 1 and case.agreement < self.min_agreement:
            return (
                f"the LLM's {case.n_valid} valid answers agree on {case.label!r} to {case.agreement:.2f} only; "
                f"{self.min_agreement:.2f} is asked for"
            )
        best = case.student_best
        if best is not None and case.student_agrees is False and best > self.student_veto:
            return (
                f"the LLM says {case.label!r}, but the student gives {case.student_label!r} "
                f"a probability of {best:.2f}, above {self.student_veto:.2f}"
            )
        return ""

    def _audit(self, review: Decision, round: int) -> Decision:
        reason = f"drawn at random for the blind audit: each candidate is drawn with probability {self.audit_rate:g}"
        return Decision(
            review.example_id,
            round,
            Stage.AUDIT,
            Outcome.AUDIT,
            reason,
            score=review.score,
            probability=self.audit_rate,
        )


def _by_need_of_people(requests: RouteInput, rng: np.random.Generator) -> NDArray[np.intp]:
    n = len(requests)
    random = rng.random(n)
    neighbours = np.zeros(n) if requests.neighbour_agreement is None else requests.neighbour_agreement
    margins = requests.margins
    if requests.is_cold:
        first = np.arange(n, dtype=np.float64)
    elif margins is not None:
        first = margins
    else:
        first = -requests.scores
    return np.lexsort((random, neighbours, first, ~requests.is_too_long))


def _choose_route(requests: RouteInput, row: int, *, has_place: bool) -> tuple[Outcome, str]:
    too_long, margins = bool(requests.is_too_long[row]), requests.margins
    long_text = ""
    if too_long and requests.n_chars is not None:
        limit = requests.max_text_chars
        long_text = f"its {int(requests.n_chars[row])} characters are more than the {limit} that the LLM is sent"
    if has_place:
        return Outcome.HUMAN, long_text or _why_people(requests, row, margins)
    full = f"the {requests.n_human} places for people this round are taken"
    if too_long:
        return Outcome.HOLD, f"{long_text}, and {full}"
    if not requests.has_llm:
        return Outcome.HOLD, f"there is no LLM to ask, and {full}"
    gap = "" if margins is None else f"; the student's two likeliest labels are {margins[row]:.2f} apart"
    rivals = "earlier picks" if requests.is_cold else "higher scores" if margins is None else "closer calls"
    return Outcome.LLM, f"{full} by {rivals}{gap}"


def _why_people(requests: RouteInput, row: int, margins: NDArray[np.float64] | None) -> str:
    if requests.is_cold:
        return "cold start: the first labels come from people, because nothing can check the LLM yet"
    if not requests.has_llm:
        return "there is no LLM to ask, so people answer what is selected"
    if margins is None:
        score = requests.scores[row]
        return f"its score of {score:.2f} is among the highest; people answer the {requests.n_human} highest"
    return (
        f"the student's two likeliest labels are {margins[row]:.2f} apart; "
        f"people answer the {requests.n_human} closest calls"
    )


def _support(case: Evidence) -> str:
    parts = [f"agreement of its {case.n_valid} valid answers {case.agreement:.2f}"]
    parts += [f"its own confidence {case.confidence:.2f}"] if case.confidence is not None else []
    parts += [f"the student's probability {case.student_proba:.2f}"] if case.student_proba is not None else []
    parts += (
        [f"share of like-labelled neighbours {case.neighbour_share:.2f}"] if case.neighbour_share is not None else []
    )
    return ", ".join(parts)
