import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llm_al.project import Project
from llm_al.web.keeper import RoundKeeper

RUN = """
import sys
from pathlib import Path
from llm_al.project import Project
folder, codes = Path(sys.argv[1]), Path(sys.argv[2])
code, *rest = codes.read_text().split()
codes.write_text(" ".join(rest))
if code == "3":
    with Project.open(folder) as project:
        project.store.enqueue([f"t{len(rest)}"], round=1, reason="x")
print("run says", code)
sys.exit(int(code))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = [{"id": f"t{n}", "text": f"text number {n}"} for n in range(5)]
    Project.create(tmp_path / "p", texts=texts, labels=["a", "b"], settings={"embedder": {"name": "hashing"}}).close()
    return tmp_path / "p"


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30.0
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def keeper(folder: Path, codes: str, said: list[str]) -> RoundKeeper:
    (folder / "codes").write_text(codes)
    return RoundKeeper(folder, said.append, command=[sys.executable, "-c", RUN, str(folder), str(folder / "codes")])


def test_the_next_round_runs_when_all_is_answered_and_the_end_is_told(folder: Path) -> None:
    said: list[str] = []
    with keeper(folder, "3 3 0", said), Project.open(folder) as project:
        for _ in range(2):
            until(lambda: project.n_waiting() == 1)
            (question,) = project.store.pending()
            project.answer(question.example_id, "a", annotator="human:ann")
        until(lambda: bool(said))
    assert said == ["the run is over; see: llm-al status"]


def test_a_run_that_fails_is_told_with_its_last_line_and_not_tried_again(folder: Path) -> None:
    said: list[str] = []
    with keeper(folder, "2 0", said):
        until(lambda: bool(said))
        time.sleep(1.5)
    assert (said, (folder / "codes").read_text()) == (["run says 2"], "0")


def test_a_round_is_interrupted_when_the_server_stops(folder: Path) -> None:
    said: list[str] = []
    started = time.monotonic()
    command = [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(60)"]
    with RoundKeeper(folder, said.append, command=command) as running:
        until(lambda: running._process is not None)
        time.sleep(0.5)
    assert (said, time.monotonic() - started < 20.0) == ([], True)


def test_a_round_that_ignores_an_interrupt_is_ended_all_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_al.web.keeper._INTERRUPTED_WITHIN_S", 0.2)
    deaf = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('begun', flush=True); time.sleep(60)"
    )
    with RoundKeeper(folder, [].append, command=[sys.executable, "-c", deaf]) as running:
        until(lambda: running._process is not None)
        time.sleep(0.5)
    assert running._process is not None
    assert running._process.wait(timeout=10.0) != 0
