"""The `llm` section of `project.yaml`: who answers instead of a person, and at what price."""

from typing import Any, Literal

from pydantic import AnyHttpUrl, Field, model_validator

from llm_al.settings_section import Section

__all__ = ["CascadeSettings", "LLMSettings", "MemberSettings", "Price"]


class Price(Section):
    """What the server charges, in US dollars a million tokens."""

    input_usd_per_million: float = Field(ge=0.0)
    output_usd_per_million: float = Field(ge=0.0)
    cached_input_usd_per_million: float | None = Field(None, ge=0.0)
    """For tokens that the server reports as found in its prompt cache; None charges them in full. The low end of
    an estimate supposes that the part that all prompts share is cached, the high end that nothing is."""


class MemberSettings(Section):
    """A further model: what is not given is taken from `llm`."""

    model: str | None = None
    """As its server calls it."""
    base_url: AnyHttpUrl | None = None
    """With a server of its own it needs its own `api_key_env`, so that no key reaches the wrong server."""
    api_key_env: str | None = None
    """Name of the environment variable that holds its key; any unset name for a server without keys."""
    prompts: tuple[str, ...] | None = None
    """Its prompts."""
    concurrency: int | None = Field(None, ge=1, le=1024)
    """Calls to it under way at once."""
    temperature: float | None = Field(None, ge=0.0, le=2.0)
    """Of its sampling."""
    max_answer_tokens: int | None = Field(None, ge=1)
    """Upper limit of an answer."""
    logprobs: bool | None = None
    """Ask for token probabilities."""
    price: Price | None = None
    """None takes the list price of `model`, or `llm.price` where `model` is not given."""
    batch: bool | None = None
    """Have its answers made in batches."""

    @model_validator(mode="after")
    def _key_goes_with_server(self) -> "MemberSettings":
        if self.base_url is not None and self.api_key_env is None:
            raise ValueError("it has its own base_url; name its api_key_env too (any unset name if it needs no key)")
        return self

    def over(self, settings: "LLMSettings") -> "LLMSettings":
        """Return `settings` with this member's values in place."""
        changes = {name: getattr(self, name) for name in type(self).model_fields}
        given = {name: value for name, value in changes.items() if value is not None}
        if {"model", "base_url"} & given.keys():
            # The price of one model says nothing about another.
            given["price"] = self.price
        return settings.model_copy(update={**given, "panel": (), "cascade": None})


class CascadeSettings(Section):
    """A stronger model for texts on which it is worth its price."""

    then: MemberSettings
    """The stronger model."""
    human_usd_per_label: float = Field(0.1, gt=0.0)
    """What an answer of a person costs; the stronger model is asked where a dollar buys more with it."""
    human_accuracy: float = Field(0.98, gt=0.0, le=1.0)
    """How often a person is right."""


class LLMSettings(Section):
    """Who answers instead of a person."""

    annotator: str = "zero_shot"
    """`chat`, `replay` (recorded answers), `zero_shot` (a stand-in without an LLM), `none`, or a plug-in."""
    base_url: AnyHttpUrl = AnyHttpUrl("https://api.openai.com/v1")
    model: str = "gpt-4o-mini"
    """As the server calls it."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key."""
    prompts: tuple[str, ...] = ("classify.v2", "classify_reversed.v2", "classify_terse.v2")
    """Each text is asked with each of them; a folder `prompts/` in the project is searched first."""
    demonstrations: str = "none"
    """Labelled texts that each prompt shows: `nearest`, `diverse` (the nearest of each label in turn), `mmr` (near, but
    unlike each other), `fixed` (the same for all texts, which servers can cache), `none`, or a plug-in."""
    demonstrations_from: Literal["people", "student"] = "people"
    """Whose labels are shown: `people` alone, or LLM labels too where the last round's `student` is sure and agrees."""
    n_demonstrations: int = Field(5, ge=1, le=100)
    """Demonstrations a text."""
    demonstration_options: dict[str, Any] = Field(default_factory=dict)
    """Constructor fields of the chosen way, such as `max_similarity` (0.95): nearer texts count as the same."""
    rationale: bool = False
    """Ask for one sentence before the label; an answer may then take 96 tokens more than `max_answer_tokens`."""
    sureness: bool = False
    """Ask how likely the label is in one of five words, as one more signal of certainty."""
    verify: bool = False
    """Ask once more about each text whether the model's most frequent label is right, as one more signal."""
    concurrency: int = Field(16, ge=1, le=1024)
    """Calls under way at once."""
    timeout_s: float = Field(60.0, gt=0.0)
    """For one try."""
    max_tries: int = Field(5, ge=1, le=20)
    """For one call."""
    max_wait_s: float = Field(120.0, gt=0.0)
    """Longest single wait; a server that asks for more gives up the call."""
    requests_per_minute: float | None = Field(None, gt=0.0)
    """None learns the limit from the server's headers; without such headers there is none."""
    tokens_per_minute: float | None = Field(None, gt=0.0)
    """Tokens in and out; None as above."""
    hedge_after_s: float | None = Field(None, gt=0.0)
    """Send a call a second time when its answer takes longer; both may be charged. None never does."""
    max_answer_tokens: int = Field(64, ge=1)
    """Upper limit of an answer; part of the price that is reserved."""
    temperature: float = Field(0.0, ge=0.0, le=2.0)
    """Of the sampling."""
    logprobs: bool = True
    """Ask for token probabilities where the server has them."""
    price: Price | None = None
    """None takes the list price, or 0 on a local server."""
    batch: bool = False
    """Have answers made by the server's Batch API: within a day, at `batch_price_factor` of the price. `llm-al run`
    then leaves, and goes on when it is run again; `llm-al run --wait` stays and looks now and then."""
    batch_price_factor: float = Field(0.5, gt=0.0, le=1.0)
    """What a batch costs beside the same calls at once; 0.5 was usual on 2025-09-01."""
    tokenize: bool | None = None
    """Let estimates ask the server's `/tokenize`, which is free, to count tokens; None does so on local servers."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Constructor fields of a plug-in annotator."""
    panel: tuple[MemberSettings, ...] = ()
    """Models that answer side by side with the first, each with what differs from it: `model`, `base_url`,
    `api_key_env`, `prompts`, `concurrency`, `temperature`, `max_answer_tokens`, `logprobs`, `price`, `batch`."""
    cascade: CascadeSettings | None = None
    """Ask a stronger model where it is worth its price."""
    replay: str | None = None
    """Recorded answers (`.jsonl`, `.jsonl.gz`) for `annotator: replay`; `options` may name `runs`, `models`,
    `none_of_these` and `signal`."""
    record: str | None = None
    """File that keeps every LLM answer in the form that `replay` reads; written anew after each round."""
    synthesize: int = Field(0, ge=0, le=50)
    """So many texts are written for each label of which people have found no example; 0 writes none. They are
    learned from with `synthetic_weight` unless they hurt; never pooled, asked about, tested on or exported unasked."""
    synthetic_weight: float = Field(0.3, gt=0.0, lt=1.0)
    """Of a written text in training; a person's label weighs 1."""
