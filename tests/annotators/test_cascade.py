from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_al.annotators.cascade import Cascade, Trial, estimate_accuracies, expected_gain, read_trials, sureness
from llm_al.errors import ConfigError
from llm_al.types import Annotation, AnnotatorKind, Example

LLM = AnnotatorKind.LLM
share = st.floats(0.0, 1.0)


def said(id_, label, model="cheap", run="1", confidence=None):
    return Annotation(id_, label, f"{model}/{run}", LLM, model=model, confidence=confidence)


@dataclass(frozen=True)
class Fake:
    """Answers a text of words with its words, one run each."""

    model: str
    usd: float = 0.0
    round: int = 0
    kind: AnnotatorKind = LLM
    asked: list = field(default_factory=list)

    @property
    def name(self):
        return f"llm:{self.model}"

    def estimate(self, examples):
        cost = round(self.usd * 1e9) * len(examples)
        return SimpleNamespace(
            n_calls=len(examples), n_cached=0, n_tokens_in=0, n_tokens_out=0, cost_low_nanousd=cost,
            cost_high_nanousd=cost,
        )  # fmt: skip

    def annotate(self, examples):
        self.asked.extend(example.id for example in examples)
        return [
            replace(said(e.id, word, self.model, str(n)), round=self.round)
            for e in examples
            for n, word in enumerate(e.text.split())
        ]


def cascade(then, human_usd=0.1, **options):
    return Cascade(Fake("cheap"), then, n_classes=2, human_usd=human_usd, **options)


def test_gain_is_worked_out_by_hand():
    gain = expected_gain(0.5, 0.7, strong_usd=0.01, human_usd=0.1, human_accuracy=0.9)
    assert (gain.strong_per_usd, gain.human_per_usd) == (20.0, 4.0)
    assert gain.is_worth_it
    assert not expected_gain(0.5, 0.7, strong_usd=0.05, human_usd=0.1, human_accuracy=0.9).is_worth_it
    assert not expected_gain(0.8, 0.7, strong_usd=0.0, human_usd=0.1).is_worth_it
    assert expected_gain(0.6, 0.7, strong_usd=0.0, human_usd=0.1).is_worth_it


@given(p=share, q=share, cheap=st.floats(1e-6, 1.0), dear=st.floats(1e-6, 1.0), human=st.floats(1e-3, 1.0))
def test_what_is_worth_it_at_a_price_is_worth_it_at_a_lower_one(p, q, cheap, dear, human):
    low, high = sorted((cheap, dear))
    if expected_gain(p, q, strong_usd=high, human_usd=human).is_worth_it:
        assert q > p
        assert expected_gain(p, q, strong_usd=low, human_usd=human).is_worth_it


def test_sureness_is_smoothed_agreement_or_the_only_confidence():
    answers = [said("1", "a"), said("1", "a", run="2"), said("1", "b", run="3")]
    assert sureness(answers, 2) == ("a", 2.5 / 4)
    assert sureness([said("1", "a", confidence=0.8)], 2) == ("a", 0.8)
    assert sureness([said("1", "a")], 2) == ("a", 0.75)
    assert sureness([said("1", None), said("1", "a", run="2")], 2) == ("a", 0.5)
    assert sureness([said("1", None)], 2) == (None, 0.0)


def test_without_experience_the_prior_is_sureness_and_half_of_the_errors():
    assert estimate_accuracies(0.6, []) == (0.6, pytest.approx(0.8))


def test_experience_of_the_same_fifth_moves_both_estimates():
    near = [Trial(0.65, False, True)] * 4 + [Trial(0.7, True)] * 4
    far = [Trial(0.1, False, False)] * 100
    p, q = estimate_accuracies(0.62, near + far)
    assert p == pytest.approx((0.62 * 8 + 4) / 16)
    assert q == pytest.approx(((p + (1 - p) / 2) * 8 + 4) / 12)


