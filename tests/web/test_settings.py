import pytest

from llm_al.errors import ConfigError
from llm_al.web.settings import WebSettings, clean_prefix


@pytest.mark.parametrize(
    ("settings", "needs"),
    [
        ({}, False),
        ({"host": "localhost"}, False),
        ({"host": "::1"}, False),
        ({"host": "127.8.8.8"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "::"}, True),
        ({"host": "192.168.1.5"}, True),
        ({"host": "labels.example"}, True),
        ({"allowed_hosts": ("localhost",)}, False),
        ({"allowed_hosts": ("localhost", "labels.example")}, True),
        ({"proxies": ("127.0.0.1",)}, True),
    ],
)
def test_accounts_are_needed_as_soon_as_others_could_come(settings, needs) -> None:
    assert WebSettings(**settings).needs_accounts is needs


def test_settings_survive_the_way_to_a_worker() -> None:
    settings = WebSettings("Zoë", "key", "/labels/", "0.0.0.0", ("a", "b"), ("10.0.0.1",), is_https=True, n_threads=3)
    assert settings.base == "/labels"
    assert WebSettings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    "prefix", ["labels", "//evil.example", "/a//b", "/../x", "/a?b", "/a#b", '/a"b', "/api", "/static/x", "/é"]
)
def test_prefixes_that_cannot_be_used(prefix) -> None:
    with pytest.raises(ConfigError, match="cannot be used; give one like /labels"):
        clean_prefix(prefix)


@pytest.mark.parametrize("prefix", ["", "/", "/labels", "/team-1/labels.v2", "/apis"])
def test_prefixes_that_can(prefix) -> None:
    assert clean_prefix(prefix) == prefix.rstrip("/")
