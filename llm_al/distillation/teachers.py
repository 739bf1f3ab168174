"""The ensemble that teaches: trained once, read again when a run was interrupted."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from llm_al.distillation.rows import seed_for
from llm_al.loop import Loop
from llm_al.protocols import FittedStudent, Student
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
        digest.update(f"{self.number} {self.loop.plan.seed} {self.recipe!r} {self.loop.corpus.scheme.names}".encode())
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

    def members(self) -> Iterator[FittedStudent]:
        """Yield the members one by one; those that are not there are trained and saved first."""
        for i, path in enumerate(self.paths()):
            if not path.exists():
                self.loop.progress(f"training teacher {i + 1} of {self.n}", 0, 0)
                seed = seed_for(self.loop.plan.seed, self.number, f"teacher {i}")
                self.recipe.fit(self.training, labels=self.loop.corpus.scheme.names, seed=seed).save(path)
            yield load(path)

    def said(self, rows: Positions) -> Said:
        """Return the mean of the members' probabilities on pool rows and on the test split."""
        corpus = self.loop.corpus
        pool = np.zeros((len(rows), len(corpus.scheme)))
        test = None if corpus.test is None else np.zeros((len(corpus.test), len(corpus.scheme)))
        for member in self._said_by_each(rows):
            pool += member.pool / self.n
            if test is not None and member.test is not None:
                test += member.test / self.n
        return Said(pool, test)

    def _said_by_each(self, rows: Positions) -> Iterator[Said]:
        students, corpus = self.loop.students, self.loop.corpus
        members = self.members()
        if self.has_last:
            # The loop has predicted everything with this one, in the columns of today's label list.
            whole = students.pool_proba(self.number, corpus)
            if whole is not None:
                next(members)
                yield Said(np.asarray(whole[rows]), students.test_proba(self.number, corpus))
        for member in members:
            yield self._predicted(member, rows)

    def _predicted(self, member: FittedStudent, rows: Positions) -> Said:
        corpus, parts = self.loop.corpus, []
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            parts.append(member.predict_proba(corpus.texts_at(part), embeddings=corpus.embeddings[part]))
            self.loop.progress("soft labels", start + len(part), len(rows))
        test = None
        if corpus.test is not None:
            test = member.predict_proba(corpus.test.texts, embeddings=corpus.test.embeddings)
        return Said(np.concatenate(parts) if parts else np.zeros((0, len(corpus.scheme))), test)
