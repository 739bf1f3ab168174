"""Ask a model for one JSON object a question, and say plainly what came of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from llm_al.annotators.chat.fences import sendable
from llm_al.annotators.chat.found import find_object, is_object
from llm_al.annotators.engine.answers import Answer, Envelope
from llm_al.annotators.engine.cashier import CapReachedError
from llm_al.annotators.engine.engine import Ask, Engine, NotAnsweredError
from llm_al.annotators.engine.requests import Message, Request, Schema, make_request
from llm_al.annotators.engine.settings import Sampling

__all__ = ["Malformed", "Question", "Told", "ask_all", "plain_line", "read_object"]

T = TypeVar("T")

_MAX_SAID_CHARACTERS = 2_000
_SHOWN = 80


class Malformed(ValueError):  # noqa: N818 - a finding about an answer, which never leaves this package
    """An answer is not what was asked for; the message says why."""


@dataclass(frozen=True)
class Question(Generic[T]):
    """One call: what is sent, and how its answer is read.

    Parameters
    ----------
    prompt : str
        Name and version, for the ledger.
    messages : tuple of mapping
        The first is the static part.
    schema : Schema
    key : str
        Property that the answer must have.
    max_answer_tokens : int
    read : callable
        Takes the object and returns the value; raises `Malformed`.
    """

    prompt: str
    messages: tuple[Message, ...]
    schema: Schema
    key: str
    max_answer_tokens: int
    read: Callable[[Mapping[str, Any]], T]

    def request(self, engine: Engine, sampling: Sampling) -> Request:
        """Return the request to the engine's server; token probabilities are of no use here."""
        sampling = replace(sampling, max_answer_tokens=self.max_answer_tokens, logprobs=False)
        return make_request(engine.endpoint, sampling, prompt=self.prompt, messages=self.messages, schema=self.schema)


@dataclass(frozen=True)
class Told(Generic[T]):
    """What came of a question: a value, or why there is none."""

    value: T | None
    failure: str = ""


def plain_line(value: object, what: str, *, max_characters: int) -> str:
    r"""Return a text on one line without control characters.

    Raises
    ------
    Malformed
        If it is no text, is empty or too long.

    Examples
    --------
    >>> plain_line(" late\nparcels ", "name", max_characters=20)
    'late parcels'
    """
    if not isinstance(value, str):
        raise Malformed(f"{what} is {type(value).__name__}, not a text")
    line = " ".join("".join(c if c.isprintable() else " " for c in sendable(value)).split())
    if not line:
        raise Malformed(f"{what} is empty")
    if len(line) > max_characters:
        raise Malformed(f"{what} has {len(line)} characters; at most {max_characters} are allowed")
    return line


def read_object(envelope: Envelope, key: str) -> Mapping[str, Any]:
    """Return the object that a model wrote.

    Raises
    ------
    Malformed
        If there is no completion, the model refused, the answer was cut off, or it holds no such object.
    """
    if envelope.problem:
        raise Malformed(envelope.problem)
    if envelope.refusal:
        raise Malformed(f"the model refused: {_shorten(envelope.refusal)}")
    if not envelope.content.strip():
        raise Malformed("the answer is empty")
    if envelope.is_cut_off and not is_object(envelope.content):
        raise Malformed(f"the answer was cut off: {_shorten(envelope.content)}")
    found = find_object(envelope.content, key, ())
    if isinstance(found, str):
        raise Malformed(f"the answer {found}: {_shorten(envelope.content)}")
    if key not in found:
        raise Malformed(f'the answer has no "{key}": {_shorten(envelope.content)}')
    return found


def ask_all(engine: Engine, questions: Sequence[Question[T]], sampling: Sampling) -> list[Told[T]]:
    """Ask every question and return what came of each, in order.

    An answer that is not what was asked for is asked for once more, with the reason.

    Raises
    ------
    BudgetError
        If the cap is below the price of the first call; nothing was sent.
    ProviderError
        If the server is unreachable, refuses the key or the requests, or stays overloaded.
    """

    async def work(ask: Ask, job: tuple[int, Question[T]]) -> tuple[int, Told[T]]:
        index, question = job
        return index, await _ask_twice(ask, question, lambda asked: asked.request(engine, sampling))

    told = dict(engine.map(work, enumerate(questions)))
    missing: Told[T] = Told(None, "it was not asked")
    return [told.get(index, missing) for index in range(len(questions))]


async def _ask_twice(ask: Ask, question: Question[T], make: Callable[[Question[T]], Request]) -> Told[T]:
    told, answer = await _ask_once(ask, question, make(question))
    if answer is None or not told.failure or answer.envelope.refusal:
        return told
    again = replace(question, messages=_with_complaint(question.messages, answer, told.failure))
    second, _ = await _ask_once(ask, again, make(again))
    return told if second.failure else second


async def _ask_once(ask: Ask, question: Question[T], request: Request) -> tuple[Told[T], Answer | None]:
    try:
        answer = await ask(request)
    except CapReachedError:
        return Told(None, "the LLM cap is reached; raise budget.llm_usd"), None
    except NotAnsweredError as exc:
        return Told(None, f"no answer: {exc}"), None
    try:
        return Told(question.read(read_object(answer.envelope, question.key))), answer
    except Malformed as exc:
        return Told(None, str(exc)), answer


def _with_complaint(messages: tuple[Message, ...], answer: Answer, failure: str) -> tuple[Message, ...]:
    said = sendable(answer.envelope.content)[:_MAX_SAID_CHARACTERS]
    complaint = sendable(f"Not accepted: {failure}. Answer again with the one JSON object that was asked for.")
    return (
        *messages,
        {"role": "assistant", "content": said or "(nothing)"},
        {"role": "user", "content": complaint},
    )


def _shorten(text: str) -> str:
    return repr(text[:_SHOWN]) + ("..." if len(text) > _SHOWN else "")
