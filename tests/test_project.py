import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from llm_al.errors import ConfigError, DataError, LabelError, NotFittedError, ProjectLockedError
from llm_al.project import Columns, Project
from llm_al.store.lock import ProjectLock
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Example, Source, Split
from tests.fakes import shop
from tests.fakes.chat import FakeChat, Seen
from tests.fakes.loopback import LoopbackServer


class Oracle:
    """A person with the gold labels, and words of their own for some examples."""

    name = "oracle"
    kind = AnnotatorKind.HUMAN

    def __init__(self, **own: str) -> None:
        self.own = own
        self.asked: list[str] = []

    def annotate(self, examples: list[Example]) -> list[Annotation]:
        self.asked += [example.id for example in examples]
        return [
            Annotation(example.id, self.own.get(example.id) or shop.GOLD[example.id], self.name, kind=self.kind)
            for example in examples
        ]


def _abort(*_: object) -> None:
    raise ConnectionAbortedError


def _answer_all(project: Project, label: Any = shop.GOLD.get) -> int:
    ids = [question.example_id for question in project.store.pending()]
    for id_ in ids:
        project.answer(id_, label(id_), annotator="ann")
    return len(ids)


def test_a_run_yields_after_each_round_and_ends_with_a_reason(make_project: Any) -> None:
    outcomes = list(make_project().run())
    assert [outcome.number for outcome in outcomes] == [1, 2, 3]
    assert [outcome.record.n_human for outcome in outcomes] == [9, 15, 21]
    assert [bool(outcome.stop_reason) for outcome in outcomes] == [False, False, True]


def test_each_round_knows_in_which_view_the_one_before_saw_the_pool(
    make_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int | None] = []

    def choose(_vectors: Any, _targets: Any, standing: int | None) -> int:
        told.append(standing)
        return 0

    monkeypatch.setattr("llm_al.corpus.best_view", choose)
    monkeypatch.setattr("llm_al.supervision.can_choose", lambda _n_labels, _n_classes: True)
    project = make_project(budget={"rounds": 2})
    n_told = [len(told) for _ in project.run()]
    assert project.store.read_note(1, "supervision")["view"] == 0
    assert set(told[: n_told[0]]) == {None}
    assert set(told[n_told[0] : n_told[1]]) == {0}


def test_a_finished_project_run_again_says_why_it_is_over(finished: Path) -> None:
    with Project.open(finished) as project:
        (outcome,) = project.run()
    assert outcome.stop_reason == "the budget of 21 human labels is used up"


def test_one_seed_gives_one_export_byte_for_byte(make_project: Any, tmp_path: Path) -> None:
    exports = []
    for name in ("one", "two"):
        project = make_project(name, pseudo_labels={"guard": False})
        list(project.run())
        exports.append(project.export(tmp_path / f"{name}.csv").read_bytes())
    assert exports[0] == exports[1]


def test_another_seed_asks_other_questions(make_project: Any) -> None:
    asked = []
    for seed in (0, 1):
        project = make_project(f"seed-{seed}", strategy={"name": "random", "cold_start_labels_per_class": 0.0})
        path = project.folder / "project.yaml"
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "seed": seed}))
        person = Oracle()
        with Project.open(project.folder) as reopened:
            list(reopened.run(annotator=person, max_rounds=1))
        asked.append(set(person.asked))
    assert asked[0] != asked[1]


@pytest.mark.parametrize("budget", [1, 7, 9, 10, 20])
def test_people_never_answer_more_than_the_budget(make_project: Any, budget: int) -> None:
    person = Oracle()
    *_, last = make_project(budget={"human_labels": budget}).run(annotator=person)
    assert len(person.asked) == len(set(person.asked)) == budget
    assert last.record.n_human == budget


def test_audits_and_escalations_stay_within_the_budget(make_project: Any) -> None:
    project = make_project(routing={"audit_rate": 1.0}, budget={"human_labels": 17})
    person = Oracle()
    list(project.run(annotator=person))
    assert len(person.asked) == 17


def test_a_lower_limit_for_one_run_is_hard_too(make_project: Any) -> None:
    person = Oracle()
    list(make_project().run(annotator=person, max_human_labels=11))
    assert len(person.asked) == 11


def test_a_small_pool_is_asked_whole_and_no_more(make_project: Any, inputs: Path) -> None:
    shop.write_table(inputs / "pool.csv", shop.POOL[:5], "id text")
    *_, last = make_project(budget={"human_labels": 40}).run()
    assert last.record.n_human == 5
    assert last.stop_reason


