"""UST: self-training on rows that stay what they are when the model is disturbed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.pseudo_labels._choice import Choice, Floats, check, fit_labelled, nothing, one_hot, sub_pool
from llm_al.pseudo_labels._head import predict_head
from llm_al.types import Embeddings, Positions

__all__ = ["Ust"]

_LEAST = 1e-12
_LEAST_VARIANCE = 1e-8


@dataclass(frozen=True)
class Ust:
    """Draw rows of every class that a model with dropout is sure about, and weigh them by how sure [1]_.

    A model predicts every row `n_passes` times with other dropout masks. Where the passes disagree the row is hard:
    its score is ``1 - BALD``, the mutual information between prediction and mask in nats, cut at 0. From the rows of
    each predicted class `n_per_class` are drawn without replacement, with probabilities in proportion to the score.
    A row weighs ``alpha * log(1 / (v + 1e-8))`` with v the variance of the probability of its label over the passes,
    so between 0.14 and 1.8 with the default alpha, where a person's label weighs 1.

    Differs from the paper: the passes are those of a softmax head on the frozen embeddings, fitted to the labels known
    so far, with dropout on its inputs and one mask for the whole pool in each pass; any student can so be used. The
    label is the student's own. The authors draw with replacement, weigh people's labels alike and train with more
    dropout. Drawn positions are those of the pool, also where a sub-pool is searched.

    Parameters
    ----------
    n_passes : int
        At least 2.
    n_per_class : int
        Rows drawn for each predicted class; fewer where there are fewer.
    alpha : float
        Positive factor of the weights.
    dropout : float
        Share of the embedding dimensions that a pass leaves out, in (0, 1).
    n_sample : int
        Size of the random sub-pool.

    Raises
    ------
    ConfigError
        If a setting is out of range.

    References
    ----------
    .. [1] Mukherjee & Awadallah (2020). Uncertainty-aware Self-training for Few-shot Text Classification. NeurIPS 33.
    """

    n_passes: int = 10
    n_per_class: int = 30
    alpha: float = 0.1
    dropout: float = 0.3
    n_sample: int = 16384

    def __post_init__(self) -> None:
        check(self, n_passes=2, n_per_class=1, n_sample=1)
        if self.alpha <= 0:
            raise ConfigError(f"alpha is {self.alpha}; allowed is more than 0; to do without pseudo-labels choose none")
        if not 0 < self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; allowed is more than 0 and less than 1; correct it")

    def pseudo_label(self, view: PoolView, rng: np.random.Generator) -> Choice:
        """Return drawn rows (m,) in ascending order, one-hot targets (m, c) and weights (m,).

        m is 0 before the first student and without a labelled row.
        """
        rows = sub_pool(view, self.n_sample, rng)
        if view.proba is None or not len(rows) or not view.is_labeled.any():
            return nothing(view)
        predicted = view.proba[rows].argmax(axis=1)
        bald, variance = self._disturbed(fit_labelled(view), view.embeddings[rows], predicted, rng)
        drawn = self._draw(predicted, np.maximum(1.0 - bald, _LEAST), rng)
        weights = self.alpha * np.log(1.0 / (variance[drawn] + _LEAST_VARIANCE))
        return one_hot(view, rows[drawn], predicted[drawn], weights)

    def _disturbed(
        self, head: Floats, embeddings: Embeddings, classes: NDArray[np.intp], rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """Return the mutual information and the variance of the probability of `classes`, each of shape (n,)."""
        mean, entropies = np.zeros((len(embeddings), head.shape[1])), np.zeros(len(embeddings))
        given = np.empty((self.n_passes, len(embeddings)))
        for number in range(self.n_passes):
            kept = (rng.random(len(head) - 1) >= self.dropout) / (1.0 - self.dropout)
            proba = predict_head(np.vstack([head[:-1] * kept[:, None], head[-1:]]), embeddings)
            mean += proba / self.n_passes
            entropies += _entropy(proba) / self.n_passes
            given[number] = proba[np.arange(len(proba)), classes]
        return _entropy(mean) - entropies, given.var(axis=0)

    def _draw(self, classes: NDArray[np.intp], scores: Floats, rng: np.random.Generator) -> Positions:
        """Return indices of the drawn rows, class after class."""
        drawn = []
        for label in np.unique(classes):
            members = np.flatnonzero(classes == label)
            share = scores[members] / scores[members].sum()
            drawn.append(rng.choice(members, min(self.n_per_class, len(members)), replace=False, p=share))
        return np.concatenate(drawn)


def _entropy(proba: Floats) -> Floats:
    return np.asarray(-(proba * np.log(np.maximum(proba, _LEAST))).sum(axis=1), dtype=np.float64)
