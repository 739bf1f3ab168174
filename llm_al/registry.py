"""Names to classes. Built-ins are listed here; others come from entry points ``llm_al.<kind>``."""

import difflib
import inspect
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from llm_al.errors import ConfigError, UnknownNameError
from llm_al.protocols import Strategy

__all__ = ["BUILTINS", "load", "make", "make_strategy", "names"]

BUILTINS: Mapping[str, Mapping[str, str]] = {
    "embedder": {
        "hashing": "llm_al.embedders.hashing:HashEmbedder",
        "sentence": "llm_al.embedders.sentence:Sentence",
    },
    "scorer": {
        "entropy": "llm_al.strategies.scorers.entropy:Entropy",
        "least_confidence": "llm_al.strategies.scorers.least_confidence:LeastConfidence",
        "margin": "llm_al.strategies.scorers.margin:Margin",
        "random": "llm_al.strategies.scorers.random:Random",
    },
    "selector": {
        "cluster": "llm_al.strategies.selectors.cluster_margin:ClusterMargin",
        "diverse": "llm_al.strategies.selectors.diverse:Diverse",
        "kcenter": "llm_al.strategies.selectors.k_center:KCenter",
        "top": "llm_al.strategies.selectors.top_k:TopK",
    },
    "cold_start": {
        "centres": "llm_al.strategies.cold_start:Centres",
        "llm": "llm_al.strategies.first_choice:FirstChoice",
        "typical": "llm_al.strategies.cold_start:Typical",
    },
    "annotator": {
        "chat": "llm_al.annotators.chat:Chat",
        "queue": "llm_al.annotators.queue:Queue",
        "replay": "llm_al.annotators.replay:Replay",
        "simulated": "llm_al.annotators.simulated:Simulated",
        "terminal": "llm_al.annotators.terminal:Terminal",
        "zero_shot": "llm_al.annotators.zero_shot:ZeroShot",
    },
    "consensus": {
        "crowdlab": "llm_al.consensus.crowdlab:Crowdlab",
        "dawid_skene": "llm_al.consensus.dawid_skene:DawidSkene",
        "glad": "llm_al.consensus.glad:Glad",
        "mace": "llm_al.consensus.mace:Mace",
        "majority": "llm_al.consensus.majority:Majority",
        "one_coin": "llm_al.consensus.dawid_skene:OneCoin",
        "weighted": "llm_al.consensus.weighted:Weighted",
    },
    "demonstrations": {
        "diverse": "llm_al.annotators.demonstrations:Diverse",
        "fixed": "llm_al.annotators.demonstrations:Fixed",
        "mmr": "llm_al.annotators.demonstrations:Mmr",
        "nearest": "llm_al.annotators.demonstrations:Nearest",
    },
    "pseudo_labeler": {
        "actune": "llm_al.pseudo_labels.actune:AcTune",
        "adaptive": "llm_al.pseudo_labels.adaptive:Adaptive",
        "curriculum": "llm_al.pseudo_labels.curriculum:Curriculum",
        "hast": "llm_al.pseudo_labels.hast:Hast",
        "nest": "llm_al.pseudo_labels.nest:Nest",
        "none": "llm_al.pseudo_labels.none:NoPseudo",
        "propagation": "llm_al.pseudo_labels.propagation:Propagation",
        "soft": "llm_al.pseudo_labels.soft:Soft",
        "ust": "llm_al.pseudo_labels.ust:Ust",
        "verips": "llm_al.pseudo_labels.verips:Verips",
    },
    "student": {
        "auto": "llm_al.students.auto:Auto",
        "blend": "llm_al.students.blend:Blend",
        "distilled": "llm_al.students.distilled:Distilled",
        "head": "llm_al.students.head:Head",
        "setfit": "llm_al.students.setfit:SetFit",
        "transformer": "llm_al.students.transformer:Transformer",
    },
}


def names(kind: str) -> list[str]:
    """Return every name of a kind, built in or installed, sorted."""
    return sorted({*BUILTINS[kind], *(point.name for point in entry_points(group=f"llm_al.{kind}"))})


def load(kind: str, name: str) -> Any:
    """Return the class behind a name, importing its module now.

    Raises
    ------
    UnknownNameError
        If no plug-in of that kind has the name; the message lists those that exist.
    """
    if target := BUILTINS[kind].get(name):
        module, _, attribute = target.partition(":")
        return getattr(import_module(module), attribute)
    for point in entry_points(group=f"llm_al.{kind}", name=name):
        return point.load()
    raise _unknown(kind, name)


def _unknown(kind: str, name: str) -> UnknownNameError:
    known = names(kind)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UnknownNameError(f"unknown {kind.replace('_', ' ')} {name!r}; choose from: {', '.join(known)}{hint}")


def make(kind: str, name: str, /, **options: Any) -> Any:
    """Build a plug-in from its name and constructor fields.

    Raises
    ------
    UnknownNameError
        If the name does not exist.
    ConfigError
        If an option is not a constructor field; the message lists those that are.
    """
    cls = load(kind, name)
    fields = inspect.signature(cls).parameters
    for option in options:
        if option not in fields:
            allowed = ", ".join(sorted(fields)) or "none"
            raise ConfigError(f"{kind} {name!r} has no option {option!r}; allowed: {allowed}; correct the option")
    return cls(**options)


def make_strategy(
    name: str,
    *,
    cold_start: str = "typical",
    labels_per_class: float = 5.0,
    cold_options: Mapping[str, Any] | None = None,
) -> Strategy:
    """Build a strategy from ``"scorer+selector"``; a scorer alone takes the top k.

    Parameters
    ----------
    name : str
        For example ``"margin+diverse"``, ``"entropy"`` or ``"random"``.
    cold_start : str
        Selects while there are fewer than `labels_per_class` labels a class.
    cold_options : mapping, optional
        Constructor fields of the cold start.
    """
    combined = import_module("llm_al.strategies.combined")
    scorer, _, selector = name.partition("+")
    main = combined.Combined(make("scorer", scorer), make("selector", selector or "top"))
    strategy: Strategy = combined.ColdStartThen(
        make("cold_start", cold_start, **(cold_options or {})), main, labels_per_class
    )
    return strategy
