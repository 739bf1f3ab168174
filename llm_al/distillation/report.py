"""What distillation cost in accuracy and brought in speed."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["DistilReport", "Measured"]


@dataclass(frozen=True)
class Measured:
    """One of the three: teacher, small student, exported student.

    Parameters
    ----------
    name : str
    accuracy, macro_f1 : float or None
        On what the report's `basis` says; None where there is no label to compare with.
    agreement : float or None
        Share of held-out pool texts on which it says what the teacher says; None where none were held out.
    texts_per_s : float or None
        In batches of 32; None where there was no text to time.
    n_bytes : int
        On disk, with everything that a prediction needs.
    """

    name: str
    accuracy: float | None
    macro_f1: float | None
    agreement: float | None
    texts_per_s: float | None
    n_bytes: int


@dataclass(frozen=True)
class DistilReport:
    """What was distilled into what, and what came of it.

    Parameters
    ----------
    project : str
    round : int
        The last finished one.
    folder : str
        Holds `student` (float32), `onnx` (int8) and this report.
    teacher, student : str
        Their recipes.
    n_teachers, n_human, n_soft, n_held_out : int
        Members of the ensemble; pool texts by what they were for.
    basis : str
        What accuracy is measured on.
    is_seen : bool
        Whether the students have learned from the labels that accuracy is measured on, so that it is too high.
    n_basis : int
        Labels of it.
    n_threads : int
    seconds : float
        Of the whole distillation.
    results : tuple of Measured
        Teacher, student, int8.
    """

    project: str
    round: int
    folder: str
    teacher: str
    student: str
    n_teachers: int
    n_human: int
    n_soft: int
    n_held_out: int
    basis: str
    is_seen: bool
    n_basis: int
    n_threads: int
    seconds: float
    results: tuple[Measured, ...]

    @property
    def accuracy_lost(self) -> float | None:
        """Accuracy of the teacher minus that of the exported student; None where there is no label."""
        first, last = self.results[0].accuracy, self.results[-1].accuracy
        return None if first is None or last is None else first - last

    @property
    def speed_up(self) -> float | None:
        """Texts a second of the exported student, in multiples of the teacher's."""
        first, last = self.results[0].texts_per_s, self.results[-1].texts_per_s
        return None if not first or not last else last / first

    def to_json(self) -> dict[str, Any]:
        """Return plain values, with what follows from them."""
        return {**asdict(self), "accuracy_lost": self.accuracy_lost, "speed_up": self.speed_up}

    def write(self, path: Path) -> None:
        """Write `to_json` to a file."""
        path.write_text(json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def rows(self) -> list[dict[str, str]]:
        """Return one row of text a student."""
        first = self.results[0].accuracy
        return [
            {
                "student": each.name,
                "accuracy": _figure(each.accuracy, ".3f"),
                "lost": _figure(None if first is None or each.accuracy is None else first - each.accuracy, "+.3f"),
                "macro-F1": _figure(each.macro_f1, ".3f"),
                "as teacher": _figure(each.agreement, ".1%"),
                "texts/s": _figure(each.texts_per_s, ",.0f"),
                "MB": f"{each.n_bytes / 1e6:,.1f}",
            }
            for each in self.results
        ]

    def lines(self) -> list[str]:
        """Return what stands below the table."""
        seen = "; all of them have learned from these, so it is too high" if self.is_seen else ""
        held_out = f'"as teacher": share of {self.n_held_out:,} pool texts that nothing learned from'
        return [
            f"accuracy on {self.basis}{seen}",
            *([held_out] if self.n_held_out else []),
            f"texts/s in batches of 32, {self.n_threads} thread{'s' if self.n_threads > 1 else ''}",
            f"learned from {self.n_human:,} labels of people and {self.n_soft:,} soft labels of {_many(self)}",
            f"read it with: llm_al.load_student({str(Path(self.folder) / 'onnx')!r})",
        ]


def _many(report: DistilReport) -> str:
    return f"{report.n_teachers} teachers" if report.n_teachers > 1 else "one teacher"


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else format(value, form)
