"""Demonstrations in a whole run: what people have labelled is what the model is shown, and nothing else."""

from typing import Any

import pytest
import yaml

from llm_al.annotators.demonstrations import Fixed, Mmr
from llm_al.config import ProjectConfig, validate_config
from llm_al.errors import ConfigError, UnknownNameError
from llm_al.llm_assembly import make_demonstrator
from llm_al.types import NONE_OF_THESE, AnnotatorKind, Signal
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
