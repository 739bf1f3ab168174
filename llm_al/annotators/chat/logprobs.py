"""Probabilities over answer codes, from the log-probabilities of the tokens that spell them."""

import math
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CodeMass", "code_mass"]

_BEFORE_CODE = re.compile(r'"code"\s*:\s*"')
_LEAD_CHARACTERS = string.whitespace + '":'
_CODE_CHARACTERS = string.ascii_letters + string.digits


@dataclass(frozen=True)
class CodeMass:
    """Probability of each code, all spellings together, and of everything else."""

    by_code: dict[str, float]
    invalid: float
    has_alternatives: bool
    """Whether the server told more than the chosen token."""


@dataclass(frozen=True)
class _Token:
    text: str
    alternatives: dict[str, float]
    """Spelling -> probability, the chosen one included."""


def _probability(logprob: object) -> float | None:
    if isinstance(logprob, bool) or not isinstance(logprob, int | float) or math.isnan(logprob) or logprob > 1e-3:
        return None
    return min(math.exp(logprob), 1.0)


def _spelling(entry: object) -> tuple[str, float] | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("token"), str):
        return None
    probability = _probability(entry.get("logprob"))
    return None if probability is None else (entry["token"], probability)


def _read_tokens(content: object) -> list[_Token] | None:
    if not isinstance(content, list) or not content:
        return None
    tokens = []
    for entry in content:
        chosen = _spelling(entry)
        if chosen is None:
            return None
        top = entry.get("top_logprobs")
        listed = [_spelling(item) for item in top] if isinstance(top, list) else []
        tokens.append(_Token(chosen[0], dict([*(item for item in listed if item is not None), chosen])))
    return tokens


def _spell(prefix: str, rest: str, codes: Sequence[str]) -> tuple[str, list[str]]:
    """Return what is spelt so far after this token, and the codes that it can still become."""
    if not prefix:
        rest = rest.lstrip(_LEAD_CHARACTERS)
    word = rest[: len(rest) - len(rest.lstrip(_CODE_CHARACTERS))]
    spelt = (prefix + word).upper()
    if not spelt:
        return "", []
    is_finished = len(rest) > len(word)
    return spelt, [code for code in codes if (code == spelt if is_finished else code.startswith(spelt))]


def code_mass(content: object, codes: Sequence[str]) -> CodeMass | None:
    """Sum the probability of each code's spellings at the place where the answer spells the code.

    Where a code takes several tokens, the path that the model took is followed, and alternatives are
    weighted by the probability of the path up to them.

    Parameters
    ----------
    content : object
        `choices[0].logprobs.content` of a completion; anything else gives None.
    codes : sequence of str
        Upper-case, none a prefix of another.

    Returns
    -------
    CodeMass or None
        None when the log-probabilities are absent or do not spell one code.
    """
    tokens = _read_tokens(content)
    if tokens is None:
        return None
    places = [match.end() for match in _BEFORE_CODE.finditer("".join(token.text for token in tokens))]
    if len(places) != 1:
        return None
    by_code = dict.fromkeys(codes, 0.0)
    prefix, path, has_alternatives = "", 1.0, False
    for token, head in _from_place(tokens, places[0]):
        has_alternatives = has_alternatives or len(token.alternatives) > 1
        for spelling, probability in token.alternatives.items():
            _, possible = _spell(prefix, spelling.removeprefix(head), codes)
            if len(possible) == 1:
                by_code[possible[0]] += path * probability
        path *= token.alternatives[token.text]
        prefix, possible = _spell(prefix, token.text.removeprefix(head), codes)
        if prefix and len(possible) < 2:
            break
    return CodeMass(by_code, max(0.0, 1.0 - sum(by_code.values())), has_alternatives)


def _from_place(tokens: Sequence[_Token], place: int) -> list[tuple[_Token, str]]:
    """Return the tokens from the one that holds character `place` on, each with what it has before that place."""
    start = 0
    kept = []
    for token in tokens:
        if start + len(token.text) > place:
            kept.append((token, token.text[: max(place - start, 0)]))
        start += len(token.text)
    return kept
