import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# The fakes are importable as `tests.fakes...` however pytest is started.
_ROOT = str(Path(__file__).parents[3])
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

import pytest  # noqa: E402

from llm_al.annotators.engine.engine import Engine  # noqa: E402
from llm_al.annotators.engine.ledger import MemoryLedger  # noqa: E402
from llm_al.annotators.engine.prices import Price  # noqa: E402
from llm_al.annotators.engine.settings import Endpoint, Limits, Pricing  # noqa: E402
from llm_al.types import Label, LabelScheme  # noqa: E402
from tests.fakes.tasks import TaskChat  # noqa: E402


@pytest.fixture
def scheme() -> LabelScheme:
    labels = (Label("delivery", "where a parcel is"), Label("refund"), Label("praise", "happy, thanks"))
    return LabelScheme(labels, "Choose the main wish.")


@pytest.fixture
def engine_of() -> Callable[..., Engine]:
    """An engine whose server is a `TaskChat` behind respx routes: ``engine_of(chat, cap_nanousd=5)``."""

    def make(chat: TaskChat | None = None, cap_nanousd: int | None = None, **changes: Any) -> Engine:
        settings: dict[str, Any] = {
            "endpoint": Endpoint("http://llm.test/v1", "model-x", "sk-test"),
            "ledger": MemoryLedger(),
            "limits": Limits(concurrency=2, timeout_s=5.0, max_tries=1),
            "pricing": Pricing(Price(1.0, 10.0), cap_nanousd),
            "transport": chat.transport() if chat is not None else None,
        }
        return Engine(**(settings | changes))

    return make
