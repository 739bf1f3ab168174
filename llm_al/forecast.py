"""What a run would cost, before anything is paid."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm_al.config import ProjectConfig
from llm_al.measures import RoundRecord
from llm_al.protocols import Annotator
from llm_al.types import NANO_PER_USD, Example

__all__ = ["Forecast", "dollars", "forecast"]


@dataclass(frozen=True)
class Forecast:
    """Price of the next run, from the settings and the real texts.

    Parameters
    ----------
    n_rounds : int
    n_human_labels : int
        Answers of people that the budget still allows.
    human_minutes : float
    n_llm_examples : int
    n_llm_calls : int
        Calls to pay; cached ones cost nothing.
    usd_low, usd_high : float or None
        None when the price of the model is not known.
    cap_usd : float or None
        Never passed, whatever the estimate says.
    seconds_low, seconds_high : float or None
        Of LLM calls; None when batches make the answers, or nobody can tell.
    notes : tuple of str
        How tokens were counted and what was supposed.
    """

    n_rounds: int
    n_human_labels: int
    human_minutes: float
    n_llm_examples: int
    n_llm_calls: int
    n_tokens_in: int
    n_tokens_out: int
    usd_low: float | None
    usd_high: float | None
    cap_usd: float | None
    annotator: str
    seconds_low: float | None = None
    seconds_high: float | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"about {self.n_rounds} more rounds",
            f"people: {self.n_human_labels} answers, about {self.human_minutes:.0f} minutes",
            f"LLM ({self.annotator}): {self.n_llm_examples} texts in {self.n_llm_calls} calls"
            f", about {self.n_tokens_in} tokens in and {self.n_tokens_out} out",
        ]
        if self.usd_low is None or self.usd_high is None:
            lines.append("money: the price of the model is not known; set llm.price in project.yaml")
        else:
            lines.append(f"money: ${self.usd_low:.4f} to ${self.usd_high:.4f}")
        if self.seconds_low is not None and self.seconds_high is not None and self.n_llm_calls:
            lines.append(f"time: {_duration(self.seconds_low)} to {_duration(self.seconds_high)} of LLM calls")
        if self.cap_usd is not None:
            lines.append(f"cap: ${self.cap_usd:.2f} (budget.llm_usd); a call that could pass it is never sent")
        return "\n".join([*lines, *self.notes])


def _duration(seconds: float) -> str:
    """Return seconds in the unit that people would use."""
    for unit, size in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2.0 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds" if seconds >= 10.0 else f"{seconds:.1f} seconds"


def dollars(nanousd: int | None) -> float | None:
    """Return nano-dollars as dollars; None stays None."""
    return None if nanousd is None else nanousd / NANO_PER_USD


def forecast(
    config: ProjectConfig,
    *,
    n_pool: int,
    records: Sequence[RoundRecord],
    llm: Annotator | None,
    first_examples: Callable[[int], Sequence[Example]],
) -> Forecast:
    """Return what the rest of a run would take; nothing is sent.

    Parameters
    ----------
    n_pool : int
    records : sequence of RoundRecord
        Rounds that are done.
    llm : Annotator or None
        Priced by its `estimate`, where it has one; others cost nothing.
    first_examples : callable
        Returns the first n texts of the pool, which stand for those that will be selected.
    """
    n_first, n_later, n_people = _rounds_left(config, n_pool, records, has_llm=llm is not None)
    n_llm = min(n_later * config.strategy.llm_per_round, n_pool) if llm is not None else 0
    priced = getattr(llm, "estimate", None)
    costs = priced(first_examples(n_llm)) if priced is not None else None
    return Forecast(
        n_rounds=n_first + n_later,
        n_human_labels=n_people,
        human_minutes=n_people * config.human.max_seconds_per_label / 60.0,
        n_llm_examples=n_llm,
        n_llm_calls=costs.n_calls if costs else 0,
        n_tokens_in=costs.n_tokens_in if costs else 0,
        n_tokens_out=costs.n_tokens_out if costs else 0,
        usd_low=dollars(costs.cost_low_nanousd) if costs else 0.0,
        usd_high=dollars(costs.cost_high_nanousd) if costs else 0.0,
        cap_usd=config.budget.llm_usd,
        annotator=llm.name if llm is not None else "none",
        seconds_low=getattr(costs, "seconds_low", None),
        seconds_high=getattr(costs, "seconds_high", None),
        notes=getattr(costs, "notes", ()),
    )


def _rounds_left(
    config: ProjectConfig, n_pool: int, records: Sequence[RoundRecord], *, has_llm: bool
) -> tuple[int, int, int]:
    """Return first rounds (0 or 1), later rounds and answers of people that the budgets still allow."""
    strategy, budget = config.strategy, config.budget
    n_human = records[-1].n_human if records else 0
    n_allowed = max(min(n_pool, n_pool if budget.human_labels is None else budget.human_labels) - n_human, 0)
    n_rounds_allowed = n_pool if budget.rounds is None else max(budget.rounds - len(records), 0)
    n_first = int(not n_human and n_allowed > 0 and n_rounds_allowed > 0)
    n_initial = min(strategy.initial, n_allowed) if n_first else 0
    if strategy.human_per_round:
        n_later = -(-(n_allowed - n_initial) // strategy.human_per_round)
    else:
        n_later = -(-n_pool // strategy.llm_per_round) if has_llm and strategy.llm_per_round else 0
    n_later = min(n_later, n_rounds_allowed - n_first)
    return n_first, n_later, min(n_allowed, n_initial + n_later * strategy.human_per_round)
