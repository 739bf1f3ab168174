import pytest

from llm_al.annotators.replay import Replay, model_of_run
from llm_al.errors import ConfigError, DataError
from llm_al.formats.llm_runs import RecordedRow
from llm_al.protocols import Annotator
from llm_al.types import NONE_OF_THESE, AnnotatorKind, Example, Label, LabelScheme, Signal

SCHEME = LabelScheme((Label("a"), Label("b")))


def row(id_, text="", *, main="m", main_label=None, **runs):
    samples = {name: value if isinstance(value, dict) else {"label": value} for name, value in runs.items()}
    main_answer = None if main_label is None else {"label": main_label}
    return RecordedRow(id_, text, samples, main, main_answer)


def replay(*rows, **options):
    return Replay.of(rows, SCHEME, **options)


def labels(annotator, *examples):
    return [(a.example_id, a.label) for a in annotator.annotate(examples)]


def test_every_run_gives_one_annotation() -> None:
    annotator = replay(row("1", "t", p1="a", p2="b"))
    first, second = annotator.annotate([Example("1", "t")])
    assert (first.source, first.label, first.kind) == ("p1", "a", AnnotatorKind.LLM)
    assert (second.source, second.label) == ("p2", "b")
    assert isinstance(annotator, Annotator)


def test_an_example_is_found_by_its_text_when_ids_differ() -> None:
    annotator = replay(row("1", "one ", r="a"), row("2", "two", r="b"))
    assert labels(annotator, Example("x", "two"), Example("y", "one")) == [("x", "b"), ("y", "a")]


def test_the_same_id_with_another_text_is_another_example() -> None:
    annotator = replay(row("1", "one", r="a"), row("2", "two", r="b"))
    assert labels(annotator, Example("1", "two"), Example("2", "three")) == [("1", "b")]
    assert annotator.stop_reason == "1 text has no recorded answer"


def test_a_recording_without_texts_is_read_by_id() -> None:
    assert labels(replay(row("1", r="a")), Example("1", "anything")) == [("1", "a")]


def test_missing_texts_are_counted_and_the_count_starts_anew() -> None:
    annotator = replay(row("1", "one", r="a"))
    annotator.annotate([Example("8", "x"), Example("9", "y")])
    assert annotator.stop_reason == "2 texts have no recorded answer"
    annotator.annotate([Example("1", "one")])
    assert annotator.stop_reason == ""


def test_labels_match_exactly_then_without_case_then_abstain() -> None:
    annotator = replay(
        row("1", r1="a", r2=" B ", r3="c", r4=None, r5="none_of_these", r6="OOS"), none_of_these=("oos",)
    )
    answers = annotator.annotate([Example("1", "t")])
    assert [a.label for a in answers] == ["a", "b", None, None, NONE_OF_THESE, NONE_OF_THESE]
    assert answers[2].reason == "the recorded label 'c' is not in the list"
    assert answers[3].reason == "the recorded run gave no label"


def test_a_recorded_confidence_is_a_verbalised_signal_unless_told_otherwise() -> None:
    rows = [row("1", r={"label": "a", "confidence": 0.25}), row("2", r="a")]
    stated, unknown = replay(*rows).annotate([Example("1", ""), Example("2", "")])
    assert (stated.confidence, stated.signals) == (0.25, {Signal.VERBALISED: 0.25})
    assert (unknown.confidence, unknown.signals) == (None, {})
    by_token = replay(*rows, signal="token_probability").annotate([Example("1", "")])[0]
    assert by_token.signals == {Signal.TOKEN_PROBABILITY: 0.25}


def test_our_own_signals_model_prompt_and_probabilities_come_back() -> None:
    own = {"label": "a", "confidence": 0.7, "model": "gpt", "prompt": "p.v1", "signals": {"p_true": 0.5}}
    own |= {"proba": {"b": 0.3, "a": 0.7}, "reason": "cut"}
    bare = {"label": "a", "confidence": 0.6, "model": "gpt", "signals": {}}
    first, second = replay(row("1", r=own), row("2", r=bare)).annotate([Example("1", ""), Example("2", "")])
    assert (first.model, first.prompt, first.signals, first.reason) == ("gpt", "p.v1", {"p_true": 0.5}, "cut")
    assert first.proba == (0.7, 0.3)
    assert second.signals == {}


def test_the_main_run_answers_only_where_there_are_no_samples() -> None:
    assert [a.source for a in replay(row("1", main="gpt", main_label="a")).annotate([Example("1", "")])] == ["gpt"]
    both = row("1", main="gpt", main_label="a", p1="b")
    assert [a.source for a in replay(both).annotate([Example("1", "")])] == ["p1"]
    assert [a.label for a in replay(both, runs=("gpt", "p1")).annotate([Example("1", "")])] == ["a", "b"]


def test_prompts_of_one_model_share_it() -> None:
    answers = replay(row("1", main="llama", p1="a", p2="b")).annotate([Example("1", "")])
    assert {a.model for a in answers} == {"llama"}
    mapped = replay(row("1", main="llama", p1="a", p2="b"), models={"p2": "other"}).annotate([Example("1", "")])
    assert [a.model for a in mapped] == ["llama", "other"]


@pytest.mark.parametrize(
    ("run", "runs", "main", "model"),
    [
        ("gpt_4|8-shot", ["gpt_4|8-shot"], "GPT-4 4-shot", "gpt_4"),
        ("llm:gpt-4o/classify.v1", ["llm:gpt-4o/classify.v1"], "x", "gpt-4o"),
        ("zs_enum", ["zs_enum"], "llama3.2-3b", "llama3.2-3b"),
        ("qwen3-8b", ["qwen3-8b", "gemma"], "qwen3-8b", "qwen3-8b"),
        ("llama_a", ["qwen", "llama_a", "llama_b"], "qwen", "llama"),
    ],
)
def test_models_are_guessed_cautiously(run: str, runs: list[str], main: str, model: str) -> None:
    assert model_of_run(run, runs, main) == model


def test_a_row_with_fewer_runs_leaves_them_absent() -> None:
    annotator = replay(row("1", p1="a"), row("2", p1="a", p2="b"), row("3", p1="b"))
    assert labels(annotator, *[Example(str(i), "") for i in (1, 2, 3)]) == [
        ("1", "a"),
        ("2", "a"),
        ("2", "b"),
        ("3", "b"),
    ]


def test_wrong_options_are_named() -> None:
    with pytest.raises(ConfigError, match=r"llm.options.runs: unknown run 'q'; choose from: r"):
        replay(row("1", r="a"), runs=("q",))
    with pytest.raises(ConfigError, match=r"llm.options.signal is 'loud'; choose from: token_probability"):
        replay(row("1", r="a"), signal="loud")
    with pytest.raises(DataError, match="the id of row 2 twice"):
        replay(row("1", r="a"), row("1", r="b"))


def test_an_empty_recording_answers_nothing() -> None:
    assert labels(replay(), Example("1", "t")) == []


def test_memory_is_tens_of_bytes_an_answer() -> None:
    import tracemalloc

    rows = (row(str(i), f"text {i}", p1={"label": "a", "confidence": i / 50_000}, p2="b") for i in range(20_000))
    tracemalloc.start()
    kept = replay(*[], **{}).of(rows, SCHEME)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept.tape) == 20_000
    assert size < 20_000 * 110
