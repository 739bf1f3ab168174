import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from llm_al.errors import ProjectLockedError
from llm_al.store import ProjectLock

HOLDER = """
import sys
from pathlib import Path
from llm_al.store import ProjectLock
with ProjectLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    message = f"project {re.escape(str(tmp_path))} is in use by process {holder.pid} on .* since 2.*wait until it ends"
    with pytest.raises(ProjectLockedError, match=message), ProjectLock(tmp_path):
        pass
    holder.communicate("\n")
    with ProjectLock(tmp_path):
        pass


def test_a_killed_holder_locks_nobody_out(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert json.loads((tmp_path / ".lock").read_text())["pid"] == holder.pid
    with ProjectLock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()


def test_a_second_lock_of_the_same_process_is_refused(tmp_path: Path) -> None:
    with (
        ProjectLock(tmp_path),
        pytest.raises(ProjectLockedError, match=f"process {os.getpid()}"),
        ProjectLock(tmp_path),
    ):
        pass


def test_a_lock_can_be_taken_again_after_an_error(tmp_path: Path) -> None:
    lock = ProjectLock(tmp_path)
    with pytest.raises(KeyError), lock:
        raise KeyError("x")
    assert (tmp_path / ".lock").read_text() == ""
    with lock:
        pass


def test_a_holder_that_has_not_written_its_name_yet_is_still_refused(tmp_path: Path) -> None:
    with ProjectLock(tmp_path):
        (tmp_path / ".lock").write_text("")
        with pytest.raises(ProjectLockedError, match="another process that has just started"), ProjectLock(tmp_path):
            pass
