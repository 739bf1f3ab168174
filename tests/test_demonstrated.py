"""Demonstrations in a whole run: the model is shown what people have labelled, and what a student shares if asked."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import yaml

from llm_al.annotators.demonstrations import Fixed, Mmr
from llm_al.annotators.refinery import refined_demonstrations
from llm_al.answers import read_answers
from llm_al.config import ProjectConfig, validate_config
from llm_al.consensus.dawid_skene import OneCoin
from llm_al.corpus import Corpus
from llm_al.demonstrated import agreed_labels, labelled_bank
from llm_al.errors import ConfigError, UnknownNameError
from llm_al.llm_assembly import make_demonstrator, make_refine
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Label, LabelScheme, Signal
from tests.fakes import shop
from tests.fakes.chat import FakeChat, Seen
from tests.fakes.loopback import LoopbackServer


class Watching:
    """Knows the gold label of each text and keeps what it has seen."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    def __call__(self, seen: Seen) -> str:
        self.seen.append(seen)
        return next(row["label"] for row in shop.POOL if row["text"] == seen.text)


def _settings(url: str, **changes: Any) -> dict[str, Any]:
    return {"annotator": "chat", "base_url": url, "model": "m", "prompts": ["classify.v2"], **changes}


def _config(**llm: Any) -> ProjectConfig:
    return validate_config({"labels": ["a", "b"], "llm": {"annotator": "chat", **llm}, "seed": 7})


@pytest.mark.parametrize("method", ["nearest", "diverse", "mmr", "fixed"])
def test_the_model_is_shown_what_people_have_labelled_and_never_its_own_text(make_project: Any, method: str) -> None:
    watching = Watching()
    with LoopbackServer(FakeChat(watching)) as server:
        llm = _settings(server.url, demonstrations=method, n_demonstrations=3, verify=True, sureness=True)
        project = make_project(llm=llm)
        list(project.run())
        assert all(n == 1 for n in server.paid.values())
    human = {a.example_id: a.label for a in project.store.annotations() if a.kind.is_human}
    by_text = {row["text"]: human.get(row["id"]) for row in shop.POOL}
    classified = [seen for seen in watching.seen if seen.proposed is None]
    assert classified
    for seen in classified:
        label_of = {code: label for label, code in seen.codes.items()}
        assert len(seen.demonstrations) == 3
        assert seen.text not in {text for text, _ in seen.demonstrations}
        assert all(by_text[text] == label_of[code] for text, code in seen.demonstrations)
    llm_answers = [a for a in project.store.annotations() if a.kind is AnnotatorKind.LLM]
    assert llm_answers
    assert all({Signal.P_TRUE, Signal.VERBALISED, Signal.TOKEN_PROBABILITY} <= a.signals.keys() for a in llm_answers)


