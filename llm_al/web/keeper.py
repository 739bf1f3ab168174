"""Runs the next round whenever people have answered everything, so that nobody has to start it by hand."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from llm_al.project import Project
from llm_al.store.lock import is_held

__all__ = ["RoundKeeper"]

_LOOK_EVERY_S = 1.0
_INTERRUPTED_WITHIN_S = 10.0
_DONE, _WAITING = 0, 3
"""Exit codes of ``llm-al run``: stopped for good, and people have to answer."""


class RoundKeeper:
    """Looks every second whether a round is due and runs it in a process of its own.

    A round trains a model; in the server's process that would make every answer wait. It stops when the run says that
    it is over, or fails: then the last line that it printed is handed on.

    Parameters
    ----------
    folder : Path
    say : callable
        Takes one line for whoever started the server.
    command : sequence of str
        What runs rounds.
    """

    def __init__(self, folder: Path, say: Callable[[str], object], *, command: Sequence[str] | None = None) -> None:
        self._folder = folder
        self._say = say
        self._command = list(command or (sys.executable, "-m", "llm_al.cli", "run", str(folder)))
        self._stopping = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._keep, name="rounds", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        if (process := self._process) is not None and process.poll() is None:
            # A run that is interrupted has saved everything and goes on from there.
            process.send_signal(signal.SIGINT)
            self._thread.join(timeout=_INTERRUPTED_WITHIN_S)
            if process.poll() is None:
                # A server that a script put into the background hands on that SIGINT is ignored.
                process.terminate()
        self._thread.join(timeout=30.0)

    def _keep(self) -> None:
        with Project.open(self._folder) as project:
            while not self._stopping.is_set():
                if not project.n_waiting() and not is_held(self._folder) and not self._run():
                    return
                self._stopping.wait(_LOOK_EVERY_S)

    def _run(self) -> bool:
        """Run rounds until people have to answer; False when that was the last time."""
        pipe = subprocess.PIPE
        with subprocess.Popen(self._command, stdout=pipe, stderr=subprocess.STDOUT, text=True, encoding="utf-8") as run:
            self._process = run
            said = [line.rstrip() for line in run.stdout or () if line.strip()]
            code = run.wait()
        if self._stopping.is_set() or code == _WAITING:
            return True
        self._say(said[-1] if code != _DONE and said else "the run is over; see: llm-al status")
        return False
