"""What an LLM does in a project beside labelling, over a loopback server and a real store."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from llm_al.disagreements import disagreements
from llm_al.errors import ConfigError, DataError
from llm_al.project import Project
from llm_al.types import AnnotatorKind, Source, Split
from tests.fakes import shop
from tests.fakes.chat import FakeChat
from tests.fakes.loopback import LoopbackServer
from tests.fakes.tasks import fenced_texts
from tests.fakes.writer import Writer, task_of

CHAT = {"annotator": "chat", "model": "gpt-4o-mini", "prompts": ["classify.v1"], "max_tries": 1}


def others_of(chat: Writer) -> list[str]:
    return [task for task in chat.tasks if task != "classify"]


@pytest.fixture
def served() -> Iterator[Callable[..., tuple[LoopbackServer, dict[str, Any]]]]:
    """Start a server: ``server, llm = served(Writer())``; `llm` are the settings that point at it."""
    running: list[LoopbackServer] = []

    def start(chat: FakeChat, **settings: Any) -> tuple[LoopbackServer, dict[str, Any]]:
        server = LoopbackServer(chat)
        running.append(server.__enter__())
        return server, {**CHAT, "base_url": server.url, **settings}

    yield start
    for server in running:
        server.__exit__(None, None, None)


def one_round(project: Any) -> None:
    outcomes = list(project.run(max_rounds=1))
    assert outcomes[-1].stop_reason


# The first examples.


def test_an_llm_chooses_the_first_examples_without_a_single_label(make_project, served):
    chat = Writer()
    _, llm = served(chat)
    project = make_project(llm=llm, strategy={"cold_start": "llm"}, budget={"rounds": 1, "llm_usd": 1.0})
    one_round(project)
    assert others_of(chat) == ["first_choice"]
    assert project.status().records[0].n_human == 9
    assert {line.prompt for line in project.store.spending()} >= {"first_choice.v1"}
    assert not any("first examples" in note for note in project.notes)


def test_first_examples_are_those_that_the_llm_named(make_project, served):
    def last_two(messages):
        return {"numbers": [36, 35, 99, 35]}

    chat = Writer(say=last_two)
    _, llm = served(chat)
    project = make_project(llm=llm, strategy={"cold_start": "llm"}, budget={"rounds": 1, "llm_usd": 1.0})
    one_round(project)
    shown = chat_texts(chat)
    first = [d.example_id for d in project.store.decisions(round=1) if d.stage == "select"][:2]
    assert [e.text for e in project.store.examples_by_id(first)] == [shown[35], shown[34]]


def chat_texts(chat: Writer) -> list[str]:
    body = next(body for body in chat.task_bodies if task_of(body["messages"]) == "first_choice")
    return fenced_texts(body["messages"][1]["content"])


def test_without_a_server_typical_examples_are_asked_and_a_note_says_so(make_project, served):
    server, llm = served(Writer())
    project = make_project(llm=llm, strategy={"cold_start": "llm"}, budget={"rounds": 1, "llm_usd": 1.0})
    server.chat = Writer(say=lambda _: "no")
    one_round(project)
    assert any("typical ones fill up" in note for note in project.notes)
    assert project.status().records[0].n_human == 9


@pytest.mark.parametrize(
    "changes", [{"strategy": {"cold_start": "llm"}}, {"llm": {"annotator": "zero_shot", "synthesize": 2}}]
)
def test_uses_that_need_a_model_say_so_without_one(make_project, changes):
    project = make_project(**changes)
    with pytest.raises(ConfigError, match=r"llm.annotator is 'zero_shot'.*set llm.annotator: chat"):
        list(project.run(max_rounds=1))


# Synthetic texts.


@pytest.fixture
def with_gap(make_project, served, tmp_path):
    """A project whose person never sees a text about a product, so that this label stays empty."""

    def make(chat: FakeChat | None = None, **llm_settings: Any) -> Any:
        _, llm = served(chat or Writer(), synthesize=3, **llm_settings)
        project = make_project(
            llm=llm,
            strategy={"initial": 36, "llm_per_round": 0},
            budget={"human_labels": 36, "rounds": 1, "llm_usd": 1.0},
        )
        gold = (project.folder / "gold.csv").read_text(encoding="utf-8")
        (project.folder / "gold.csv").write_text(gold.replace(",product", ",none_of_these"), encoding="utf-8")
        return project

    return make


def test_texts_are_written_for_labels_without_an_example_and_learned_from_with_less_weight(with_gap):
    project = with_gap()
    one_round(project)
    record = project.status().records[0]
    written = project.loop().situation.synthetic()
    assert {text.label for text in written} == {"product"}
    assert 1 <= record.n_synthetic <= len(written) <= 3
    assert Source.SYNTHETIC in record.sources
    assert "synthetic texts stay" in record.guard
    assert {line.prompt for line in project.store.spending()} == {"synthesise.v1"}
    assert project.predict([written[0].text])[0]["label"] == "product"


def test_no_written_text_reaches_pool_people_evaluation_or_export(with_gap, tmp_path):
    project = with_gap()
    one_round(project)
    written = {text.text for text in project.loop().situation.synthetic()}
    assert written
    stored = [example.text for chunk in project.store.iter_examples() for example in chunk]
    assert not written & set(stored)
    assert project.store.n_examples() == project.store.n_examples(Split.POOL) + project.store.n_examples(Split.TEST)
    loop = project.loop()
    assert not written & set(loop.corpus.texts)
    assert not written & set(loop.corpus.test.texts)
    assert project.status().records[0].metrics.n == len(loop.corpus.test) == 12
    assert not written & {
        e.text for e in project.store.examples_by_id([a.example_id for a in project.store.annotations()])
    }
    assert not written & {row.text for row in project.label_rows()}
    project.export(tmp_path / "labels.jsonl")
    assert not any(text in (tmp_path / "labels.jsonl").read_text(encoding="utf-8") for text in written)
    assert {a.kind for a in project.store.annotations()} <= {AnnotatorKind.SIMULATED, AnnotatorKind.HUMAN}


def test_written_texts_are_exported_when_they_are_asked_for_and_marked(with_gap, tmp_path):
    project = with_gap()
    one_round(project)
    project.export(tmp_path / "made.jsonl", sources=["synthetic"])
    rows = [json.loads(line) for line in (tmp_path / "made.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {(row["source"], row["label"]) for row in rows} == {("synthetic", "product")}
    with pytest.raises(ConfigError, match="choose from: human, llm, pseudo, synthetic"):
        project.label_rows(["made"])


def test_near_copies_of_real_texts_are_dropped(with_gap, make_project):
    copies = [shop.POOL[2]["text"], shop.TEST[2]["text"].upper(), "Something else about a kettle"]
    project = with_gap(Writer(say=lambda _: {"texts": copies}))
    one_round(project)
    assert [text.text for text in project.loop().situation.synthetic()] == ["Something else about a kettle"]


def test_a_run_goes_on_without_texts_when_none_are_written(with_gap):
    project = with_gap(Writer(say=lambda _: "sorry"))
    one_round(project)
    assert project.status().records[0].n_synthetic == 0
    assert any("none for label 'product'" in note for note in project.notes)


def test_nothing_is_written_unless_the_setting_asks_for_it(with_gap):
    chat = Writer()
    project = with_gap(chat)
    project.config = project.config.model_copy(update={"llm": project.config.llm.model_copy(update={"synthesize": 0})})
    one_round(project)
    assert others_of(chat) == []
    assert project.status().records[0].n_synthetic == 0


def test_a_run_that_is_repeated_after_the_step_pays_for_no_text_twice(with_gap):
    chat = Writer()
    project = with_gap(chat)
    outcomes = project.run(max_rounds=1)
    next(outcomes)
    loop = project.loop()
    before = loop.situation.synthetic()
    loop._synthesise(1)
    assert loop.situation.synthetic() == before
    assert others_of(chat).count("synthesise") == 1


# Proposals.


@pytest.fixture(scope="module")
def _answered_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("answered")
    shop.write_inputs(folder)
    with LoopbackServer(Writer(answer=lambda _: "delivery")) as server:
        settings = shop.settings(
            llm={**CHAT, "base_url": server.url}, budget={"human_labels": 42, "rounds": 3, "llm_usd": 1.0}
        )
        files = {"texts": folder / "pool.csv", "labels": folder / "labels.json"}
        with Project.create(folder / "shop", **files, settings=settings) as project:
            shutil.copy(folder / "gold.csv", project.folder)
            list(project.run())
        yield folder / "shop"


@pytest.fixture
def answered(_answered_once: Path, tmp_path: Path) -> Iterator[Project]:
    """A project after three rounds with an LLM that is wrong about refunds."""
    with Project.open(shutil.copytree(_answered_once, tmp_path / "answered")) as project:
        yield project


def test_descriptions_are_proposed_and_only_accepted_ones_change_the_settings(answered):
    project = answered
    found = project.llm.describe()
    assert [p.label for p in found.proposals] == ["delivery", "refund", "product"]
    assert all(p.proposed.startswith(f"Texts about {p.label}") for p in found.proposals)
    path = project.folder / "project.yaml"
    before = yaml.safe_load(path.read_text(encoding="utf-8"))
    lines = project.llm.accept_descriptions(["refund"])
    after = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert after["labels"][1]["description"] == found.proposals[1].proposed
    after["labels"][1]["description"] = before["labels"][1]["description"]
    assert after == before
    assert yaml.safe_load((project.folder / "project.yaml.1.bak").read_text(encoding="utf-8")) == before
    assert "every prompt changes" in lines[1]
    assert Project.open(project.folder).scheme.labels[1].description == found.proposals[1].proposed


def test_all_descriptions_can_be_accepted_and_unknown_names_are_refused(answered):
    project = answered
    with pytest.raises(ConfigError, match="make proposals first: llm-al propose descriptions"):
        project.llm.accept_descriptions(["all"])
    project.llm.describe()
    with pytest.raises(DataError, match="no description is proposed for 'refunds'; proposed are: delivery, refund"):
        project.llm.accept_descriptions(["refunds"])
    assert "3 descriptions" in project.llm.accept_descriptions(["all"])[0]


def test_labels_without_a_text_get_no_proposal_and_say_why(with_gap):
    project = with_gap()
    one_round(project)
    found = project.llm.describe()
    failures = {p.label: p.failure for p in found.proposals if not p.proposed}
    assert failures == {"product": "people have given this label to no text yet"}


def test_guideline_gaps_rest_on_disagreements_and_accepted_rules_reach_the_prompt(answered):
    project = answered
    found = project.llm.critique()
    assert found.n_disagreements > 0
    (rule,) = found.proposals
    assert rule.example_ids
    page = (project.folder / "proposals/guidelines.md").read_text(encoding="utf-8")
    assert "1. What if two fit?" in page
    assert f"`{rule.example_ids[0]}`" in page
    lines = project.llm.accept_rules(["1"])
    assert "the old page is guidelines.md.1.bak" in lines[0]
    assert project.llm.accept_rules(["1"]) == ["these rules stand in the guidelines already"]
    with Project.open(project.folder) as again:
        assert again.scheme.guidelines.endswith("- Take the first wish of the text.\n")
    with pytest.raises(DataError, match="no rule 7 is proposed; proposed are: 1"):
        project.llm.accept_rules(["7"])
    with pytest.raises(DataError, match="'x' is no number of a rule"):
        project.llm.accept_rules(["x"])


def test_people_against_the_llm_come_first_among_disagreements(answered):
    project = answered
    situation = project.loop().situation
    cases = disagreements(situation, number=3)
    labels = [dict(case.said) for case in cases]
    assert labels[0]["people"] != labels[0]["the LLM, run 1"]
    machine = [bool({who for who in said if who.startswith("the LLM")}) for said in labels]
    assert machine == sorted(machine, reverse=True)


def test_without_disagreements_nothing_is_asked(make_project, served):
    chat = Writer()
    _, llm = served(chat)
    project = make_project(llm=llm, budget={"llm_usd": 1.0})
    assert "nothing was asked" in project.llm.critique().text()
    with pytest.raises(DataError, match="people have labelled no text yet"):
        project.llm.describe()
    assert chat.tasks == []


# A first look.


def test_groups_are_named_by_keywords_without_an_llm(make_project):
    found = make_project().llm.explore(4)
    assert sum(row.n for row in found.clusters) == found.n == 42
    assert sum(row.share for row in found.clusters) == pytest.approx(1.0)
    assert [row.n for row in found.clusters] == sorted((row.n for row in found.clusters), reverse=True)
    assert all(row.keywords and row.typical and not row.is_named_by_llm for row in found.clusters)
    assert found.cost_nanousd == 0


def test_groups_are_named_by_the_llm_from_their_typical_texts(make_project, served):
    chat = Writer()
    _, llm = served(chat)
    project = make_project(llm=llm, budget={"llm_usd": 1.0})
    found = project.llm.explore(3)
    assert all(row.is_named_by_llm and row.name.startswith("group of ") for row in found.clusters)
    assert chat.tasks == ["name_cluster"] * len(found.clusters)
    assert found.cost_nanousd == project.store.spent_nanousd() > 0
    assert project.llm.explore(3).cost_nanousd == 0


def test_names_that_cannot_be_read_leave_keywords_and_a_note(make_project, served):
    _, llm = served(Writer(say=lambda _: {"name": "", "description": "x"}))
    found = make_project(llm=llm, budget={"llm_usd": 1.0}).llm.explore(2)
    assert not any(row.is_named_by_llm for row in found.clusters)
    assert found.notes == ("2 groups have keywords for a name: the name is empty",)


def test_two_groups_never_share_a_name(make_project, served):
    _, llm = served(Writer(say=lambda _: {"name": "Parcels", "description": "x"}))
    found = make_project(llm=llm, budget={"llm_usd": 1.0}).llm.explore(3)
    assert [row.name for row in found.clusters] == ["Parcels", "Parcels (2)", "Parcels (3)"]


# The command line.


def test_explore_writes_a_page_and_prints_a_table(make_project, llm_al):
    project = make_project()
    project.close()
    done = llm_al("explore", project.folder, "--clusters", 3, "--no-llm")
    assert done.exit_code == 0, done.output
    assert "42 texts in 3 groups" in done.stdout
    page = (project.folder / "explore.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    as_json = json.loads(llm_al("explore", project.folder, "--clusters", 3, "--json").stdout)
    assert len(as_json["clusters"]) == 3


def test_proposals_through_the_command_line(answered, llm_al):
    project = answered
    project.close()
    done = llm_al("propose", "descriptions", project.folder)
    assert "refund: Texts about refund" in done.stdout
    assert (
        "2 descriptions are now"
        in llm_al("propose", "descriptions", project.folder, "--accept", "refund, product").stdout
    )
    assert json.loads(llm_al("propose", "guidelines", project.folder, "--json").stdout)["proposals"][0]["number"] == 1
    assert "1 rules added" in llm_al("propose", "guidelines", project.folder, "--accept", "1").stdout
    wrong = llm_al("propose", "guidelines", project.folder, "--accept", "9")
    assert wrong.exit_code == 2
    assert "no rule 9 is proposed" in wrong.stderr
