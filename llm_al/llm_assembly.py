"""From the `llm` section of the settings to annotators."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from llm_al import registry
from llm_al.config import ProjectConfig
from llm_al.store.store import SqlStore
from llm_al.types import NANO_PER_USD, LabelScheme

if TYPE_CHECKING:
    from llm_al.annotators.chat import Chat

__all__ = ["make_chat", "nano_usd"]


def nano_usd(usd: float | None) -> int | None:
    """Return dollars as whole nano-dollars; None stays None."""
    return None if usd is None else round(usd * NANO_PER_USD)


def make_chat(config: ProjectConfig, scheme: LabelScheme, store: SqlStore, folder: Path) -> "Chat":
    """Return the chat annotator of a project; the key comes from the environment."""
    from llm_al.annotators.chat import Endpoint, Limits, Price, Pricing, Sampling

    settings, price = config.llm, None
    if settings.price is not None:
        rates = (settings.price.input_usd_per_million, settings.price.output_usd_per_million)
        price = Price.from_usd_per_million(*rates)
    chat: Chat = registry.make(
        "annotator",
        "chat",
        scheme=scheme,
        endpoint=Endpoint(
            str(settings.base_url), settings.model, os.environ.get(settings.api_key_env), settings.api_key_env
        ),
        ledger=store.ledger,
        prompts=settings.prompts,
        sampling=Sampling(settings.temperature, settings.max_answer_tokens, settings.logprobs),
        limits=Limits(settings.concurrency, settings.timeout_s, settings.max_tries),
        pricing=Pricing(price, nano_usd(config.budget.llm_usd)),
        prompt_folder=_own_prompts(folder),
    )
    return chat


def _own_prompts(folder: Path) -> Path | None:
    return folder / "prompts" if (folder / "prompts").is_dir() else None
