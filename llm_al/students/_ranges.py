"""What the settings of a transformer may be."""

from typing import Any

from llm_al.errors import ConfigError
from llm_al.students._pooling import POOLINGS
from llm_al.students._precision import PRECISIONS

__all__ = ["check_settings"]

_CHOICES: dict[str, tuple[Any, ...]] = {
    "start": ("fresh", "warm"),
    "head_start": ("zeros", "linear"),
    "pooling": POOLINGS,
    "precision": PRECISIONS,
    "lora": ("auto", True, False),
}
_AT_LEAST_ONE = ("epochs", "batch_size", "max_steps", "max_tokens", "max_batch_tokens", "lora_rank")
_ONE_OR_NONE = ("n_threads", "n_fold_fits")
_POSITIVE = ("encoder_lr", "head_lr", "scale", "temperature", "lora_lr", "max_grad_norm")
_NOT_NEGATIVE = ("stop_loss", "patience", "weight_decay", "min_steps")
_SHARES = ("class_weight", "min_human_share")


def check_settings(student: Any) -> None:
    """Refuse settings of a recipe that are out of range.

    Raises
    ------
    ConfigError
        Naming the setting, its value and what is allowed.
    """
    found = {name: getattr(student, name) for name in (*_AT_LEAST_ONE, *_ONE_OR_NONE, *_POSITIVE, *_NOT_NEGATIVE)}
    for name in _AT_LEAST_ONE:
        _check(name, found[name], found[name] >= 1, "it must be at least 1")
    for name in _ONE_OR_NONE:
        _check(name, found[name], found[name] is None or found[name] >= 1, "it must be at least 1, or null")
    n_frozen = student.n_frozen_layers
    _check("n_frozen_layers", n_frozen, n_frozen is None or n_frozen >= 0, "it must be at least 0, or null for a third")
    for name in _POSITIVE:
        _check(name, found[name], found[name] > 0, "it must be above 0")
    for name in _NOT_NEGATIVE:
        _check(name, found[name], found[name] >= 0, "it must be at least 0")
    _check_shares(student)
    for name, allowed in _CHOICES.items():
        value = getattr(student, name)
        names = ", ".join(str(choice).lower() for choice in allowed)
        _check(name, repr(value), value in allowed, f"choose from: {names}")


def _check_shares(student: Any) -> None:
    for name in _SHARES:
        value = getattr(student, name)
        _check(name, value, 0 <= value <= 1, "it must be in [0, 1]")
    _check("own_start", student.own_start, 0 < student.own_start <= 1, "it is a share of the steps, in (0, 1]")
    _check("warmup", student.warmup, 0 <= student.warmup < 1, "it is a share of the steps, in [0, 1)")
    smoothing, decay = student.label_smoothing, student.layer_decay
    _check("label_smoothing", smoothing, 0 <= smoothing < 1, "it must be in [0, 1)")
    _check("layer_decay", decay, 0 < decay <= 1, "it must be in (0, 1]")


def _check(name: str, value: object, is_allowed: bool, allowed: str) -> None:
    if not is_allowed:
        raise ConfigError(f"transformer {name} is {value}; {allowed}")
