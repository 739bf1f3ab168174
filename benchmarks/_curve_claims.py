"""What `label_efficiency.py` is judged by."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from _curve import Curve, Run, curves_of
from _results import Claim

_ABOVE = 1e-9
"""As good as is not above."""
_NEVER = 1.0


@dataclass(frozen=True)
class Asked:
    """What is asked for on one data set by one protocol.

    Parameters
    ----------
    dataset, protocol : str
    accuracy : mapping of labels to accuracy
        Without an LLM.
    mean : float or None
        Over the points.
    beats_peers : bool
        Whether the last point, and the mean where one is asked for, must lie above every peer's.
    """

    dataset: str
    protocol: str
    accuracy: dict[int, float] = field(default_factory=dict)
    mean: float | None = None
    beats_peers: bool = True


ASKED = (
    Asked("trec6", "hast", {130: 0.95}, mean=0.86),
    Asked("agnews", "hast", {130: 0.88}),
    Asked("subj", "hast", {130: 0.93}),
    Asked("banking77", "kclass", {847: 0.90}, mean=0.84, beats_peers=False),
)
WITH_LLM = {77: 0.67, 154: 0.76, 300: 0.85, 600: 0.89}
"""banking77 with recorded answers of one model's five prompts."""
_PANEL_LABELS = 58


def claims_of(runs: Sequence[Run]) -> list[Claim]:
    """Return every claim that the runs can judge, each with the number of its seeds."""
    curves = curves_of([run for run in runs if run.accuracy])
    found = [claim for asked in ASKED for claim in _on_one(asked, curves)]
    return [*found, *_with_llm(curves), *_panel(curves)]


def _told(curve: Curve) -> str:
    first, n = curve.runs[0], len(curve.runs)
    return f"{first.dataset}, {first.protocol}, {first.learner} ({n} seed{'s' if n > 1 else ''})"


def _claim(name: str, value: float, target: float, better: Literal["higher", "lower"], unit: str = "accuracy") -> Claim:
    return Claim(name, value, target, better, unit)


def _on_one(asked: Asked, curves: Sequence[Curve]) -> Iterator[Claim]:
    here = [c for c in curves if (c.runs[0].dataset, c.runs[0].protocol) == (asked.dataset, asked.protocol)]
    peers = [curve for curve in here if not curve.runs[0].is_ours]
    for curve in here:
        if not curve.runs[0].is_ours:
            continue
        if curve.runs[0].alone:
            yield from _fewer_labels(_pairs(curve, peers))
            continue
        for n_labels, target in asked.accuracy.items():
            if n_labels in curve.points:
                yield _claim(f"{_told(curve)}: accuracy at {n_labels}", curve.at(n_labels), target, "higher")
        if asked.mean is not None:
            yield _claim(f"{_told(curve)}: mean over the points", curve.mean(), asked.mean, "higher")
        yield from _against_peers(asked, curve, peers)


def _against_peers(asked: Asked, curve: Curve, peers: Sequence[Curve]) -> Iterator[Claim]:
    """Compare on the seeds in common; where peers differ in seeds, the narrowest lead counts."""
    pairs = _pairs(curve, peers)
    if pairs and asked.beats_peers:
        yield _lead(pairs, "the last point", _last_lead)
        if asked.mean is not None:
            yield _lead(pairs, "the mean", _mean_lead)
    yield from _fewer_labels(pairs)


def _pairs(curve: Curve, peers: Sequence[Curve]) -> list[tuple[Curve, Curve]]:
    return [pair for pair in (curve.paired(peer) for peer in peers) if pair is not None]


def _fewer_labels(pairs: Sequence[tuple[Curve, Curve]]) -> Iterator[Claim]:
    """Say with how many of the best peer's labels its last accuracy is reached, with an LLM or without."""
    if not pairs:
        return
    ours, best = max(pairs, key=lambda pair: pair[1].at(max(pair[1].points)))
    final = max(best.points)
    needed = ours.labels_to(best.at(final))
    name = (
        f"{_told(ours)}: labels to the final accuracy {best.at(final):.3f} of {best.learner}, as a share of its {final}"
    )
    yield _claim(
        name if needed else f"{name}; not reached", needed / final if needed else _NEVER, 0.5, "lower", "share"
    )


def _last_lead(mine: Curve, peer: Curve) -> float:
    shared = max(set(mine.points) & set(peer.points))
    return mine.at(shared) - peer.at(shared)


def _mean_lead(mine: Curve, peer: Curve) -> float:
    shared = sorted(set(mine.points) & set(peer.points))
    return mine.mean(shared) - peer.mean(shared)


def _lead(pairs: Sequence[tuple[Curve, Curve]], what: str, lead: Callable[[Curve, Curve], float]) -> Claim:
    mine, peer = min(pairs, key=lambda pair: lead(*pair))
    return _claim(f"{_told(mine)}: lead at {what} over {peer.learner}", lead(mine, peer), _ABOVE, "higher")


def _without(curve: Curve, curves: Sequence[Curve]) -> Curve | None:
    """Return the same learner without an LLM."""
    first = curve.runs[0]
    name = first.learner.rsplit(", LLM", 1)[0]
    same = (first.dataset, first.protocol, name, first.settings)
    return next(
        (c for c in curves if (c.runs[0].dataset, c.runs[0].protocol, c.learner, c.runs[0].settings) == same), None
    )


def _with_llm(curves: Sequence[Curve]) -> Iterator[Claim]:
    for curve in curves:
        first = curve.runs[0]
        if not first.alone:
            continue
        if first.dataset == "banking77" and len(first.alone) > 1:
            for n_labels, target in WITH_LLM.items():
                if n_labels in curve.points:
                    yield _claim(f"{_told(curve)}: accuracy at {n_labels}", curve.at(n_labels), target, "higher")
        other = _without(curve, curves)
        pair = curve.paired(other) if other is not None else None
        if pair is not None:
            leads = {n: pair[0].at(n) - pair[1].at(n) for n in pair[0].points if n in pair[1].points}
            worst = min(leads, key=lambda n: leads[n])
            name = f"{_told(pair[0])}: least gain over the same run without LLM, at {worst} labels"
            yield _claim(name, leads[worst], 0.0, "higher")


def _panel(curves: Sequence[Curve]) -> Iterator[Claim]:
    """Compare a panel of models with each of its sources: people only, each model alone, people with each model."""
    for curve in curves:
        first = curve.runs[0]
        if len(first.alone) < 2 or not first.dataset.endswith(f"-{_PANEL_LABELS}"):
            continue
        stem = first.learner.rsplit(", LLM", 1)[0]
        others = [c for c in curves if c.runs[0].dataset == first.dataset and c is not curve]
        same = [c for c in others if c.learner.startswith(stem) and len(c.runs[0].alone) < 2]
        pairs = [pair for pair in (curve.paired(c) for c in same if c.runs[0].protocol == first.protocol) if pair]
        alone = max(first.alone.values())
        leads = {n: curve.at(n) - alone for n in curve.points}
        for mine, source in pairs:
            leads |= {n: min(leads[n], mine.at(n) - source.at(n)) for n in mine.points if n in source.points}
        worst = min(leads, key=lambda n: leads[n])
        n_sources = len(first.alone) + len(pairs)
        name = f"{_told(curve)}: least lead over the best of {n_sources} single sources, at {worst} labels"
        yield _claim(name, leads[worst], _ABOVE, "higher")
