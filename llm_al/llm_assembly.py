"""From the `llm` section of the settings to annotators."""

import os
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_al import registry
from llm_al.annotators.cascade import Cascade, Trial, read_trials
from llm_al.annotators.engine.prices import is_local
from llm_al.annotators.panel import Panel
from llm_al.annotators.replay import Replay, Tape
from llm_al.config import ProjectConfig
from llm_al.errors import ConfigError
from llm_al.formats.llm_runs import read_llm_runs
from llm_al.llm_settings import LLMSettings
from llm_al.protocols import Annotator, Demonstrator, Refine
from llm_al.recording import human_labels
from llm_al.store.store import SqlStore
from llm_al.types import NANO_PER_USD, LabelScheme

if TYPE_CHECKING:
    from llm_al.annotators.chat import Chat

__all__ = [
    "make_chat",
    "make_chats",
    "make_demonstrator",
    "make_refine",
    "make_replay",
    "nano_usd",
    "replay_file",
    "unencrypted",
]


def nano_usd(usd: float | None) -> int | None:
    """Return dollars as whole nano-dollars; None stays None."""
    return None if usd is None else round(usd * NANO_PER_USD)


def make_demonstrator(config: ProjectConfig) -> Demonstrator | None:
    """Return what chooses demonstrations by the settings; None where there are none to be shown."""
    from llm_al.annotators.demonstrations import Retrieval

    settings = config.llm
    if settings.demonstrations == "none" and settings.demonstrations_from == "student":
        raise ConfigError(
            "llm.demonstrations_from is 'student', but llm.demonstrations is 'none', so nothing is shown; remove "
            f"demonstrations_from, or set llm.demonstrations to one of: {', '.join(registry.names('demonstrations'))}"
        )
    if settings.demonstrations == "none" or settings.annotator != "chat":
        return None
    options = dict(settings.demonstration_options)
    if settings.demonstrations == "fixed":
        options = {"seed": config.seed, **options}
    return Retrieval(registry.make("demonstrations", settings.demonstrations, **options), settings.n_demonstrations)


def make_refine(config: ProjectConfig) -> Refine | None:
    """Return what chooses labels of the LLM that its demonstrations show; None where people's alone are shown."""
    if config.llm.demonstrations_from == "people":
        return None
    from llm_al.annotators.refinery import refined_demonstrations

    return partial(refined_demonstrations, seed=config.seed)


def make_chat(
    config: ProjectConfig,
    scheme: LabelScheme,
    store: SqlStore,
    folder: Path,
    *,
    demonstrator: Demonstrator | None = None,
) -> "Chat":
    """Return the chat annotator of a project; the key comes from the environment."""
    from llm_al.annotators.chat import Batching, Endpoint, Limits, Price, Pricing, Sampling

    settings = config.llm
    given = settings.price
    price = given if given is None else Price.from_usd_per_million(*given.model_dump().values())
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
        limits=Limits(**{field.name: getattr(settings, field.name) for field in fields(Limits)}),
        pricing=Pricing(price, nano_usd(config.budget.llm_usd)),
        rationale=settings.rationale,
        sureness=settings.sureness,
        verify=settings.verify,
        demonstrator=demonstrator,
        batching=Batching(settings.batch_price_factor) if settings.batch else None,
        tokenize=settings.tokenize,
        prompt_folder=_own_prompts(folder),
    )
    return chat


def _own_prompts(folder: Path) -> Path | None:
    return folder / "prompts" if (folder / "prompts").is_dir() else None


def make_chats(
    config: ProjectConfig,
    scheme: LabelScheme,
    store: SqlStore,
    folder: Path,
    *,
    demonstrator: Demonstrator | None = None,
) -> Annotator:
    """Return the chat annotator, the panel or the cascade that the settings ask for; all share one cap."""

    def chat(settings: LLMSettings) -> "Chat":
        own = config.model_copy(update={"llm": settings})
        return make_chat(own, scheme, store, folder, demonstrator=demonstrator)

    settings = config.llm
    if settings.options:
        raise ConfigError(
            f"llm.options holds {sorted(settings.options)}, but annotator 'chat' takes none (they are for plug-ins and "
            "'replay'); remove them"
        )
    members = [chat(settings), *(chat(member.over(settings)) for member in settings.panel)]
    first: Annotator = Panel(tuple(members)) if settings.panel else members[0]
    if settings.cascade is None:
        return first
    if settings.panel:
        raise ConfigError("llm.panel and llm.cascade are both set; a cascade starts with one model, so remove one")
    strong = settings.cascade.then.over(settings)
    if strong.model == settings.model:
        raise ConfigError(f"llm.cascade.then.model is {strong.model!r} like llm.model; name a stronger model there")

    def trials() -> list[Trial]:
        annotations = store.annotations()
        gold = human_labels(annotations, registry.make("consensus", "one_coin", labels=scheme.names))
        return read_trials(annotations, gold, cheap=settings.model, strong=strong.model, n_classes=len(scheme))

    return Cascade(
        first,
        chat(strong),
        n_classes=len(scheme),
        human_usd=settings.cascade.human_usd_per_label,
        human_accuracy=settings.cascade.human_accuracy,
        trials=trials,
    )


def unencrypted(settings: LLMSettings) -> list[str]:
    """Return a warning for each server to which a key would travel in the clear."""
    further = [*settings.panel, *([settings.cascade.then] if settings.cascade is not None else [])]
    return [
        f"{one.base_url} is not encrypted: the key in {one.api_key_env} and every text can be read on the way; "
        "use https:// in base_url"
        for one in [settings, *(member.over(settings) for member in further)]
        if one.base_url.scheme == "http" and not is_local(str(one.base_url)) and os.environ.get(one.api_key_env)
    ]


def make_replay(config: ProjectConfig, scheme: LabelScheme, folder: Path) -> Replay:
    """Return the annotator that answers from the recording `llm.replay`, a path as seen from the project's folder."""
    if config.llm.replay is None:
        raise ConfigError("llm.annotator is 'replay' and llm.replay is missing; name a file of recorded answers")
    return replay_file(folder / config.llm.replay, scheme, **config.llm.options)


def replay_file(path: Path, scheme: LabelScheme, **options: Any) -> Replay:
    """Return the annotator that answers from a recorded file; `options` are the fields of `Replay` from `runs` on."""
    names = ("runs", "none_of_these")
    listed = {key: tuple(value) if key in names else value for key, value in options.items()}
    made: Replay = registry.make("annotator", "replay", scheme=scheme, tape=Tape(read_llm_runs(path)), **listed)
    return made