def test_labels_that_come_in_after_a_kill_do_not_change_the_demonstrations(
    make_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LoopbackServer(FakeChat(Watching())) as server:
        project = make_project(llm=_settings(server.url, demonstrations="nearest"))
        next(iter(project.run()))
        with monkeypatch.context() as patch:
            patch.setattr("llm_al.loop.Loop._review", _abort)
            loop = project.loop()
            with pytest.raises(ConnectionAbortedError):
                next(iter(loop.run()))
        before = loop.store.read_note(2, "demonstrated_to")
        bank = loop.situation.bank(before)
        open_row = next(row for row in shop.POOL if row["id"] not in set(bank.ids))
        project.answer(open_row["id"], "refund", annotator="ann")
        assert list(loop.situation.bank(before).ids) == list(bank.ids)
        assert open_row["id"] in loop.situation.bank(10**9).ids
        assert len(bank) == 9


def _abort(*_: object) -> None:
    raise ConnectionAbortedError


@pytest.mark.parametrize("is_closed", [False, True])
def test_what_people_find_outside_is_shown_only_where_the_scheme_is_open(make_project: Any, is_closed: bool) -> None:
    project = make_project(llm={"annotator": "none"}, labels_are_closed=is_closed)
    next(iter(project.run()))
    id_ = next(row["id"] for row in shop.POOL if row["id"] not in project.loop().situation.bank(10**9).ids)
    project.answer(id_, NONE_OF_THESE, annotator="ann")
    assert (id_ in project.loop().situation.bank(10**9).ids) is not is_closed


def test_closed_labels_leave_none_of_these_out_of_the_prompt(make_project: Any) -> None:
    watching = Watching()
    with LoopbackServer(FakeChat(watching)) as server:
        list(make_project(llm=_settings(server.url), labels_are_closed=True).run())
    assert watching.seen
    assert not any(NONE_OF_THESE in seen.codes for seen in watching.seen)


def test_settings_name_the_way_and_its_options() -> None:
    assert make_demonstrator(_config()) is None
    assert make_demonstrator(_config(annotator="zero_shot", demonstrations="nearest")) is None
    fixed = make_demonstrator(_config(demonstrations="fixed", n_demonstrations=8))
    assert (fixed.method, fixed.k) == (Fixed(seed=7), 8)
    options = {"relevance": 0.7, "max_similarity": 0.9}
    assert make_demonstrator(_config(demonstrations="mmr", demonstration_options=options)).method == Mmr(**options)


def test_wrong_ways_and_options_are_refused_with_those_that_exist() -> None:
    with pytest.raises(UnknownNameError, match=r"'neerest'; choose from: diverse, fixed, mmr, nearest; did you mean"):
        make_demonstrator(_config(demonstrations="neerest"))
    with pytest.raises(ConfigError, match=r"'nearest' has no option 'depth'; allowed: max_similarity"):
        make_demonstrator(_config(demonstrations="nearest", demonstration_options={"depth": 3}))


def test_the_settings_survive_yaml() -> None:
    written = yaml.safe_load("labels: [a, b]\nlabels_are_closed: true\nllm: {demonstrations: mmr, rationale: true}")
    config = validate_config(written)
    assert not config.scheme().is_open
    assert (config.llm.demonstrations, config.llm.n_demonstrations, config.llm.rationale) == ("mmr", 5, True)


# Labels that LLMs gave and a student shares.

NAMES = ("cat", "dog")
CAT, DOG = (0.9, 0.1), (0.1, 0.9)
ALL_AGREED = partial(refined_demonstrations, share=1.0)


def _corpus(n: int, groups: list[int] | None = None) -> Corpus:
    ids = [f"e{row}" for row in range(n)]
    vectors = np.eye(n, dtype=np.float32)
    return Corpus(LabelScheme(tuple(map(Label, NAMES))), ids, ids, vectors, np.array(groups or range(n)))


def _llm(row: int, label: str | None, source: str = "llm:m/a") -> Annotation:
    return Annotation(f"e{row}", label, source, kind=AnnotatorKind.LLM, model="m")


def _person(row: int, label: str) -> Annotation:
    return Annotation(f"e{row}", label, "ann", kind=AnnotatorKind.HUMAN)


def _agreed(*given: Annotation, proba: list[Any], groups: list[int] | None = None, **more: Any) -> dict[str, str]:
    corpus = _corpus(len(proba), groups)
    return agreed_labels(
        read_answers(given, corpus, OneCoin(NAMES)), corpus, np.array(proba), refine=ALL_AGREED, **more
    )


def test_llm_labels_that_the_student_shares_may_be_shown_and_no_others() -> None:
    given = [_llm(0, "cat"), _llm(1, "dog"), _llm(2, "dog"), _llm(3, None), _llm(4, NONE_OF_THESE)]
    assert _agreed(*given, proba=[CAT, DOG, CAT, CAT, CAT, CAT]) == {"e0": "cat", "e1": "dog"}


def test_the_label_is_what_the_answers_of_all_prompts_say_together() -> None:
    given = [_llm(0, "cat", f"llm:m/{prompt}") for prompt in "ab"] + [_llm(0, "dog", "llm:m/c")]
    assert _agreed(*given, proba=[CAT]) == {"e0": "cat"}
    assert _agreed(*given, proba=[DOG]) == {}


@pytest.mark.parametrize("said", ["cat", "dog", NONE_OF_THESE, SKIP])
def test_what_a_person_said_anything_about_never_comes_from_the_llm_nor_do_its_near_duplicates(said: str) -> None:
    given = [_llm(0, "cat"), _llm(1, "cat"), _llm(2, "cat"), _person(0, said)]
    assert _agreed(*given, proba=[CAT] * 3, groups=[7, 7, -1]) == {"e2": "cat"}


def test_what_a_reviewer_settled_never_comes_from_the_llm() -> None:
    assert _agreed(_llm(0, "cat"), _llm(1, "cat"), proba=[CAT] * 2, settled=["e0", "gone"]) == {"e1": "cat"}


def test_in_the_bank_a_persons_label_takes_the_place_of_an_agreed_one() -> None:
    corpus = _corpus(4)
    answers = read_answers([_person(2, "dog"), _person(1, NONE_OF_THESE)], corpus, OneCoin(NAMES))
    bank = labelled_bank(answers, corpus, {"e3": "cat", "e2": "cat", "e1": "cat", "e0": "lynx", "gone": "cat"})
    assert dict(zip(bank.ids, bank.labels, strict=True)) == {"e1": NONE_OF_THESE, "e2": "dog", "e3": "cat"}
    assert bank.embeddings.argmax(axis=1).tolist() == [1, 2, 3]


def _student_settings(url: str, **changes: Any) -> dict[str, Any]:
    return _settings(url, demonstrations="nearest", n_demonstrations=40, demonstrations_from="student", **changes)


def test_the_model_is_shown_its_own_labels_once_a_student_shares_them(make_project: Any) -> None:
    watching = Watching()
    with LoopbackServer(FakeChat(watching)) as server:
        project = make_project(llm=_student_settings(server.url))
        list(project.run())
    answers = project.store.annotations()
    id_of = {row["text"]: row["id"] for row in shop.POOL}
    llm_label = {a.example_id: (a.label, a.round) for a in answers if a.kind is AnnotatorKind.LLM}
    human = {a.example_id: a.label for a in answers if a.kind.is_human and a.round < 3}
    by_round: dict[int, set[str]] = {2: set(), 3: set()}
    for seen in watching.seen:
        label_of, number = {code: label for label, code in seen.codes.items()}, llm_label[id_of[seen.text]][1]
        for text, code in seen.demonstrations:
            id_ = id_of[text]
            assert text != seen.text
            assert label_of[code] == (human[id_] if id_ in human else llm_label[id_][0])
            if id_ not in human:
                assert llm_label[id_][1] < number
                by_round[number].add(id_)
    assert not by_round[2]
    assert by_round[3] == set(project.store.read_note(3, "demonstrated_by_llm"))
    assert by_round[3]


def test_without_a_student_people_alone_are_shown(make_project: Any) -> None:
    project = make_project(llm={"annotator": "none"})
    next(iter(project.run()))
    loop, id_ = project.loop(), next(row["id"] for row in shop.POOL)
    loop.store.add_annotations([Annotation(id_, "refund", "llm:m/a", kind=AnnotatorKind.LLM, model="m")])
    assert loop.situation.agreed(1, 10**9, ALL_AGREED) == {}


def test_llm_answers_after_the_last_row_are_not_seen(make_project: Any) -> None:
    project = make_project(llm={"annotator": "none"})
    next(iter(project.run()))
    loop = project.loop()
    people, names = set(loop.situation.bank(10**9).ids), loop.corpus.scheme.names
    proba = loop.students.pool_proba(1, loop.corpus)
    said = [
        Annotation(id_, names[int(row.argmax())], "llm:m/a", kind=AnnotatorKind.LLM, model="m")
        for id_, row in zip(loop.corpus.ids, proba, strict=True)
        if id_ not in people
    ]
    last_row = loop.store.add_annotations(said[:8])[-1]
    before = loop.situation.agreed(2, last_row, ALL_AGREED)
    loop.store.add_annotations(said[8:])
    assert before == {a.example_id: a.label for a in said[:8]}
    assert loop.situation.agreed(2, last_row, ALL_AGREED) == before
    assert len(loop.situation.agreed(2, 10**9, ALL_AGREED)) > len(before)
    assert people < set(loop.situation.bank(last_row, before).ids)


def test_a_killed_round_goes_on_with_the_same_bank_and_pays_nothing_twice(
    make_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LoopbackServer(FakeChat(Watching())) as server:
        project = make_project(llm=_student_settings(server.url))
        rounds = project.run()
        next(rounds), next(rounds)
        monkeypatch.setattr("llm_al.loop._CHUNK", 4)
        with monkeypatch.context() as patch:
            # What a killed step has paid for is in the ledger alone.
            patch.setattr(project.store, "add_annotations", _abort)
            with pytest.raises(ConnectionAbortedError):
                next(rounds)
        agreed = project.store.read_note(3, "demonstrated_by_llm")
        # Somebody answers about a text that is shown, before the round goes on.
        project.answer(next(iter(agreed)), "refund", annotator="ann")
        next(iter(project.run()))
        assert sum(server.paid.values()) == sum(a.kind is AnnotatorKind.LLM for a in project.store.annotations())
    assert project.store.read_note(3, "demonstrated_by_llm") == agreed


def test_the_note_of_a_round_is_what_the_same_rows_and_student_give(make_project: Any) -> None:
    with LoopbackServer(FakeChat(Watching())) as server:
        project = make_project(llm=_student_settings(server.url))
        list(project.run())
    loop = project.loop()
    last_row, agreed = (loop.store.read_note(3, key) for key in ("demonstrated_to", "demonstrated_by_llm"))
    assert loop.situation.agreed(3, last_row, make_refine(project.config)) == agreed


def test_labels_of_the_llm_need_a_way_to_be_shown() -> None:
    assert make_refine(_config(demonstrations="nearest")) is None
    with pytest.raises(
        ConfigError, match=r"'student', but llm\.demonstrations is 'none', .* one of: diverse, fixed, mmr,"
    ):
        make_demonstrator(_config(demonstrations_from="student"))
    with pytest.raises(ConfigError, match=r"llm\.demonstrations_from.*'people' or 'student'"):
        _config(demonstrations_from="me")
