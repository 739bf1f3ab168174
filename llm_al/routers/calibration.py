"""From evidence to a probability that a person would give the same label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from llm_al.errors import ConfigError, ShapeError
from llm_al.routers.evidence import Evidence
from llm_al.routers.features import FeatureColumns
from llm_al.routers.logistic import Logistic, fit_logistic

__all__ = ["Calibrator", "evidence_score"]

Floats = NDArray[np.float64]

_MIN_ISOTONIC = 30
_MIN_LOGISTIC = 100
_AGREEMENT_WEIGHT = 2.0
_METHODS = ("evidence", "isotonic", "logistic")
_COLUMNS = ("voters", "models", "classes")


def evidence_score(case: Evidence) -> float:
    """Return the weighted mean of the signals that are at hand, in [0, 1].

    ``(2 s + conf + student + neighbours) / (2 + number of the last three that are known)``, with s the smoothed
    agreement, conf the LLM's own confidence, student the student's probability of the label and neighbours the share of
    labelled neighbours with it. Agreement counts twice: it tells right from wrong labels better than the others
    do. It ranks; it is no probability.

    Examples
    --------
    >>> evidence_score(Evidence("a", "x", agreement=0.7, n_answers=3, n_valid=3, student_proba=0.4))
    0.6
    """
    others = [v for v in (case.confidence, case.student_proba, case.neighbour_share) if v is not None]
    total = (_AGREEMENT_WEIGHT * case.agreement + sum(others)) / (_AGREEMENT_WEIGHT + len(others))
    return round(min(max(total, 0.0), 1.0), 12)


@dataclass(frozen=True)
class Calibrator:
    """Probability that the LLM's label is what a person would say.

    With fewer than 30 answers of people it is `evidence_score` itself; with 30 to 99 an isotonic fit of that score;
    from 100 on a logistic regression on all signals, see `logistic.fit_logistic`. It is fitted on answers that are
    *older* than the examples it scores, and its scores are written down before those are audited, so that no audit
    tests a threshold that it helped to set.

    Parameters
    ----------
    method : {"evidence", "isotonic", "logistic"}
        What was fitted.
    n : int
        Answers of people that it was fitted on.
    state : mapping of str to tuple of float
        Fitted numbers: knots ``x`` and ``y``, or those of `Logistic`.
    columns : FeatureColumns
        Voters and classes that the numbers belong to.
    """

    method: str = "evidence"
    n: int = 0
    state: Mapping[str, tuple[float, ...]] | None = None
    columns: FeatureColumns = field(default_factory=FeatureColumns)

    @classmethod
    def fit(
        cls, cases: Sequence[Evidence], is_correct: NDArray[np.bool_], weights: Floats | None = None
    ) -> "Calibrator":
        """Fit to answers of people.

        Parameters
        ----------
        cases : sequence of Evidence, length n
            As they were when the LLM had answered and no person had.
        is_correct : ndarray of shape (n,), bool
            Whether the person gave the LLM's label.
        weights : ndarray of shape (n,) or None
            One over the probability with which a person was asked; None weighs all alike.

        Raises
        ------
        ShapeError
            If lengths differ or a weight is not positive and finite.
        """
        y = np.asarray(is_correct, dtype=np.float64)
        w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
        if not len(cases) == len(y) == len(w) or not (np.isfinite(w) & (w > 0)).all():
            raise ShapeError(
                f"got {len(cases)} cases, {len(y)} outcomes and {len(w)} weights; "
                "give one outcome and one positive weight a case"
            )
        if len(y) < _MIN_ISOTONIC or y.min() == y.max():
            return cls(n=len(y))
        w = w / w.mean()
        if len(y) < _MIN_LOGISTIC:
            return cls("isotonic", len(y), _fit_isotonic(cases, y, w))
        columns = FeatureColumns.of(cases)
        fitted = fit_logistic(columns.matrix(cases), y, w, n_classes=columns.n_classes)
        return cls("logistic", len(y), fitted.to_state(), columns)

    def predict(self, cases: Sequence[Evidence]) -> Floats:
        """Return the probability of each label being right, shape (n,), in [0, 1]; 0 for a case without a label."""
        if not cases:
            return np.zeros(0)
        if self.state is None:
            p = np.array([evidence_score(case) for case in cases])
        elif self.method == "isotonic":
            p = np.interp([evidence_score(case) for case in cases], self.state["x"], self.state["y"])
        else:
            p = Logistic.from_state(self.state).predict(self.columns.matrix(cases))
        return np.where([case.label is not None for case in cases], p, 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; `from_dict` gives an equal calibrator back."""
        state = None if self.state is None else {key: list(values) for key, values in self.state.items()}
        columns = {name: list(getattr(self.columns, name)) for name in _COLUMNS}
        return {"method": self.method, "n": self.n, "state": state, "columns": columns}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Calibrator":
        """Rebuild a calibrator from `to_dict`.

        Raises
        ------
        ConfigError
            If the method is unknown, or the calibrator was written by a version with other features.
        """
        method, state = data.get("method"), data.get("state")
        if method not in _METHODS or (method == "logistic" and "columns" not in data):
            raise ConfigError(f"unknown calibration {method!r}; choose from: {', '.join(_METHODS)}; fit it anew")
        columns = FeatureColumns(**{name: tuple(data.get("columns", {}).get(name, ())) for name in _COLUMNS})
        return cls(method, data["n"], None if state is None else {k: tuple(v) for k, v in state.items()}, columns)


def _fit_isotonic(cases: Sequence[Evidence], y: Floats, w: Floats) -> dict[str, tuple[float, ...]]:
    # No step may claim more than n answers can show: the ends stay one pseudo-answer away from 0 and 1.
    edge = 1.0 / (len(y) + 2.0)
    fit = IsotonicRegression(y_min=edge, y_max=1.0 - edge, out_of_bounds="clip")
    fit.fit([evidence_score(case) for case in cases], y, sample_weight=w)
    return {"x": tuple(map(float, fit.X_thresholds_)), "y": tuple(map(float, fit.y_thresholds_))}
