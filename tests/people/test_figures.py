from itertools import count

import pytest

from llm_al.measures import PersonFigures
from llm_al.people.answer_book import Asked, Probe
from llm_al.people.figures import people_figures, share_estimate
from llm_al.phrasing import Form, Phrasing
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind

ROWS = count(1)
SET = Phrasing(Form.CANDIDATES, ("a", "b"), 0.9)


def said(who, example_id, label, *, seconds=None, phrasing=None, proposed=None, shown=None, reason="", form="list"):
    is_shown = proposed is not None if shown is None else shown
    row = Annotation(
        example_id,
        label,
        f"human:{who}",
        AnnotatorKind.HUMAN,
        duration_s=seconds,
        is_suggestion_shown=is_shown,
        form=form,
        reason=reason,
        row_id=next(ROWS),
    )
    return Asked(row, 0, 100.0 + (row.row_id or 0), phrasing, proposed)


def figures(*answers, probes=(), gold=None):
    return people_figures(answers, probes, gold=gold or {})


def person(name, *answers, **options) -> PersonFigures:
    (found,) = (p for p in figures(*answers, **options).persons if p.name == f"human:{name}")
    return found


def test_accuracy_is_taken_against_the_ruling_and_else_against_the_clear_majority_of_the_others() -> None:
    answers = [
        # ruled: ann wrong, although bob agrees with her
        said("ann", "1", "a"),
        said("bob", "1", "a"),
        # two others say b: ann is wrong
        said("ann", "2", "a"),
        said("bob", "2", "b"),
        said("eve", "2", "b"),
        # the others are tied: nothing is known of ann's
        said("ann", "3", "a"),
        said("bob", "3", "a"),
        said("eve", "3", "b"),
        # nobody else
        said("ann", "4", "a"),
        # right
        said("ann", "5", "c"),
        said("bob", "5", "c"),
        # a skip is no answer
        said("ann", "6", SKIP),
        said("bob", "6", "c"),
    ]
    ann = person("ann", *answers, gold={"1": "b"})
    assert (ann.n_answers, ann.n_skips, ann.n_compared) == (5, 1, 3)
    assert ann.accuracy.value == pytest.approx(1 / 3)
    # Clopper-Pearson for 1 of 3 at 95 %.
    assert (ann.accuracy.low, ann.accuracy.high) == (pytest.approx(0.0084, abs=1e-4), pytest.approx(0.9057, abs=1e-4))


def test_without_others_or_rulings_an_accuracy_has_a_reason_in_place_of_a_value() -> None:
    ann = person("ann", said("ann", "1", "a"))
    assert ann.accuracy.value is None
    assert ann.accuracy.reason == "no text of theirs has a ruling or answers of others"
    assert ann.agreement.reason == "undefined because no two people answered the same example"
    assert (ann.gold.reason, ann.steadiness.reason) == (
        "no question with a known label answered",
        "nothing was asked twice",
    )
    assert ann.acceptance.reason == "no answer with a suggestion in sight"
    assert ann.accuracy_shown.reason == "no assisted answer to a text with a ruling or with answers of others"
    assert ann.accuracy_hidden.reason == "no unassisted answer to a text with a ruling or with answers of others"


def test_of_two_answers_of_one_person_the_last_is_the_vote() -> None:
    bob = person("bob", said("ann", "1", "a"), said("ann", "1", "b"), said("bob", "1", "b"))
    assert bob.accuracy.value == 1.0


def test_a_ruling_is_no_answer_of_the_reviewer() -> None:
    rule = said("rev", "1", "a", reason="ruling: see page 3", form="")
    people = figures(said("ann", "1", "b"), rule, gold={"1": "a"})
    assert [p.name for p in people.persons] == ["human:ann"]
    assert (people.n_rulings, people.agreement.n_examples, people.persons[0].accuracy.value) == (1, 0, 0.0)


def test_a_note_that_begins_with_ruling_does_not_hide_an_answer() -> None:
    assert person("ann", said("ann", "1", "b", reason="ruling: mine")).n_answers == 1


def test_checks_count_right_and_wrong_answers_and_the_first_answer_to_what_was_asked_again() -> None:
    answers = [said("ann", "1", "a"), said("ann", "2", "a"), said("ann", "2", "b")]
    probes = [
        Probe("human:ann", True, "7", "a"),
        Probe("human:ann", True, "8", "b"),
        Probe("human:ann", True, "withdrawn", "b"),
        Probe("human:ann", False, "1", "a"),
        Probe("human:ann", False, "2", "b"),
        Probe("human:ann", False, "taken back", "b"),
    ]
    ann = person("ann", *answers, probes=probes, gold={"7": "a", "8": "a"})
    assert (ann.n_gold, ann.n_gold_right, ann.gold.value) == (2, 1, 0.5)
    assert (ann.n_re_asked, ann.steadiness.value) == (2, 0.5)


