"""Several LLM annotators side by side."""

from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Event
from typing import Any, TypeVar, cast

from llm_al.errors import ConfigError
from llm_al.protocols import Annotator
from llm_al.types import Annotation, AnnotatorKind, Example

__all__ = ["Panel", "PanelEstimate"]

N = TypeVar("N", int, float)


@dataclass(frozen=True)
class PanelEstimate:
    """Calls, tokens, money and time of all members together; None where one member's is unknown.

    Members answer at the same time, so the slowest one's seconds count.
    """

    n_calls: int
    n_cached: int
    n_tokens_in: int
    n_tokens_out: int
    cost_low_nanousd: int | None
    cost_high_nanousd: int | None
    seconds_low: float | None = None
    seconds_high: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Panel:
    """Every member answers every text, different models at the same time; all answers are handed on as they are.

    Members that share a ledger and a cap share the money: what one has spent is gone for the others. Consensus merges
    the runs of one model to one vote and discounts models that err together.

    Parameters
    ----------
    members : tuple of Annotator
        At least one, of kind LLM; `check`, `check_cap`, `estimate` and `stop_reason` are used where a member has them.
    round : int
        Handed on to the members that tell rounds apart.

    Raises
    ------
    ConfigError
        If there is no member, one is no LLM, or two are the same.
    """

    members: tuple[Annotator, ...]
    round: int = 0

    def __post_init__(self) -> None:
        if not self.members:
            raise ConfigError("a panel needs at least one member; name a model under llm.panel")
        for member in self.members:
            if member.kind is not AnnotatorKind.LLM:
                raise ConfigError(f"panel member {member.name!r} is of kind {member.kind}; it must be llm")
        # Done here, so that `dataclasses.replace(panel, round=3)` reaches the members too.
        object.__setattr__(self, "members", tuple(_at_round(member, self.round) for member in self.members))
        runs = [(member.name, getattr(member, "prompts", ())) for member in self.members]
        for run in runs:
            if runs.count(run) > 1:
                raise ConfigError(f"{run[0]!r} is in the panel twice with the same prompts; remove one, or its prompts")

    @property
    def name(self) -> str:
        """The members' names, joined by ``+``."""
        return "+".join(member.name for member in self.members)

    @property
    def kind(self) -> AnnotatorKind:
        """Always LLM."""
        return AnnotatorKind.LLM

    @property
    def stop_reason(self) -> str:
        """Why members left examples out in the last `annotate`; empty if none did."""
        reasons = [(member.name, getattr(member, "stop_reason", "")) for member in self.members]
        return "; ".join(f"{name}: {reason}" for name, reason in reasons if reason)

    @property
    def is_batch(self) -> bool:
        """Whether a member hands its questions in as a batch."""
        return any(getattr(member, "is_batch", False) for member in self.members)

    @property
    def n_waiting(self) -> int:
        """Questions that lie in batches and have no answer yet, over all members."""
        return sum(getattr(member, "n_waiting", 0) for member in self.members)

    def check(self) -> None:
        """Fail now if a member cannot work; free of charge."""
        for member in self.members:
            if (check := getattr(member, "check", None)) is not None:
                check()

    def check_cap(self, example: Example) -> None:
        """Fail now if the cap is below the price of one call of a member; sends nothing."""
        for member in self.members:
            if (check_cap := getattr(member, "check_cap", None)) is not None:
                check_cap(example)

    def annotate(self, examples: Sequence[Example]) -> list[Annotation]:
        """Return the answers of all members, member by member.

        The first error of a member, and Ctrl-C, let the others finish what is under way. Members of one name wait for
        one another: a question that both ask is then paid once, and they do not write down batches over each other.
        """
        groups: dict[str, list[int]] = {}
        for number, member in enumerate(self.members):
            groups.setdefault(member.name, []).append(number)
        is_over = Event()

        def answer(numbers: Sequence[int]) -> dict[int, list[Annotation]]:
            return {n: self.members[n].annotate(examples) for n in numbers if not is_over.is_set()}

        with ThreadPoolExecutor(len(groups), "panel") as threads:
            try:
                begun = [threads.submit(answer, numbers) for numbers in groups.values()]
                wait(begun, return_when=FIRST_EXCEPTION)
                given = {n: found for group in begun if group.done() for n, found in group.result().items()}
                return [one for number in sorted(given) for one in given[number]]
            finally:
                is_over.set()
                self.stop()

    def stop(self) -> None:
        """Ask the members to end early, where they can."""
        for member in self.members:
            if (stop := getattr(member, "stop", None)) is not None:
                stop()

    def estimate(self, examples: Sequence[Example]) -> PanelEstimate:
        """Return calls, tokens and money for these examples; a member that cannot tell costs nothing."""
        parts = [member.estimate(examples) for member in cast(Any, self.members) if hasattr(member, "estimate")]
        counts = [sum(getattr(part, name) for part in parts) for name in ("n_calls", "n_cached")]
        tokens = [sum(getattr(part, name) for part in parts) for name in ("n_tokens_in", "n_tokens_out")]
        low, high = (_total([getattr(part, f"cost_{end}_nanousd") for part in parts]) for end in ("low", "high"))
        fastest, slowest = (
            _longest([getattr(part, f"seconds_{end}", None) for part in parts]) for end in ("low", "high")
        )
        notes = dict.fromkeys(note for part in parts for note in getattr(part, "notes", ()))
        return PanelEstimate(counts[0], counts[1], tokens[0], tokens[1], low, high, fastest, slowest, tuple(notes))


def _at_round(member: Annotator, number: int) -> Annotator:
    if "round" not in getattr(member, "__dataclass_fields__", {}):
        return member
    return cast(Annotator, replace(cast(Any, member), round=number))


def _longest(amounts: Sequence[float | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return max(known, default=0.0) if len(known) == len(amounts) else None


def _total(amounts: Sequence[N | None]) -> N | None:
    known = [amount for amount in amounts if amount is not None]
    return cast(N, sum(known)) if len(known) == len(amounts) else None
