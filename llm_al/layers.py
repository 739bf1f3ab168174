"""Other vectors of a text from the same pass of a sentence encoder."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

__all__ = ["N_VIEWS", "first_word", "has_layers", "with_layers"]

N_VIEWS = 3
_FIRST_SHARE = 1 / 3


class _LinedUp(nn.Module):
    """Puts the average of the layers' vectors and the first token's state behind the sentence's own vector."""

    def __init__(self, first_layer: int, first_token: int) -> None:
        super().__init__()
        self.first_layer = first_layer
        self.first_token = first_token

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        layers, mask = features["all_layer_embeddings"], features["attention_mask"].unsqueeze(-1)
        upper = torch.stack([_unit(_mean(states, mask)) for states in layers[self.first_layer :]])
        states = layers[-1]
        first = states[:, min(self.first_token, states.shape[1] - 1)]
        views = [_unit(part) for part in (features["sentence_embedding"], upper.sum(0), first)]
        features["sentence_embedding"] = torch.cat(views, dim=-1)
        return features


def _unit(vectors: Tensor) -> Tensor:
    return nn.functional.normalize(vectors.float(), dim=-1)


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    shares = mask.to(torch.float32)
    return (states.float() * shares).sum(1) / shares.sum(1).clamp(min=1.0)


def first_word(tokenizer: Any) -> int:
    """Return the position of a text's first own token: 1 where the tokeniser puts a special one before it, else 0."""
    framed, bare = (tokenizer(["word"], add_special_tokens=framed)["input_ids"][0] for framed in (True, False))
    return framed.index(bare[0]) if bare else 0


def has_layers(encoder: SentenceTransformer) -> bool:
    """Say whether an encoder has layers, of the width of its vectors; static and projected ones have not."""
    config: Any = getattr(getattr(encoder[0], "auto_model", None), "config", None)
    width, n_layers = getattr(config, "hidden_size", None), getattr(config, "num_hidden_layers", None)
    return bool(n_layers) and width is not None and width == encoder.get_embedding_dimension()


@contextmanager
def with_layers(encoder: SentenceTransformer) -> Iterator[SentenceTransformer]:
    """Let an encoder give three vectors of a text in one row, thrice its width, in the same pass; then as before.

    Its own comes first. The second is the average of its layers from a third of the depth on, each by the mean over its
    tokens: what a text is about shows in the last layer, which was trained on similarity; how it is put shows below it
    [1]_. The third is the last state of the text's first own token: questions begin with the word that says what is
    asked for.

    References
    ----------
    .. [1] Tenney, Das & Pavlick (2019). BERT rediscovers the classical NLP pipeline. ACL 2019.
    """
    inner: Any = encoder[0]
    config, name = inner.auto_model.config, str(len(encoder))
    before, config.output_hidden_states = config.output_hidden_states, True
    first_layer = max(1, round(_FIRST_SHARE * config.num_hidden_layers))
    encoder.add_module(name, _LinedUp(first_layer, first_word(encoder.tokenizer)))
    try:
        yield encoder
    finally:
        config.output_hidden_states = before
        encoder._modules.pop(name)
