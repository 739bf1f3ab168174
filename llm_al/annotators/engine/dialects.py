"""What a server understands of the protocol, learnt from its first answers and remembered."""

import json
import re
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from llm_al.annotators.engine.requests import Request

__all__ = ["Dialect", "body_of", "weaker"]

Form = Literal["json_schema", "tool", "json_object", "plain"]
_FORMS: tuple[Form, ...] = ("json_schema", "tool", "json_object", "plain")
_FORM_WORDS = ("response_format", "json_schema", "json_object", "json schema", "structured output")
_TOOL_WORDS = ("tool", "function")
_ECHO = re.compile(r"""["']input["']\s*:""")


@dataclass(frozen=True)
class Dialect:
    """What the server has not refused yet.

    Parameters
    ----------
    form : {"json_schema", "tool", "json_object", "plain"}
        How the form of the answer is asked for, from the strictest down.
    """

    form: Form = "json_schema"
    has_logprobs: bool = True
    has_temperature: bool = True
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"

    def to_text(self) -> str:
        """Return JSON for the ledger."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str | None) -> "Dialect | None":
        """Read what `to_text` wrote; None for anything else."""
        try:
            found = cls(**json.loads(text or ""))
        except (ValueError, TypeError):
            return None
        return found if found.form in _FORMS else None

    @property
    def next_form(self) -> "Dialect | None":
        """The same with the next weaker form; None when there is none."""
        rank = _FORMS.index(self.form) + 1
        return replace(self, form=_FORMS[rank]) if rank < len(_FORMS) else None


def weaker(dialect: Dialect, complaint: str) -> Dialect | None:
    """Return a dialect without what the complaint names; None if it names nothing that can be left out."""
    # Validators quote the whole request behind what they say about it.
    said = _ECHO.split(complaint.casefold(), maxsplit=1)[0]
    if dialect.has_logprobs and "logprobs" in said:
        return replace(dialect, has_logprobs=False)
    if dialect.token_limit == "max_tokens" and "max_completion_tokens" in said:
        return replace(dialect, token_limit="max_completion_tokens")
    if dialect.has_temperature and "temperature" in said:
        return replace(dialect, has_temperature=False)
    words = _TOOL_WORDS if dialect.form == "tool" else _FORM_WORDS
    return dialect.next_form if any(word in said for word in words) else None


def body_of(request: Request, model: str, dialect: Dialect) -> dict[str, Any]:
    """Return the JSON body of a request."""
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": model,
        "messages": list(request.messages),
        dialect.token_limit: sampling.max_answer_tokens,
    }
    if dialect.has_temperature:
        body["temperature"] = sampling.temperature
    if request.n_top_logprobs and dialect.has_logprobs:
        body |= {"logprobs": True, "top_logprobs": request.n_top_logprobs}
    return body | _form(request, dialect.form)


def _form(request: Request, form: Form) -> dict[str, Any]:
    schema = request.schema
    if form == "json_schema":
        strict = {"name": schema.name, "strict": True, "schema": schema.as_json}
        return {"response_format": {"type": "json_schema", "json_schema": strict}}
    if form == "tool":
        function = {"name": schema.name, "strict": True, "parameters": schema.as_json}
        return {
            "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": schema.name}},
        }
    return {"response_format": {"type": "json_object"}} if form == "json_object" else {}
