"""The small student of a project: what it is, what it learns from, and where it lies until it is exported."""

import hashlib
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from llm_al.assembly import Assembly
from llm_al.corpus import Corpus
from llm_al.distillation.rows import Draw
from llm_al.distillation.settings import DistilSettings
from llm_al.errors import ConfigError
from llm_al.protocols import FittedStudent, Student
from llm_al.students.distilled import small_student, soft_training_set
from llm_al.students.saved import load
from llm_al.students.shrunk import keep_layers
from llm_al.types import Embeddings, Positions, Proba, TrainingSet

__all__ = ["Small"]


@dataclass(frozen=True)
class Small:
    """Trains the small student of a project.

    Parameters
    ----------
    assembly : Assembly
    corpus : Corpus
    settings : DistilSettings

    Raises
    ------
    ConfigError
        If the settings ask for something that cannot be exported.
    """

    assembly: Assembly
    corpus: Corpus
    settings: DistilSettings

    def __post_init__(self) -> None:
        embedder = self.assembly.config.embedder.name
        if self.settings.student == "head" and self.settings.model is None and embedder != "sentence":
            raise ConfigError(
                f"a head on vectors of the embedder {embedder!r} cannot be exported; distil into a transformer, "
                "or name a sentence encoder as model"
            )

    @property
    def model(self) -> str:
        """Its encoder; a folder beside `project.yaml` is found from anywhere."""
        config = self.assembly.config
        trained = None if self.settings.student == "head" else config.student.model
        model = self.settings.model or trained or config.embedder.model
        inside = self.assembly.folder / model
        return str(inside) if inside.is_dir() else model

    @property
    def recipe(self) -> Student:
        """How it is trained."""
        return small_student(self.settings.student, self.model, self.settings.options)

    def fit(self, draw: Draw, soft: Proba, folder: Path, *, seed: int) -> FittedStudent:
        """Train it and keep it in `folder`, or read it there if a run before got so far.

        Parameters
        ----------
        draw : Draw
        soft : ndarray of shape (m, c)
            What the teachers say of the rows with soft labels.
        folder : Path
            Holds one folder for each small student, named by what it learned from.
        seed : int
        """
        path = folder / f"small-{self._fingerprint(draw, soft, seed)}"
        if not path.exists():
            self._trained(self._training_set(draw, soft), seed).save(path)
        return load(path)

    def vectors(self, embeddings: Embeddings) -> Embeddings | None:
        """Return the project's vectors if the small student works on them."""
        return embeddings if self.settings.student == "head" and self.settings.model is None else None

    def _training_set(self, draw: Draw, soft: Proba) -> TrainingSet:
        human = TrainingSet(
            self.corpus.texts_at(draw.human), draw.targets, np.ones(len(draw.human)), self._vectors_at(draw.human)
        )
        return soft_training_set(
            human,
            self.corpus.texts_at(draw.soft),
            soft,
            self.settings.human_weight,
            vectors=self._vectors_at(draw.soft),
        )

    def _vectors_at(self, rows: Positions) -> Embeddings | None:
        return self.vectors(self.corpus.vectors[rows])

    def _trained(self, training: TrainingSet, seed: int) -> FittedStudent:
        labels = self.corpus.scheme.names
        if self.settings.n_layers is None:
            return self.recipe.fit(training, labels=labels, seed=seed)
        with tempfile.TemporaryDirectory(prefix="llm_al-layers-") as scratch:
            shrunk = keep_layers(self.model, self.settings.n_layers, Path(scratch))
            fitted: Any = replace(cast(Any, self.recipe), model=shrunk).fit(training, labels=labels, seed=seed)
            # The scratch folder is gone when somebody reads where the student came from.
            return cast(FittedStudent, replace(fitted, student=replace(fitted.student, model=self.model)))

    def _fingerprint(self, draw: Draw, soft: Proba, seed: int) -> str:
        digest = hashlib.blake2b(f"{seed} {self.settings!r} {self.recipe!r}".encode(), digest_size=8)
        for array in (draw.human, draw.targets, draw.soft, soft):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()
