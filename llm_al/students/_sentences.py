"""A fixed sentence encoder, for students that learn on its vectors."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from llm_al.errors import StudentError
from llm_al.layers import N_VIEWS, has_layers, with_layers
from llm_al.students._batches import clean
from llm_al.students._network import choose_device, without_bars

__all__ = ["encode", "encode_views", "load_sentence_encoder"]


def load_sentence_encoder(folder: str, *, max_tokens: int, device: str | None) -> SentenceTransformer:
    """Return the encoder in a local folder; its own limit on tokens is kept where it is lower.

    Raises
    ------
    StudentError
        If sentence-transformers cannot load it.
    """
    try:
        with without_bars():
            encoder = SentenceTransformer(folder, device=str(choose_device(device)), local_files_only=True)
    except (OSError, ValueError, KeyError) as exc:
        raise StudentError(f"cannot load the sentence encoder in {folder}: {exc}; name another encoder") from exc
    own_limit = encoder.max_seq_length or max_tokens
    encoder.max_seq_length = min(own_limit, max_tokens)
    return encoder


def encode(encoder: SentenceTransformer, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return unit-length vectors, shape (n, d), float32; n >= 1."""
    readable = clean(texts, encoder.max_seq_length or 512)
    vectors = encoder.encode(readable, batch_size=64, normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(vectors, dtype=np.float32)


def encode_views(encoder: SentenceTransformer, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return all views, (n, v, d), float32; (n, d) from an encoder without layers of its own width."""
    if not has_layers(encoder):
        return encode(encoder, texts)
    readable = clean(texts, encoder.max_seq_length or 512)
    with with_layers(encoder) as both:
        vectors = both.encode(readable, batch_size=64, show_progress_bar=False)
    return np.asarray(vectors, dtype=np.float32).reshape(len(readable), N_VIEWS, -1)
