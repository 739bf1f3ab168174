from hypothesis import given
from hypothesis import strategies as st

from llm_al.reports.amounts import clean, interval, number, percent, seconds, shorten, usd


@given(st.integers(min_value=0, max_value=10**18))
def test_dollars_hold_every_nano_dollar(nanousd):
    whole, fraction = usd(nanousd).removeprefix("$").replace(",", "").split(".")
    assert int(whole) * 10**9 + int(fraction.ljust(9, "0")) == nanousd
    assert len(fraction) >= 2


def test_dollars_by_hand():
    assert usd(150) == "$0.00000015"
    assert usd(1_000_000_000) == "$1.00"
    assert usd(1_500_000_000) == "$1.50"
    assert usd(-20_000_000) == "-$0.02"


def test_what_was_not_measured_is_a_dash():
    assert percent(None) == number(float("nan")) == seconds(None) == interval(None, 0.1, 0.2) == "-"


def test_an_interval_with_an_unknown_end_is_left_out():
    assert interval(0.5, None, 0.6) == interval(0.5, float("nan"), 0.6) == "50.0%"


@given(st.text(st.characters()), st.integers(min_value=2, max_value=40))
def test_short_text_fits_and_is_one_encodable_line(text, width):
    short = shorten(text, width)
    assert len(short) <= width
    assert "\n" not in short
    short.encode()


def test_characters_that_no_document_holds_are_replaced():
    assert clean("a\x00b\ud800c\x1b[31m\td\n") == "a\ufffdb\ufffdc\ufffd[31m\td\n"


def test_seconds_carry_into_minutes_and_hours():
    assert seconds(59.96) == "1 min 00 s"
    assert seconds(3600) == "1 h 00 min"
