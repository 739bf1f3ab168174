import pytest

from llm_al.annotators.engine.prices import Price, is_local, price_of
from llm_al.annotators.engine.settings import Endpoint, Limits, Pricing
from llm_al.errors import ConfigError

OPENAI = "https://api.openai.com/v1"


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini", "GPT-4o-mini"])
def test_list_price_ignores_provider_and_date(model: str) -> None:
    assert price_of(model, OPENAI) == Price(150.0, 600.0)


def test_a_longer_name_is_another_model() -> None:
    assert price_of("gpt-4o-mini-audio-preview", OPENAI) is None
    assert price_of("gpt-4.1-mini", OPENAI) != price_of("gpt-4.1", OPENAI)


def test_unlisted_models_are_free_on_local_servers_only() -> None:
    assert price_of("qwen3-8b", "http://localhost:8000/v1") == Price(0.0, 0.0)
    assert price_of("qwen3-8b", "https://llm.example.com/v1") is None


def test_a_listed_model_behind_a_local_proxy_keeps_its_price() -> None:
    assert price_of("gpt-4o-mini", "http://127.0.0.1:4000") == Price(150.0, 600.0)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:1/v1", True),
        ("http://[::1]:1/v1", True),
        ("http://10.1.2.3/v1", True),
        ("http://gpu.local/v1", True),
        ("https://8.8.8.8/v1", False),
        ("https://localhost.example.com/v1", False),
    ],
)
def test_local_means_this_machine_or_a_private_network(url: str, expected: bool) -> None:
    assert is_local(url) is expected


def test_costs_are_whole_nano_dollars_rounded_up() -> None:
    assert Price(37.5, 150.0).cost_nanousd(3, 1) == 263
    with pytest.raises(ConfigError, match="input price is -1"):
        Price(-1, 0)


def test_a_cap_with_an_unknown_price_asks_for_the_price() -> None:
    endpoint = Endpoint("https://llm.example.com/v1", "own-model")
    with pytest.raises(ConfigError, match=r"price of model 'own-model' .* set llm\.price"):
        Pricing(None, 10**9).resolve(endpoint)
    assert Pricing(None, None).resolve(endpoint) == Price(0.0, 0.0)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/v1", "http://", "", "http://[oops/v1", "file:///v1"])
def test_base_url_must_be_http(url: str) -> None:
    with pytest.raises(ConfigError, match="must start with http"):
        Endpoint(url, "m")


def test_endpoint_hides_its_key_and_refuses_broken_ones() -> None:
    assert "sk-1" not in repr(Endpoint("http://h/v1/", "m", "sk-1"))
    with pytest.raises(ConfigError, match="OPENAI_API_KEY holds characters") as caught:
        Endpoint("http://h/v1", "m", "sk-\u00e9")
    assert "sk-" not in str(caught.value)
    with pytest.raises(ConfigError, match="holds a user name or password"):
        Endpoint("http://me:secret@h/v1", "m")
    with pytest.raises(ConfigError, match=r"llm\.model is empty"):
        Endpoint("http://h/v1", " ")


def test_limits_are_above_zero() -> None:
    with pytest.raises(ConfigError, match=r"llm\.concurrency is 0"):
        Limits(concurrency=0)
