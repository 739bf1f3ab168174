"""One question to the model, with its cache key and its highest possible price."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from llm_al.annotators.chat.client import answer_schema
from llm_al.annotators.chat.prices import Price
from llm_al.annotators.chat.prompts import Message, Prompt
from llm_al.annotators.chat.settings import Endpoint, Sampling

__all__ = ["Request", "ask", "ask_again", "cut_middle"]

_TOKENS_A_MESSAGE = 16
"""More than any chat template adds around a message."""


@dataclass(frozen=True)
class Request:
    """Rendered messages under one prompt.

    Parameters
    ----------
    hash : str
        SHA-256 of server, model, sampling parameters, codes, messages and sample index. What the server
        turned out not to support is no part of it, so that a cached answer is found without asking.
    n_bytes : int
        Size of everything that the server may count as input.
    """

    prompt: Prompt
    messages: tuple[Message, ...]
    hash: str
    n_bytes: int

    def max_cost_nanousd(self, price: Price, sampling: Sampling) -> int:
        """Return what the call costs at most: byte-level tokenisers never give more tokens than bytes."""
        n_tokens_in = self.n_bytes + _TOKENS_A_MESSAGE * (len(self.messages) + 1)
        return price.cost_nanousd(n_tokens_in, sampling.max_answer_tokens)


def cut_middle(text: str, max_characters: int) -> str:
    """Shorten a text to its two ends; beginnings and endings tell most about a topic.

    Examples
    --------
    >>> cut_middle("abcdefghij", 4)
    'ab [...] ij'
    """
    if len(text) <= max_characters:
        return text
    half = max_characters // 2
    return f"{text[: max_characters - half]} [...] {text[len(text) - half :]}"


def _request(endpoint: Endpoint, sampling: Sampling, prompt: Prompt, messages: Sequence[Message]) -> Request:
    codes = list(prompt.names_by_code)
    key = {
        "base_url": endpoint.base_url,
        "model": endpoint.model,
        "temperature": sampling.temperature,
        "max_answer_tokens": sampling.max_answer_tokens,
        "logprobs": sampling.logprobs,
        "codes": codes,
        "messages": list(messages),
        "sample": 0,
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    n_bytes = sum(len(message["content"].encode()) for message in messages)
    return Request(prompt, tuple(messages), digest, n_bytes + len(json.dumps(answer_schema(codes))))


def ask(endpoint: Endpoint, sampling: Sampling, prompt: Prompt, text: str) -> Request:
    """Return the question about one text."""
    return _request(endpoint, sampling, prompt, prompt.messages(cut_middle(text, sampling.max_text_characters)))


def ask_again(endpoint: Endpoint, sampling: Sampling, first: Request, *, content: str, failure: str) -> Request:
    """Return the second question after an answer that is off the list."""
    complaint = f'Not accepted: {failure}. Answer again with {{"code": "CODE"}} only, CODE from the list.'
    said = content.encode("utf-8", "replace").decode("utf-8")[:2000]
    reply = ({"role": "assistant", "content": said or "(nothing)"}, {"role": "user", "content": complaint})
    return _request(endpoint, sampling, first.prompt, (*first.messages, *reply))
