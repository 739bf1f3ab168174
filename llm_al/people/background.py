"""Results that take long: made in a thread of their own, once for each state of the store."""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from llm_al.errors import LLMALError

__all__ = ["Background", "Made"]

T = TypeVar("T")

_REST = 20.0
"""So many times the duration of a making passes before the next: at most a twentieth of all time goes into it."""


@dataclass(frozen=True)
class Made(Generic[T]):
    """A result and the moment that it tells of.

    Parameters
    ----------
    value : T
    key : hashable
        State of the store that it was made from.
    as_of_s : float
        Seconds since the epoch.
    """

    value: T
    key: Hashable
    as_of_s: float


class Background(Generic[T]):
    """Makes a result anew when its key has changed, in a thread, and never twice at a time.

    A failure is kept as a sentence; it is tried again when the key changes.

    Parameters
    ----------
    make : callable
        Runs in the thread.
    key : callable
        Quick; runs in the asking thread.

    Attributes
    ----------
    failure : str
        Why the last attempt came to nothing; empty when it did not fail.
    """

    def __init__(self, make: Callable[[], T], key: Callable[[], Hashable]) -> None:
        self.failure = ""
        self._make = make
        self._key = key
        self._made: Made[T] | None = None
        self._tried: Hashable = None
        self._rests_until = 0.0
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def last(self) -> Made[T] | None:
        """The newest result; None before the first."""
        return self._made

    @property
    def is_running(self) -> bool:
        """Whether it is being made now."""
        return self._thread is not None and self._thread.is_alive()

    def look(self, patience_s: float, *, first_s: float | None = None) -> Made[T] | None:
        """Return the newest result, after waiting for a newer one for at most `patience_s`; None when there is none.

        Where there is none yet, the wait is for `first_s` at most, if that is given.
        """
        key = self._key()
        with self._lock:
            thread = self._begin(key)
        if thread is not None:
            thread.join(patience_s if self._made is not None or first_s is None else first_s)
        return self._made

    def join(self, timeout_s: float) -> None:
        """Wait until nothing is being made."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _begin(self, key: Hashable) -> threading.Thread | None:
        if self.is_running:
            return self._thread
        if key == self._tried or (self._made is not None and time.monotonic() < self._rests_until):
            return None
        self._tried = key
        self._thread = threading.Thread(target=self._run, args=(key,), daemon=True, name="llm_al-background")
        self._thread.start()
        return self._thread

    def _run(self, key: Hashable) -> None:
        started_s, started = time.time(), time.monotonic()
        try:
            self._made, self.failure = Made(self._make(), key, started_s), ""
        except LLMALError as exc:
            self.failure = str(exc)
        except Exception as exc:  # a thread has nobody to raise it to; the page shows it
            self.failure = f"it failed with {type(exc).__name__}; see the server's log"
        finally:
            self._rests_until = time.monotonic() + _REST * (time.monotonic() - started)