def test_a_run_waits_for_people_and_goes_on_when_they_have_answered(make_project: Any) -> None:
    project = make_project(human={"annotator": "queue"})
    (waiting,) = project.run()
    assert (waiting.record, waiting.n_waiting) == (None, 9)
    before = [question.example_id for question in project.store.pending()]
    (again,) = project.run()
    assert again.n_waiting == 9
    assert [question.example_id for question in project.store.pending()] == before
    assert _answer_all(project) == 9
    first, second = project.run()
    assert first.record.n_human == 9
    assert (second.number, second.n_waiting) == (2, 6)


def test_queue_and_simulated_person_lead_to_the_same_labels(make_project: Any, tmp_path: Path) -> None:
    queued = make_project("queued", human={"annotator": "queue"})
    while list(queued.run())[-1].n_waiting:
        _answer_all(queued)
    simulated = make_project("simulated")
    list(simulated.run())
    labels = [[(row.id, row.label, row.source) for row in p.label_rows()] for p in (queued, simulated)]
    assert labels[0] == labels[1]


def test_a_second_run_is_refused_with_the_pid_of_the_first(make_project: Any) -> None:
    project = make_project()
    with ProjectLock(project.folder), pytest.raises(ProjectLockedError, match=f"process {os.getpid()} "):
        list(project.run())
    assert list(project.run(max_rounds=1))


