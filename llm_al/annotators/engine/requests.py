"""One question to a model: its messages, the form of its answer, its cache key and its highest price."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from llm_al.annotators.engine.prices import Price
from llm_al.annotators.engine.settings import Endpoint, Sampling
from llm_al.money import Reservation

__all__ = ["Message", "Request", "Schema", "make_request"]

Message = Mapping[str, str]
"""One chat message: `role` and `content`."""

_TOKENS_A_MESSAGE = 16
"""More than any chat template adds around a message."""


@dataclass(frozen=True)
class Schema:
    """The one JSON object that an answer may be.

    Parameters
    ----------
    name : str
        Of letters, digits and underscores, as servers demand; also the name of the tool on servers that
        know tools but no schemas.
    text : str
        The JSON schema, as JSON; of type `object`, every property required, no others allowed.
    """

    name: str
    text: str

    @classmethod
    def of(cls, name: str, properties: Mapping[str, Any]) -> "Schema":
        """Return the strict schema of an object with exactly these properties, in this order."""
        schema = {
            "type": "object",
            "properties": dict(properties),
            "required": list(properties),
            "additionalProperties": False,
        }
        return cls(name, json.dumps(schema))

    @cached_property
    def as_json(self) -> dict[str, Any]:
        """The parsed schema; not to be changed."""
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed


@dataclass(frozen=True, slots=True)
class Request:
    """Rendered messages and what may be answered.

    Parameters
    ----------
    prompt : str
        Name and version of the prompt, for the ledger.
    hash : str
        SHA-256 of server, model, sampling parameters, schema, messages and sample index. What the server
        turned out not to support is no part of it, so that a cached answer is found without asking.
    n_bytes : int
        Size of everything that the server may count as input.
    """

    prompt: str
    messages: tuple[Message, ...]
    schema: Schema
    sampling: Sampling
    n_top_logprobs: int
    hash: str
    n_bytes: int

    @property
    def max_tokens_in(self) -> int:
        """Most that the server can count: byte-level tokenisers never give more tokens than bytes."""
        return self.n_bytes + _TOKENS_A_MESSAGE * (len(self.messages) + 1)

    def max_cost_nanousd(self, price: Price, factor: float = 1.0) -> int:
        """Return what the call costs at most; `factor` is that of a batch."""
        return price.cost_nanousd(self.max_tokens_in, self.sampling.max_answer_tokens, factor=factor)

    def reservation(self, model: str, round: int, max_cost_nanousd: int) -> Reservation:
        """Return the ledger's entry that sets the money for this call aside."""
        sizes = (self.n_bytes, len(self.messages))
        return Reservation(self.hash, model, self.prompt, round, max_cost_nanousd, *sizes)


@lru_cache(maxsize=256)
def _static_part(url: str, model: str, sampling: Sampling, schema: Schema, system: str) -> tuple[Any, int]:
    """Return the hash and the size of what all requests of a prompt share."""
    key = [url, model, sampling.temperature, sampling.max_answer_tokens, sampling.logprobs, schema.text, system]
    return hashlib.sha256(json.dumps(key).encode()), len(system.encode()) + len(schema.text.encode())


def make_request(
    endpoint: Endpoint,
    sampling: Sampling,
    *,
    prompt: str,
    messages: Sequence[Message],
    schema: Schema,
    n_top_logprobs: int = 0,
    sample: int = 0,
) -> Request:
    """Return a request.

    Parameters
    ----------
    messages : sequence of mapping
        The first one is the static part that all requests of the prompt share.
    n_top_logprobs : int
        Alternatives a token whose log-probabilities are asked for, where `sampling.logprobs` allows it.
    sample : int
        Tells repeated questions apart, which the cache would otherwise merge.
    """
    first, *rest = messages
    shared, n_bytes = _static_part(endpoint.base_url, endpoint.model, sampling, schema, first["content"])
    digest = shared.copy()
    tail = [[message["role"], message["content"]] for message in rest]
    encoded = json.dumps([first["role"], tail, sample]).encode()
    digest.update(encoded)
    n_bytes += sum(len(message["content"].encode()) for message in rest)
    return Request(
        prompt,
        tuple(messages),
        schema,
        sampling,
        n_top_logprobs if sampling.logprobs else 0,
        digest.hexdigest(),
        n_bytes,
    )
