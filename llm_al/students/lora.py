"""Low-rank adaptation: large encoders learn through small matrices beside their frozen weights."""

import importlib.util
import logging
import warnings
from typing import Any

from torch import nn

from llm_al.errors import MissingExtraError, StudentError

__all__ = ["LARGE", "merged", "wants_lora", "with_adapters"]

LARGE = 300_000_000
"""Parameters of an encoder above which it is adapted instead of trained, unless told otherwise."""

_log = logging.getLogger(__name__)


def wants_lora(encoder: nn.Module, setting: bool | str) -> bool:
    """Say whether an encoder is to be adapted.

    Parameters
    ----------
    encoder : nn.Module
    setting : bool or "auto"
        "auto" adapts encoders of more than `LARGE` parameters where peft is installed, and warns where it is not.

    Raises
    ------
    MissingExtraError
        If `setting` is True and peft is absent.
    """
    if setting is False or (setting == "auto" and sum(p.numel() for p in encoder.parameters()) <= LARGE):
        return False
    if importlib.util.find_spec("peft") is not None:
        return True
    advice = 'install it with: pip install "llm-al[lora]"'
    if setting is True:
        raise MissingExtraError(f"low-rank adaptation needs an extra package; {advice}")
    _log.warning("the encoder is large and is trained whole, as low-rank adaptation needs an extra package; %s", advice)
    return False


def with_adapters(encoder: nn.Module, rank: int) -> nn.Module:
    """Return the encoder with trainable low-rank matrices beside every linear layer; all else is frozen [1]_.

    The update is scaled by 2, that is alpha = 2 * rank, and starts at zero.

    Raises
    ------
    StudentError
        If peft cannot adapt this encoder.

    References
    ----------
    .. [1] Hu, Shen, Wallis, Allen-Zhu, Li, Wang, Wang & Chen (2022). LoRA: low-rank adaptation of large language
           models. ICLR 2022.
    """
    # Heavy, and needed for large encoders only.
    import peft

    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    model: Any = encoder
    try:
        # The library itself calls what transformers is about to rename; nobody here can act on it.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            adapted: nn.Module = peft.get_peft_model(model, config)
    except (ValueError, TypeError) as exc:
        raise StudentError(f"the encoder cannot be adapted ({exc}); set lora: false or name another encoder") from exc
    return adapted


def merged(encoder: nn.Module) -> nn.Module:
    """Return the plain encoder with the adapters added into its weights; nothing of peft remains."""
    adapted: Any = encoder
    plain: nn.Module = adapted.merge_and_unload()
    return plain.requires_grad_(True)
