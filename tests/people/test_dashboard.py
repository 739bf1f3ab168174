import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_al.measures import Metrics, RoundRecord
from llm_al.people.dashboard import Dashboard
from llm_al.people.dashboards import Dashboards, Limits
from llm_al.people.desk import Desk
from llm_al.people.desk_types import Reply
from llm_al.people.suggestions import Suggestions
from llm_al.people.text import people_text
from llm_al.phrasing import Form, Phrasing
from llm_al.project import Project
from llm_al.store.lock import ProjectLock
from llm_al.types import SKIP, Annotation, AnnotatorKind


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        import time

        return time.time() + self.ahead


class Student:
    """Proposes `a` for every text after any round."""

    def pool(self, number: int, _names: Any, n_rows: int) -> Any:
        return np.tile([0.8, 0.1, 0.1], (n_rows, 1)) if number else None


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    texts = [{"id": f"t{n:02d}", "text": f"text number {n}"} for n in range(40)]
    test = [{"id": "held", "text": "held back", "label": "a"}]
    settings = {"embedder": {"name": "hashing"}, "student": {"name": "head"}}
    with Project.create(tmp_path / "p", texts=texts, labels=["a", "b", "c"], test=test, settings=settings) as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dashboards(project: Project, clock: Clock) -> Dashboards:
    def suggestions(number: int) -> Suggestions:
        return Suggestions(project.store, Student(), project.scheme, number)  # type: ignore[arg-type]

    return Dashboards("shop", project.folder, project.store, Limits(30, 2.5), suggestions, clock)


@pytest.fixture
def look(dashboards: Dashboards) -> Callable[[], Dashboard]:
    """Return a dashboard that is not behind."""

    def now() -> Dashboard:
        dashboards._facts._rests_until = 0.0
        dashboards.now()
        dashboards._facts.join(30.0)
        return dashboards.now()

    return now


@pytest.fixture
def desk(project: Project) -> Desk:
    quiet = project.config.human.model_copy(update={"gold_rate": 0.0, "re_ask_rate": 0.0})
    desk = project.desk
    return replace(desk, settings=quiet, checks=replace(desk.checks, settings=quiet))


def work(desk: Desk, person: str, labels: str, **reply: Any) -> None:
    for label in labels:
        (ticket,) = desk.draw(person, n=1)
        said = {"x": "none_of_these", "-": SKIP}.get(label, label)
        desk.answer(person, Reply(ticket.id, said, **{"seconds": 3.0, **reply}))


def record(number: int, **changes: Any) -> RoundRecord:
    metrics = Metrics(10, 0.8, 0.6, 0.9, math.nan, 0.1, 0.4, (), (), ())
    plain: dict[str, Any] = {"n_human": 9, "n_llm_accepted": 2, "n_pseudo": 0, "n_llm_answers": 4}
    plain |= {"cost_nanousd": 1_500_000_000, "metrics": metrics, "certificate": None}
    return RoundRecord(number, **{**plain, **changes})


def test_an_empty_project_has_a_dashboard(look: Callable[[], Dashboard]) -> None:
    shown = look()
    assert (shown.progress.state, shown.progress.n_pool, shown.progress.n_texts) == ("new", 40, 0)
    assert (shown.people, shown.curve, shown.speed.per_minute) == (None, (), 0.0)
    assert shown.speed.reason == "nobody has answered in the last 10 minutes"
    assert json.loads(json.dumps(shown.to_dict(), allow_nan=False))["people"] is None
    assert "nobody has answered yet" in people_text(shown)


def test_progress_counts_texts_answers_questions_and_what_is_in_hand(
    project: Project, desk: Desk, look: Callable[[], Dashboard]
) -> None:
    project.store.enqueue([f"t{n:02d}" for n in range(10)], round=1, reason="r", n_wanted=2)
    work(desk, "ann", "ab-")
    work(desk, "bob", "a")
    desk.draw("bob", n=2)
    progress = look().progress
    assert (progress.n_texts, progress.n_answers, progress.n_counted, progress.budget) == (3, 3, 4, 30)
    # t00 has both its answers; nine questions wait for 18 answers, one of which is there.
    assert (progress.n_waiting, progress.n_wanted, progress.n_held) == (9, 17, 2)
    assert progress.state == "asking"