def test_trials_are_read_from_answers_that_people_checked():
    annotations = [
        said("1", "a"), said("1", "b", "strong"), said("2", "b"), said("3", "a"), said("2", "a", "other"),
        Annotation("1", "a", "ann", AnnotatorKind.HUMAN),
    ]  # fmt: skip
    trials = read_trials(annotations, {"1": "b", "2": "b"}, cheap="cheap", strong="strong", n_classes=2)
    assert trials == [Trial(0.75, False, True), Trial(0.75, True, None)]


def test_a_free_stronger_model_is_asked_wherever_it_is_better():
    then = Fake("strong")
    answers = cascade(then).annotate([Example("1", "a b"), Example("2", "a a a")])
    assert then.asked == ["1", "2"]
    assert [a.model for a in answers if a.example_id == "1"] == ["cheap", "cheap", "strong", "strong"]


def test_only_doubtful_texts_are_worth_a_dear_model_and_the_rest_says_why():
    # Split 1 : 1, sure .5: p = .5, q = .75, so .25 / .45 = .56 a dollar against .5 with a person at 1 dollar.
    # Unanimous, sure .875: p = (7 + 40) / 48 and q = 8 (p + (1 - p) / 2) / 48, so the stronger model only does harm.
    trials = [Trial(0.875, True, False)] * 40
    then = Fake("strong", usd=0.45)
    annotator = cascade(then, human_usd=1.0, human_accuracy=1.0, trials=lambda: trials)
    answers = annotator.annotate([Example("1", "a b"), Example("2", "a a a")])
    assert then.asked == ["1"]
    (first, *_) = [a for a in answers if a.example_id == "2"]
    assert first.reason.startswith("not sent to llm:strong: a dollar there buys -1.81 correct labels, a dollar of a p")
    assert all(a.reason == "" for a in answers if a.example_id == "1")


def test_a_model_dearer_than_people_is_never_asked():
    then = Fake("strong", usd=0.2)
    cascade(then, human_usd=0.1).annotate([Example("1", "a b")])
    assert then.asked == []


def test_the_estimate_spans_from_none_to_all_sent_on():
    estimate = cascade(Fake("strong", usd=0.5)).estimate([Example("1", "a"), Example("2", "b")])
    assert (estimate.cost_low_nanousd, estimate.cost_high_nanousd) == (0, 10**9)


def test_the_round_reaches_both():
    annotator = replace(cascade(Fake("strong")), round=4)
    assert {a.round for a in annotator.annotate([Example("1", "a b")])} == {4}


def test_texts_that_the_first_left_out_are_not_sent_on():
    then = Fake("strong")
    assert cascade(then).annotate([Example("1", "")]) == []
    assert then.asked == []


def test_wrong_cascades_are_refused():
    with pytest.raises(ConfigError, match="is 'llm:cheap' like the first model"):
        cascade(Fake("cheap"))
    with pytest.raises(ConfigError, match="human_usd_per_label is 0; it must be above 0"):
        cascade(Fake("strong"), human_usd=0)


def test_where_the_stronger_model_answered_the_cheap_answers_do_not_count() -> None:
    cascade = Cascade(Fake("small"), Fake("large"), n_classes=2, human_usd=0.1)
    given = [
        Annotation("1", "cat", "llm:small/p1"),
        Annotation("1", "cat", "llm:small/p2"),
        Annotation("1", "dog", "llm:large/p1"),
        Annotation("2", "cat", "llm:small/p1"),
        Annotation("3", "cat", "llm:small/p1"),
        Annotation("3", None, "llm:large/p1"),
    ]
    assert cascade.standing(given) == [given[2], given[3], given[4], given[5]]


def test_a_stronger_model_that_is_asked_nothing_no_longer_tells_of_the_last_time():
    @dataclass(frozen=True)
    class Waiting(Fake):
        last: list = field(default_factory=list)

        @property
        def n_waiting(self):
            return len(self.last)

        def annotate(self, examples):
            self.last[:] = examples
            return []

    trials: list[Trial] = []
    both = cascade(Waiting("strong"), trials=lambda: trials)
    both.annotate([Example("1", "a b")])
    assert both.n_waiting == 1
    trials += [Trial(0.5, True, False)] * 100
    both.annotate([Example("1", "a b")])
    assert both.n_waiting == 0
