"""How honest the LLM is, in words: what `llm-al status --llm` shows."""

from dataclasses import asdict, dataclass
from typing import Any

from llm_al.reports.amounts import count, estimate
from llm_al.types import ConfidenceQuality, LLMQuality, SignalQuality

__all__ = ["LLMStatus"]

_INTERVALS = "intervals are 95 %: exact for accuracies, bootstrap for the others"
_NOTHING = "no LLM has answered yet, so there is nothing to compare with people"


@dataclass(frozen=True)
class LLMStatus:
    """Parameters: `quality`, None when no LLM has answered."""

    quality: LLMQuality | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; None is undefined or unknown, with its reason beside it."""
        return {"llm": None, "note": _NOTHING} if self.quality is None else {"llm": asdict(self.quality)}

    def text(self) -> str:
        """Return a paragraph on what is measured, and a block for each annotator, the combined probability first."""
        if self.quality is None:
            return _NOTHING
        combined = [] if self.quality.combined is None else [self.quality.combined]
        blocks = ["\n".join(_block(row)) for row in [*combined, *self.quality.annotators]]
        return "\n\n".join([f"{self.quality.note}\n{_INTERVALS}", *blocks])


def _block(row: ConfidenceQuality) -> list[str]:
    lines = [
        row.name,
        f"  {count(row.n_answers)} labels, {count(row.n_compared)} compared with people, "
        f"{count(row.n_audits)} of them random audits",
        f"  accuracy: {estimate(row.accuracy, is_share=True)}",
    ]
    if row.auroc.value is None and row.auroc.reason == row.ece.reason:
        lines.append(f"  ECE, AUROC, accuracy kept: {row.ece.reason}")
    else:
        lines += [
            f"  ECE: {estimate(row.ece)}; AUROC: {estimate(row.auroc)}; Brier: {estimate(row.brier)}",
            f"  accuracy of the surest 50 %: {estimate(row.kept_50, is_share=True)}; "
            f"of the surest 80 %: {estimate(row.kept_80, is_share=True)}",
        ]
    return [*lines, *(f"  signal {_signal(signal)}" for signal in row.signals)]


def _signal(signal: SignalQuality) -> str:
    name = signal.name.replace("_", " ")
    if signal.auroc.value is None and signal.ece.value is None:
        return f"{name}: {signal.auroc.reason}"
    ece = "" if signal.ece.value is None else f", ECE {estimate(signal.ece)}"
    return f"{name}: AUROC {estimate(signal.auroc)}{ece}; known for {count(signal.n)}"
