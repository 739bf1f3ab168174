"""AcTune: self-training on the surest rows of the calmest regions of the pool."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.pseudo_labels._choice import Choice, Floats, check, entropy, nothing, one_hot, sub_pool
from llm_al.types import Embeddings, Positions

__all__ = ["AcTune"]

# K-means needs a positive weight; rows that the student is quite sure of would have none.
_LEAST_WEIGHT = 1e-6


@dataclass(frozen=True)
class AcTune:
    """Take the surest rows of the regions with the least uncertainty [1]_.

    Rows that the student gives a probability above `min_confidence` are cut into regions by k-means on their vectors,
    each row weighted by its entropy. A region scores the mean entropy of its rows plus `beta` times the entropy of its
    predicted labels; from each of the `n_calm` regions that score least the `n_per_region` rows of least entropy are
    taken. All of them together weigh `total` times as much as all labelled rows together.

    Differs from the paper: regions are those of the fixed encoder of the pool; predictions are this round's alone,
    where the paper averages them with the last round's (weight 0.8 to 0.9 on the new), which would have to outlive a
    restart. Nothing here reads gold labels: no start from them, and no stop when one class is left.

    Parameters
    ----------
    n_regions, n_calm, n_per_region : int
        At least 1; with fewer rows than regions all of them are taken.
    beta : float
        Share of the label entropy, in nats like the paper's.
    min_confidence : float
        The student's probability must be greater.
    total : float
        Positive.
    n_sample : int
        Size of the random sub-pool.

    Raises
    ------
    ConfigError
        If a setting is out of range.

    References
    ----------
    .. [1] Yu, Kong, Zhang, Zhang & Zhang (2022). AcTune: Uncertainty-Based Active Self-Training for Active Fine-Tuning
           of Pretrained Language Models. NAACL.
    """

    n_regions: int = 10
    n_calm: int = 5
    n_per_region: int = 5
    beta: float = 0.5
    min_confidence: float = 0.6
    total: float = 1.0
    n_sample: int = 16384

    def __post_init__(self) -> None:
        check(self, n_regions=1, n_calm=1, n_per_region=1, beta=0, min_confidence=0, n_sample=1)
        if self.total <= 0:
            raise ConfigError(f"total is {self.total}; allowed is more than 0; to do without pseudo-labels choose none")

    def pseudo_label(self, view: PoolView, rng: np.random.Generator) -> Choice:
        """Return taken rows (m,) in ascending order, one-hot targets (m, c) and equal weights.

        m is 0 before the first student and without a labelled row.
        """
        rows = sub_pool(view, self.n_sample, rng)
        if view.proba is None or not view.is_labeled.any():
            return nothing(view)
        rows = rows[view.proba[rows].max(axis=1) > self.min_confidence]
        if not len(rows):
            return nothing(view)
        predicted, uncertainty = view.proba[rows].argmax(axis=1), entropy(view.proba[rows])
        taken = np.arange(len(rows))
        if len(rows) > self.n_regions:
            region = _regions(view.embeddings[rows], uncertainty, self.n_regions, rng)
            taken = self._surest(region, predicted, uncertainty)
        weight = self.total * int(view.is_labeled.sum()) / len(taken)
        return one_hot(view, rows[taken], predicted[taken], np.full(len(taken), weight))

    def _surest(self, region: NDArray[np.int64], classes: NDArray[np.intp], uncertainty: Floats) -> Positions:
        members = [np.flatnonzero(region == number) for number in np.unique(region)]
        scores = [uncertainty[own].mean() + self.beta * _label_entropy(classes[own]) for own in members]
        calm = [members[number] for number in np.argsort(scores, kind="stable")[: self.n_calm]]
        return np.concatenate([own[np.argsort(uncertainty[own], kind="stable")[: self.n_per_region]] for own in calm])


def _regions(embeddings: Embeddings, weights: Floats, n_regions: int, rng: np.random.Generator) -> NDArray[np.int64]:
    points = np.asarray(embeddings, dtype=np.float32)
    means = KMeans(n_regions, n_init=1, random_state=int(rng.integers(2**31)))
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        # Fewer distinct rows than regions leave regions empty, which is a valid answer.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return np.asarray(means.fit_predict(points, sample_weight=weights + _LEAST_WEIGHT), dtype=np.int64)


def _label_entropy(classes: NDArray[np.intp]) -> float:
    share = np.bincount(classes) / len(classes)
    share = share[share > 0]
    return float(-(share * np.log(share)).sum())