def test_a_run_in_another_process_is_named_by_its_pid(llm_al: Any, make_project: Any) -> None:
    project = make_project()
    code = (
        "import sys; from pathlib import Path; from llm_al.store.lock import ProjectLock\n"
        f"with ProjectLock(Path({str(project.folder)!r})):\n    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        refused = llm_al("run", project.folder)
        assert refused.exit_code == 2
        assert f"process {holder.pid} " in refused.stderr
        given = shop.write_table(project.folder / "given.csv", shop.POOL, "id label")
        assert f"process {holder.pid} " in llm_al("import", project.folder, "--labels", given).stderr
        holder.communicate("")
    assert llm_al("run", project.folder, "--max-rounds", 1).exit_code == 0


def test_a_run_that_is_left_alone_frees_the_project(make_project: Any) -> None:
    project = make_project()
    rounds = project.run()
    next(rounds)
    rounds.close()
    assert next(iter(project.run())).number == 2


def test_none_of_these_and_skip_are_respected(make_project: Any) -> None:
    outside = [row["id"] for row in shop.POOL[:12]]
    skipped = [row["id"] for row in shop.POOL[12:20]]
    person = Oracle(**dict.fromkeys(outside, NONE_OF_THESE), **dict.fromkeys(skipped, SKIP))
    project = make_project(budget={"human_labels": 42}, pseudo_labels={"guard": False}, llm={"annotator": "none"})
    list(project.run(annotator=person))
    assert set(outside + skipped) <= set(person.asked)
    rows = {row.id: row for row in project.label_rows()}
    assert {rows[id_].label for id_ in outside} == {NONE_OF_THESE}
    assert {rows[id_].source for id_ in outside} == {Source.HUMAN}
    assert {rows[id_].source for id_ in skipped} == {Source.PSEUDO}
    why = project.why(skipped[0])
    assert why[-1] == "label now: no label of the list, from people"


def test_rounds_without_a_single_label_train_nothing_and_go_on(make_project: Any) -> None:
    first = [row["id"] for row in shop.POOL]
    skipper = Oracle(**dict.fromkeys(first, SKIP))
    project = make_project(llm={"annotator": "none"})
    *_, outcome = project.run(annotator=skipper, max_rounds=1)
    assert outcome.record.n_human == 9
    assert list(project.label_rows()) == []
    assert project.report().exists()
    with pytest.raises(NotFittedError):
        project.predict(["where is my parcel"])
    person = Oracle()
    list(project.run(annotator=person))
    assert not set(person.asked) & set(skipper.asked)
    assert project.predict(["where is my parcel"])


def test_a_test_text_that_is_in_the_pool_never_gives_its_label_away(make_project: Any, inputs: Path) -> None:
    leaked = [{**row, "id": f"x{row['id']}", "label": "refund"} for row in shop.POOL[:3]]
    shop.write_table(inputs / "test.csv", [*shop.TEST, *leaked])
    project = make_project()
    assert project.status().n_test == len(shop.TEST)
    assert {example.split for example in project.store.examples_by_id(["p0", "p1", "p2"])} == {Split.POOL}
    assert project.store.annotations(ids=["p0", "p1", "p2"]) == []
    person = Oracle()
    list(project.run(annotator=person, max_rounds=1))
    given = {a.example_id for a in project.store.annotations() if a.source == "test-labels"}
    assert given == {row["id"] for row in shop.TEST}


def test_a_pool_text_that_is_in_the_test_split_is_never_learned_from(make_project: Any) -> None:
    project = make_project()
    project.add([{"id": "n1", "text": shop.TEST[0]["text"]}, {"id": "n2", "text": "The lamp flickers"}])
    assert project.status().n_pool == 43
    *_, last = project.run(annotator=Oracle(n2="product"), max_rounds=1)
    assert last.record.metrics.n == len(shop.TEST)


def test_a_skip_for_a_test_text_changes_nothing(make_project: Any) -> None:
    project = make_project()
    project.answer("t0", SKIP)
    *_, last = project.run(max_rounds=1)
    assert last.record.metrics.n == len(shop.TEST)


def test_test_texts_that_no_label_fits_are_left_out_of_the_measure(make_project: Any, inputs: Path) -> None:
    rows = [*shop.TEST, {"id": "t99", "text": "Good morning", "label": NONE_OF_THESE}]
    shop.write_table(inputs / "test.csv", rows)
    *_, last = make_project().run(max_rounds=1)
    assert last.record.metrics.n == len(shop.TEST)


def test_without_a_test_split_a_run_works_and_measures_nothing(make_project: Any) -> None:
    project = make_project(test=False)
    *_, last = project.run()
    assert last.record.metrics is None
    assert project.report().exists()


def test_answers_are_checked_before_they_are_kept(make_project: Any) -> None:
    project = make_project()
    with pytest.raises(LabelError, match="unknown label 'refunds'"):
        project.answer("p0", "refunds")
    with pytest.raises(DataError, match="p999"):
        project.answer("p999", "refund")
    assert project.store.annotations(ids=["p0"]) == []
    assert project.answer("p0", NONE_OF_THESE) > 0


def test_a_run_continues_after_any_step_with_the_same_labels(make_project: Any, tmp_path: Path) -> None:
    whole = make_project("whole")
    list(whole.run())
    expected = whole.export(tmp_path / "whole.csv").read_bytes()
    broken = make_project("broken")
    steps = [f"Loop.{step}" for step in ("_route", "_annotate", "_review", "_ask", "_train", "_predict")]
    for step in (*steps, "RoundBook.record"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(f"llm_al.loop.{step}", _abort)
            with pytest.raises(ConnectionAbortedError):
                list(broken.run())
    list(broken.run())
    assert broken.export(tmp_path / "broken.csv").read_bytes() == expected


def test_accepted_llm_labels_are_exported_with_their_source(make_project: Any) -> None:
    def knows(seen: Seen) -> str:
        return next(row["label"] for row in shop.POOL if row["text"] == seen.text)

    with LoopbackServer(FakeChat(knows)) as server:
        chat = {"annotator": "chat", "base_url": server.url, "model": "m", "prompts": ["classify.v1"]}
        project = make_project(
            llm=chat,
            routing={"audit_rate": 0.9, "max_error": 0.45, "confidence": 0.6},
            budget={"human_labels": 24},
            strategy={"llm_per_round": 20},
        )
        *_, last = project.run()
        assert all(n == 1 for n in server.paid.values())
    assert last.record.n_llm_accepted > 0
    llm = [row for row in project.label_rows() if row.source is Source.LLM]
    assert llm
    assert all(row.label == shop.GOLD[row.id] and row.annotators == ("llm:m/classify.v1",) for row in llm)
    assert "from the LLM" in project.why(llm[0].id)[-1]
    assert last.record.n_human <= 24


def test_a_dataset_of_the_labels_has_every_column(finished: Path) -> None:
    with Project.open(finished) as project:
        dataset = project.labels(["human"])
    assert len(dataset) == 21
    assert {"id", "text", "label", "posterior", "source", "annotators", "round"} <= set(dataset.column_names)


def test_the_student_predicts_with_the_vectors_of_the_project(finished: Path) -> None:
    with Project.open(finished) as project:
        (row,) = project.predict(["The courier has my parcel"])
        assert row["label"] == "delivery"
        assert project.student.labels == tuple(shop.LABELS)
        assert (project.student_folder / "README.md").read_text(encoding="utf-8").startswith("---")
        assert project.predict([]) == []


def test_a_lost_cache_changes_nothing(finished: Path, tmp_path: Path) -> None:
    import shutil

    with Project.open(finished) as project:
        before = project.export(tmp_path / "before.csv").read_bytes()
        shutil.rmtree(finished / "cache")
        assert project.export(tmp_path / "after.csv").read_bytes() == before


def test_a_project_is_made_from_lists_and_mappings_too(tmp_path: Path) -> None:
    with Project.create(
        tmp_path / "plain", texts=["one text", "another text"], labels=["a", "b"], settings=shop.FAST
    ) as project:
        assert project.status().n_pool == 2
        assert project.scheme.names == ("a", "b")
        assert repr(project) == f"Project({str(tmp_path / 'plain')!r})"
        with pytest.raises(NotFittedError, match="llm-al run"):
            _ = project.student
    rows = [{"key": "1", "body": "one text"}, {"key": "2", "body": "another text"}]
    columns = Columns(text="body", id="key")
    with Project.create(tmp_path / "named", texts=rows, labels={"a": "first", "b": ""}, columns=columns) as project:
        assert project.scheme.labels[0].description == "first"
        assert [example.text for example in project.store.examples_by_id(["1", "2"])] == ["one text", "another text"]


def test_guidelines_reach_the_scheme(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("Refund wins over delivery.", encoding="utf-8")
    with Project.create(
        tmp_path / "p", texts=["one text"], labels=["a", "b"], guidelines=tmp_path / "page.md"
    ) as project:
        assert project.scheme.guidelines == "Refund wins over delivery."
    with pytest.raises(ConfigError, match="nowhere"):
        Project.create(tmp_path / "q", texts=["one text"], labels=["a", "b"], guidelines=tmp_path / "nowhere.md")
    assert not (tmp_path / "q").exists()


def test_probabilities_of_an_export_sum_to_one(finished: Path) -> None:
    with Project.open(finished) as project:
        for row in project.label_rows(["pseudo"]):
            assert row.posterior == max(row.proba.values())
            assert np.isclose(sum(row.proba.values()), 1.0)


def test_gold_without_its_columns_is_refused(make_project: Any) -> None:
    project = make_project()
    (project.folder / "gold.csv").write_text("id,class\np0,refund\n")
    with pytest.raises(ConfigError, match="has no column 'label'"):
        list(project.run())
    with (project.folder / "gold.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "label"], ["p0", "complaint"]])
    with pytest.raises(LabelError, match="unknown gold label 'complaint'"):
        list(project.run())


def _with_labels(folder: Path, names: list[str]) -> Project:
    path = folder / "project.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "labels": names}))
    return Project.open(folder)


def test_labels_in_another_order_are_the_same_labels(finished: Path) -> None:
    with Project.open(finished) as project:
        before = {row.id: (row.label, row.source) for row in project.label_rows()}
        names = list(project.scheme.names)
    with _with_labels(finished, names[::-1]) as project:
        assert {row.id: (row.label, row.source) for row in project.label_rows()} == before


def test_a_label_may_join_the_list_between_rounds(finished: Path) -> None:
    with _with_labels(finished, ["other", *shop.LABELS]) as project:
        rows = list(project.label_rows())
        assert {row.id: row.label for row in rows if row.source is Source.HUMAN}.items() <= shop.GOLD.items()
        assert all(set(row.proba) == {"other", *shop.LABELS} for row in rows)
        *_, last = project.run(max_human_labels=27)
        assert last.record.n_human == 27
        assert project.student.labels == ("other", *shop.LABELS)


def test_a_label_that_was_given_cannot_leave_the_list(finished: Path) -> None:
    path = finished / "project.yaml"
    settings = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**settings, "human": {"annotator": "queue"}}))
    with _with_labels(finished, ["delivery", "refund"]) as project, pytest.raises(ValueError, match="label 'product'"):
        list(project.label_rows())


@pytest.mark.slow
def test_a_real_encoder_is_fine_tuned_and_predicts_in_a_fresh_process(make_project: Any) -> None:
    options = {"epochs": 1}
    project = make_project(
        embedder={"name": "sentence", "model": "offline"},
        student={"name": "transformer", "model": "offline", "options": options},
        budget={"rounds": 1},
    )
    (outcome,) = project.run()
    assert outcome.record.metrics is not None
    code = f"import llm_al; print(llm_al.load_student({str(project.student_folder)!r}).predict(['where is my parcel']))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert found.stdout.strip()[2:-2] in shop.LABELS, found.stderr


def test_status_says_which_student_was_chosen_and_why(make_project: Any) -> None:
    project = make_project(student={"name": "auto", "options": {"min_labels_per_class": 100}})
    list(project.run(max_rounds=1))
    assert "student head: " in project.status().text()
