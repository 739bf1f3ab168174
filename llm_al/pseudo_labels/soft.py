"""Soft pseudo-labels, sharpened, with mixing of rows."""

from dataclasses import dataclass

import numpy as np

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.pseudo_labels._choice import Choice, check, entropy, nothing, sub_pool
from llm_al.types import Proba

__all__ = ["Soft", "sharpened"]


def sharpened(proba: Proba, temperature: float) -> Proba:
    """Raise probabilities to the power ``1 / temperature`` and scale rows to a sum of 1 [1]_.

    Parameters
    ----------
    proba : ndarray of shape (n, c)
    temperature : float
        Positive; below 1 the rows get sharper, 1 leaves them as they are.

    Returns
    -------
    ndarray of shape (n, c)

    References
    ----------
    .. [1] Berthelot et al. (2019). MixMatch: A Holistic Approach to Semi-Supervised Learning. NeurIPS 32.

    Examples
    --------
    >>> sharpened(np.array([[0.6, 0.4], [0.5, 0.5]]), 0.5).round(3)
    array([[0.692, 0.308],
           [0.5  , 0.5  ]])
    """
    # Scaled by the largest first, so that a small temperature does not underflow a whole row.
    powers = (proba / proba.max(axis=1, keepdims=True)) ** (1.0 / temperature)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)


@dataclass(frozen=True)
class Soft:
    """Learn from the student's distribution instead of its label, and mix rows with each other [1]_.

    A hard pseudo-label that is wrong confirms itself; a soft one carries its doubt along, mixing pairs of rows in
    feature space keeps the next student from growing too sure, and people's labels keep a share of every batch. Every
    row of a random sub-pool with a probability above `min_confidence` is taken; its target is sharpened and it weighs
    ``weight * (1 - entropy / log c)`` of the student's own distribution.

    Mixing and the least share of people's labels are the student's work: `mixup` goes to ``TrainingSet.mixup``, and a
    student that cannot mix learns from the rows as they are.

    Differs from the paper: targets are this round's student's, renewed each round and not each epoch; they are
    sharpened and rows are weighted by certainty; the paper's regularisers towards even classes and low entropy are
    left out, caps on classes take their place.

    Parameters
    ----------
    temperature : float
        Positive; 1 leaves the distribution as it is.
    min_confidence : float
        The student's probability must be greater; 0 takes every row.
    weight : float
        Positive; of a row without any doubt, where a person's label weighs 1.
    mixup : float
        Alpha of the Beta distribution of the mixing share; 0 is no mixing.
    n_sample : int
        Size of the random sub-pool.

    Raises
    ------
    ConfigError
        If a setting is out of range.

    References
    ----------
    .. [1] Arazo, Ortego, Albert, O'Connor & McGuinness (2020). Pseudo-Labeling and Confirmation Bias in Deep
           Semi-Supervised Learning. IJCNN.
    """

    temperature: float = 0.5
    min_confidence: float = 0.0
    weight: float = 1.0
    mixup: float = 0.4
    n_sample: int = 16384

    def __post_init__(self) -> None:
        check(self, min_confidence=0, mixup=0, n_sample=1)
        for name in ("temperature", "weight"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is more than 0; correct it")

    def pseudo_label(self, view: PoolView, rng: np.random.Generator) -> Choice:
        """Return taken rows (m,) in ascending order, soft targets (m, c) and positive weights (m,).

        Rows about which the student knows nothing at all have no weight and are left out. m is 0 before the first
        student.
        """
        if view.proba is None:
            return nothing(view)
        rows = sub_pool(view, self.n_sample, rng)
        certainty = 1.0 - entropy(view.proba[rows])
        is_taken = (view.proba[rows].max(axis=1) > self.min_confidence) & (certainty > 1e-6)
        rows, certainty = rows[is_taken], certainty[is_taken]
        return rows, sharpened(view.proba[rows], self.temperature), self.weight * certainty
