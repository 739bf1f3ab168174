"""A language model behind an OpenAI-compatible server."""

from llm_al.annotators.chat.annotator import Chat
from llm_al.annotators.chat.estimates import Estimate
from llm_al.annotators.chat.ledger import Ledger, MemoryLedger
from llm_al.annotators.chat.prices import Price
from llm_al.annotators.chat.settings import Endpoint, Limits, Pricing, Sampling, Waiting

__all__ = [
    "Chat",
    "Endpoint",
    "Estimate",
    "Ledger",
    "Limits",
    "MemoryLedger",
    "Price",
    "Pricing",
    "Sampling",
    "Waiting",
]
