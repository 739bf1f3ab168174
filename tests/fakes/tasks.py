"""A model that is asked for anything but a label: it answers what a function of the messages says."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.chat import FakeChat

_FENCED = re.compile(r"<text ([0-9a-f]+)>\n(.*?)\n</text \1>", re.DOTALL)


def fenced_texts(content: str) -> list[str]:
    """Return what stands between marker lines."""
    return [match[2] for match in _FENCED.finditer(content)]


def outside(content: str) -> str:
    """Return a message without what stands between marker lines."""
    return _FENCED.sub("", content)


@dataclass
class TaskChat(FakeChat):
    """Parameters: `say` gives the answer text, or an object that is written as JSON, from the messages.

    `refusal` and `finish` replace what a completion says about itself.
    """

    say: Callable[[Sequence[dict[str, str]]], Any] = lambda _messages: {}
    refusal: str | None = None
    finish: str = "stop"
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def respond(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.bodies.append(body)
        said = self.say(body["messages"])
        content = said if isinstance(said, str) else json.dumps(said)
        message = {"role": "assistant", "content": content, "refusal": self.refusal}
        n_in = sum(len(item["content"]) for item in body["messages"]) // 4
        n_out = len(content) // 4 + 1
        return 200, {
            "id": "1",
            "object": "chat.completion",
            "model": body["model"],
            "choices": [{"index": 0, "finish_reason": self.finish, "message": message}],
            "usage": {"prompt_tokens": n_in, "completion_tokens": n_out, "total_tokens": n_in + n_out},
        }

    @property
    def users(self) -> list[str]:
        """The first question of each call."""
        return [body["messages"][1]["content"] for body in self.bodies]
