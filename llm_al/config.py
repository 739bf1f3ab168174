"""`project.yaml` as one model: every setting, its default and its limits."""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from llm_al.errors import ConfigError
from llm_al.llm_settings import LLMSettings, Price
from llm_al.phrasing import Form
from llm_al.settings_section import Section
from llm_al.types import Label, LabelScheme

__all__ = [
    "Budget",
    "ConsensusSettings",
    "EmbedderSettings",
    "HumanSettings",
    "LLMSettings",
    "LabelSettings",
    "Price",
    "ProjectConfig",
    "PseudoLabelSettings",
    "Routing",
    "StopSettings",
    "StrategySettings",
    "StudentSettings",
    "load_config",
    "read_yaml",
    "validate_config",
]

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class LabelSettings(Section):
    """One label of the list."""

    name: str
    description: str = ""


class EmbedderSettings(Section):
    """The fixed sentence encoder."""

    name: str = "sentence"
    """`sentence`, `hashing` (bag of words, for tests), or a plug-in."""
    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    """Hub name or local folder. `offline` takes the weights of the `offline` extra."""
    batch_size: int = Field(32, ge=1, le=4096)
    """Texts encoded at once."""
    max_tokens: int = Field(256, ge=8, le=8192)
    """Longer texts are cut for the encoder."""
    dtype: Literal["float16", "float32"] = "float32"
    """Of the cached vectors."""
    device: str | None = None
    """None takes CUDA where there is one."""
    layers: bool = True
    """Also keep the average of the encoder's upper layers and the state of the first token: a `head` learns from what
    people's labels prefer. Costs no time, and twice as much space again."""


class StrategySettings(Section):
    """Which examples are asked for, and how many a round."""

    name: str = "margin+diverse"
    """`scorer+selector`: random, least_confidence, margin, entropy; top, kcenter, diverse, cluster."""
    cold_start: str = "typical"
    """`typical`, `centres`, or `llm`: an LLM chooses the very first examples (needs `llm.annotator: chat`)."""
    cold_start_labels_per_class: float = Field(5.0, ge=0.0)
    """Below this many human labels a class, `cold_start` selects."""
    initial: int = Field(30, ge=1)
    """People answer so many texts in the first round."""
    human_per_round: int = Field(20, ge=0)
    """Places for people in later rounds, audits and doubtful LLM labels included."""
    llm_per_round: int = Field(100, ge=0)
    """Texts for the LLM in a round."""


class StudentSettings(Section):
    """The classifier that is trained each round."""

    name: str = "head"
    """`head` (linear, on frozen embeddings), `transformer` (fine-tuned), `auto` (the better of the two by
    cross-validation on people's labels), `blend` (both, mixed), `setfit`, `distilled`, or a plug-in."""
    model: str | None = None
    """Hub name or local folder of the encoder; None takes the embedder's."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Constructor fields of the chosen student."""


class HumanSettings(Section):
    """Who the people are."""

    annotator: str = "queue"
    """`queue` waits for `llm-al serve` or `label`; `terminal` asks at once; `simulated` answers from `gold`."""
    gold: str | None = None
    """File with `id` and `label` columns, for `simulated`."""
    noise: Share = 0.0
    """Rate of wrong answers of `simulated`."""
    max_seconds_per_label: float = Field(8.0, gt=0.0)
    """Used by estimates only."""
    overlap: int = Field(1, ge=1, le=50)
    """So many people answer each text; blind audits are always answered by one."""
    subjective: bool = False
    """People may rightly differ: the student learns the distribution of their answers, and both are reported."""
    second_opinions: Share = 0.3
    """Largest share of a round's places for texts that somebody has answered; used when several people are at work."""
    lease_minutes: float = Field(10.0, gt=0.0, le=1440.0)
    """A text is one person's for so long, and as long as the page is open on it."""
    max_skips: int = Field(2, ge=1, le=50)
    """After so many skips nobody else is asked about a text."""
    gold_rate: float = Field(0.05, ge=0.0, le=0.5)
    """Share of questions whose answer is known, to check people; needs labels that a reviewer marked for it."""
    re_ask_rate: float = Field(0.02, ge=0.0, le=0.5)
    """Share of questions that a person has answered before, to check their steadiness."""
    suggestions: Literal["shown", "hidden"] = "shown"
    """Whether people see what student and LLM propose. Audits and checks never show it."""
    forms: tuple[Form, ...] = tuple(Form)
    """Ways to put a question that may be chosen: list, candidates, verify, pair, bulk."""
    coverage: float = Field(0.95, gt=0.5, lt=1.0)
    """Probability with which the labels that are offered first hold the answer."""
    matching: Literal["none", "expertise", "accuracy", "spread"] = "accuracy"
    """Who gets which text: any; who knows the label; who was right on it; spread over people for subjective tasks."""


class ConsensusSettings(Section):
    """How the answers of people and LLMs become one label."""

    name: str = "one_coin"
    """`majority`, `weighted`, `one_coin`, `dawid_skene`, `glad`, `mace`, `crowdlab`, or a plug-in."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Constructor fields of the chosen one."""


class Routing(Section):
    """What it takes for an LLM label to be accepted."""

    max_error: float = Field(0.1, gt=0.0, lt=1.0)
    """Largest share of wrong labels among accepted LLM labels."""
    confidence: float = Field(0.95, gt=0.5, lt=1.0)
    """With which `max_error` has to be proven."""
    audit_rate: float = Field(0.1, gt=0.0, le=1.0)
    """Share of the candidates that people check blind; never 0."""
    min_agreement: Share = 0.6
    """Smoothed agreement of the prompts below which a person is asked."""
    n_neighbours: int = Field(10, ge=1)
    """Labelled neighbours that an LLM label is compared with."""


