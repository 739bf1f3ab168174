from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from llm_al.consensus.dawid_skene import OneCoin
from llm_al.corpus import Corpus
from llm_al.measures import AnswerTime
from llm_al.phrase import NOTE, Phrase, phrasings_of, timed
from llm_al.phrasing import Form, Phrasing
from llm_al.places import Question
from llm_al.questions.conformal import Asked
from llm_al.questions.times import Pace
from llm_al.situation import Situation
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Label, LabelScheme
from tests.fakes import shop

NAMES = tuple(f"label {n}" for n in range(12))
N, PER_ROUND = 400, 40


@dataclass
class Notes:
    """A store that holds what people said, and the notes of rounds."""

    said: list[Annotation] = field(default_factory=list)
    kept: dict[tuple[int, str], Any] = field(default_factory=dict)
    times: list[AnswerTime] = field(default_factory=list)
    rulings: Any = field(default_factory=lambda: SimpleNamespace(standing=dict))

    def annotations(self, **_which: Any) -> list[Annotation]:
        return self.said

    def answer_times(self) -> list[AnswerTime]:
        return self.times

    def decisions(self, **_which: Any) -> list[Any]:
        return []

    def rounds(self) -> list[Mapping[str, Any]]:
        return []

    def read_note(self, number: int, key: str) -> Any | None:
        return self.kept.get((number, key))


class World:
    """Texts with twelve labels, and a student that is right to say what it says."""

    def __init__(self, *, has_student: bool = True) -> None:
        rng = np.random.default_rng(0)
        self.proba = rng.dirichlet(np.full(12, 0.2), size=N)
        self.gold = np.array([rng.choice(12, p=row) for row in self.proba])
        vectors = np.eye(12, dtype=np.float32)[self.gold]
        scheme = LabelScheme(tuple(map(Label, NAMES)))
        ids = [f"e{row}" for row in range(N)]
        self.corpus = Corpus(scheme, ids, ["some words to read"] * N, vectors, np.arange(N))
        self.store = Notes()
        students = SimpleNamespace(pool_proba=lambda _number, _corpus: self.proba if has_student else None)
        self.situation = Situation(self.corpus, self.store, students, OneCoin(NAMES))  # type: ignore[arg-type]

    def ids(self, number: int) -> tuple[str, ...]:
        return tuple(f"e{row}" for row in range((number - 1) * PER_ROUND, number * PER_ROUND))

    def decide(self, number: int, phrase: Phrase, *, seed: int = 0, questions: Sequence[Question] = ()) -> Any:
        asked = questions or [Question(self.ids(number), "unsure", 2.0)]
        return phrase.decide(self.situation, number, asked, np.random.default_rng([seed, number]))

    def answer(self, number: int, **own: str) -> None:
        labels = {id_: NAMES[self.gold[int(id_[1:])]] for id_ in self.ids(number)} | own
        self.store.said += [Annotation(i, label, "human:ann", AnnotatorKind.HUMAN) for i, label in labels.items()]

    def run(self, n_rounds: int, phrase: Phrase) -> dict[str, Phrasing]:
        """Ask and answer some rounds; return how the last one is put."""
        for number in range(1, n_rounds + 1):
            note = self.decide(number, phrase)
            self.store.kept[number, NOTE] = note
            if number < n_rounds:
                self.answer(number)
        return phrasings_of(note)


def test_without_a_student_everything_is_a_list() -> None:
    assert World(has_student=False).decide(1, Phrase()) == {"seen": {}, "put": {}}


def test_with_too_few_answers_everything_is_a_list_and_what_the_student_thought_is_kept() -> None:
    world = World()
    note = world.decide(1, Phrase())
    assert note["put"] == {}
    assert set(note["seen"]) == set(world.ids(1))
    first = note["seen"]["e0"]
    assert first[NAMES[int(world.proba[0].argmax())]] == pytest.approx(world.proba[0].max(), abs=1e-6)
    assert all(p >= 1e-4 for p in first.values())


def test_with_answers_questions_become_cheaper_and_sets_hold_the_answer() -> None:
    world = World()
    hits = []
    for number in range(1, 11):
        note = world.decide(number, Phrase(coverage=0.9, list_share=0.0))
        world.store.kept[number, NOTE] = note
        world.answer(number)
        for id_, put in phrasings_of(note).items():
            if put.form is Form.CANDIDATES:
                hits.append(NAMES[world.gold[int(id_[1:])]] in put.options)
                rows = [world.proba[int(id_[1:]), NAMES.index(name)] for name in put.options]
                assert rows == sorted(rows, reverse=True)
    # Nominal coverage is .9 or more; three standard deviations below it.
    assert len(hits) > 100
    assert np.mean(hits) > 0.9 - 3 * np.sqrt(0.09 / len(hits))
    assert note["threshold"]["n"] == 300


def test_forms_say_what_they_promise() -> None:
    put = World().run(6, Phrase(coverage=0.9, list_share=0.0))
    sizes = {Form.VERIFY: 1, Form.BULK: 1, Form.PAIR: 2}
    for one in put.values():
        if one.form in sizes:
            assert len(one.options) == sizes[one.form]
            assert one.coverage is not None
            assert 0.0 < one.coverage <= 1.0
        assert bool(one.cluster) == (one.form is Form.BULK)
    assert {one.coverage for one in put.values() if one.form is Form.CANDIDATES} <= {0.9, 0.95, 0.975, 0.99}


