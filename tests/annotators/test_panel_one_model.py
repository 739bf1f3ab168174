"""Two members that ask one model share requests, and what is under way."""

import asyncio
import json
from typing import Any

import httpx2

from llm_al.annotators.chat import MemoryLedger
from llm_al.annotators.panel import Panel


def test_what_two_members_of_one_model_both_ask_is_paid_once(make_chat, examples) -> None:
    sent: list[str] = []

    async def handle(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.headers["idempotency-key"])
        await asyncio.sleep(0.05)
        properties: dict[str, Any] = json.loads(request.content)["response_format"]["json_schema"]["schema"][
            "properties"
        ]
        [(key, choices)] = properties.items()
        choice = {"message": {"content": json.dumps({key: choices["enum"][0]})}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 6}
        return httpx2.Response(200, json={"choices": [choice], "usage": usage})

    ledger, transport = MemoryLedger(), httpx2.MockTransport(handle)
    members = tuple(
        make_chat(ledger=ledger, transport=transport, prompts=(name,), verify=True)
        for name in ("classify.v2", "classify_terse.v2")
    )
    Panel(members).annotate(examples)
    assert len(sent) == len(set(sent))
    assert ledger.spent_nanousd() == len(sent) * 160
