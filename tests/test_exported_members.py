import re
from pathlib import Path

import pytest

import llm_al


def test_every_public_name_is_there() -> None:
    assert llm_al.__all__ == sorted(llm_al.__all__)
    for name in llm_al.__all__:
        assert getattr(llm_al, name).__doc__


def test_the_names_are_these() -> None:
    # A name that leaves or joins this list is a change that users see: write it into CHANGELOG.md.
    assert llm_al.__all__ == [
        "ActiveLearner",
        "Annotation",
        "AnnotatorKind",
        "Columns",
        "Example",
        "LLMALError",
        "Label",
        "PoolView",
        "Project",
        "Query",
        "RoundOutcome",
        "load_student",
    ]


def test_completion_shows_them() -> None:
    assert set(dir(llm_al)) == {*llm_al.__all__, "__version__"}


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="'llm_al' has no attribute 'Lerner'"):
        _ = llm_al.Lerner


def test_types_are_shipped_and_the_version_is_a_version() -> None:
    assert (Path(llm_al.__file__).parent / "py.typed").exists()
    assert re.fullmatch(r"\d+\.\d+\.\d+", llm_al.__version__)
