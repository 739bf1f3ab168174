"""What is distilled into what."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from llm_al.errors import ConfigError

__all__ = ["DistilSettings", "read_settings"]


@dataclass(frozen=True)
class DistilSettings:
    """How a project's last round is distilled.

    Parameters
    ----------
    student : str
        ``transformer`` or ``head``: what the small student is.
    model : str or None
        Its encoder; None takes the project's.
    n_layers : int or None
        Keep so many layers of that encoder, evenly spread; None keeps all of them.
    teacher_model : str or None
        Encoder of the teachers, usually a larger one. None takes the project's student: that of the last round, and
        `n_teachers` - 1 more with other seeds.
    n_teachers : int
        Size of the ensemble.
    max_rows : int
        Pool texts that the small student learns from, beside those that people labelled; drawn at random where there
        are more.
    human_weight : float
        Weight of a label of a person; a soft label weighs 1.
    n_threads : int or None
        CPU threads for the figures on speed, and for the exported student; None takes up to four.
    options : mapping
        Constructor fields of the small student.
    """

    student: str = "transformer"
    model: str | None = None
    n_layers: int | None = None
    teacher_model: str | None = None
    n_teachers: int = 3
    max_rows: int = 20_000
    human_weight: float = 3.0
    n_threads: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.student not in ("head", "transformer"):
            raise ConfigError(f"the small student is {self.student!r}; choose from: head, transformer")
        for name in ("n_layers", "n_teachers", "max_rows", "n_threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"distillation {name} is {value}; it must be at least 1")
        if not self.human_weight > 0:
            raise ConfigError(f"distillation human_weight is {self.human_weight}; it must be above 0")
        if self.student == "head" and self.n_layers is not None:
            raise ConfigError("n_layers belongs to a transformer; a head uses the encoder as it is; leave n_layers out")


def read_settings(options: Mapping[str, Any]) -> DistilSettings:
    """Return settings from keyword arguments.

    Raises
    ------
    ConfigError
        If one is unknown or out of range.
    """
    allowed = sorted(each.name for each in fields(DistilSettings))
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise ConfigError(f"distillation has no option {unknown[0]!r}; allowed: {', '.join(allowed)}")
    return DistilSettings(**options)
