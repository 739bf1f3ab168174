"""The quick head with the names of the labels as a prior."""

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ShapeError
from llm_al.pseudo_labels._head import fit_head
from llm_al.types import Embeddings, Proba

Floats = NDArray[np.float64]


def named_rows(embeddings: Embeddings, names: Embeddings | None, n_classes: int) -> tuple[NDArray[np.float32], Proba]:
    """Return one row a class, shape (c, d), at the vector of its name, and its target; no rows without names.

    Names are shorter than texts and lie elsewhere, so they are moved to where the texts are: by the difference of the
    means, as far as texts outnumber names. How names differ is what tells classes apart.

    Raises
    ------
    ShapeError
        If there is not one name a class, or names and texts differ in dimensions.
    """
    texts = np.asarray(embeddings, dtype=np.float32)
    if names is None:
        return np.zeros((0, texts.shape[1]), dtype=np.float32), np.zeros((0, n_classes))
    given = np.asarray(names, dtype=np.float32)
    if given.shape != (n_classes, texts.shape[1]):
        raise ShapeError(
            f"label_embeddings have shape {given.shape}; there are {n_classes} classes and vectors of "
            f"{texts.shape[1]} dimensions; give one vector a label, by the encoder of the texts"
        )
    mean = texts.mean(axis=0) if len(texts) else given.mean(axis=0)
    share = len(texts) / (len(texts) + n_classes)
    return given + share * (mean - given.mean(axis=0)), np.eye(n_classes)


def fit_named(
    embeddings: Embeddings, targets: Proba, weights: Floats, names: Embeddings | None, *, start: Floats | None = None
) -> Floats:
    """Fit the quick head with one row more a class, its name, which weighs as much as a person's label.

    A prior that fades by itself: it decides where a class has no example, and means next to nothing where it has
    twenty. Without names it is `fit_head`.
    """
    rows, classes = named_rows(embeddings, names, targets.shape[1])
    return fit_head(
        np.concatenate([np.asarray(embeddings, dtype=np.float32), rows]),
        np.concatenate([targets, classes]),
        np.concatenate([weights, np.full(len(rows), weights.mean() if len(weights) else 1.0)]),
        start=start,
    )
