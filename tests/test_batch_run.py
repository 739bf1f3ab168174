from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from llm_al import cli
from llm_al.cli_shell import polls
from llm_al.types import NANO_PER_USD, AnnotatorKind
from tests.fakes import shop
from tests.fakes.batches import FakeBatches
from tests.fakes.chat import FakeChat, by_text
from tests.fakes.loopback import LoopbackServer

GOLD = {row["text"]: row["label"] for row in shop.POOL}
PRICE = {"input_usd_per_million": 1.0, "output_usd_per_million": 10.0}


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    chat = FakeChat(by_text(GOLD))
    with LoopbackServer(chat, batches=FakeBatches(chat)) as opened:
        yield opened


def llm(server: LoopbackServer, **changes: Any) -> dict[str, Any]:
    settings = {"annotator": "chat", "base_url": server.url, "model": "m", "price": PRICE, "batch": True}
    return {**settings, "prompts": ["classify.v2", "classify_terse.v2"], **changes}


def answers(project: Any) -> list[Any]:
    given = [a for a in project.store.annotations() if a.kind is AnnotatorKind.LLM]
    return sorted((a.example_id, a.prompt, a.label, a.confidence, a.round) for a in given)


def run_on(project: Any) -> list[Any]:
    """Run again and again until nothing waits for a batch."""
    outcomes = []
    for _ in range(20):
        outcomes += list(project.run())
        if not outcomes[-1].n_llm_waiting:
            return outcomes
    raise AssertionError("the batches never end")


BUDGET = {"human_labels": 15, "llm_usd": 1.0}


def test_a_run_in_batches_ends_like_a_live_run_at_half_the_price(make_project, server) -> None:
    live = make_project("live", llm=llm(server, batch=False), budget=BUDGET)
    list(live.run())
    waiting = make_project("batch", llm=llm(server), budget=BUDGET)
    # What a live answer costs more is that of the one question to a server that nobody knows yet.
    waiting.store.ledger.remember(*_dialect(live))
    outcomes = run_on(waiting)
    assert answers(waiting) == answers(live) != []
    n_people = [record.n_human for record in live.store.round_records()]
    assert [record.n_human for record in waiting.store.round_records()] == n_people
    assert waiting.store.spent_nanousd() == pytest.approx(live.store.spent_nanousd() / 2, abs=len(answers(live)))
    assert any(outcome.n_llm_waiting for outcome in outcomes)


def _dialect(project: Any) -> tuple[str, str]:
    from llm_al.annotators.chat import Endpoint
    from llm_al.annotators.engine.session import _key

    key = _key(Endpoint(str(project.config.llm.base_url), "m"))
    return key, project.store.ledger.recall(key)


def test_a_round_waits_with_nothing_stored_until_every_vote_is_in(make_project, server) -> None:
    server.batches.line_faults = {2: (500, "later")}
    project = make_project(llm=llm(server), budget=BUDGET)
    *_, first = project.run()
    assert (first.record, first.n_waiting, first.stop_reason) == (None, 0, "")
    # 12 texts, two prompts, and the first question goes out at once.
    assert first.n_llm_waiting == 23
    assert str(first) == "23 LLM answers are being made in a batch; run again later"
    assert answers(project) == []
    n_human = len(project.store.annotations())
    *_, second = project.run()
    assert second.n_llm_waiting == 1
    server.batches.line_faults = {}
    assert answers(project) == []
    assert len(project.store.annotations()) == n_human
    project.close()
    with type(project).open(project.folder) as later:
        run_on(later)
        assert len(answers(later)) == 24


def test_the_command_line_leaves_with_code_3_and_goes_on(llm_al, make_project, server) -> None:
    server.batches.n_looks = 1
    folder = make_project(llm=llm(server), budget=BUDGET).folder
    left = llm_al("run", folder)
    assert left.exit_code == 3
    assert "23 LLM answers are being made in a batch; run again later" in left.stdout
    assert llm_al("run", folder).exit_code == 3
    assert len(server.batches.batches) == 1
    assert llm_al("run", folder).exit_code == 0


def test_wait_looks_again_in_growing_intervals_until_all_is_there(llm_al, make_project, server, monkeypatch) -> None:
    slept: list[float] = []
    # The server on loopback sleeps too.
    monkeypatch.setattr(cli.time, "sleep", lambda seconds: slept.append(seconds) if seconds >= 10.0 else None)
    server.batches.n_looks = 2
    folder = make_project(llm=llm(server), budget=BUDGET).folder
    assert llm_al("run", folder, "--wait").exit_code == 0
    assert slept == [10.0, 15.0, 22.5][: len(slept)] != []


def test_intervals_stop_growing_at_ten_minutes() -> None:
    waits = polls()
    assert [next(waits) for _ in range(14)][-3:] == [600.0] * 3


def test_people_are_asked_while_nothing_is_lost(make_project, server) -> None:
    """A question that waits for a person stays, and is answered in the round it was asked in."""
    server.batches.n_looks = 1
    project = make_project(llm=llm(server), budget=BUDGET, human={"annotator": "queue"})
    *_, first = project.run()
    assert first.n_waiting == 9
    for question in list(project.store.pending()):
        project.answer(question.example_id, shop.GOLD[question.example_id])
    *_, second = project.run()
    assert (second.n_llm_waiting, second.n_waiting) == (23, 0)
    assert sum(a.kind is AnnotatorKind.HUMAN for a in project.store.annotations()) == 9 + len(shop.TEST)
    *_, third = run_on(project)
    assert third.n_waiting > 0


def test_a_panel_waits_for_the_member_that_is_asked_in_batches(make_project, server) -> None:
    panel = [{"model": "n", "batch": False, "price": PRICE}]
    project = make_project(llm=llm(server, panel=panel), budget=BUDGET)
    *_, first = project.run()
    assert first.n_llm_waiting == 23
    assert answers(project) == []
    run_on(project)
    assert len(answers(project)) == 48


def test_the_cap_holds_and_says_so(make_project, server) -> None:
    project = make_project(llm=llm(server), budget={**BUDGET, "llm_usd": 0.002})
    run_on(project)
    assert project.store.spent_nanousd() <= 0.002 * NANO_PER_USD
    assert "the LLM cap of $0.0020 is reached" in project.status().llm_stopped


def test_replacing_the_round_keeps_what_waits(make_project, server) -> None:
    chat = make_project(llm=llm(server), budget=BUDGET).loop().steps.llm
    again = replace(chat, round=3)
    again.session.n_waiting = 5
    assert chat.n_waiting == 5
