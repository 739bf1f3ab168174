"""Quality of predictions on labelled examples."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from llm_al.errors import ShapeError
from llm_al.measures import ClassMetrics, Metrics, ReliabilityBin
from llm_al.types import Proba

__all__ = ["evaluate", "wilson_interval"]

_N_BINS = 10
_CLIP = 1e-12


def wilson_interval(n_right: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's two-sided interval of a share [1]_; (0, 1) when `n` is 0.

    References
    ----------
    .. [1] Wilson (1927). Probable inference, the law of succession, and statistical inference. JASA 22, 209-212.

    Examples
    --------
    >>> [round(end, 4) for end in wilson_interval(8, 10)]
    [0.4902, 0.9433]
    """
    if n == 0:
        return 0.0, 1.0
    z = float(norm.ppf(0.5 + confidence / 2.0))
    share, scale = n_right / n, 1.0 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z / scale * np.sqrt(share * (1.0 - share) / n + z * z / (4 * n * n))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def evaluate(true_index: NDArray[np.int64], proba: Proba, labels: Sequence[str]) -> Metrics:
    """Compare predicted probabilities with the truth.

    Accuracy has Wilson's 95 % interval. Macro-F1 is the mean over the classes that occur in the truth: a class without
    support has no recall, and counting it as 0 would punish a test set for being small; wrong predictions of it
    still cost the classes that were missed. The calibration error uses 10 equally wide bins of the
    largest probability. Log loss clips probabilities at 1e-12.

    Parameters
    ----------
    true_index : ndarray of shape (n,), int
        Class indices; n >= 1.
    proba : ndarray of shape (n, c)
        Predicted probabilities.
    labels : sequence of str, length c
        Label names in class-index order.

    Raises
    ------
    ShapeError
        If there are no examples, shapes do not fit, a class index is unknown, or `proba` holds NaN.
    """
    truth = np.asarray(true_index)
    _check(truth, proba, len(labels))
    n, c = proba.shape
    predicted = proba.argmax(axis=1)
    confusion = np.zeros((c, c), dtype=np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    per_class = tuple(_class_metrics(confusion, index, label) for index, label in enumerate(labels))
    n_right = int(np.trace(confusion))
    low, high = wilson_interval(n_right, n)
    bins = _reliability(proba.max(axis=1), predicted == truth)
    return Metrics(
        n=n,
        accuracy=n_right / n,
        accuracy_low=low,
        accuracy_high=high,
        macro_f1=float(np.mean([m.f1 for m in per_class if m.support])),
        ece=sum(b.n * abs(b.accuracy - b.confidence) for b in bins) / n,
        log_loss=float(-np.log(np.clip(proba[np.arange(n), truth], _CLIP, 1.0)).mean()),
        per_class=per_class,
        confusion=tuple(tuple(int(v) for v in row) for row in confusion),
        reliability=bins,
    )


def _check(truth: NDArray[np.int64], proba: Proba, c: int) -> None:
    if truth.ndim != 1 or proba.shape != (len(truth), c) or len(truth) == 0:
        raise ShapeError(
            f"truth has shape {truth.shape} and proba {proba.shape}; "
            f"expected n >= 1 classes and n rows of {c} probabilities"
        )
    if np.isnan(proba).any():
        raise ShapeError("proba holds NaN; check the student that made it")
    if truth.min() < 0 or truth.max() >= c:
        raise ShapeError(f"true classes run from {truth.min()} to {truth.max()}; allowed are 0 to {c - 1}")


def _class_metrics(confusion: NDArray[np.int64], index: int, label: str) -> ClassMetrics:
    hit, n_predicted, support = confusion[index, index], confusion[:, index].sum(), confusion[index].sum()
    precision = float(hit / n_predicted) if n_predicted else 0.0
    recall = float(hit / support) if support else 0.0
    f1 = float(2 * hit / (n_predicted + support)) if n_predicted + support else 0.0
    return ClassMetrics(label, precision, recall, f1, int(support))


def _reliability(confidence: NDArray[np.float64], is_right: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    # The upper edge belongs to a bin: 1.0 falls into the last one.
    which = np.clip(np.ceil(confidence * _N_BINS).astype(np.intp) - 1, 0, _N_BINS - 1)
    n = np.bincount(which, minlength=_N_BINS)
    filled = np.maximum(n, 1)
    mean = np.bincount(which, confidence, minlength=_N_BINS) / filled
    right = np.bincount(which, is_right.astype(np.float64), minlength=_N_BINS) / filled
    return tuple(
        ReliabilityBin(i / _N_BINS, (i + 1) / _N_BINS, int(n[i]), float(mean[i]), float(right[i]))
        for i in range(_N_BINS)
    )
