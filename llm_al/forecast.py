"""What a run would cost, before anything is paid."""

from dataclasses import dataclass

from llm_al.types import NANO_PER_USD

__all__ = ["Forecast"]


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
        if self.cap_usd is not None:
            lines.append(f"cap: ${self.cap_usd:.2f} (budget.llm_usd); a call that could pass it is never sent")
        return "\n".join(lines)


def dollars(nanousd: int | None) -> float | None:
    """Return nano-dollars as dollars; None stays None."""
    return None if nanousd is None else nanousd / NANO_PER_USD
