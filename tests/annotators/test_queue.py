from llm_al.annotators.queue import Queue
from llm_al.protocols import Annotator
from llm_al.types import Example


def test_a_queue_asks_nobody() -> None:
    queue = Queue()
    assert isinstance(queue, Annotator)
    assert queue.kind.is_human
    assert queue.annotate([Example("1", "x")]) == []
