import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_al.annotators.chat.codes import choices
from llm_al.types import NONE_OF_THESE, Label


def test_up_to_25_labels_get_one_letter_and_more_get_two() -> None:
    assert [c.code for c in choices([Label(f"n{i}") for i in range(25)])][-1] == "Z"
    assert [c.code for c in choices([Label(f"n{i}") for i in range(26)])][:2] == ["AA", "AB"]


def test_a_closed_scheme_offers_no_way_out_and_fits_26_letters() -> None:
    closed = choices([Label(f"n{i}") for i in range(26)], is_open=False)
    assert [closed[0].code, closed[-1].code] == ["A", "Z"]
    assert NONE_OF_THESE not in {c.name for c in closed}


def test_reversed_order_changes_codes_but_none_of_these_stays_last() -> None:
    reversed_choices = choices([Label("x"), Label("y")], order="reversed")
    assert [(c.code, c.name) for c in reversed_choices] == [("A", "y"), ("B", "x"), ("C", NONE_OF_THESE)]


def test_shuffled_order_depends_on_the_names_alone() -> None:
    labels = [Label(f"label {i}") for i in range(8)]
    shuffled = [c.name for c in choices(labels, order="shuffled")]
    assert shuffled == [c.name for c in choices(labels[::-1], order="shuffled")]
    assert shuffled[:-1] != [label.name for label in labels]
    assert sorted(shuffled[:-1]) == [label.name for label in labels]
    assert shuffled[-1] == NONE_OF_THESE


@pytest.mark.parametrize("names", [["B", "A"], ["1", "A"], ["1", "a", "L1"]])
def test_a_code_is_never_the_name_of_a_label(names: list[str]) -> None:
    codes = {c.code.casefold() for c in choices([Label(name) for name in names])}
    assert codes.isdisjoint(name.casefold() for name in names)


@given(st.integers(min_value=2, max_value=800), st.booleans())
def test_codes_are_distinct_and_of_one_length(n: int, is_open: bool) -> None:
    codes = [c.code for c in choices([Label(f"label{i}") for i in range(n)], is_open=is_open)]
    assert len(set(codes)) == n + is_open
    assert len({len(code) for code in codes}) == 1
