"""The tables of `label_efficiency.py`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from _curve import Curve, Run, curves_of
from _results import table

_FULL = "full"
_SHARES = (0.90, 0.95, 0.98)


def _groups(runs: Sequence[Run]) -> dict[tuple[str, str], list[Run]]:
    found: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.protocol != _FULL:
            found.setdefault((run.dataset, run.protocol), []).append(run)
    return found


def _means(curves: Sequence[Curve], field: str) -> str:
    """Show means over the seeds of a field."""
    rows = []
    for curve in curves:
        values: list[Mapping[int, float]] = [getattr(run, field) for run in curve.runs if getattr(run, field)]
        points = sorted({n for found in values for n in found})
        means = {n: float(np.mean([found[n] for found in values if n in found])) for n in points}
        if means:
            row = {"learner": curve.learner, "seeds": ", ".join(str(run.seed) for run in curve.runs)}
            rows.append({**row, **{str(n): v for n, v in means.items()}, "mean": float(np.mean(list(means.values())))})
    columns = sorted({int(key) for row in rows for key in row if key.isdigit()})
    return table(rows, ["learner", "seeds", *map(str, columns), "mean"]) if rows else ""


def _by_seed(runs: Sequence[Run]) -> str:
    rows = [
        {"learner": run.learner, "seed": run.seed, **{str(n): v for n, v in run.accuracy.items()}, "mean": run.area}
        for run in runs
    ]
    points = sorted({n for run in runs for n in run.accuracy})
    return table(rows, ["learner", "seed", *map(str, points), "mean"])


def _to_shares(curves: Sequence[Curve], full: float) -> str:
    """Show how many labels a learner needs for a share of full supervision."""
    rows = []
    for curve in curves:
        needed = {f"{share:.0%}": curve.labels_to(share * full) for share in _SHARES}
        shown = {share: str(n) if n is not None else f"> {max(curve.points)}" for share, n in needed.items()}
        rows.append({"learner": curve.learner, **shown})
    return table(rows, ["learner", *(f"{share:.0%}" for share in _SHARES)])


def _seconds(runs: Sequence[Run]) -> str:
    steps = list(dict.fromkeys(step for run in runs for step in run.seconds))
    rows = [
        {
            "learner": run.learner,
            "seed": run.seed,
            **{step: f"{seconds:.1f}" for step, seconds in run.seconds.items()},
            "total without test": f"{run.total_s:.1f}",
            "usd": f"{run.usd:.2f}",
        }
        for run in runs
    ]
    return table(rows, ["learner", "seed", *steps, "total without test", "usd"])


def _settings(runs: Sequence[Run]) -> str:
    told = dict.fromkeys((run.learner, ", ".join(f"{k} {v}" for k, v in run.settings.items())) for run in runs)
    return table([{"learner": a, "settings": b} for a, b in told if b], ["learner", "settings"])


def _alone(runs: Sequence[Run]) -> str:
    found: dict[str, float] = {}
    for run in runs:
        found |= run.alone
    rows = [{"LLM": name, "accuracy": value} for name, value in found.items()]
    return table(rows, ["LLM", "accuracy"]) if rows else ""


def sections_of(runs: Sequence[Run], figures: Sequence[Mapping[str, Any]] = ()) -> dict[str, str]:
    """Return what is shown of runs and figures, by heading."""
    sections: dict[str, str] = {}
    for (dataset, protocol), here in _groups(runs).items():
        curves, full = curves_of(here), _full(dataset, runs)
        parts = {
            "test accuracy by human labels, mean over seeds": _means(curves, "accuracy"),
            f"labels to a share of full supervision ({full:.3f})": _to_shares(curves, full) if full else "",
            "macro-F1 by human labels, mean over seeds": _means(curves, "macro_f1"),
            "pseudo-labels that are right": _means(curves, "pseudo_precision"),
            "pseudo-labels that the learner held to be right": _means(curves, "pseudo_estimated"),
            "test accuracy of the LLMs alone": _alone(here),
            "test accuracy by human labels and seed": _by_seed(here),
            "seconds by step, and dollars": _seconds(here),
            "settings": _settings(here),
        }
        sections |= {f"{dataset}, {protocol}: {heading}": body for heading, body in parts.items() if body}
    return {**sections, **_figures(figures)}


def _full(dataset: str, runs: Sequence[Run]) -> float:
    """Return the best accuracy with all labels; 0 if none was measured."""
    return max(
        (max(run.accuracy.values()) for run in runs if (run.dataset, run.protocol) == (dataset, _FULL)), default=0.0
    )


def _figures(figures: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    shown = {}
    for figure in figures:
        rows = [{"what": what, "value": value} for what, value in figure["details"].items()]
        if rows:
            shown[figure["figure"]["claim"]] = f"On {figure['machine']}.\n\n{table(rows, ['what', 'value'])}"
    return shown
