"""The `llm` section of `project.yaml`: who answers instead of a person, and at what price."""

from typing import Any

from pydantic import AnyHttpUrl, Field

from llm_al.settings_section import Section

__all__ = ["LLMSettings", "Price"]


class Price(Section):
    """What the server charges, in US dollars a million tokens."""

    input_usd_per_million: float = Field(ge=0.0)
    output_usd_per_million: float = Field(ge=0.0)


class LLMSettings(Section):
    """Who answers instead of a person."""

    annotator: str = "zero_shot"
    """`chat`, `zero_shot` (a stand-in without an LLM), `none`, or a plug-in."""
    base_url: AnyHttpUrl = AnyHttpUrl("https://api.openai.com/v1")
    model: str = "gpt-4o-mini"
    """As the server calls it."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key."""
    prompts: tuple[str, ...] = ("classify.v1", "classify_reversed.v1", "classify_terse.v1")
    """Each text is asked with each of them; a folder `prompts/` in the project is searched first."""
    concurrency: int = Field(16, ge=1, le=1024)
    """Calls under way at once."""
    timeout_s: float = Field(60.0, gt=0.0)
    """For one try."""
    max_tries: int = Field(5, ge=1, le=20)
    """For one call."""
    max_answer_tokens: int = Field(64, ge=1)
    """Upper limit of an answer; part of the price that is reserved."""
    temperature: float = Field(0.0, ge=0.0, le=2.0)
    """Of the sampling."""
    logprobs: bool = True
    """Ask for token probabilities where the server has them."""
    price: Price | None = None
    """None takes the list price, or 0 on a local server."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Constructor fields of a plug-in annotator."""
