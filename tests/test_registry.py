import inspect
from dataclasses import dataclass, is_dataclass
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from llm_al import registry
from llm_al.errors import ConfigError, UnknownNameError
from llm_al.strategies.combined import ColdStartThen
from llm_al.strategies.selectors.top_k import TopK


@dataclass(frozen=True)
class Louder:
    """A scorer from another distribution."""

    volume: int = 11


EVERY_NAME = [(kind, name) for kind, targets in registry.BUILTINS.items() for name in targets]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(
        [
            EntryPoint("louder", f"{__name__}:Louder", "llm_al.scorer"),
            EntryPoint("margin", f"{__name__}:Louder", "llm_al.scorer"),
        ]
    )
    monkeypatch.setattr(registry, "entry_points", points.select)
    # This file has no importable name.
    monkeypatch.setattr(EntryPoint, "load", lambda _: Louder)


@pytest.mark.parametrize(("kind", "name"), EVERY_NAME)
def test_every_name_loads_a_frozen_dataclass(kind: str, name: str) -> None:
    found = registry.load(kind, name)
    assert inspect.isclass(found)
    assert is_dataclass(found)
    assert found.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert found.__doc__


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError) as caught:
        registry.load("scorer", "margn")
    assert str(caught.value) == (
        "unknown scorer 'margn'; choose from: entropy, least_confidence, margin, random; did you mean 'margin'?"
    )


def test_an_unknown_option_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"student 'head' has no option 'depth'; allowed: C, device, .*model"):
        registry.make("student", "head", model="offline", depth=3)


def test_options_are_constructor_fields() -> None:
    assert registry.make("student", "head", model="offline", C=2.0).C == 2.0


def test_names_are_sorted() -> None:
    assert registry.names("student") == ["auto", "blend", "distilled", "head", "setfit", "transformer"]


def test_installed_plug_ins_are_found_beside_the_built_in(installed: None) -> None:
    assert registry.names("scorer") == ["entropy", "least_confidence", "louder", "margin", "random"]
    assert registry.make("scorer", "louder", volume=12) == Louder(12)
    with pytest.raises(ConfigError, match="allowed: volume"):
        registry.make("scorer", "louder", pitch=1)


def test_a_plug_in_cannot_take_the_name_of_a_built_in(installed: None) -> None:
    assert type(registry.make("scorer", "margin")).__name__ == "Margin"


def test_a_strategy_is_put_together_by_its_name() -> None:
    strategy: Any = registry.make_strategy("entropy", cold_start="centres", labels_per_class=3.0)
    assert isinstance(strategy, ColdStartThen)
    assert isinstance(strategy.main.selector, TopK)  # type: ignore[attr-defined]
    for wrong in ("margn+diverse", "margin+diverze"):
        with pytest.raises(UnknownNameError, match="did you mean"):
            registry.make_strategy(wrong)
    with pytest.raises(UnknownNameError, match="unknown cold start 'warm'; choose from: centres, llm, typical"):
        registry.make_strategy("margin", cold_start="warm")
