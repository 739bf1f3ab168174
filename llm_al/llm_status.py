"""How honest the LLM is, in words: what `llm-al status --llm` shows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from llm_al.measures import ConfidenceQuality, LLMQuality, SignalQuality, SpendingLine
from llm_al.reports.amounts import count, estimate, usd

__all__ = ["LLMStatus"]

_INTERVALS = "intervals are 95 %: exact for accuracies, bootstrap for the others"
_NOTHING = "no LLM has answered yet, so there is nothing to compare with people"


@dataclass(frozen=True)
class LLMStatus:
    """Parameters: `quality`, None when no LLM has answered; `spending` by model, prompt and round."""

    quality: LLMQuality | None
    spending: tuple[SpendingLine, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; None is undefined or unknown, with its reason beside it."""
        found = {"llm": None, "note": _NOTHING} if self.quality is None else {"llm": asdict(self.quality)}
        return {**found, "spending": [asdict(line) for line in self.spending]}

    def text(self) -> str:
        """Return a paragraph on what is measured, and a block for each annotator, the combined probability first."""
        money = "\n".join(["money", *map(_paid, self.spending)]) if self.spending else ""
        if self.quality is None:
            return f"{_NOTHING}\n\n{money}".rstrip()
        combined = [] if self.quality.combined is None else [self.quality.combined]
        blocks = ["\n".join(_block(row)) for row in [*combined, *self.quality.annotators]]
        return "\n\n".join(filter(None, [f"{self.quality.note}\n{_INTERVALS}", *blocks, money]))


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
    return [*lines, *_signals(row.signals)]


def _signals(signals: Sequence[SignalQuality]) -> list[str]:
    """Return a line for each signal; those that say nothing for one reason share theirs."""
    silent: dict[str, list[str]] = {}
    for signal in signals:
        if _is_silent(signal):
            silent.setdefault(signal.auroc.reason, []).append(signal.name.replace("_", " "))
    told = [f"  signal {_signal(signal)}" for signal in signals if not _is_silent(signal)]
    return told + [f"  signal {', '.join(names)}: {reason}" for reason, names in silent.items()]


def _is_silent(signal: SignalQuality) -> bool:
    return signal.auroc.value is None and signal.ece.value is None


def _paid(line: SpendingLine) -> str:
    tokens = f"{count(line.n_tokens_in)} tokens in, {count(line.n_tokens_out)} out"
    what = f"  round {line.round}, {line.model}, {line.prompt}: {count(line.n_calls)} calls"
    return f"{what}, {tokens}, {usd(line.cost_nanousd)}"


def _signal(signal: SignalQuality) -> str:
    name = signal.name.replace("_", " ")
    ece = "" if signal.ece.value is None else f", ECE {estimate(signal.ece)}"
    return f"{name}: AUROC {estimate(signal.auroc)}{ece}; known for {count(signal.n)}"
