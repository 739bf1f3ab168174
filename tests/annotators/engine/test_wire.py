import asyncio
from pathlib import Path

import pytest

from llm_al.annotators.engine.settings import Endpoint, Limits
from llm_al.annotators.engine.wire import BrokenOffError, NotSentError, Received, open_wire, proxy_of
from llm_al.errors import ConfigError
from tests.fakes.loopback import Fault, LoopbackServer


def send(url: str, *, timeout_s: float = 5.0, method: str = "GET") -> Received:
    async def main() -> Received:
        wire = open_wire(Endpoint(url, "m", "sk-canary"), Limits(concurrency=2, timeout_s=timeout_s), None)
        try:
            return await wire.send(method, "/models", None, {"X-Own": "1"})
        finally:
            await wire.close()

    return asyncio.run(main())


@pytest.fixture(autouse=True)
def _no_proxy_from_outside(monkeypatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_whole_response_comes_with_lower_case_headers() -> None:
    with LoopbackServer(faults={2: Fault("429", "3")}) as server:
        assert send(server.url).status == 200
        refused = send(server.url)
        assert (refused.status, refused.headers["retry-after"]) == (429, "3")
        assert server.headers[0]["authorization"] == "Bearer sk-canary"
        assert server.headers[0]["x-own"] == "1"


@pytest.mark.parametrize("fault", ["drop", "truncate"])
def test_a_response_that_does_not_come_whole_is_broken_off(fault: str) -> None:
    with LoopbackServer(faults={1: Fault(fault)}) as server, pytest.raises(BrokenOffError):
        # A GET would be sent again by the library: it costs nothing.
        send(server.url, method="POST")
    assert len(server.log) == 1


def test_a_server_that_is_not_there_has_not_seen_the_request() -> None:
    with LoopbackServer() as server:
        url = server.url
    with pytest.raises(NotSentError):
        send(url)


def test_a_slow_answer_times_out() -> None:
    with LoopbackServer(faults={1: Fault("hang")}) as server, pytest.raises(TimeoutError):
        send(server.url, timeout_s=0.05)


def test_a_proxy_of_the_environment_is_used_for_servers_elsewhere(monkeypatch) -> None:
    with LoopbackServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        assert send("http://llm.example.com/v1").status == 200
        assert proxy.log[0].path == "http://llm.example.com/v1/models"
        with LoopbackServer() as server:
            send(server.url)
            assert len(server.log) == len(proxy.log) == 1
        monkeypatch.setenv("NO_PROXY", "llm.example.com")
        assert proxy_of("http://llm.example.com/v1") is None


def test_a_proxy_of_another_kind_is_refused_by_name(monkeypatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"proxy for https://llm\.example\.com/v1 .*kind 'socks5'; allowed are http"):
        proxy_of("https://llm.example.com/v1")


def test_a_password_file_does_not_take_the_place_of_the_key(monkeypatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with LoopbackServer() as server:
        assert send(server.url).status == 200
        assert server.headers[0]["authorization"] == "Bearer sk-canary"


def test_a_server_that_does_not_finish_the_connection_has_not_seen_the_request() -> None:
    async def main() -> None:
        async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.1)
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        wire = open_wire(Endpoint(f"https://127.0.0.1:{port}/v1", "m"), Limits(timeout_s=0.08), None)
        try:
            with pytest.raises(NotSentError):
                await wire.send("POST", "/chat/completions", b"{}", {})
        finally:
            await wire.close()
            server.close()
            await asyncio.sleep(0.1)

    asyncio.run(main())
