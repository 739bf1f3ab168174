"""An encoder with some of its layers taken out, as a start for a smaller student."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from llm_al.errors import ConfigError, StudentError
from llm_al.students._network import load_encoder, load_tokenizer, without_bars
from llm_al.weights import resolve

__all__ = ["keep_layers"]


def keep_layers(model: str, n_layers: int, folder: Path) -> str:
    """Write an encoder with `n_layers` of its layers, evenly spread from the first to the last [1]_.

    Parameters
    ----------
    model : str
        Encoder: a hub name, a local folder, or ``offline``.
    n_layers : int
        At least 1, at most as many as there are.
    folder : Path
        Where it is written, with its tokeniser; made if need be.

    Returns
    -------
    str
        `folder`, which can be named as a model.

    Raises
    ------
    ConfigError
        If the encoder has fewer layers.
    StudentError
        If its layers cannot be found.

    References
    ----------
    .. [1] Sanh, Debut, Chaumond & Wolf (2019). DistilBERT, a distilled version of BERT. arXiv:1910.01108. They take
           every other layer.
    """
    source = resolve(model)
    loaded, config = load_encoder(source)
    encoder: Any = loaded
    stack: Any = getattr(encoder, "encoder", encoder)
    name = next((name for name in ("layer", "layers") if isinstance(getattr(stack, name, None), nn.ModuleList)), None)
    if name is None:
        raise StudentError(f"the layers of the encoder {model!r} cannot be found; leave n_layers out")
    layers = getattr(stack, name)
    if n_layers > len(layers):
        raise ConfigError(f"n_layers is {n_layers}; the encoder {model!r} has {len(layers)} layers; give at most these")
    kept = np.linspace(0, len(layers) - 1, n_layers).round().astype(int) if n_layers > 1 else [0]
    setattr(stack, name, nn.ModuleList([layers[int(index)] for index in kept]))
    config.num_hidden_layers = encoder.config.num_hidden_layers = n_layers
    with without_bars():
        encoder.save_pretrained(folder)
        load_tokenizer(source).save_pretrained(folder)
    return str(folder)
