from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_al.store import SqlStore
from llm_al.types import Example


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "project.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    with SqlStore(path) as opened:
        yield opened


@pytest.fixture
def filled(store: SqlStore) -> SqlStore:
    """Ten examples, a to j, with texts 'text a' to 'text j'."""
    store.add_examples(Example(letter, f"text {letter}") for letter in "abcdefghij")
    return store