def test_a_share_gets_the_list_with_the_set_that_is_not_shown() -> None:
    put = World().run(8, Phrase(coverage=0.9, list_share=0.5))
    unshown = [one for one in put.values() if one.form is Form.LIST and one.options]
    # 20 of 40, within three standard deviations.
    assert abs(len(unshown) - 20) < 10
    assert all(one.coverage is not None for one in unshown)


def test_blind_checks_and_second_opinions_are_never_proposed_anything() -> None:
    world = World()
    world.run(6, Phrase())
    blind = Question(world.ids(7)[:20], "audit", 3.0, is_blind=True)
    second = Question((*world.ids(1)[:5], *world.ids(7)[20:]), "unsure", 2.0)
    note = world.decide(7, Phrase(), questions=[blind, second])
    assert set(note["seen"]) == set(note["put"]) == set(world.ids(7)[20:])


def test_only_lists_when_only_lists_are_allowed() -> None:
    assert World().run(6, Phrase(forms=(Form.LIST,))) == {}
    world = World()
    assert {one.form for one in world.run(6, Phrase(forms=(Form.PAIR,))).values()} <= {Form.LIST, Form.PAIR}


def test_one_seed_puts_questions_one_way() -> None:
    notes = []
    for seed in (0, 0, 1):
        world = World()
        world.run(6, Phrase())
        notes.append(world.decide(7, Phrase(), seed=seed))
    assert notes[0] == notes[1]
    assert notes[0] != notes[2]


def test_answers_without_a_label_and_labels_that_are_gone_teach_nothing() -> None:
    world = World()
    note = world.decide(1, Phrase())
    note["seen"]["e0"] = {"a label that was removed": 0.9}
    note["seen"]["gone"] = {NAMES[0]: 1.0}
    world.store.kept[1, NOTE] = note
    world.answer(1, e1=NONE_OF_THESE, e2=SKIP)
    later = world.decide(2, Phrase(coverage=0.9))
    assert later["threshold"]["n"] == PER_ROUND - 3


def asked(form: str, label: str, **more: Any) -> AnswerTime:
    return AnswerTime("e0", "human:ann", label, form, seconds=2.0, n_words=4, **more)


def test_measured_answers_by_form() -> None:
    options = ("a", "b", "c")
    found = timed(
        [
            asked("list", "b", options=options, coverage=0.9),
            asked("candidates", "b", options=options),
            asked("candidates", "z", options=options),
            asked("candidates", SKIP, options=options),
            asked("", "a"),
            AnswerTime("e0", "human:ann", "a", "list"),
        ]
    )
    assert [(t.n_options, t.is_list_opened) for t in found] == [(0, True), (2, False), (3, True)]
    assert {(t.seconds, t.n_words, t.person) for t in found} == {(2.0, 4, "human:ann")}


def test_people_who_are_swayed_see_fewer_offers() -> None:
    """Full lists miss their unshown sets, shown sets never do: proposals are taken whatever is right."""
    honest, swayed = World(), World()
    miss, hit = {"options": ("a",), "coverage": 0.9, "label": "z"}, {"options": ("a",), "coverage": 0.9, "label": "a"}
    swayed.store.times = [asked("list", **miss) for _ in range(90)] + [asked("candidates", **hit) for _ in range(500)]
    honest.store.times = [asked("list", **miss) for _ in range(90)] + [asked("candidates", **miss) for _ in range(500)]
    n_lists = []
    for world in (honest, swayed):
        put = world.run(6, Phrase(coverage=0.9, list_share=0.0))
        n_lists.append(sum(one.form is Form.LIST for one in put.values()))
    assert n_lists[1] > n_lists[0]


def test_sets_grow_only_where_the_list_takes_long() -> None:
    world = World()
    past = [Asked(world.proba[k : k + 40], world.gold[k : k + 40]) for k in range(0, N, 40)]
    quick, slow = (Phrase(coverage=0.9)._record(past, replace(Pace(), list_s=seconds)) for seconds in (0.4, 100.0))
    assert quick.threshold.coverage == 0.9
    assert slow.threshold.coverage > 0.9


def test_a_round_is_put_once_however_often_it_is_run(make_project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of 9 answers none has been thought about before, of the next 6 all: enough for a coverage of .6.
    project = make_project(
        llm={"annotator": "none"},
        human={"annotator": "queue", "coverage": 0.6},
        pseudo_labels={"name": "none"},
        student={"name": "head", "options": {"kind": "logistic", "C": 10.0, "name_weight": 0.0}},
        strategy={"initial": 9, "human_per_round": 6, "cold_start_labels_per_class": 2.0},
        budget={"human_labels": 30},
    )
    for _ in range(3):
        list(project.run())
        waiting = project.store.pending()
        if waiting[0].round < 3:
            for question in waiting:
                gold = shop.GOLD[question.example_id]
                given = Annotation(question.example_id, gold, "human:ann", AnnotatorKind.HUMAN, round=question.round)
                project.store.answer(given)
    note = project.store.read_note(3, NOTE)
    assert {q.example_id: q.phrasing for q in waiting} == phrasings_of(note)
    assert {q.phrasing.form for q in waiting} != {Form.LIST}
    monkeypatch.setattr(Phrase, "decide", lambda *_: pytest.fail("decided twice"))
    list(project.run())
    assert project.store.pending() == waiting
