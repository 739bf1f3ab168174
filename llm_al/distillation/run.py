"""From a finished round to a small exported student and what it is worth."""

import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from llm_al.assembly import Assembly
from llm_al.distillation.figures import Figures
from llm_al.distillation.report import DistilReport, Measured
from llm_al.distillation.rows import Draw, draw_rows, last_mixture, seed_for
from llm_al.distillation.settings import DistilSettings, read_settings
from llm_al.distillation.small import Small
from llm_al.distillation.teachers import Said, Teachers
from llm_al.loop import Loop
from llm_al.protocols import Progress, Student
from llm_al.students.distilled import check_export, export
from llm_al.students.head import Head
from llm_al.students.onnx_student import OnnxSettings
from llm_al.students.transformer import Transformer
from llm_al.supervision import Mixture

__all__ = ["Distillation", "distil"]

_MOST_THREADS = 4
_PREFIX = "distilled-"


@dataclass(frozen=True, eq=False)
class Distillation:
    """Distils the last round of a project; call `run` under the project lock.

    Parameters
    ----------
    assembly : Assembly
    loop : Loop
        Over the project, for reading.
    number : int
        The last finished round, which has a student.
    settings : DistilSettings
    """

    assembly: Assembly
    loop: Loop
    number: int
    settings: DistilSettings

    def run(self) -> DistilReport:
        """Train, export and measure; the folder in `exports` is whole or absent.

        What was trained stays in the project's cache, so that a run that was stopped goes on where it was.

        Raises
        ------
        MissingExtraError
            If a package is not installed.
        ConfigError, StudentError
            If an encoder cannot be found, or a student cannot be trained or exported.
        """
        started, small = time.perf_counter(), self._small
        self._teachers.remove_others()
        draw, said = self._draw, self._said
        n_soft = len(draw.soft)
        self._say(f"training the small student on {n_soft + len(draw.human):,} texts")
        student = small.fit(draw, said.pool[:n_soft], self._teachers.folder, seed=self._seed("small"))
        with _new_folder(self.assembly.folder / "exports") as (fresh, final):
            student.save(fresh / "student")
            self._say("exporting")
            exported = export(student, fresh / "onnx", OnnxSettings(n_threads=self.settings.n_threads))
            self._say("measuring")
            results = self._figures.results(student, exported, fresh)
            report = self._report(results, final, time.perf_counter() - started)
            report.write(fresh / "report.json")
        return report

    # What it stands on, each made once.

    @cached_property
    def _mixture(self) -> Mixture:
        return last_mixture(self.loop, self.number)

    @cached_property
    def _draw(self) -> Draw:
        rng = np.random.default_rng(self._seed("draw"))
        return draw_rows(self._mixture, self.loop.situation.answers(), self.settings.max_rows, rng)

    @cached_property
    def _small(self) -> Small:
        return Small(self.assembly, self.loop.corpus, self.settings)

    @cached_property
    def _teachers(self) -> Teachers:
        has_last = self.settings.teacher_model is None
        recipe = self.loop.students.student if has_last else self._large()
        # A head is the same whatever its seed.
        n = 1 if isinstance(recipe, Head) else self.settings.n_teachers
        training = self._mixture.training_set(self.loop.corpus)
        return Teachers(self.loop, self.number, recipe, training, n, has_last)

    @cached_property
    def _said(self) -> Said:
        """What the teachers say of the rows with soft labels, those held out and those of people, in this order."""
        return self._teachers.said(np.concatenate([self._draw.soft, self._draw.held_out, self._draw.human]))

    def _large(self) -> Student:
        config, model = self.assembly.config.student, str(self.settings.teacher_model)
        inside = self.assembly.folder / model
        options: dict[str, Any] = dict(config.options) if config.name == "transformer" else {}
        return Transformer(**{**options, "model": str(inside) if inside.is_dir() else model})

    @cached_property
    def _figures(self) -> Figures:
        return Figures(
            self.assembly, self.loop.corpus, self._draw, self._teachers, self._said, self._small, self._n_threads
        )

    @cached_property
    def _n_threads(self) -> int:
        return self.settings.n_threads or min(os.cpu_count() or 1, _MOST_THREADS)

    def _report(self, results: tuple[Measured, ...], folder: Path, seconds: float) -> DistilReport:
        n, is_seen = len(self._figures.truth), self._figures.is_seen
        layers = "" if self.settings.n_layers is None else f", {self.settings.n_layers} layers"
        return DistilReport(
            project=self.assembly.config.name,
            round=self.number,
            folder=str(folder),
            teacher=repr(self._teachers.recipe),
            student=repr(self._small.recipe) + layers,
            n_teachers=self._teachers.n,
            n_human=len(self._draw.human),
            n_soft=len(self._draw.soft),
            n_held_out=len(self._draw.held_out),
            basis=f"{n:,} labels of people, as there is no test split" if is_seen else f"the test split, {n:,} texts",
            is_seen=is_seen,
            n_basis=n,
            n_threads=self._n_threads,
            seconds=round(seconds, 1),
            results=results,
        )

    def _seed(self, step: str) -> int:
        return seed_for(self.loop.plan.seed, self.number, f"distil {step}")

    def _say(self, what: str) -> None:
        self.loop.progress(what, 0, 0)


def distil(assembly: Assembly, number: int, options: Mapping[str, Any], progress: Progress) -> DistilReport:
    """Distil a finished round; see `Distillation.run`.

    Parameters
    ----------
    assembly : Assembly
    number : int
        Of the round; it has a student.
    options : mapping
        Fields of `DistilSettings`.
    progress : callable
    """
    settings = read_settings(options)
    # Before the pool is embedded.
    check_export()
    return Distillation(assembly, assembly.loop(progress), number, settings).run()


@contextmanager
def _new_folder(exports: Path) -> Iterator[tuple[Path, Path]]:
    """Give an empty folder and the numbered one that it becomes when the block ends well."""
    exports.mkdir(exist_ok=True)
    for leftover in exports.glob(f".{_PREFIX}*.new"):
        shutil.rmtree(leftover, ignore_errors=True)
    taken = [path.name.removeprefix(_PREFIX) for path in exports.glob(f"{_PREFIX}*")]
    number = 1 + max((int(name) for name in taken if name.isdecimal()), default=0)
    final = exports / f"{_PREFIX}{number}"
    fresh = exports / f".{final.name}.{uuid.uuid4().hex[:8]}.new"
    fresh.mkdir()
    try:
        yield fresh, final
        fresh.rename(final)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
