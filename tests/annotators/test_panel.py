import os
import signal
from dataclasses import dataclass, field, replace
from threading import Barrier, Event, Lock
from types import SimpleNamespace

import pytest

from llm_al.annotators.panel import Panel
from llm_al.errors import BudgetError, ConfigError
from llm_al.protocols import Annotator
from llm_al.types import Annotation, AnnotatorKind, Example


@dataclass
class Purse:
    """Money that several fakes share, in nano-dollars."""

    left: int
    lock: Lock = field(default_factory=Lock)


@dataclass(frozen=True)
class Fake:
    model: str
    answer: str = "a"
    price: int | None = 10
    purse: Purse = field(default_factory=lambda: Purse(1000))
    round: int = 0
    kind: AnnotatorKind = AnnotatorKind.LLM
    prompts: tuple[str, ...] = ("p",)
    log: list = field(default_factory=list)

    @property
    def name(self):
        return f"llm:{self.model}"

    @property
    def stop_reason(self):
        return "the cap is reached" if self.purse.left < (self.price or 0) else ""

    def check(self):
        self.log.append("check")

    def check_cap(self, example):
        if self.purse.left < (self.price or 0):
            raise BudgetError(f"{self.model} is above the cap")

    def estimate(self, examples):
        cost = None if self.price is None else self.price * len(examples)
        return SimpleNamespace(
            n_calls=len(examples), n_cached=0, n_tokens_in=5, n_tokens_out=1, cost_low_nanousd=cost,
            cost_high_nanousd=None if cost is None else 2 * cost,
        )  # fmt: skip

    def annotate(self, examples):
        given = []
        for example in examples:
            with self.purse.lock:
                if self.purse.left < (self.price or 0):
                    break
                self.purse.left -= self.price or 0
            given.append(Annotation(example.id, self.answer, self.name, self.kind, model=self.model, round=self.round))
        return given


EXAMPLES = [Example("1", "x"), Example("2", "y")]


def test_all_answers_of_all_members_are_handed_on():
    panel = Panel((Fake("m", "a"), Fake("n", "b")))
    answers = panel.annotate(EXAMPLES)
    assert [(a.example_id, a.model, a.label) for a in answers] == [
        ("1", "m", "a"), ("2", "m", "a"), ("1", "n", "b"), ("2", "n", "b"),
    ]  # fmt: skip
    assert panel.name == "llm:m+llm:n"
    assert isinstance(panel, Annotator)


def test_the_round_reaches_the_members():
    panel = replace(Panel((Fake("m"), Fake("n"))), round=3)
    assert {a.round for a in panel.annotate(EXAMPLES)} == {3}


def test_members_share_one_purse_and_say_when_it_is_empty():
    purse = Purse(30)
    panel = Panel((Fake("m", purse=purse), Fake("n", purse=purse)))
    assert len(panel.annotate(EXAMPLES)) == 3
    assert purse.left == 0
    assert panel.stop_reason == "llm:m: the cap is reached; llm:n: the cap is reached"
    with pytest.raises(BudgetError, match="m is above the cap"):
        panel.check_cap(EXAMPLES[0])


@dataclass(frozen=True)
class Slow(Fake):
    """Answers once the others have come as far, and waits for its end when it is to fail or to be stopped."""

    barrier: Barrier = field(default_factory=lambda: Barrier(1))
    stopped: Event = field(default_factory=Event)
    then: str = "answer"

    def stop(self):
        self.stopped.set()

    def annotate(self, examples):
        self.barrier.wait(10)
        if self.then == "fail":
            raise BudgetError("no money")
        if self.then == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        if self.then != "answer":
            assert self.stopped.wait(10)
        return super().annotate(examples)


def test_members_answer_at_the_same_time():
    barrier = Barrier(3)
    panel = Panel(tuple(Slow(name, barrier=barrier) for name in "abc"))
    assert [a.model for a in panel.annotate(EXAMPLES[:1])] == ["a", "b", "c"]


def test_a_member_that_fails_ends_the_others_and_is_reported():
    barrier = Barrier(2)
    panel = Panel((Slow("m", barrier=barrier, then="wait"), Slow("n", barrier=barrier, then="fail")))
    with pytest.raises(BudgetError, match="no money"):
        panel.annotate(EXAMPLES)
    assert all(member.stopped.is_set() for member in panel.members)


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_ctrl_c_ends_all_members():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    barrier = Barrier(2)
    panel = Panel((Slow("m", barrier=barrier, then="wait"), Slow("n", barrier=barrier, then="interrupt")))
    try:
        with pytest.raises(KeyboardInterrupt):
            panel.annotate(EXAMPLES)
    finally:
        signal.signal(signal.SIGINT, before)
    assert all(member.stopped.is_set() for member in panel.members)


def test_checks_reach_every_member():
    members = (Fake("m"), Fake("n"))
    Panel(members).check()
    assert [member.log for member in members] == [["check"], ["check"]]


def test_estimates_add_up_and_an_unknown_price_stays_unknown():
    known = Panel((Fake("m", price=10), Fake("n", price=5))).estimate(EXAMPLES)
    assert (known.n_calls, known.n_tokens_in, known.cost_low_nanousd, known.cost_high_nanousd) == (4, 10, 30, 60)
    assert Panel((Fake("m"), Fake("n", price=None))).estimate(EXAMPLES).cost_high_nanousd is None


def test_wrong_panels_are_refused():
    with pytest.raises(ConfigError, match="at least one member"):
        Panel(())
    with pytest.raises(ConfigError, match="'llm:m' is in the panel twice with the same prompts"):
        Panel((Fake("m"), Fake("m")))
    with pytest.raises(ConfigError, match="'llm:m' is of kind human; it must be llm"):
        Panel((Fake("m", kind=AnnotatorKind.HUMAN),))
    Panel((Fake("m"), Fake("m", prompts=("q",))))
