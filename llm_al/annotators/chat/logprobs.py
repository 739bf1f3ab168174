"""Probabilities over answer codes, from the log-probabilities of the tokens that spell them."""

import math
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["CodeMass", "code_mass"]

_LEAD_CHARACTERS = string.whitespace + '\\":'
_CODE_CHARACTERS = string.ascii_letters + string.digits


@dataclass(frozen=True)
class CodeMass:
    """Probability of each code, all spellings together, and of everything else.

    Parameters
    ----------
    by_code : dict
        Sums to at most 1.
    invalid : float
        Probability of whatever is not the beginning of a code, what the server did not list included.
    has_alternatives : bool
        Whether the server told more than the chosen token.
    chosen : str or None
        The code that the chosen tokens spell.
    """

    by_code: Mapping[str, float]
    invalid: float
    has_alternatives: bool
    chosen: str | None


@dataclass(frozen=True)
class _Token:
    text: str
    alternatives: Mapping[str, float]
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


def _place(written: str, key: str, codes: Sequence[str]) -> int | None:
    """Return where the code begins: behind its key (also in a string inside JSON), else alone on its line.

    Of several places the first: there it was decided, the others repeat it.
    """
    name = re.escape(key)
    for pattern in (rf'"{name}"\s*:\s*"', rf'\\"{name}\\"\s*:\s*\\"'):
        if found := re.search(pattern, written):
            return found.end()
    alternatives = "|".join(map(re.escape, codes))
    bare = re.search(rf"^[ \t\r]*(?=(?:{alternatives})[ \t\r]*(?:\n|\Z))", written, re.MULTILINE)
    return bare.end() if bare else None


@dataclass(frozen=True)
class _Codes:
    """Codes by what is spelt of them, in capitals."""

    whole: Mapping[str, tuple[str, ...]]
    begun: Mapping[str, tuple[str, ...]]


@lru_cache(maxsize=64)
def _index(codes: tuple[str, ...]) -> _Codes:
    begun: dict[str, tuple[str, ...]] = {}
    for code in codes:
        high = code.upper()
        for end in range(1, len(high) + 1):
            begun[high[:end]] = (*begun.get(high[:end], ()), code)
    return _Codes({code.upper(): (code,) for code in codes}, begun)


def _spell(prefix: str, rest: str, codes: _Codes) -> tuple[str, tuple[str, ...]]:
    """Return what is spelt so far after this token, and the codes that it can still become."""
    if not prefix:
        rest = rest.lstrip(_LEAD_CHARACTERS)
    word = rest[: len(rest) - len(rest.lstrip(_CODE_CHARACTERS))]
    spelt, behind = (prefix + word).upper(), rest[len(word) :]
    if not spelt or behind[:1].isalnum():
        return spelt, ()
    return spelt, (codes.whole if behind else codes.begun).get(spelt, ())


def code_mass(content: object, codes: Sequence[str], *, key: str = "code") -> CodeMass | None:
    """Sum the probability of each code's spellings at the place where the answer spells the code.

    Where a code takes several tokens, the path that the model took is followed, and alternatives are
    weighted by the probability of the path up to them; a path not taken that could still have become
    several codes counts for them in equal shares.

    Parameters
    ----------
    content : object
        `choices[0].logprobs.content` of a completion; anything else gives None.
    codes : sequence of str
        Distinct without case, none a prefix of another.
    key : str
        Under which the answer holds the code.

    Returns
    -------
    CodeMass or None
        None when the log-probabilities are absent or spell no code.
    """
    tokens = _read_tokens(content)
    place = None if tokens is None else _place("".join(token.text for token in tokens), key, codes)
    if tokens is None or place is None:
        return None
    known, by_code = _index(tuple(codes)), dict.fromkeys(codes, 0.0)
    prefix, path, has_alternatives, possible = "", 1.0, False, tuple(codes)
    for token, head in _from_place(tokens, place):
        has_alternatives = has_alternatives or len(token.alternatives) > 1
        prefix_here, (prefix, possible) = prefix, _spell(prefix, token.text.removeprefix(head), known)
        is_done = bool(prefix) and len(possible) < 2
        for spelling, probability in token.alternatives.items():
            if spelling != token.text or is_done:
                _add(by_code, path * probability, _spell(prefix_here, spelling.removeprefix(head), known)[1])
        path *= token.alternatives[token.text]
        if is_done:
            break
    chosen = possible[0] if len(possible) == 1 else None
    return CodeMass(by_code, max(0.0, 1.0 - sum(by_code.values())), has_alternatives, chosen)


def _add(by_code: dict[str, float], probability: float, possible: Sequence[str]) -> None:
    for code in possible:
        by_code[code] += probability / len(possible)


def _from_place(tokens: Sequence[_Token], place: int) -> list[tuple[_Token, str]]:
    """Return the tokens from the one that holds character `place` on, each with what it has before that place."""
    start = 0
    kept = []
    for token in tokens:
        if start + len(token.text) > place:
            kept.append((token, token.text[: max(place - start, 0)]))
        start += len(token.text)
    return kept