def test_somebody_who_answered_checks_only_is_listed() -> None:
    ann = person("ann", probes=[Probe("human:ann", True, "7", "a")], gold={"7": "a"})
    assert (ann.n_answers, ann.last_s, ann.gold.value) == (0, 0.0, 1.0)


def test_anchoring_shows_in_acceptance_and_in_accuracy_with_and_without_a_suggestion() -> None:
    answers = [
        said("ann", "1", "a", proposed="a"),
        said("ann", "2", "a", proposed="a"),
        said("ann", "3", "b", proposed="a"),
        said("ann", "4", "b", shown=True),
        said("ann", "5", SKIP, proposed="a"),
        said("ann", "6", "c"),
    ]
    gold = {"1": "a", "2": "b", "3": "b", "4": "b", "6": "c"}
    people = figures(*answers, gold=gold)
    assert (people.acceptance.value, people.persons[0].n_shown) == (pytest.approx(2 / 3), 4)
    assert people.accuracy_shown.value == 0.75
    assert people.accuracy_hidden.value == 1.0


def test_times_leave_skips_out_of_medians_and_keep_them_in_the_sum() -> None:
    answers = [
        said("ann", "1", "a", seconds=2.0),
        said("ann", "2", "a", seconds=4.0),
        said("ann", "3", SKIP, seconds=60.0),
        said("ann", "4", "a", seconds=1.0, form="verify"),
        said("ann", "5", "a"),
    ]
    people = figures(*answers)
    assert [(form.form, form.n, form.median_s) for form in people.forms] == [("list", 2, 3.0), ("verify", 1, 1.0)]
    assert people.forms[0].slow_s == pytest.approx(3.8)
    assert (people.minutes, people.median_s) == (pytest.approx(67 / 60), 2.0)


def test_coverage_counts_misses_also_where_the_whole_list_was_asked_for_and_leaves_outside_texts_out() -> None:
    answers = [
        said("ann", "1", "a", phrasing=SET, form="candidates"),
        said("ann", "2", "b", phrasing=SET, form="candidates"),
        said("ann", "3", "c", phrasing=SET, form="list"),
        said("ann", "4", NONE_OF_THESE, phrasing=SET, form="candidates"),
        said("ann", "5", SKIP, phrasing=SET),
        said("ann", "6", "a", phrasing=Phrasing(Form.VERIFY, ("a",), 0.8), form="verify"),
        said("ann", "7", "a", phrasing=Phrasing()),
    ]
    candidates, verify = figures(*answers).coverage
    assert (candidates.form, candidates.n, candidates.n_outside, candidates.n_options) == ("candidates", 3, 1, 2.0)
    assert (candidates.nominal, candidates.empirical.value) == (pytest.approx(0.9), pytest.approx(2 / 3))
    assert (verify.form, verify.empirical.value, verify.empirical.high) == ("verify", 1.0, 1.0)


def test_coverage_where_nothing_fits_says_so() -> None:
    (row,) = figures(said("ann", "1", NONE_OF_THESE, phrasing=SET)).coverage
    assert row.empirical.reason == "every answer was that no label fits"


def test_agreement_comes_with_pairs_and_with_the_weakest_label_first() -> None:
    answers = [said(who, str(n), label) for n in range(6) for who in ("ann", "bob") for label in ["abc"[n % 3]]]
    answers += [said("ann", "7", "a"), said("bob", "7", "b"), said("ann", "8", "a")]
    found = figures(*answers).agreement
    assert (found.n_examples, found.n_unanimous, found.n_people) == (7, 6, 2)
    assert [name for name, _ in found.labels] == ["a", "b", "c"]
    assert found.labels[0][1].value < found.labels[2][1].value == 1.0
    (pair,) = found.pairs
    assert (pair.first, pair.second, pair.n, pair.share) == ("human:ann", "human:bob", 7, pytest.approx(6 / 7))


def test_people_come_with_most_answers_first() -> None:
    people = figures(said("ann", "1", "a"), said("bob", "1", "a"), said("bob", "2", "a"))
    assert [p.name for p in people.persons] == ["human:bob", "human:ann"]
    assert (people.n_answers, people.n_skips) == (3, 0)


def test_a_share_of_nothing_has_a_reason() -> None:
    assert share_estimate(0, 0, reason="why").reason == "why"
    assert share_estimate(0, 5, reason="").low == 0.0
