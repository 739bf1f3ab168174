"""Groups of similar texts that can be answered in one go."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError, ShapeError
from llm_al.types import Embeddings, Proba

__all__ = ["Bulk", "BulkRule", "find_bulks"]


@dataclass(frozen=True)
class Bulk:
    """Texts that are shown together with one label.

    Parameters
    ----------
    rows : tuple of int
        In the order of looking through: the least typical first, as long as the eye is fresh.
    label : int
        Class index of the label that is proposed for all.
    """

    rows: tuple[int, ...]
    label: int


@dataclass(frozen=True)
class BulkRule:
    """When texts are alike enough.

    Parameters
    ----------
    similarity : float
        Least cosine between a text and the surest one of its group.
    certainty : float
        Least probability of the group's label, for each of its texts.
    least, most : int
        Texts in a group.

    Raises
    ------
    ConfigError
        If a share is outside 0 ... 1 or the sizes do not fit.
    """

    similarity: float = 0.6
    certainty: float = 0.8
    least: int = 3
    most: int = 10

    def __post_init__(self) -> None:
        if not (0.0 <= self.similarity <= 1.0 and 0.0 <= self.certainty <= 1.0 and 2 <= self.least <= self.most):
            raise ConfigError(
                f"a bulk question has similarity {self.similarity}, certainty {self.certainty} and {self.least} to "
                f"{self.most} texts; give shares from 0 to 1 and sizes from 2 on, the least not above the most"
            )


def find_bulks(
    embeddings: Embeddings, proba: Proba, is_open: NDArray[np.bool_] | None = None, *, rule: BulkRule | None = None
) -> list[Bulk]:
    """Group texts with the same likely label around the surest of them.

    Parameters
    ----------
    embeddings : ndarray of shape (m, d)
        Unit-length rows: of the questions of a round, or of these and their nearest neighbours in the pool.
    proba : ndarray of shape (m, c)
    is_open : ndarray of shape (m,), bool, optional
        Rows that may be grouped; None means all.
    rule : BulkRule, optional

    Returns
    -------
    list of Bulk
        No row is in two of them. Each text is near the group's surest text, not merely near some other member, so that
        a chain of neighbours cannot lead from one meaning to another.

    Raises
    ------
    ShapeError
        If lengths differ, or an array holds NaN.
    """
    rule = rule or BulkRule()
    if len(embeddings) != len(proba) or np.isnan(proba).any() or np.isnan(embeddings).any():
        raise ShapeError(
            f"got {len(embeddings)} embeddings and {len(proba)} rows of probabilities, or NaN among them; "
            "give one of each a text"
        )
    if not len(proba):
        return []
    labels, certainty = proba.argmax(axis=1), proba.max(axis=1)
    free = certainty >= rule.certainty
    if is_open is not None:
        free &= is_open
    bulks = []
    for row in np.argsort(-certainty, kind="stable"):
        if not free[row]:
            continue
        alike = np.flatnonzero(free & (labels == labels[row]))
        cosine = np.asarray(embeddings[alike], dtype=np.float64) @ np.asarray(embeddings[row], dtype=np.float64)
        nearest = np.argsort(-cosine, kind="stable")[: rule.most]
        members = nearest[cosine[nearest] >= rule.similarity]
        if len(members) >= rule.least:
            bulks.append(Bulk(tuple(int(alike[m]) for m in members[::-1]), int(labels[row])))
            free[alike[members]] = False
    return bulks
