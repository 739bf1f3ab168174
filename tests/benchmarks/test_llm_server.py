import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from benchmarks._llm_model import Faults, answer, completion, label_of, read
from benchmarks._llm_server import Bucket, reset

ROOT = Path(__file__).parents[2]
SYSTEM = 'A = "spam": unwanted\nB = "ham": wanted\nC = "none_of_these": neither'


def body(text: str = "hello", **extra: Any) -> bytes:
    question = {"role": "user", "content": f"<text ab12>\n{text}\n</text ab12>\n\nWhich label?"}
    messages = [{"role": "system", "content": SYSTEM}, question]
    return json.dumps({"model": "m", "messages": messages, "max_tokens": 64, **extra}).encode()


@dataclass
class Served:
    url: str
    log: Path

    def post(self, raw: bytes, key: str = "", connection: http.client.HTTPConnection | None = None) -> Any:
        """Return the response with its `text`."""
        parts = urlsplit(self.url)
        used = connection or http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=5.0)
        used.request("POST", "/v1/chat/completions", raw, {"Idempotency-Key": key} if key else {})
        response = used.getresponse()
        response.text = response.read().decode()  # type: ignore[attr-defined]
        if connection is None:
            used.close()
        return response

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., Any]:
    @contextmanager
    def start(*options: str) -> Iterator[Served]:
        log = tmp_path / "calls.jsonl"
        command = [sys.executable, "-m", "benchmarks._llm_server", "--log", str(log), "--ends-with-stdin", *options]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with process, process.stdin, process.stdout:  # type: ignore[union-attr]
            yield Served(process.stdout.readline().strip(), log)  # type: ignore[union-attr]

    return start


def test_answer_is_a_listed_code_for_the_fenced_text_in_any_order_of_labels() -> None:
    asked = read(body("cheap pills"))
    given = answer(asked)
    name = label_of("cheap pills", ["ham", "spam", "none_of_these"])
    assert json.loads(given.content) == {"code": {"spam": "A", "ham": "B"}[name]}
    turned = read(body("cheap pills").replace(b"A =", b"X =").replace(b"B =", b"A =").replace(b"X =", b"B ="))
    assert json.loads(answer(turned).content) == {"code": {"spam": "B", "ham": "A"}[name]}


def test_schema_of_another_question_is_filled_from_its_own_enum() -> None:
    properties = {"why": {"type": "string"}, "verdict": {"type": "string", "enum": ["yes", "no"]}}
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"properties": properties}}}
    filled = json.loads(answer(read(body(response_format=schema))).content)
    assert set(filled) == {"why", "verdict"}
    assert filled["verdict"] in {"yes", "no"}


def test_tokens_are_counted_by_length_and_longest_counts_all_that_is_allowed() -> None:
    asked = read(body("x"), bytes_a_token=1)
    contents = sum(len(message["content"]) for message in json.loads(body("x"))["messages"])
    assert asked.n_tokens_in == contents + 2 * 4
    # '{"code": "A"}' is 13 bytes, four to a token, rounded up.
    assert answer(asked).n_tokens_out == 4
    assert answer(asked, is_longest=True).n_tokens_out == 64


def test_log_probabilities_spell_the_answer() -> None:
    asked = read(body(logprobs=True, top_logprobs=5))
    given = answer(asked)
    choice = json.loads(completion(asked, given))["choices"][0]
    tokens = choice["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == given.content
    assert {top["token"] for token in tokens for top in token["top_logprobs"]} == {"A", "B", "C"}


def test_faults_come_in_their_shares_and_the_same_for_the_same_seed() -> None:
    faults = Faults({"500": 0.05, "hang": 0.01}, seed=7)
    drawn = [faults.draw(f"hash {i}", 0) for i in range(20_000)]
    assert drawn.count("500") == pytest.approx(1000, abs=150)
    assert drawn.count("hang") == pytest.approx(200, abs=70)
    assert drawn == [Faults({"500": 0.05, "hang": 0.01}, seed=7).draw(f"hash {i}", 0) for i in range(20_000)]


def test_unknown_fault_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="shares of 500, 429, drop_before, hang, drop, truncate, off_enum"):
        Faults({"flood": 0.1})


def test_bucket_holds_one_second_and_fills_at_its_rate() -> None:
    now = 0.0
    bucket = Bucket(per_minute=120.0, clock=lambda: now)
    for _ in range(2):
        assert bucket.wait_s(1.0) == 0.0
        bucket.take(1.0)
    assert bucket.wait_s(1.0) == pytest.approx(0.5)
    assert bucket.headers("requests") == {
        "x-ratelimit-limit-requests": "120",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1s",
    }
    now = 60.0
    assert bucket.wait_s(2.0) == 0.0
    # Larger than the bucket: it passes a full one, and the next waits until it is paid off.
    assert bucket.wait_s(5.0) == 0.0
    bucket.take(5.0)
    assert bucket.wait_s(1.0) == pytest.approx(2.0)


def test_reset_is_written_as_openai_writes_it() -> None:
    assert [reset(s) for s in (0.0, 0.02, 1.0, 8.64, 360.0, 432.5)] == ["0ms", "20ms", "1s", "8.64s", "6m0s", "7m12.5s"]


