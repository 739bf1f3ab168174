from typing import Any

import pytest

from llm_al.annotators.cascade import Cascade
from llm_al.annotators.panel import Panel
from llm_al.config import validate_config
from llm_al.errors import ConfigError
from llm_al.types import AnnotatorKind
from tests.fakes import shop
from tests.fakes.chat import FakeChat, Seen
from tests.fakes.loopback import LoopbackServer

PRICE = {"input_usd_per_million": 1.0, "output_usd_per_million": 1.0}


def _knows(seen: Seen) -> str:
    return shop.GOLD[next(row["id"] for row in shop.POOL if row["text"] == seen.text)]


def _settings(server: LoopbackServer, **more: Any) -> dict[str, Any]:
    return {"annotator": "chat", "base_url": server.url, "model": "one", "prompts": ["classify.v1"], **more}


def _llm_answers(project: Any) -> list[Any]:
    return [a for a in project.store.annotations() if a.kind is AnnotatorKind.LLM]


def test_a_panel_asks_every_model_about_every_text_and_shares_one_ledger(make_project: Any) -> None:
    with LoopbackServer(FakeChat(_knows)) as server:
        llm = _settings(
            server, price=PRICE, panel=[{"model": "two", "price": PRICE}, {"prompts": ["classify_terse.v1"]}]
        )
        project = make_project(llm=llm, budget={"llm_usd": 1.0, "rounds": 2})
        list(project.run())
        assert sum(server.paid.values()) == len(_llm_answers(project))
    answers = _llm_answers(project)
    by_source = {
        source: {a.example_id for a in answers if a.source == source} for source in {a.source for a in answers}
    }
    assert set(by_source) == {"llm:one/classify.v1", "llm:two/classify.v1", "llm:one/classify_terse.v1"}
    assert len({frozenset(ids) for ids in by_source.values()}) == 1
    assert {a.round for a in answers} == {2}
    assert project.store.spent_nanousd() == sum(a.cost_nanousd for a in answers) > 0
    assert {line.model for line in project.store.spending()} == {"one", "two"}


def test_the_cap_holds_for_the_panel_as_a_whole(make_project: Any) -> None:
    with LoopbackServer(FakeChat(_knows)) as server:
        llm = _settings(server, price=PRICE, panel=[{"model": "two", "price": PRICE}])
        project = make_project(llm=llm, budget={"llm_usd": 0.004, "rounds": 2})
        list(project.run())
    assert 0 < project.store.spent_nanousd() <= 4_000_000
    assert "llm:two: " in project.store.read_note(2, "llm_stopped")


@pytest.mark.parametrize(("usd_per_million", "is_sent"), [(1.0, True), (10_000.0, False)])
def test_a_cascade_asks_the_stronger_model_only_where_it_pays(
    usd_per_million: float, is_sent: bool, make_project: Any
) -> None:
    rates = {"input_usd_per_million": usd_per_million, "output_usd_per_million": usd_per_million}
    with LoopbackServer(FakeChat(_knows)) as server:
        cascade = {"then": {"model": "strong", "price": rates}, "human_usd_per_label": 0.05}
        llm = _settings(server, price=PRICE, logprobs=False, cascade=cascade)
        project = make_project(llm=llm, budget={"llm_usd": 1_000.0, "rounds": 2})
        list(project.run())
    answers = _llm_answers(project)
    cheap = {a.example_id: a for a in answers if a.model == "one"}
    sent = {a.example_id for a in answers if a.model == "strong"}
    assert cheap
    assert sent == (set(cheap) if is_sent else set())
    assert all(("not sent to llm:strong: a dollar there" in a.reason) != is_sent for a in cheap.values())


def test_settings_make_panels_and_cascades(make_project: Any) -> None:
    project = make_project(llm={"annotator": "chat", "base_url": "http://localhost:9/v1", "panel": [{"model": "two"}]})
    panel = project._assembly().llm()
    assert isinstance(panel, Panel)
    assert [member.endpoint.model for member in panel.members] == ["gpt-4o-mini", "two"]
    other = make_project("other", llm={"annotator": "chat", "cascade": {"then": {"model": "gpt-4o"}}})
    cascade = other._assembly().llm()
    assert isinstance(cascade, Cascade)
    assert (cascade.first.name, cascade.then.name, cascade.human_usd) == ("llm:gpt-4o-mini", "llm:gpt-4o", 0.1)


def test_another_model_does_not_inherit_the_price_of_the_first(make_project: Any) -> None:
    project = make_project(llm={"annotator": "chat", "price": PRICE, "panel": [{"model": "unheard-of"}]})
    with pytest.raises(ConfigError, match=r"price of model 'unheard-of' .* is not known"):
        project._assembly().llm()


def test_no_key_goes_to_a_server_that_it_was_not_given_for(make_project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    labels = {"labels": ["a", "b"]}
    with pytest.raises(ConfigError, match=r"'llm\.panel\.0' .* name its api_key_env too"):
        validate_config({**labels, "llm": {"panel": [{"base_url": "http://localhost:9/v1"}]}})
    member = {"base_url": "http://localhost:9/v1", "model": "local", "api_key_env": "NO_SUCH_KEY"}
    project = make_project(llm={"annotator": "chat", "panel": [member]})
    panel = project._assembly().llm()
    assert [m.endpoint.api_key for m in panel.members] == ["sk-canary", None]


def test_wrong_combinations_are_refused(make_project: Any) -> None:
    both = {"annotator": "chat", "panel": [{"model": "gpt-4o"}], "cascade": {"then": {"model": "gpt-4.1"}}}
    with pytest.raises(ConfigError, match=r"llm\.panel and llm\.cascade are both set"):
        make_project("a", llm=both)._assembly().llm()
    same = {"annotator": "chat", "cascade": {"then": {"prompts": ["classify.v1"]}}}
    with pytest.raises(ConfigError, match=r"llm\.cascade\.then\.model is 'gpt-4o-mini' like llm\.model"):
        make_project("b", llm=same)._assembly().llm()
    with pytest.raises(ConfigError, match=r"unknown key 'llm\.panel\.0\.modl'; allowed here: .*model"):
        validate_config({"labels": ["a", "b"], "llm": {"panel": [{"modl": "x"}]}})
