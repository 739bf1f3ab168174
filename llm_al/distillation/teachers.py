"""The ensemble that teaches: trained once, read again when a run was interrupted."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from llm_al.corpus import TestSplit
from llm_al.distillation.rows import seed_for
from llm_al.loop import Loop
from llm_al.protocols import FittedStudent, Student
from llm_al.store.files import Artefacts
from llm_al.students.saved import load
from llm_al.types import Positions, Proba, TrainingSet

__all__ = ["Said", "Teachers"]

_CHUNK = 4096


@dataclass(frozen=True)
class Said:
    """What the ensemble says.

    Parameters
    ----------
    pool : ndarray of shape (r, c)
        Of the rows that were asked for, in their order.
    test : ndarray of shape (t, c) or None
        Of the test split; None without one.
    """

    pool: Proba
    test: Proba | None


@dataclass(frozen=True, eq=False)
class Teachers:
    """The members of the ensemble, and where they lie.

    Parameters
    ----------
    loop : Loop
    number : int
        The last finished round.
    recipe : Student
        Trains those that are not there yet.
    training : TrainingSet
        What all of them learn from.
    n : int
    has_last : bool
        Whether the student of the round is the first of them.
    """

    loop: Loop
    number: int
    recipe: Student
    training: TrainingSet
    n: int
    has_last: bool

    @property
    def folder(self) -> Path:
        """Where trained members lie: a cache, so that it may be deleted at any time."""
        return self.loop.students.cache.folder / "distil" / self.fingerprint

    @cached_property
    def fingerprint(self) -> str:
        """Changes with everything that a member depends on, but for its seed."""
        digest = hashlib.blake2b(digest_size=8)
        names, catch_all = self.loop.corpus.scheme.names, self.training.catch_all
        digest.update(f"{self.number} {self.loop.plan.seed} {self.recipe!r} {names} {catch_all}".encode())
        for text in self.training.texts:
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
        digest.update(np.ascontiguousarray(self.training.targets).tobytes())
        digest.update(np.ascontiguousarray(self.training.weights).tobytes())
        return digest.hexdigest()

    def remove_others(self) -> None:
        """Delete members of earlier rounds and settings; call it under the project lock."""
        for other in self.folder.parent.glob("*"):
            if other.is_dir() and other != self.folder:
                shutil.rmtree(other, ignore_errors=True)

    def paths(self) -> list[Path]:
        """Return the folder of each member."""
        own = [self.loop.students.path(self.number)] if self.has_last else []
        return own + [self.folder / f"teacher-{i}" for i in range(len(own), self.n)]

    def member(self, i: int) -> FittedStudent:
        """Return a member; one that is not there yet is trained and saved first."""
        path = self.paths()[i]
        if not path.exists():
            self.loop.progress(f"training teacher {i + 1} of {self.n}", 0, 0)
            seed = seed_for(self.loop.plan.seed, self.number, f"teacher {i}")
            self.recipe.fit(self.training, labels=self.loop.corpus.scheme.names, seed=seed).save(path)
        return load(path)

    def said(self, rows: Positions) -> Said:
        """Return the mean of the members' probabilities on pool rows and on the test split."""
        members = [self._said_by(i, rows) for i in range(self.n)]
        tests = [member.test for member in members if member.test is not None]
        return Said(_mean([member.pool for member in members]), _mean(tests) if tests else None)

    def _said_by(self, i: int, rows: Positions) -> Said:
        students, corpus = self.loop.students, self.loop.corpus
        if i == 0 and self.has_last:
            # The loop has predicted everything with this one, in the columns of today's label list.
            whole = students.pool_proba(self.number, corpus)
            if whole is not None:
                return Said(np.asarray(whole[rows]), students.test_proba(self.number, corpus))
        asked = hashlib.blake2b(np.ascontiguousarray(rows).tobytes(), digest_size=8).hexdigest()
        pool = self._kept(f"{i}-{asked}", len(rows), lambda: self._predicted(self.member(i), rows))
        if (test := corpus.test) is None:
            return Said(pool, None)
        return Said(pool, self._kept(f"{i}-test", len(test), lambda: _tested(self.member(i), test)))

    def _kept(self, name: str, n_rows: int, predict: Callable[[], Proba]) -> Proba:
        """Return predictions, read again where a run before has made them."""
        files = Artefacts(self.folder)
        found = files.load_array("proba", name, n_rows=n_rows)
        if found is None:
            found = predict()
            files.save_array("proba", name, found)
        return np.asarray(found, dtype=np.float64)

    def _predicted(self, member: FittedStudent, rows: Positions) -> Proba:
        corpus, parts = self.loop.corpus, [np.zeros((0, len(self.loop.corpus.scheme)))]
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            parts.append(member.predict_proba(corpus.texts_at(part), embeddings=corpus.vectors[part]))
            self.loop.progress("soft labels", start + len(part), len(rows))
        return np.concatenate(parts)


def _tested(member: FittedStudent, test: TestSplit) -> Proba:
    return member.predict_proba(test.texts, embeddings=test.vectors)


def _mean(parts: Sequence[Proba]) -> Proba:
    mean: Proba = np.mean(parts, axis=0)
    return mean