def test_replay_of_a_key_is_the_same_answer_and_is_not_charged(serve: Callable[..., Any]) -> None:
    with serve() as served:
        first, again, other = served.post(body(), "k1"), served.post(body(), "k1"), served.post(body(), "k2")
        assert [r.getheader("Idempotent-Replayed") for r in (first, again, other)] == ["false", "true", "false"]
        assert first.text == again.text
        assert [e["charged"] for e in served.entries()] == [True, False, True]


def test_switched_off_idempotency_charges_each_answer_and_sends_no_header(serve: Callable[..., Any]) -> None:
    with serve("--no-idempotency") as served:
        responses = [served.post(body(), "k1") for _ in range(2)]
        assert [r.getheader("Idempotent-Replayed") for r in responses] == [None, None]
        assert [e["charged"] for e in served.entries()] == [True, True]


@pytest.mark.parametrize("fault", ["drop", "truncate"])
def test_lost_answer_is_charged_once_and_replayed(serve: Callable[..., Any], fault: str) -> None:
    with serve("--fault", f"{fault}=1") as served:
        if fault == "drop":
            with pytest.raises(http.client.RemoteDisconnected):
                served.post(body(), "k")
        else:
            with pytest.raises(json.JSONDecodeError):
                json.loads(served.post(body(), "k").text)
        (entry,) = served.entries()
        assert (entry["charged"], entry["fault"], entry["status"]) == (True, fault, 200)


@pytest.mark.parametrize(("fault", "status"), [("500", 500), ("429", 429)])
def test_refusal_by_fault_is_not_charged(serve: Callable[..., Any], fault: str, status: int) -> None:
    with serve("--fault", f"{fault}=1", "--retry-after", "0.25") as served:
        response = served.post(body(), "k")
        assert response.status == status
        assert response.getheader("Retry-After") == ("0.25" if status == 429 else None)
        assert not served.entries()[0]["charged"]


def test_answer_outside_the_enum_is_valid_json_and_charged(serve: Callable[..., Any]) -> None:
    with serve("--fault", "off_enum=1") as served:
        content = json.loads(served.post(body()).text)["choices"][0]["message"]["content"]
        assert json.loads(content)["code"] not in {"A", "B", "C"}
        assert served.entries()[0]["charged"]


@pytest.mark.parametrize("fault", ["hang", "drop_before"])
def test_request_without_any_answer_ends_and_is_not_charged(serve: Callable[..., Any], fault: str) -> None:
    with serve("--fault", f"{fault}=1", "--hang", "0.05") as served:
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            served.post(body(), "k")
        (entry,) = served.entries()
        assert (entry["charged"], entry["status"]) == (False, 0)


def test_limit_refuses_what_is_above_it_and_says_when_to_come_back(serve: Callable[..., Any]) -> None:
    with serve("--requests-per-minute", "120") as served:
        parts = urlsplit(served.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=5.0)
        responses = [served.post(body(), connection=connection) for _ in range(3)]
        connection.close()
        assert [r.status for r in responses] == [200, 200, 429]
        assert [r.getheader("x-ratelimit-remaining-requests") for r in responses] == ["1", "0", "0"]
        assert [r.getheader("x-ratelimit-limit-requests") for r in responses] == ["120"] * 3
        assert responses[2].getheader("Retry-After") == "1"
        assert 400 < int(responses[2].getheader("Retry-After-Ms")) <= 500
        assert [e["fault"] for e in served.entries()] == ["", "", "limit"]


def test_token_limit_counts_input_and_output(serve: Callable[..., Any]) -> None:
    with serve("--tokens-per-minute", "60") as served:
        # One second's worth is one token: the first request passes, and all others wait until it is paid off.
        assert [served.post(body()).status for _ in range(2)] == [200, 429]


def test_log_is_complete_when_the_client_is_killed_while_it_waits(serve: Callable[..., Any], tmp_path: Path) -> None:
    code = (
        "import socket, sys, time\n"
        "raw = open(sys.argv[2], 'rb').read()\n"
        "head = 'POST /v1/chat/completions HTTP/1.1\\r\\nidempotency-key: k{}\\r\\ncontent-length: {}\\r\\n\\r\\n'\n"
        "for i in range(8):\n"
        "    s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); globals()[f's{i}'] = s\n"
        "    s.sendall(head.format(i, len(raw)).encode() + raw)\n"
        "print('sent', flush=True); time.sleep(60)\n"
    )
    (tmp_path / "body.json").write_bytes(body())
    with serve("--latency", "0.3") as served:
        arguments = [sys.executable, "-c", code, str(urlsplit(served.url).port), str(tmp_path / "body.json")]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == "sent\n"
            os.kill(client.pid, signal.SIGKILL)
        deadline = time.monotonic() + 5.0
        while len(entries := served.entries()) < 8 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert sorted(e["key"] for e in entries) == [f"k{i}" for i in range(8)]
        assert all(e["charged"] and e["client_gone"] for e in entries)


def test_whatever_is_not_a_chat_request_is_told_so(serve: Callable[..., Any]) -> None:
    with serve() as served:
        assert served.post(b'{"messages": []}').status == 400
        assert served.post(b"nonsense").status == 400
        assert not served.log.read_text(encoding="utf-8")


def test_server_ends_with_who_started_it(serve: Callable[..., Any]) -> None:
    command = [sys.executable, "-m", "benchmarks._llm_server", "--ends-with-stdin"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.stdin.close()
        assert process.wait(timeout=5.0) == 0
