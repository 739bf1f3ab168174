"""What happens on a machine without a browser."""

import pytest

from tests.web.browser import conftest


def test_without_a_browser_the_tests_are_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLM_AL_REQUIRE_BROWSER", raising=False)
    monkeypatch.delenv("LLM_AL_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.skip.Exception, match="no Chromium was found; say where it is in LLM_AL_CHROMIUM"):
        conftest.find_chromium()


def test_where_a_browser_was_promised_the_tests_fail_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_AL_REQUIRE_BROWSER", "1")
    monkeypatch.delenv("LLM_AL_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.fail.Exception, match="browser tests are required, and no Chromium was found"):
        conftest.find_chromium()
