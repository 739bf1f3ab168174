import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from llm_al.annotators.chat import Chat, Endpoint, Limits, MemoryLedger, Price, Pricing, Waiting
from llm_al.types import Example, Label, LabelScheme

# The fakes are importable as `tests.fakes...` however pytest is started.
_ROOT = str(Path(__file__).parents[2])
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

SCHEME = LabelScheme(
    (
        Label("delivery", "where is my parcel, late or lost shipping"),
        Label("refund", "wants money back"),
        Label("praise", "happy, thanks"),
    ),
    "Choose the main wish.",
)
EXAMPLES = [
    Example("1", "where is my parcel"),
    Example("2", "i want my money back"),
    Example("3", "happy, thanks"),
]
KEY = "sk-canary-4f7d1c"


@dataclass
class FakeTime:
    """A clock that sleeps at once; the slept seconds are kept."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def waiting(self) -> Waiting:
        return Waiting(sleep=self.sleep, clock=lambda: self.now, jitter=lambda: 0.5)


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def scheme() -> LabelScheme:
    return SCHEME


@pytest.fixture
def examples() -> list[Example]:
    return list(EXAMPLES)


@pytest.fixture
def make_chat(fake_time: FakeTime) -> Iterator[Callable[..., Chat]]:
    """Build a `Chat` with a fake clock, a key and a small price."""

    def make(base_url: str = "http://llm.test/v1", **changes: Any) -> Chat:
        settings: dict[str, Any] = {
            "scheme": SCHEME,
            "endpoint": Endpoint(base_url, "model-x", KEY),
            "ledger": MemoryLedger(),
            "prompts": ("classify.v1",),
            "pricing": Pricing(Price(1.0, 10.0), None),
            "limits": Limits(concurrency=4, timeout_s=5.0, max_tries=3),
            "waiting": fake_time.waiting(),
        }
        return Chat(**(settings | changes))

    return make
