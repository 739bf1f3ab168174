from typing import Any

import pytest

from llm_al.annotators.chat import Estimate
from llm_al.config import ProjectConfig, validate_config
from llm_al.forecast import Forecast, dollars, forecast
from llm_al.measures import RoundRecord
from llm_al.types import AnnotatorKind, Example


class Priced:
    """An annotator that costs a dollar a text."""

    name = "priced"
    kind = AnnotatorKind.LLM

    def annotate(self, examples: Any) -> list[Any]:
        raise AssertionError("an estimate sends nothing")

    def estimate(self, examples: Any) -> Estimate:
        n = len(examples)
        return Estimate(n, 0, 100 * n, 8 * n, n * 10**9, 2 * n * 10**9)


def config(*, initial: int = 30, per_round: int = 20, llm: int = 100, **budget: Any) -> ProjectConfig:
    strategy = {"initial": initial, "human_per_round": per_round, "llm_per_round": llm}
    return validate_config({"labels": ["a", "b"], "strategy": strategy, "budget": budget})


def record(number: int, n_human: int) -> RoundRecord:
    return RoundRecord(number, n_human, 0, 0, 0, 0, None, None)


def price(settings: ProjectConfig, *records: RoundRecord, n_pool: int = 1000, llm: Any = None) -> Forecast:
    return forecast(
        settings,
        n_pool=n_pool,
        records=records,
        llm=llm,
        first_examples=lambda n: [Example(str(row), "text") for row in range(n)],
    )


@pytest.mark.parametrize(
    ("settings", "records", "n_pool", "expected"),
    [
        (config(human_labels=70), (), 1000, (3, 70)),
        (config(human_labels=71), (), 1000, (4, 71)),
        (config(human_labels=10), (), 1000, (1, 10)),
        (config(human_labels=70), (record(1, 30),), 1000, (2, 40)),
        (config(human_labels=70), (record(1, 30), record(2, 70)), 1000, (0, 0)),
        (config(human_labels=70, rounds=2), (), 1000, (2, 50)),
        (config(human_labels=70, rounds=1), (), 1000, (1, 30)),
        (config(human_labels=70, rounds=1), (record(1, 30), record(2, 50)), 1000, (0, 0)),
        (config(human_labels=None), (), 45, (2, 45)),
        (config(human_labels=70, per_round=0), (), 1000, (1, 30)),
    ],
)
def test_rounds_and_answers_follow_from_the_budgets(
    settings: ProjectConfig, records: tuple[RoundRecord, ...], n_pool: int, expected: tuple[int, int]
) -> None:
    found = price(settings, *records, n_pool=n_pool)
    assert (found.n_rounds, found.n_human_labels) == expected
    assert found.human_minutes == pytest.approx(expected[1] * 8.0 / 60.0)


def test_the_language_model_is_asked_from_the_second_round_on() -> None:
    found = price(config(human_labels=70, llm_usd=9.0), llm=Priced())
    assert (found.n_llm_examples, found.n_llm_calls) == (200, 200)
    assert (found.usd_low, found.usd_high, found.cap_usd) == (200.0, 400.0, 9.0)
    assert price(config(human_labels=70), llm=Priced(), n_pool=120).n_llm_examples == 120
    assert price(config(human_labels=70, rounds=1), llm=Priced()).n_llm_examples == 0


def test_the_text_names_money_and_its_cap() -> None:
    text = str(price(config(human_labels=70, llm_usd=9.0), llm=Priced()))
    assert "about 3 more rounds" in text
    assert "LLM (priced): 200 texts in 200 calls, about 20000 tokens in and 1600 out" in text
    assert "money: $200.0000 to $400.0000" in text
    assert "cap: $9.00" in text


def test_an_unknown_price_is_said() -> None:
    class Unknown(Priced):
        def estimate(self, examples: Any) -> Estimate:
            return Estimate(3, 0, 10, 10, None, None)

    assert "the price of the model is not known; set llm.price" in str(price(config(), llm=Unknown()))


def test_an_annotator_without_prices_costs_nothing() -> None:
    class Free:
        name = "free"
        kind = AnnotatorKind.LLM

    found = price(config(human_labels=70), llm=Free())
    assert (found.n_llm_examples, found.n_llm_calls, found.usd_high) == (200, 0, 0.0)


def test_nano_dollars_become_dollars() -> None:
    assert dollars(2_500_000_000) == 2.5
    assert dollars(None) is None


def test_time_and_suppositions_are_shown() -> None:
    class Timed(Priced):
        def estimate(self, examples: Any) -> Estimate:
            n = len(examples)
            return Estimate(n, 0, n, n, n, n, 5.0, 600.0, ("tokens counted by tiktoken",))

    found = price(config(human_labels=70), llm=Timed())
    assert (found.seconds_low, found.seconds_high, found.notes) == (5.0, 600.0, ("tokens counted by tiktoken",))
    assert "time: 5.0 seconds to 10.0 minutes of LLM calls\n" in str(found)
    assert str(found).endswith("tokens counted by tiktoken")
    assert "time:" not in str(price(config(human_labels=70), llm=Priced()))
