"""What a run is made of: its steps, how it is cut into rounds, and what a round comes to."""

from dataclasses import dataclass

from llm_al.evaluation.stopping import Stopping
from llm_al.measures import RoundRecord
from llm_al.phrase import Phrase
from llm_al.places import Places
from llm_al.protocols import Aggregator, Annotator, Demonstrator, Refine, Strategy
from llm_al.routers.two_stage import TwoStage
from llm_al.supervision import Supervision
from llm_al.synthesis import Synthesis

__all__ = ["Plan", "RoundOutcome", "Steps"]


@dataclass(frozen=True)
class Steps:
    """One object a step, put together by name from `project.yaml` or by hand."""

    strategy: Strategy
    router: TwoStage
    llm: Annotator | None
    human: Annotator
    consensus: Aggregator
    supervision: Supervision
    stopping: Stopping
    synthesis: Synthesis | None = None
    demonstrator: Demonstrator | None = None
    """The one that `llm` asks for demonstrations."""
    refine: Refine | None = None
    """What of the LLM's own labels is demonstrated; None shows people's labels alone."""
    phrase: Phrase | None = None
    """How questions are put; None is the whole list for all."""


@dataclass(frozen=True)
class Plan:
    """How a run is cut into rounds.

    Parameters
    ----------
    places : Places
        For people.
    llm_per_round : int
        Examples for the LLM.
    seed : int
    fingerprint : str
        Of the settings; kept with each round.
    """

    places: Places
    llm_per_round: int = 100
    seed: int = 0
    fingerprint: str = ""


@dataclass(frozen=True)
class RoundOutcome:
    """What a round came to.

    Parameters
    ----------
    number : int
    record : RoundRecord or None
        None while people have not answered yet.
    n_waiting : int
        Questions that wait for people.
    stop_reason : str
        Why the run is over; empty when it goes on.
    n_llm_waiting : int
        LLM answers that are being made in a batch; run again later.
    """

    number: int
    record: RoundRecord | None
    n_waiting: int = 0
    stop_reason: str = ""
    n_llm_waiting: int = 0

    def __str__(self) -> str:
        if self.n_llm_waiting:
            return f"{self.n_llm_waiting:,} LLM answers are being made in a batch; run again later"
        if self.n_waiting:
            return f"round {self.number}: {self.n_waiting} texts wait for people"
        record = self.record
        if record is None:
            return f"stopped: {self.stop_reason}"
        parts = [f"round {self.number}: {record.n_human} human labels"]
        if record.n_llm_answers:
            parts.append(f"{record.n_llm_accepted} of {record.n_llm_answers} LLM labels accepted")
        if record.metrics:
            low, high = record.metrics.accuracy_low, record.metrics.accuracy_high
            parts.append(f"accuracy {record.metrics.accuracy:.3f} ({low:.3f} to {high:.3f})")
        return "; ".join([*parts, f"stopped: {self.stop_reason}"] if self.stop_reason else parts)