def test_pace_is_of_the_last_ten_minutes_and_tells_what_is_left(
    project: Project, desk: Desk, look: Callable[[], Dashboard], clock: Clock
) -> None:
    project.store.enqueue([f"t{n:02d}" for n in range(16)], round=1, reason="r")
    work(desk, "ann", "abc-")
    work(desk, "bob", "a")
    speed = look().speed
    # Four answers within the first minute; the skip closed its question, as nobody else was there.
    assert (speed.per_minute, speed.n_at_work, speed.recent[-1], sum(speed.recent)) == (4.0, 2, 4, 4)
    assert (speed.minutes_left, speed.minutes_to_budget) == (pytest.approx(11 / 4), pytest.approx(25 / 4))
    clock.ahead = 300.0
    later = look().speed
    assert (later.per_minute, later.recent[-6]) == (pytest.approx(0.8, abs=0.01), 4)
    clock.ahead = 660.0
    idle = look().speed
    assert (idle.per_minute, idle.minutes_left, idle.n_at_work, sum(idle.recent)) == (0.0, None, 0, 4)
    assert idle.reason == "nobody has answered in the last 10 minutes"


def test_imported_and_simulated_answers_and_the_test_split_are_no_work_at_a_page(
    project: Project, look: Callable[[], Dashboard]
) -> None:
    kinds = (AnnotatorKind.HUMAN, AnnotatorKind.SIMULATED)
    project.store.add_annotations([Annotation("t00", "a", f"w{kind}", kind) for kind in kinds])
    shown = look()
    assert (shown.speed.per_minute, shown.progress.n_texts, shown.progress.n_answers) == (0.0, 1, 2)


def test_states_follow_the_rounds(project: Project, look: Callable[[], Dashboard]) -> None:
    store = project.store
    store.begin_round(1, config_fingerprint="", seed_state=None)
    assert (look().progress.state, look().progress.step) == ("waiting", "started")
    with ProjectLock(project.folder):
        assert look().progress.state == "learning"
    store.finish_round(record(1))
    assert look().progress.state == "waiting"
    store.begin_round(2, config_fingerprint="", seed_state=None)
    store.finish_round(record(2, stop_reason="enough"))
    shown = look()
    assert (shown.progress.state, shown.progress.stop_reason, shown.progress.n_rounds) == ("finished", "enough", 2)


def test_the_curve_and_money_are_plain_numbers(project: Project, look: Callable[[], Dashboard]) -> None:
    project.store.begin_round(1, config_fingerprint="", seed_state=None)
    project.store.finish_round(record(1))
    project.store.begin_round(2, config_fingerprint="", seed_state=None)
    project.store.finish_round(record(2, metrics=None))
    plain = json.loads(json.dumps(look().to_dict(), allow_nan=False))
    first, second = plain["curve"]
    assert (first["number"], first["accuracy"], first["accuracy_low"], first["cost_usd"]) == (1, 0.8, 0.6, 1.5)
    # Not a number is no JSON.
    assert (first["macro_f1"], second["accuracy"]) == (None, None)
    assert plain["cost"] == {"llm_usd": 0.0, "llm_cap_usd": 2.5, "human_minutes": 0.0}


def test_checks_and_suggestions_reach_the_figures(project: Project, desk: Desk, look: Callable[[], Dashboard]) -> None:
    ids = [f"t{n:02d}" for n in range(4)]
    put = {ids[1]: Phrasing(Form.VERIFY, ("b",), 0.7), ids[2]: Phrasing(Form.CANDIDATES, ("b", "c"), 0.9)}
    project.store.enqueue(ids, round=2, reason="r", phrasing=put)
    for n, label in enumerate(["a", "b", "a", "c"]):
        (ticket,) = desk.draw("ann", n=1)
        desk.answer("ann", Reply(ticket.id, label, seconds=2.0, is_suggestion_shown=n < 3, form=ticket.form))
    project.store.rulings.add("t09", "a", person="human:rev", is_gold=True)
    always = project.config.human.model_copy(update={"gold_rate": 0.5, "re_ask_rate": 0.5})
    strict = replace(desk, settings=always, checks=replace(desk.checks, settings=always))
    (check,) = strict.draw("bob", n=1)
    assert check.example_id == "t09"
    strict.answer("bob", Reply(check.id, "b"))
    people = look().people
    assert people is not None
    ann, bob = people.persons
    # The student proposed a, the yes-or-no question b: accepted, accepted, accepted.
    assert (ann.n_shown, ann.acceptance.value, ann.median_s) == (3, 1.0, 2.0)
    assert (bob.name, bob.n_gold, bob.n_gold_right, bob.gold.value) == ("human:bob", 1, 0, 0.0)
    assert [(row.form, row.empirical.value) for row in people.coverage] == [("candidates", 0.0), ("verify", 1.0)]
    assert (people.n_rulings, people.n_gold) == (1, 1)


def test_an_answer_that_is_taken_back_leaves_every_figure(
    project: Project, desk: Desk, look: Callable[[], Dashboard]
) -> None:
    project.store.enqueue(["t00"], round=1, reason="r")
    (ticket,) = desk.draw("ann", n=1)
    desk.answer("ann", Reply(ticket.id, "a", seconds=2.0))
    assert look().progress.n_answers == 1
    desk.take_back("ann", ticket.id)
    assert (look().progress.n_answers, look().progress.n_texts, look().people) == (0, 0, None)
    desk.answer("ann", Reply(ticket.id, "b", seconds=2.0))
    assert look().progress.n_answers == 1


