"""What a model answered: a label of the scheme, or the reason why there is none. Never raises."""

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llm_al.annotators.chat.found import find_object, is_object
from llm_al.annotators.chat.logprobs import CodeMass, code_mass
from llm_al.annotators.engine.answers import Envelope
from llm_al.types import NONE_OF_THESE, Signal

__all__ = ["SURENESS", "Completion", "Reply", "parse_answer", "read_envelope"]

SURENESS: Mapping[str, float] = {
    "very unlikely": 0.0,
    "unlikely": 0.25,
    "even": 0.5,
    "likely": 0.75,
    "almost certain": 1.0,
}
"""Five words and their places on a scale; what they are worth is for calibration to say."""
_SHOWN = 80
_MAX_RATIONALE_CHARACTERS = 500


@dataclass(frozen=True)
class Reply:
    """One parsed answer; exactly one of `label` and `failure` says something."""

    label: str | None
    code: str | None = None
    failure: str = ""
    rationale: str = ""
    sureness: float | None = None
    """In [0, 1]; None where the model did not say it in one of the five words."""


@dataclass(frozen=True)
class Completion:
    """A whole response: the answer and how sure the model was.

    Parameters
    ----------
    reply : Reply
    confidence : float or None
        Probability of the answered code among all codes; None when the server gave no logprobs.
    proba : dict or None
        Label name -> probability among the real labels, "none of these" left out; sums to 1.
    signals : dict
        See `Signal`; a missing one is unknown.
    """

    reply: Reply
    confidence: float | None = None
    proba: Mapping[str, float] | None = None
    signals: Mapping[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str | None:
        """The answered label; None if the answer is not valid."""
        return self.reply.label

    @property
    def failure(self) -> str:
        """Why there is no label; empty if there is one."""
        return self.reply.failure

    @property
    def rationale(self) -> str:
        """The sentence that came with the label, if any."""
        return self.reply.rationale

    @property
    def invalid_mass(self) -> float | None:
        """Probability that lay outside the codes; None where unknown."""
        return self.signals.get(Signal.INVALID_MASS)


def _shorten(value: object) -> str:
    shown = repr(value[:_SHOWN] if isinstance(value, str) else value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def _lower(text: str) -> str:
    """Lower-case without turning a look-alike (the Kelvin sign) into an ASCII letter."""
    return "".join(c if not c.isascii() and c.lower().isascii() else c.lower() for c in text)


def parse_answer(content: object, names_by_code: Mapping[str, str], *, key: str = "code") -> Reply:
    """Read the answer text: an object with a code or a bare code, else an abstention with its reason.

    The code is matched exactly, then without case, then as a label name without case; nothing fuzzier,
    and never where two could be meant. Where the answer may stand: see `find_object`.

    Parameters
    ----------
    content : object
        Anything at all.
    names_by_code : mapping of str to str
        Code -> label name, "none of these" included where it is offered.
    key : str
        Under which the object holds the code.

    Examples
    --------
    >>> parse_answer('{"code": "B"}', {"A": "spam", "B": "ham"}).label
    'ham'
    >>> parse_answer('{"code": "Z"}', {"A": "spam", "B": "ham"}).failure
    "the answer 'Z' is not one of: A, B"
    """
    if isinstance(content, bytes):
        content = content.decode("utf-8", "replace")
    if not isinstance(content, str) or not content.strip():
        return Reply(None, failure="the answer is empty")
    found = find_object(content, key, names_by_code)
    if isinstance(found, str):
        return Reply(None, failure=f"the answer {found}: {_shorten(content)}")
    code = found.get(key)
    if not isinstance(code, str):
        return Reply(None, failure=f'the answer has no "{key}" string: {_shorten(content)}')
    name, known = _match(code.strip(string.whitespace), names_by_code)
    if name is None:
        return Reply(None, failure=f"the answer {_shorten(code)} is not one of: {', '.join(names_by_code)}")
    return Reply(name, known, rationale=_rationale(found), sureness=_sureness(found))


def _match(wanted: str, names_by_code: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the label and its code; nothing unless exactly one fits."""
    if wanted in names_by_code:
        return names_by_code[wanted], wanted
    by_name = {name: code for code, name in names_by_code.items()}
    if wanted in by_name:
        return wanted, by_name[wanted]
    low = _lower(wanted)
    fitting = {code for code, name in names_by_code.items() if low in (_lower(code), _lower(name))}
    if len(fitting) != 1:
        return None, None
    code = fitting.pop()
    return names_by_code[code], code


def _rationale(found: Mapping[str, Any]) -> str:
    said = found.get("rationale")
    if not isinstance(said, str):
        return ""
    # Lone surrogates and zero bytes cannot be stored.
    printable = "".join(c if c.isprintable() else " " for c in said[: 2 * _MAX_RATIONALE_CHARACTERS])
    return " ".join(printable.split())[:_MAX_RATIONALE_CHARACTERS]


def _sureness(found: Mapping[str, Any]) -> float | None:
    said = found.get("sureness")
    return SURENESS.get(_lower(said.strip(string.whitespace))) if isinstance(said, str) else None


def _reply(envelope: Envelope, names_by_code: Mapping[str, str], key: str) -> Reply:
    if envelope.problem:
        return Reply(None, failure=envelope.problem)
    if envelope.refusal:
        return Reply(None, failure=f"the model refused: {_shorten(envelope.refusal)}")
    reply = parse_answer(envelope.content, names_by_code, key=key)
    if envelope.is_cut_off and (reply.failure or not is_object(envelope.content)):
        # Prose that goes on may take its answer back.
        why = reply.failure or f"it is no whole object: {_shorten(envelope.content)}"
        return Reply(None, failure=f"the answer was cut off; raise max_answer_tokens: {why}")
    return reply


def read_envelope(envelope: Envelope, names_by_code: Mapping[str, str], *, key: str = "code") -> Completion:
    """Return the label, or why there is none, with every signal of certainty that came with it."""
    reply = _reply(envelope, names_by_code, key)
    if reply.code is None:
        return Completion(reply)
    signals = {} if reply.sureness is None else {Signal.VERBALISED.value: reply.sureness}
    mass = code_mass(envelope.logprobs, list(names_by_code), key=key)
    if mass is None or mass.chosen != reply.code or mass.by_code[reply.code] <= 0.0:
        return Completion(reply, signals=signals)
    return _with_probabilities(Completion(reply, signals=signals), mass, names_by_code)


def _with_probabilities(completion: Completion, mass: CodeMass, names_by_code: Mapping[str, str]) -> Completion:
    answered = mass.by_code[completion.reply.code or ""]
    if not mass.has_alternatives:
        signals = {**completion.signals, Signal.TOKEN_PROBABILITY.value: answered}
        return Completion(completion.reply, answered, None, signals)
    confidence = min(answered / sum(mass.by_code.values()), 1.0)
    by_name = {names_by_code[c]: m for c, m in mass.by_code.items() if names_by_code[c] != NONE_OF_THESE}
    total = sum(by_name.values())
    return Completion(
        reply=completion.reply,
        confidence=confidence,
        proba={name: m / total for name, m in by_name.items()} if total > 0.0 else None,
        signals={
            **completion.signals,
            Signal.TOKEN_PROBABILITY.value: confidence,
            Signal.INVALID_MASS.value: mass.invalid,
        },
    )
