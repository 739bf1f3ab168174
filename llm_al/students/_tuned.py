"""The fine-tuned encoders of a blend: of two kinds, of this round and of those before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_al.errors import StudentError
from llm_al.protocols import FittedStudent
from llm_al.students._folder import read_arrays, replace_arrays
from llm_al.students._said import Said
from llm_al.students.saved import load
from llm_al.types import Proba

__all__ = ["Tuned", "read_tuned", "told", "weights_of", "with_earlier", "write_said", "write_tuned"]

_SAID = "said.safetensors"

_TAUGHT_WEIGHT, _OWN_WEIGHT = 2.0, 1.0


@dataclass(frozen=True, eq=False)
class Tuned:
    """One of them.

    Parameters
    ----------
    student : FittedStudent
    n_labels : int
        Labels of people that it learned from.
    is_taught : bool
        Whether it has learned what the head holds of the pool; else it has trained itself.
    said : Said
        What it has said of texts.
    """

    student: FittedStudent
    n_labels: int
    is_taught: bool
    said: Said = field(default_factory=Said, repr=False)

    def predict_proba(self, texts: Sequence[str]) -> Proba:
        """Return probabilities, shape (n, c); texts of before are not read again."""
        return self.said.of(texts, self.student.predict_proba)

    @property
    def weight(self) -> float:
        """What its kind counts: one that was taught knows what two know."""
        return _TAUGHT_WEIGHT if self.is_taught else _OWN_WEIGHT


def weights_of(tuned: Sequence[Tuned]) -> list[float]:
    """Return what each of them counts, where a head counts 1 for each of its views; a kind shares what it counts."""
    return [one.weight / sum(other.is_taught is one.is_taught for other in tuned) for one in tuned]


def with_earlier(
    tuned: Sequence[Tuned], earlier: Sequence[Tuned], n_each: int, least_known: float
) -> tuple[Tuned, ...]:
    """Return them with up to `n_each` earlier ones of each kind, the newest first, that knew nearly as many labels.

    Parameters
    ----------
    tuned : sequence of Tuned
        Of this round; at least one.
    earlier : sequence of Tuned
        The newest first.
    n_each : int
    least_known : float
        Share of this round's labels that an earlier one must have learned from.
    """
    fit = [one for one in earlier if one.n_labels >= least_known * tuned[0].n_labels]
    taught, own = ([one for one in fit if one.is_taught is kind] for kind in (True, False))
    return (*tuned, *taught[:n_each], *own[:n_each])


def told(tuned: Sequence[Tuned]) -> dict[str, Any]:
    """Return what a blend's header says of them."""
    return {"n_labels": [one.n_labels for one in tuned], "taught": [one.is_taught for one in tuned]}


def write_tuned(folder: Path, tuned: Sequence[Tuned]) -> None:
    """Save each in a folder of its own, with what it has said."""
    for name, one in zip(_names(len(tuned)), tuned, strict=True):
        one.student.save(folder / name)
    write_said(folder, tuned)


def write_said(folder: Path, tuned: Sequence[Tuned]) -> None:
    """Write what each has said beside it, in the place of what was there.

    It only saves time: where it cannot be written, texts are read again.
    """
    for name, one in zip(_names(len(tuned)), tuned, strict=True):
        replace_arrays(folder / name / _SAID, one.said.arrays())


def read_tuned(folder: Path, said: Mapping[str, Any], n_labels: Sequence[int]) -> tuple[Tuned, ...]:
    """Read what `write_tuned` wrote.

    Parameters
    ----------
    folder : Path
    said : mapping
        What the header says of them; a blend of before there were two kinds says one word for all.
    n_labels : sequence of int
        Of each.

    Raises
    ------
    StudentError
        If one is missing or damaged.
    """
    taught = said.get("taught", [said.get("is_taught", False)] * len(n_labels))
    parts = zip(_names(len(n_labels)), n_labels, taught, strict=True)
    return tuple(
        Tuned(load(folder / name), int(n), bool(is_taught), _read_said(folder / name)) for name, n, is_taught in parts
    )


def _read_said(folder: Path) -> Said:
    try:
        return Said.from_arrays(read_arrays(folder / _SAID))
    except StudentError:
        return Said()


def _names(n_tuned: int) -> list[str]:
    """Return the folders, in the order in which they are kept."""
    return ["transformer", *(f"transformer-{i}" for i in range(1, n_tuned))][:n_tuned]
