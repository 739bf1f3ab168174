"""A model that labels, describes, criticises, chooses, writes and names, told apart by its prompts."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.chat import FakeChat
from tests.fakes.tasks import TaskChat, fenced_texts

_WANTED = re.compile(r"Write (\d+) texts|Choose (\d+) of these (\d+)")
_LABEL = re.compile(r'^The label: [A-Z0-9]+ = ("(?:[^"\\]|\\.)*")', re.MULTILINE)

Messages = Sequence[dict[str, str]]


def task_of(messages: Messages) -> str:
    """Return which task a prompt asks for; `classify` for all that label."""
    system = messages[0]["content"]
    signs = {
        "describe": '{"description": ',
        "critique": '{"gaps": ',
        "first_choice": '{"numbers": ',
        "synthesise": '{"texts": ',
        "name_cluster": '{"name": ',
    }
    return next((task for task, sign in signs.items() if sign in system), "classify")


def said(messages: Messages) -> Any:
    """Return a plausible answer of each task."""
    user = messages[1]["content"]
    label = json.loads(match[1]) if (match := _LABEL.search(user)) else ""
    wanted = [int(n) for n in next(_WANTED.finditer(user)).groups() if n] if _WANTED.search(user) else [0]
    answers: dict[str, Callable[[], Any]] = {
        "describe": lambda: {"description": f"Texts about {label}, unlike {len(fenced_texts(user))} others"},
        "critique": lambda: {
            "gaps": [{"gap": "What if two fit?", "cases": ["D1"], "rule": "Take the first wish of the text."}]
        },
        "first_choice": lambda: {"numbers": list(range(wanted[-1], 0, -1))[: wanted[0]]},
        "synthesise": lambda: {
            "texts": [f"I wonder about {label}, please tell me {word}" for word in _WORDS[: wanted[0]]]
        },
        "name_cluster": lambda: {"name": f"group of {fenced_texts(user)[0][:20]}", "description": "They go together."},
    }
    return answers[task_of(messages)]()


_WORDS = ("more", "why it rains", "about tomorrow", "in Norwegian words", "which colour", "how", "where", "who")


@dataclass
class Writer(FakeChat):
    """Parameters: `say` replaces the answers of all tasks but labelling."""

    say: Callable[[Messages], Any] = said
    tasks: list[str] = field(default_factory=list)
    task_bodies: list[dict[str, Any]] = field(default_factory=list)

    def respond(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        task = task_of(body["messages"])
        self.tasks.append(task)
        if task == "classify":
            return super().respond(body)
        self.task_bodies.append(body)
        return TaskChat(say=self.say).respond(body)
