import numpy as np

from llm_al.pool import PoolView


def make_view(n=60, *, c=3, d=8, seed=0, n_labeled=6, dtype="float32", with_proba=True, groups=None):
    """A pool of random unit vectors whose first rows are labelled."""
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(n, d))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    labels = np.full(n, -1, dtype=np.int64)
    labels[:n_labeled] = np.arange(min(n_labeled, n)) % c
    proba = rng.dirichlet(np.ones(c), size=n).reshape(n, c) if with_proba else None
    embeddings = embeddings.astype(dtype)
    for array in (embeddings, labels, proba, groups):
        if array is not None:
            array.flags.writeable = False
    return PoolView([f"text {i}" for i in range(n)], embeddings, c, labels, labels < 0, proba, groups)
