"""What a student has said of texts, so that it need not read them again."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_al.types import Proba

__all__ = ["Said"]

_MAX_BYTES = 64 * 2**20
_KEY_BYTES = 16
_BYTES_BESIDE = 256


class Said:
    """Keeps rows of probabilities by a digest of their texts, for a student that does not change.

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
        self._rows: dict[bytes, NDArray[np.float64]] = {}

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
        keys = [_key(text) for text in texts]
        asked = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._rows}
        fresh = dict(zip(asked, predict(list(asked.values())), strict=True)) if asked else {}
        said = np.stack([fresh[key] if key in fresh else self._rows[key] for key in keys])
        self._keep(fresh)
        return said

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return named arrays for a file; none where nothing was said."""
        if not self._rows:
            return {}
        keys = np.frombuffer(b"".join(self._rows), dtype=np.uint8).reshape(-1, _KEY_BYTES)
        return {"keys": keys, "rows": np.stack(list(self._rows.values()))}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Said":
        """Read what `arrays` gave; from others, that nothing was said."""
        said, keys, rows = cls(), arrays.get("keys"), arrays.get("rows")
        if keys is None or rows is None or keys.shape != (len(rows), _KEY_BYTES):
            return said
        said._keep({key.tobytes(): row for key, row in zip(keys, rows, strict=True)})
        return said

    def _keep(self, fresh: Mapping[bytes, NDArray[np.float64]]) -> None:
        for key, row in fresh.items():
            self._n_free -= row.nbytes + _KEY_BYTES + _BYTES_BESIDE
            if self._n_free < 0:
                return
            # A view would keep the whole array.
            self._rows[key] = row.copy()


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()
