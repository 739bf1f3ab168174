"""From a folder of weights to a network that can be trained or loaded into."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from llm_al.layers import first_word
from llm_al.students._compiled import Compiled
from llm_al.students._network import Network, choose_device, load_encoder, load_tokenizer, longest_input

__all__ = ["Assembly", "read_assembly"]


@dataclass(frozen=True, eq=False)
class Assembly:
    """What a fine-tuned student consists of, but for its head.

    Parameters
    ----------
    encoder : nn.Module
    config, tokenizer
        Of transformers.
    max_tokens : int
        Longer texts are cut.
    """

    encoder: nn.Module
    config: Any
    tokenizer: Any
    max_tokens: int

    def network(self, student: Any, n_classes: int, pooling: str) -> Network:
        """Return the network of a `Transformer` on its device, with a head that knows nothing."""
        network = Network(
            self.encoder,
            self.config.hidden_size,
            n_classes,
            student.scale,
            student.precision,
            pooling=pooling,
            first=first_word(self.tokenizer),
        )
        if student.compile:
            network.wrap = Compiled
        return network.to(choose_device(student.device))


def read_assembly(folder: str | Path, max_tokens: int, *, has_weights: bool = True) -> Assembly:
    """Return the encoder in a local folder with its tokeniser; without weights, its shape only.

    Raises
    ------
    StudentError
        If transformers cannot read them.
    """
    encoder, config = load_encoder(folder, has_weights=has_weights)
    tokenizer = load_tokenizer(folder)
    return Assembly(encoder, config, tokenizer, longest_input(config, tokenizer, max_tokens))
