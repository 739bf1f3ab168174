import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_al.project import Project
from llm_al.store.files import Artefacts
from llm_al.student_files import StudentFiles
from llm_al.types import Annotation, AnnotatorKind, Example

ROOT = Path(__file__).parents[1]
SMALL: dict[str, Any] = {
    "strategy": {"initial": 6, "human_per_round": 3, "llm_per_round": 6},
    "budget": {"human_labels": 12, "llm_usd": 0.0},
}
Make = Callable[..., Project]


class CrashError(Exception):
    """A process that ends here."""


class CrashingStore:
    """Passes every call on, and crashes once before and once after each write that it has not seen yet."""

    WRITES = frozenset(
        ("add_annotations", "add_decisions", "enqueue", "answer", "begin_round", "reach", "note", "finish_round")
    )

    def __init__(self, store: Any) -> None:
        self._store = store
        self.crashed: dict[str, None] = {}

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)
        return self._crashing(name, real) if name in self.WRITES else real

    def _crashing(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if name in ("add_annotations", "add_decisions"):
                args = (list(args[0]),)
            key = f"{name} {_what(name, args, kwargs)}"
            self._crash_once(f"before {key}")
            result = real(*args, **kwargs)
            self._crash_once(f"after {key}")
            return result

        return call

    def _crash_once(self, where: str) -> None:
        if where not in self.crashed:
            self.crashed[where] = None
            raise CrashError(where)


def _what(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Name a write without what differs from run to run: times."""
    if name == "note":
        return f"{args[0]} {args[1]}"
    if name == "answer":
        return str(args[0].example_id)
    if name == "finish_round":
        return str(args[0].number)
    if name in ("add_annotations", "add_decisions"):
        return " ".join(f"{row.example_id}/{row.round}" for row in args[0]) + "".join(
            sorted({str(row.stage) for row in args[0] if hasattr(row, "stage")})
        )
    return f"{args} {sorted(kwargs.items())}"


def exported(project: Project) -> list[tuple[Any, ...]]:
    return [(row.id, row.label, row.source, row.posterior, row.round, row.annotators) for row in project.label_rows()]


def finish(project: Project, **kwargs: Any) -> int:
    """Run to the end, again after each crash; return how often it crashed."""
    for n_crashes in range(1000):
        try:
            list(project.run(**kwargs))
        except CrashError:
            continue
        return n_crashes
    raise AssertionError("it never ended")


@pytest.mark.slow
def test_a_crash_around_every_write_changes_no_label(make_project: Make) -> None:
    undisturbed = make_project("undisturbed", **SMALL)
    list(undisturbed.run())
    crashing = make_project("crashing", **SMALL)
    store = CrashingStore(crashing.store)
    crashing.store = store  # type: ignore[assignment]
    n_crashes = finish(crashing)
    assert n_crashes == len(store.crashed)
    for step in ("select", "route", "annotate", "review", "ask", "train", "predict"):
        assert any(f"before reach (2, '{step}')" in where for where in store.crashed)
    assert exported(crashing) == exported(undisturbed)
    # Everything was asked, answered and decided once.
    for read in ("annotations", "decisions"):
        plain, crashed = getattr(undisturbed.store, read)(), getattr(crashing.store, read)()
        assert [repr(row) for row in crashed] == [repr(row) for row in plain]
    assert [(r.number, r.n_human, r.stop_reason) for r in crashing.status().records] == [
        (r.number, r.n_human, r.stop_reason) for r in undisturbed.status().records
    ]


@pytest.mark.parametrize(
    ("owner", "method"),
    [(StudentFiles, "train"), (StudentFiles, "predict"), (StudentFiles, "_keep"), (Artefacts, "_save")],
)
def test_a_crash_around_every_file_changes_no_label(
    make_project: Make, monkeypatch: pytest.MonkeyPatch, owner: type, method: str
) -> None:
    undisturbed = make_project("undisturbed", **SMALL)
    list(undisturbed.run())
    crashing = make_project("crashing", **SMALL)
    real, crashed = getattr(owner, method), set()

    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        point = f"{self.__class__.__name__} {args[0]} {args[1] if isinstance(args[1], int) else ''}"
        for where in ("before", "after"):
            if where == "after":
                result = real(self, *args, **kwargs)
            if (where, point) not in crashed:
                crashed.add((where, point))
                raise CrashError(f"{where} {point}")
        return result

    monkeypatch.setattr(owner, method, wrapped)
    assert finish(crashing) == len(crashed) >= 6
    assert exported(crashing) == exported(undisturbed)


def test_what_killed_processes_had_begun_to_write_is_removed_by_the_next_run(make_project: Make) -> None:
    project = make_project(**SMALL)
    half_student = project.folder / "models" / ".round-0001.0a1b2c3d.new"
    half_file = project.folder / "cache" / "proba" / ".pool-0001.npy.x.part"
    half_student.mkdir(parents=True)
    (half_student / "model.safetensors").write_bytes(b"half")
    half_file.parent.mkdir(parents=True)
    half_file.write_bytes(b"half")
    list(project.run(max_rounds=1))
    assert not half_student.exists()
    assert not half_file.exists()


class CrashingLLM:
    """Answers, but crashes at every third text it has not seen."""

    name = "llm:crashing"
    kind = AnnotatorKind.LLM

    def __init__(self, *, crashes: bool) -> None:
        self.crashes = crashes
        self.seen: set[str] = set()

    def annotate(self, examples: Any) -> list[Annotation]:
        answers = []
        for example in examples:
            is_new = example.id not in self.seen
            self.seen.add(example.id)
            if self.crashes and is_new and len(self.seen) % 3 == 0:
                raise CrashError(example.id)
            answers.append(self._answer(example))
        return answers

    def _answer(self, example: Example) -> Annotation:
        label = "refund" if "money" in example.text or "refund" in example.text else "delivery"
        return Annotation(example.id, label, self.name, kind=self.kind, model="crashing")


def test_a_crash_among_answers_of_the_llm_changes_no_label(make_project: Make) -> None:
    undisturbed, crashing = make_project("undisturbed", **SMALL), make_project("crashing", **SMALL)
    list(undisturbed.run(llm=CrashingLLM(crashes=False)))
    assert finish(crashing, llm=CrashingLLM(crashes=True)) > 3
    assert exported(crashing) == exported(undisturbed)
    answered = [a.example_id for a in crashing.store.annotations() if a.kind is AnnotatorKind.LLM]
    assert len(answered) == len(set(answered))


@pytest.mark.slow
def test_killed_processes_are_continued_to_the_same_labels_and_pay_nothing_twice(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/crash_recovery.py", "--quick", "--kills", "3", "--llm", "loopback"]
    done = subprocess.run([*command, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "crash_recovery_loopback.json").read_text())
    assert all(claim["met"] for claim in result["claims"])
    assert len(result["claims"]) == 5
    assert sum(bool(row.get("killed_in")) for row in result["rows"]) == 3
    assert result["rows"][-1]["money"]["n_paid"] > 60