def test_an_annotator_sees_themselves_and_nothing_that_tells_of_checks_or_others(
    project: Project, desk: Desk, look: Callable[[], Dashboard]
) -> None:
    project.store.enqueue([f"t{n:02d}" for n in range(6)], round=1, reason="r", n_wanted=2)
    work(desk, "ann", "abc")
    work(desk, "bob", "abb")
    whole = look()
    mine = whole.for_person("ann", "annotator")
    assert mine.people is not None
    (ann,) = mine.people.persons
    assert (ann.name, ann.n_answers, ann.median_s) == ("human:ann", 3, 3.0)
    assert (ann.accuracy.value, ann.accuracy.reason, ann.n_compared) == (None, "for reviewers only", 0)
    assert mine.people.agreement.krippendorff.value is not None
    assert (mine.people.agreement.labels, mine.people.agreement.pairs) == ((), ())
    assert "bob" not in json.dumps(mine.to_dict())
    for role in ("reviewer", "owner"):
        assert whole.for_person("ann", role) == whole
    stranger = whole.for_person("eve", "annotator").people
    assert stranger is not None
    assert stranger.persons == ()


def test_a_failure_shows_as_a_note(project: Project, dashboards: Dashboards, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("llm_al.people.answer_book.AnswerBook.read", fail)
    shown = dashboards.now()
    assert (shown.people, shown.progress.n_pool) == (None, 40)
    assert "failed with ZeroDivisionError" in shown.note


def test_the_text_names_people_questions_and_reasons(
    project: Project, desk: Desk, look: Callable[[], Dashboard]
) -> None:
    ids = [f"t{n:02d}" for n in range(6)]
    put = {id_: Phrasing(Form.CANDIDATES, ("a", "b"), 0.9) for id_ in ids}
    project.store.enqueue(ids, round=2, reason="r", n_wanted=2, phrasing=put)
    work(desk, "ann", "abcx-", is_suggestion_shown=True, form="candidates")
    work(desk, "bob", "abb", form="candidates")
    project.store.flags.add("t05", person="human:ann", note="odd")
    project.store.rulings.add("t02", "c", person="human:rev", is_gold=True)
    text = people_text(look())
    assert "people are asked: 5 texts answered (8 of 30 labels used), 3 waiting" in text
    assert "7.0 answers a minute by 2 people" in text
    assert "ann\n  4 answers, 1 skip; 3.0 s each, 15.0 s in all" in text
    assert "accuracy: 100.0% (29.2-100.0%)" in text
    assert "suggestions taken: 25.0%" in text
    assert "agreement: 3 texts have several answers, 2 are unanimous" in text
    assert "alpha of c: 0.0" in text
    assert "candidates: 7 answers, median 3.0 s" in text
    assert "the 2.0 labels offered first held 83.3% (35.9-99.6%) of 6 answers; meant were 90.0%" in text
    assert "rulings: 1, 1 of them used to check people; open flags: 1" in text


def test_a_page_gets_what_is_there_while_newer_figures_rest(project: Project, dashboards: Dashboards) -> None:
    rows = [Annotation(f"t{n:02d}", "a", "human:ann", AnnotatorKind.HUMAN, form="list") for n in range(40)]
    project.store.add_annotations(rows)
    assert dashboards.now().progress.n_answers == 40
    dashboards._facts._rests_until = float("inf")
    project.store.add_annotations([Annotation("t01", "b", "human:eve", AnnotatorKind.HUMAN, form="list")])
    assert dashboards.now().progress.n_answers == 40


def test_a_list_that_measures_a_hidden_set_is_told_apart(
    project: Project, desk: Desk, look: Callable[[], Dashboard]
) -> None:
    put = {f"t{n:02d}": Phrasing(Form.LIST, ("a",), 0.9) for n in range(4)}
    project.store.enqueue(list(put), round=1, reason="r", phrasing=put)
    work(desk, "ann", "aaab")
    shown = look()
    assert shown.people is not None
    (row,) = shown.people.coverage
    assert (row.form, row.n, row.empirical.value) == ("list", 4, 0.75)
    assert "list, which did not show them: the 1.0 labels offered first held 75.0%" in people_text(shown)


def test_figures_that_are_not_ready_are_announced(project: Project, dashboards: Dashboards) -> None:
    project.store.add_annotations([Annotation("t00", "a", "human:ann", AnnotatorKind.HUMAN, form="list")])
    with dashboards._facts._lock:
        dashboards._facts._tried = dashboards._facts._key()
    assert dashboards.now().note == "figures about people are being made"
