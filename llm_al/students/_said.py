"""What a student has said of texts, so that it need not read them again."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from llm_al.types import Proba

__all__ = ["Said"]

_MAX_BYTES = 64 * 2**20
_BYTES_BESIDE = 256


class Said:
    """Keeps rows of probabilities by their texts, for a student that does not change.

    A loop predicts one pool in every round: of an encoder that is kept from the round before, only what is new has to
    be predicted.

    Parameters
    ----------
    max_bytes : int
        About as much memory as it may take. The first rows stay: a pool that is read from its beginning each time
        would push out what it asks for next.
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._n_free = max_bytes
        self._rows: dict[str, NDArray[np.float64]] = {}

    def of(self, texts: Sequence[str], predict: Callable[[list[str]], Proba]) -> Proba:
        """Return what was said of the texts, shape (n, c); each of those that are new is asked for once.

        Parameters
        ----------
        texts : sequence of str, length n
        predict : callable
            Gives shape (m, c) for m texts.
        """
        if not len(texts):
            return predict([])
        asked = list(dict.fromkeys(text for text in texts if text not in self._rows))
        fresh = dict(zip(asked, predict(asked), strict=True)) if asked else {}
        said = np.stack([fresh[text] if text in fresh else self._rows[text] for text in texts])
        self._keep(fresh)
        return said

    def _keep(self, fresh: Mapping[str, NDArray[np.float64]]) -> None:
        for text, row in fresh.items():
            self._n_free -= row.nbytes + len(text) + _BYTES_BESIDE
            if self._n_free < 0:
                return
            # A view would keep the whole array.
            self._rows[text] = row.copy()
