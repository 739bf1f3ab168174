"""What a run would cost, before anything is paid: tokens of a sample, dollars and seconds, each with an interval."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx2
import numpy as np
from numpy.typing import NDArray

from llm_al.annotators.chat.counting import TokenRule, by_characters, by_history, by_server, by_tiktoken, count_tokens
from llm_al.annotators.engine.prices import Price
from llm_al.annotators.engine.requests import Request
from llm_al.annotators.engine.settings import Endpoint, Limits
from llm_al.money import Ledger, PastCall

__all__ = ["Estimate", "Estimator", "sample"]

N_SAMPLED = 500
"""Examples rendered for an estimate; all of them when there are fewer."""
N_TOKENS_OUT = 8
"""A typical `{"code": "A"}`."""
MIN_TOKENS_OUT = 5
_N_DRAWS = 400
_QUANTILES = (0.005, 0.995)
_LATENCY_S = (0.3, 6.0)
"""Of a call to a server that nobody has timed yet."""
_SECOND = (0.5, 24.5)
"""Beta prior of the share of second questions: 2 % on average, up to 10 %."""
_SECOND_TOKENS = (40.0, 120.0)
"""What a second question adds to the first, beside the answer that it quotes."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """Calls, tokens, money and time of a run, scaled up from a sample of rendered prompts.

    The interval is meant to hold in 95 of 100 runs at least. It covers which texts are drawn, the rule that counts
    tokens, answers and second questions. Where answers have never been seen, they run from the shortest to the
    longest allowed. Costs are None when the price is unknown, seconds when a batch makes the answers.
    """

    n_calls: int
    """First questions to pay, cached ones left out."""
    n_cached: int
    n_tokens_in: int
    n_tokens_out: int
    cost_low_nanousd: int | None
    cost_high_nanousd: int | None
    seconds_low: float | None = None
    seconds_high: float | None = None
    notes: tuple[str, ...] = ()
    """How tokens were counted and what was supposed, in sentences."""


def sample(n: int) -> Sequence[int]:
    """Return at most `N_SAMPLED` positions, evenly spread over n.

    Examples
    --------
    >>> list(sample(3))
    [0, 1, 2]
    """
    if n <= N_SAMPLED:
        return range(n)
    return [position * n // N_SAMPLED for position in range(N_SAMPLED)]


@dataclass(frozen=True)
class _Draws:
    """Totals of one question over all texts, low and high ends, shape (draws,) each; `middle` holds plain means."""

    tokens_in: tuple[Floats, Floats]
    tokens_out: tuple[Floats, Floats]
    calls: tuple[Floats, Floats]
    static_share: float
    middle: tuple[float, float]

    @classmethod
    def none(cls) -> "_Draws":
        zero = (np.zeros(_N_DRAWS), np.zeros(_N_DRAWS))
        return cls(zero, zero, zero, 0.0, (0.0, 0.0))


@dataclass(frozen=True)
class Estimator:
    """Prices a run.

    Parameters
    ----------
    endpoint, ledger, limits
        As of the annotator.
    price : Price or None
        None where nobody knows it.
    batch_factor : float or None
        Of the price in a batch; None asks at once.
    latency_s : float or None
        Of a call in this process; None looks into the ledger.
    tokenize : bool or None
        Ask the server's `/tokenize`; None does so on local servers.
    """

    endpoint: Endpoint
    ledger: Ledger
    limits: Limits
    price: Price | None
    batch_factor: float | None = None
    latency_s: float | None = None
    tokenize: bool | None = None
    transport: httpx2.AsyncBaseTransport | None = None

    def estimate(
        self, requests_of: Callable[[int], Sequence[Request]], n_examples: int, *, n_repeatable: int
    ) -> Estimate:
        """Return what asking every question about every example takes; nothing is paid.

        Parameters
        ----------
        requests_of : callable
            Position of an example -> its requests, one a question, in the same order for all.
        n_repeatable : int
            So many questions, the first ones, are asked again after an off-list answer.
        """
        rng, notes, history = np.random.default_rng(0), dict[str, None](), list[PastCall]()
        parts, n_calls, n_questions = [_Draws.none()], 0, 0
        for number, column in enumerate(zip(*map(requests_of, sample(n_examples)), strict=True)):
            n_questions += 1
            past = self.ledger.history(self.endpoint.model, column[0].prompt)
            history += past
            requests = [request for request in column if self.ledger.cached(request.hash) is None]
            if not requests:
                continue
            scale = n_examples / len(column)
            n_calls += round(len(requests) * scale)
            calls = _Calls(requests, len(column), scale, self._rule(requests, past))
            parts.append(calls.draws(past, rng, is_repeatable=number < n_repeatable))
            notes |= dict.fromkeys(calls.notes(past))
        low, high = self._money(parts)
        seconds = self._seconds(parts, history, notes)
        return Estimate(
            n_calls=n_calls,
            n_cached=n_examples * n_questions - n_calls,
            n_tokens_in=round(sum(part.middle[0] for part in parts)),
            n_tokens_out=round(sum(part.middle[1] for part in parts)),
            cost_low_nanousd=low,
            cost_high_nanousd=high,
            seconds_low=seconds and seconds[0],
            seconds_high=seconds and seconds[1],
            notes=tuple(notes) + (self._price_notes() if n_calls else ()),
        )

    def _rule(self, requests: Sequence[Request], past: Sequence[PastCall]) -> TokenRule:
        return (
            by_history(past, len(requests[0].messages))
            or by_server(requests, self.endpoint, transport=self.transport, is_wanted=self.tokenize)
            or by_tiktoken(requests, self.endpoint.model)
            or by_characters()
        )

    def _money(self, parts: Sequence[_Draws]) -> tuple[int | None, int | None]:
        price = self.price
        if price is None:
            return None, None
        ends = []
        for end, quantile in enumerate(_QUANTILES):
            total = np.zeros(_N_DRAWS)
            for part in parts:
                saved = part.static_share * (price.input - (price.cached_input or 0.0))
                rate = price.input - (saved if end == 0 and price.cached_input is not None else 0.0)
                total += part.tokens_in[end] * rate + part.tokens_out[end] * price.output
            ends.append(math.ceil(float(np.quantile(total, quantile)) * (self.batch_factor or 1.0)))
        return ends[0], ends[1]

    def _seconds(
        self, parts: Sequence[_Draws], history: Sequence[PastCall], notes: dict[str, None]
    ) -> tuple[float, float] | None:
        if self.batch_factor is not None:
            notes["in batches: within 24 hours each; second questions take one more"] = None
            return None
        latencies, note = self._latencies(history)
        ends = []
        for end, quantile in enumerate(_QUANTILES):
            n_calls = float(np.quantile(sum((part.calls[end] for part in parts), np.zeros(_N_DRAWS)), quantile))
            tokens = sum(float(np.quantile(p.tokens_in[end] + p.tokens_out[end], quantile)) for p in parts)
            seconds = [math.ceil(n_calls / self.limits.concurrency) * latencies[end]]
            seconds += [60.0 * n_calls / limit for limit in [self.limits.requests_per_minute] if limit]
            seconds += [60.0 * tokens / limit for limit in [self.limits.tokens_per_minute] if limit]
            ends.append(max(seconds))
        if ends[1] > 0.0:
            notes[note] = None
        return ends[0], ends[1]

    def _latencies(self, history: Sequence[PastCall]) -> tuple[tuple[float, float], str]:
        seen = [call.duration_s for call in history if call.duration_s is not None]
        if self.latency_s is None and not seen:
            low, high = _LATENCY_S
            return _LATENCY_S, f"no call was timed yet: {low:g} to {high:g} seconds a call are supposed"
        mean = self.latency_s if self.latency_s is not None else float(np.mean(seen))
        return (0.6 * mean, 1.8 * mean), f"a call took {mean:.2f} seconds so far"

    def _price_notes(self) -> tuple[str, ...]:
        notes = []
        if self.price is not None and self.price.cached_input is not None:
            notes.append("low end: the part that all prompts share is found in the prompt cache; high end: nothing is")
        if self.batch_factor is not None:
            notes.append(f"in batches, at {self.batch_factor:g} of the price")
        return tuple(notes)


@dataclass(frozen=True)
class _Calls:
    """The sampled requests of one question, and how they stand for all."""

    requests: Sequence[Request]
    n_positions: int
    scale: float
    rule: TokenRule

    def firsts(self, past: Sequence[PastCall]) -> list[PastCall]:
        """Return paid first questions of this kind."""
        return [call for call in past if call.n_messages == len(self.requests[0].messages)]

    def notes(self, past: Sequence[PastCall]) -> list[str]:
        """Return what was counted and supposed."""
        return [f"tokens counted by {self.rule.name}", _answer_note(self.firsts(past), past)]

    def draws(self, past: Sequence[PastCall], rng: np.random.Generator, *, is_repeatable: bool) -> _Draws:
        """Return bootstrap totals."""
        n_all, firsts = len(self.requests) * self.scale, self.firsts(past)
        tokens, middle = self._tokens(rng)
        out, middle_out = self._out([call.n_tokens_out for call in firsts], n_all, rng)
        share = np.zeros(_N_DRAWS)
        if is_repeatable:
            n_second = len(past) - len(firsts)
            share = rng.beta(_SECOND[0] + n_second, _SECOND[1] + max(len(firsts) - n_second, 0), _N_DRAWS)
            share = rng.binomial(max(round(n_all), 1), share) / max(round(n_all), 1)
        max_out = float(self.requests[0].sampling.max_answer_tokens)
        more = [tokens[end] * share + n_all * share * extra for end, extra in enumerate(_SECOND_TOKENS)]
        more[1] += n_all * share * 2.0 * max_out
        n_bytes = sum(request.n_bytes for request in self.requests)
        static = len(self.requests) * len(self.requests[0].messages[0]["content"].encode())
        return _Draws(
            (tokens[0] + more[0], tokens[1] + more[1]),
            (out[0] * (1.0 + share), out[1] * (1.0 + share)),
            (n_all * (1.0 + share), n_all * (1.0 + share)),
            min(static / max(n_bytes, 1), 1.0),
            (middle, middle_out),
        )

    def _tokens(self, rng: np.random.Generator) -> tuple[tuple[Floats, Floats], float]:
        """Return draws of the tokens in, low and high, and their plain estimate."""
        n = len(self.requests)
        # Which texts are drawn: the sample's mean, and those that follow around it.
        drawn = rng.multinomial(self.n_positions, [1.0 / self.n_positions] * self.n_positions, _N_DRAWS)[:, :n]
        weights = drawn * self.scale
        chance = rng.standard_normal(_N_DRAWS) * math.sqrt(n * self.scale)
        if not self.rule.n_bytes:
            counts = np.array([count_tokens(request) for request in self.requests])
            low, high = (np.maximum(weights @ c + chance * c.std(), 0.0) for c in (counts[:, 0], counts[:, 2]))
            return (low, high), float(counts[:, 1].sum()) * self.scale
        sizes = np.array([request.n_bytes for request in self.requests], dtype=np.float64)
        intercepts, slopes = self.rule.lines(_N_DRAWS, rng)
        spread = math.hypot(self.rule.spread, float(slopes.mean()) * float(sizes.std()))
        total = intercepts * weights.sum(axis=1) + slopes * (weights @ sizes) + chance * spread
        extra = self.rule.extra_high * n * self.scale
        middle = float(intercepts.mean() * n + slopes.mean() * sizes.sum()) * self.scale
        return (total * self.rule.slack_low, total * self.rule.slack_high + extra), middle

    def _out(self, seen: Sequence[int], n_all: float, rng: np.random.Generator) -> tuple[tuple[Floats, Floats], float]:
        """Return draws of the tokens out, low and high, and their plain estimate."""
        if len(seen) < 2:
            longest = float(self.requests[0].sampling.max_answer_tokens)
            low, high = (np.full(_N_DRAWS, n_all * count) for count in (min(MIN_TOKENS_OUT, longest), longest))
            return (low, high), n_all * min(N_TOKENS_OUT, longest)
        counts = np.array(seen, dtype=np.float64)
        means = rng.choice(counts, (_N_DRAWS, len(counts))).mean(axis=1)
        total = np.maximum(means * n_all + rng.standard_normal(_N_DRAWS) * counts.std() * math.sqrt(n_all), 0.0)
        return (total, total), n_all * float(counts.mean())


def _answer_note(firsts: Sequence[PastCall], past: Sequence[PastCall]) -> str:
    if len(firsts) < 2:
        return "no answer was seen yet: from the shortest to the longest allowed, 2 % second questions (up to 10 %)"
    share = (len(past) - len(firsts)) / len(firsts)
    return f"answers, and {share:.1%} second questions, as in {len(firsts)} paid calls"
