import os
import signal
import threading

import pytest

from llm_al.annotators.chat import Limits
from llm_al.types import Example
from tests.fakes.chat import FakeChat
from tests.fakes.loopback import LoopbackServer


@pytest.fixture
def _heeds_ctrl_c():
    """Processes that a shell starts in the background ignore Ctrl-C; this test must not depend on that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heeds_ctrl_c")
@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_ctrl_c_keeps_the_answers_under_way_and_sends_no_more(make_chat) -> None:
    examples = [Example(str(n), f"thanks {n}") for n in range(500)]

    class Interrupting(FakeChat):
        def respond(self, body):
            answer = super().respond(body)
            if len(self.bodies) == 6:
                os.kill(os.getpid(), signal.SIGINT)
            return answer

    before = signal.getsignal(signal.SIGINT)
    assert threading.current_thread() is threading.main_thread()
    with LoopbackServer(Interrupting(), latency_s=0.005) as server:
        chat = make_chat(server.url, limits=Limits(concurrency=4))
        with pytest.raises(KeyboardInterrupt):
            chat.annotate(examples)
        n_answered = sum(server.paid.values())
    assert signal.getsignal(signal.SIGINT) is before
    assert 6 <= n_answered < 100
    assert len(chat.ledger.calls) == n_answered
    assert all(call.response is not None for call in chat.ledger.calls.values())
