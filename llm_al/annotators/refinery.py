"""Demonstrations for a second round of an LLM, chosen from its own first labels by a student."""

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from llm_al.errors import ShapeError
from llm_al.types import Embeddings, Positions, Proba

__all__ = ["refined_demonstrations"]


def refined_demonstrations(
    embeddings: Embeddings,
    proba: Proba,
    labels: NDArray[np.int64],
    *,
    n_demonstrations: int = 100,
    share: float = 0.2,
    seed: int = 0,
) -> Positions:
    """Return rows that stand for their class, with labels on which LLM and student agree [1]_.

    In each class, of the rows where the student predicts the LLM's label, the `share` about which it is surest is
    kept; k-means cuts it into ``n_demonstrations / c`` clusters, at least one, and the member nearest to each centre
    is a demonstration.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
        Unit-length rows.
    proba : ndarray of shape (n, c)
        The student's probabilities.
    labels : ndarray of shape (n,), int64
        The LLM's labels as class indices; -1 where it gave none.
    n_demonstrations : int
        Over all classes.
    share : float
        In (0, 1].
    seed : int
        Start of k-means.

    Returns
    -------
    ndarray of shape (k,)
        Distinct rows, class by class; a class without agreement has none.

    Raises
    ------
    ShapeError
        If the arrays differ in length.

    References
    ----------
    .. [1] Xiao et al. (2023). FreeAL: Towards Human-Free Active Learning in the Era of Large Language Models. EMNLP.
    """
    if not len(embeddings) == len(proba) == len(labels):
        raise ShapeError(
            f"got {len(embeddings)} vectors, {len(proba)} rows of proba and {len(labels)} labels; give one each a row"
        )
    n_classes = proba.shape[1]
    n_clusters = max(n_demonstrations // n_classes, 1)
    agrees = (labels >= 0) & (proba.argmax(axis=1) == labels)
    found = [
        _centres(embeddings, _surest(proba[:, c], np.flatnonzero(agrees & (labels == c)), share), n_clusters, seed)
        for c in range(n_classes)
    ]
    return np.concatenate([*found, np.zeros(0, dtype=np.intp)]).astype(np.intp)


def _surest(score: NDArray[np.float64], rows: Positions, share: float) -> Positions:
    n_kept = int(np.ceil(share * len(rows)))
    return rows[np.argsort(-score[rows], kind="stable")[:n_kept]]


def _centres(embeddings: Embeddings, rows: Positions, n_clusters: int, seed: int) -> Positions:
    vectors = np.asarray(embeddings[rows], dtype=np.float32)
    # Equal texts make one cluster; k-means would warn about empty ones.
    n_clusters = min(n_clusters, len(np.unique(vectors, axis=0)))
    if n_clusters == 0:
        return rows[:0]
    means = KMeans(n_clusters, n_init=4, random_state=seed).fit(vectors)
    distance = np.linalg.norm(vectors - means.cluster_centers_[means.labels_], axis=1)
    nearest = [np.flatnonzero(means.labels_ == k) for k in range(n_clusters)]
    return rows[[int(members[distance[members].argmin()]) for members in nearest]]
