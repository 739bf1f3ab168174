from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_al import registry
from llm_al.annotators.demonstrations import Diverse, Fixed, Mmr, Nearest, Retrieval, normalise
from llm_al.bank import LabelledBank
from llm_al.errors import ConfigError, ShapeError
from llm_al.protocols import Demonstrations
from llm_al.types import Demonstration, Example

METHODS: list[Demonstrations] = [Nearest(), Diverse(), Mmr(), Fixed()]


def _unit(rows: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    rows = np.asarray(rows, dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _angles(*degrees: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return unit vectors in the plane, so that similarity falls with the angle."""
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def _bank(labels: Sequence[str], embeddings: Any, groups: Sequence[int] | None = None) -> LabelledBank:
    n = len(labels)
    known = np.full(n, -1) if groups is None else np.array(groups)
    return LabelledBank([f"id{i}" for i in range(n)], [f"text {i}" for i in range(n)], labels, embeddings, known)


def _texts(shown: Sequence[Demonstration]) -> list[str]:
    return [demonstration.text for demonstration in shown]


QUESTION, AHEAD = [Example("q", "question")], _angles(0)
# Nearest first: 1, 3, 0, 2, 4.
BANK = _bank(["a", "a", "b", "a", "c"], _angles(40, 20, 50, 30, 80))


def test_nearest_puts_the_most_similar_text_last() -> None:
    [shown] = Nearest().choose(BANK, QUESTION, AHEAD, k=3)
    assert shown == (Demonstration("text 0", "a"), Demonstration("text 3", "a"), Demonstration("text 1", "a"))


def test_diverse_takes_the_nearest_of_each_label_before_a_second_one() -> None:
    [shown] = Diverse().choose(BANK, QUESTION, AHEAD, k=4)
    assert _texts(shown) == ["text 4", "text 2", "text 3", "text 1"]
    [shown] = Diverse().choose(BANK, QUESTION, AHEAD, k=2)
    assert _texts(shown) == ["text 2", "text 1"]


def test_mmr_prefers_what_is_unlike_the_chosen_ones() -> None:
    # With lambda 1/2 after 20 degrees: 25 scores (cos 25 - cos 5) / 2 = -.045, -40 scores (cos 40 - cos 60) / 2 = .133.
    bank = _bank(["a", "a", "b"], _angles(20, 25, -40))
    [shown] = Mmr(relevance=0.5).choose(bank, QUESTION, AHEAD, k=2)
    assert _texts(shown) == ["text 2", "text 0"]
    [shown] = Mmr(relevance=1.0).choose(bank, QUESTION, AHEAD, k=2)
    assert shown == Nearest().choose(bank, QUESTION, AHEAD, k=2)[0]


def test_fixed_shows_the_same_texts_in_the_same_order_to_everyone_one_a_label_in_turn() -> None:
    queries, vectors = [Example(f"q{i}", f"question {i}") for i in range(5)], _angles(0, 5, 90, 120, 200)
    chosen = Fixed(seed=3, max_similarity=1.0).choose(BANK, queries, vectors, k=3)
    assert len(set(chosen)) == 1
    assert {demonstration.label for demonstration in chosen[0]} == {"a", "b", "c"}


def test_fixed_depends_on_the_seed_and_not_on_the_order_of_the_bank() -> None:
    labels, vectors = [f"{i % 2}" for i in range(20)], _angles(*range(0, 200, 10))
    bank = _bank(labels, vectors)
    turned = LabelledBank(bank.ids[::-1], bank.texts[::-1], labels[::-1], vectors[::-1], bank.groups[::-1])
    one, two, other = (
        Fixed(seed=s).choose(b, QUESTION, _angles(300), k=6) for b, s in ((bank, 0), (turned, 0), (bank, 1))
    )
    assert one == two
    assert one != other


def test_fixed_replaces_the_question_itself_at_the_end_only() -> None:
    bank = _bank(["a", "b", "a", "b", "a"], _angles(0, 20, 40, 60, 80))
    everyone = _texts(Fixed().choose(bank, QUESTION, _angles(200), k=5)[0])
    own = everyone.index("text 2")
    [shown] = Fixed().choose(bank, [Example("id2", "other words")], _angles(200), k=5)
    assert _texts(shown) == everyone[:own] + everyone[own + 1 :]


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize(
    "query",
    [Example("id1", "x"), Example("q", "  TEXT\t1 "), Example("q", "\uff54ext 1"), Example("q", "x", group=7)],
    ids=["id", "case and blanks", "width", "group"],
)
def test_the_text_itself_and_its_duplicates_are_never_shown(method: Demonstrations, query: Example) -> None:
    bank = _bank(["a", "b", "a"], _angles(30, 40, 60), groups=[5, 7, 9])
    [shown] = method.choose(bank, [query], AHEAD, k=5)
    assert sorted(_texts(shown)) == ["text 0", "text 2"]


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_texts_from_a_cosine_of_095_on_are_left_out(method: Demonstrations) -> None:
    # cos 18 degrees = .951, cos 19 degrees = .946.
    bank = _bank(["a", "b", "a"], _angles(18, 19, -18))
    assert _texts(method.choose(bank, QUESTION, AHEAD, k=5)[0]) == ["text 1"]


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_nothing_to_show_is_empty(method: Demonstrations) -> None:
    empty = _bank([], np.zeros((0, 2), dtype=np.float32))
    assert method.choose(empty, QUESTION, AHEAD, k=3) == [()]
    assert method.choose(BANK, QUESTION, AHEAD, k=0) == [()]
    assert method.choose(BANK, [], AHEAD[:0], k=3) == []


@pytest.mark.parametrize("method", [Nearest(), Diverse(), Mmr()], ids=repr)
def test_among_equals_the_first_of_the_bank_is_chosen(method: Demonstrations) -> None:
    bank = _bank(["a", "a", "a", "a"], _angles(30, 30, 30, 30))
    assert "text 0" in _texts(method.choose(bank, QUESTION, AHEAD, k=1)[0])


@st.composite
def banks(draw: st.DrawFn) -> tuple[LabelledBank, list[Example], Any]:
    n, q = draw(st.integers(0, 12)), draw(st.integers(0, 5))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    texts = [f"t{draw(st.integers(0, 6))}" for _ in range(n)]
    groups = rng.integers(-1, 6, n)
    labels = [draw(st.sampled_from(["a", "b", "c"])) for _ in range(n)]
    bank = LabelledBank([f"id{i}" for i in range(n)], texts, labels, _unit(rng.normal(size=(n, 3))), groups)
    queries = [
        Example(f"id{draw(st.integers(0, 20))}", f"T{draw(st.integers(0, 9))}", group=draw(st.integers(-1, 6)))
        for _ in range(q)
    ]
    return bank, queries, _unit(rng.normal(size=(q, 3)))


@settings(max_examples=150, deadline=None)
@given(banks(), st.integers(0, 8), st.sampled_from(METHODS))
def test_every_method_shows_at_most_k_labelled_texts_that_are_not_the_question(
    drawn: tuple[LabelledBank, list[Example], Any], k: int, method: Demonstrations
) -> None:
    bank, queries, embeddings = drawn
    chosen = method.choose(bank, queries, embeddings, k=k)
    assert chosen == method.choose(bank, queries, embeddings, k=k)
    assert len(chosen) == len(queries)
    for query, vector, shown in zip(queries, embeddings, chosen, strict=True):
        same = {
            row
            for row in range(len(bank))
            if bank.ids[row] == query.id
            or normalise(bank.texts[row]) == normalise(query.text)
            or (query.group >= 0 and bank.groups[row] == query.group)
            or bank.embeddings[row] @ vector >= 0.95
        }
        allowed = [(bank.texts[row], bank.labels[row]) for row in range(len(bank)) if row not in same]
        assert len(shown) == min(k, len(allowed))
        for demonstration in shown:
            allowed.remove((demonstration.text, demonstration.label))


def test_blocks_do_not_change_the_choice() -> None:
    rng = np.random.default_rng(0)
    bank = _bank([f"{i % 3}" for i in range(40)], _unit(rng.normal(size=(40, 8))))
    queries, vectors = [Example(f"q{i}", f"q {i}") for i in range(600)], _unit(rng.normal(size=(600, 8)))
    together = Nearest().choose(bank, queries, vectors, k=4)
    assert together[500] == Nearest().choose(bank, queries[500:501], vectors[500:501], k=4)[0]


def test_retrieval_shows_nothing_before_it_has_learnt_and_then_what_it_learnt_last() -> None:
    retrieval = Retrieval(Nearest(), k=1)
    assert retrieval.show(QUESTION) == [()]
    retrieval.learn(BANK, lambda queries: np.repeat(AHEAD, len(queries), axis=0))
    assert retrieval.show(QUESTION * 2) == [(Demonstration("text 1", "a"),)] * 2
    retrieval.learn(_bank([], np.zeros((0, 2), dtype=np.float32)), lambda _queries: AHEAD)
    assert retrieval.show(QUESTION) == [()]


@pytest.mark.parametrize("name", ["diverse", "fixed", "mmr", "nearest"])
def test_every_method_has_a_name(name: str) -> None:
    assert registry.names("demonstrations") == ["diverse", "fixed", "mmr", "nearest"]
    assert len(registry.make("demonstrations", name).choose(BANK, QUESTION, AHEAD, k=2)[0]) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Nearest(max_similarity=0.0), "max_similarity is 0.0; a cosine above 0"),
        (lambda: Mmr(relevance=1.5), "mmr has relevance 1.5"),
        (lambda: Mmr(n_candidates=0), "at least one candidate"),
        (lambda: Retrieval(Nearest(), k=0), "n_demonstrations is 0; it must be at least 1"),
    ],
)
def test_wrong_settings_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_bank_of_uneven_length_is_refused() -> None:
    with pytest.raises(ShapeError, match="give one of each for every text"):
        LabelledBank(["1"], ["x"], [], AHEAD, np.array([-1]))