class PseudoLabelSettings(Section):
    """Self-training."""

    name: str = "adaptive"
    """`adaptive` (`propagation` while the student stands on frozen vectors, self-training within a round when it is
    fine-tuned), `none`, `hast`, `ust`, `verips`, `nest`, `actune`, `curriculum`, `soft`, `propagation`, or a
    plug-in."""
    class_cap: float | None = Field(2.0, ge=1.0)
    """No class keeps more than this multiple of the even share; None keeps all."""
    guard: bool = True
    """Keep a source out when cross-validation on human labels says that it does not help."""
    llm_answers: Literal["accepted", "all"] = "all"
    """LLM answers that the student learns from: those that the audit vouches for, or all of them, corrected by what
    people's labels tell of each prompt and model."""
    options: dict[str, Any] = Field(default_factory=dict)


class Budget(Section):
    """Hard limits; None is no limit."""

    human_labels: int | None = Field(200, ge=1)
    """Answers of people over the whole project."""
    llm_usd: float | None = Field(5.0, ge=0.0)
    """LLM money over the whole project."""
    minutes: float | None = Field(None, gt=0.0)
    """Running time; waiting for people is not counted."""
    rounds: int | None = Field(None, ge=1)
    """Rounds."""


class StopSettings(Section):
    """When enough is enough."""

    target_accuracy: float | None = Field(None, gt=0.0, le=1.0)
    """Reached when the lower end of the interval is at or above it."""
    kappa: float | None = Field(0.99, gt=0.0, le=1.0)
    """Stop when the predictions of successive rounds agree this well."""
    kappa_rounds: int = Field(3, ge=1)
    """Over so many rounds."""


class ProjectConfig(Section):
    """Everything in `project.yaml`."""

    name: str = "project"
    """Shown in the report."""
    labels: tuple[LabelSettings, ...]
    """Names, or `name` with `description`."""
    labels_are_closed: bool = False
    """Every text fits one of the labels: LLMs are not offered `none_of_these`."""
    catch_all: str | None = None
    """The label of texts that fit no other label, where there is one (`other`). Such texts have little in common:
    examples are looked for from the start, and pseudo-labels have no say in it."""
    guidelines: str | None = "guidelines.md"
    """The page for annotators; part of every prompt."""
    seed: int = Field(0, ge=0, lt=2**32)
    """One seed gives one run."""
    store: str | None = None
    """Database URL; None is `project.db` in the folder."""
    embedder: EmbedderSettings = EmbedderSettings()
    strategy: StrategySettings = StrategySettings()
    student: StudentSettings = StudentSettings()
    llm: LLMSettings = LLMSettings()
    human: HumanSettings = HumanSettings()
    consensus: ConsensusSettings = ConsensusSettings()
    routing: Routing = Routing()
    pseudo_labels: PseudoLabelSettings = PseudoLabelSettings()
    budget: Budget = Budget()
    stop: StopSettings = StopSettings()

    @model_validator(mode="before")
    @classmethod
    def _accept_plain_label_names(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("labels"), list):
            labels = [{"name": item} if isinstance(item, str) else item for item in data["labels"]]
            return {**data, "labels": labels}
        return data

    def scheme(self, guidelines: str = "") -> LabelScheme:
        """Return the label scheme; raises `LabelError` if the list is wrong."""
        labels = tuple(Label(item.name, item.description) for item in self.labels)
        return LabelScheme(labels, guidelines, is_open=not self.labels_are_closed, catch_all=self.catch_all)


def _allowed_keys(location: tuple[int | str, ...]) -> list[str]:
    model: Any = ProjectConfig
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        sections = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not sections:
            return []
        model = sections[0]
    return sorted(model.model_fields)


def _explain(error: Any) -> str:
    path = ".".join(str(part) for part in error["loc"]) or "project.yaml"
    if error["type"] == "extra_forbidden":
        allowed = _allowed_keys(error["loc"])
        near = difflib.get_close_matches(str(error["loc"][-1]), allowed, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "remove it or correct its name"
        return f"unknown key {path!r}; allowed here: {', '.join(allowed)}; {hint}"
    if error["type"] == "missing":
        return f"{path!r} is missing; add it"
    problem = error["msg"].removeprefix("Value error, ")
    if problem[1:2].islower():
        problem = problem[0].lower() + problem[1:]
    return f"{path!r} is {error['input']!r}; {problem}; correct it"


def validate_config(data: Any, *, origin: str = "project.yaml") -> ProjectConfig:
    """Check settings and return them as one frozen model.

    Raises
    ------
    ConfigError
        With the path of the first wrong key, what was found and what is allowed.
    LabelError
        If the label list is wrong.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{origin}: expected a mapping of settings, got {type(data).__name__}; see the README")
    try:
        config = ProjectConfig.model_validate(data)
    except ValidationError as exc:
        # A misspelt key explains why another one is missing.
        first, *others = sorted(exc.errors(), key=lambda error: error["type"] != "extra_forbidden")
        more = f" (and {len(others)} more)" if others else ""
        raise ConfigError(f"{origin}: {_explain(first)}{more}") from exc
    config.scheme()
    return config


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises
    ------
    ConfigError
        If it is missing, not UTF-8 text or not YAML, with the line.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; give the path of a YAML file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8 YAML") from None
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(exc, "problem", None) or "cannot be parsed"
        raise ConfigError(f"{path} is not valid YAML{where}: {problem}; correct that line") from exc


def load_config(path: Path) -> ProjectConfig:
    """Read and check a `project.yaml`."""
    return validate_config(read_yaml(path), origin=str(path))
