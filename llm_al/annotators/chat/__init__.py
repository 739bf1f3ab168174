"""A language model behind an OpenAI-compatible server."""

from llm_al.annotators.chat.annotator import Chat
from llm_al.annotators.chat.estimates import Estimate
from llm_al.annotators.engine.batches import Batching
from llm_al.annotators.engine.ledger import MemoryLedger
from llm_al.annotators.engine.prices import Price
from llm_al.annotators.engine.settings import Endpoint, Limits, Pricing, Sampling, Waiting

__all__ = [
    "Batching",
    "Chat",
    "Endpoint",
    "Estimate",
    "Limits",
    "MemoryLedger",
    "Price",
    "Pricing",
    "Sampling",
    "Waiting",
]
