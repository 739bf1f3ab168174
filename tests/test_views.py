"""Several vectors a text, and the choice among them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from llm_al.embedders.cached import Cached, views_in_cache
from llm_al.embedders.hashing import HashEmbedder
from llm_al.errors import ShapeError
from llm_al.views import best_view, encode_views, errors_left_out, n_views, view_beside, view_of, views_for

_N, _D, _C = 60, 12, 3


def _told_by(
    view: int, *, n: int = _N, seed: int = 0, n_views: int = 2
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return vectors of some views, of which one tells the class, and targets."""
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % _C
    vectors = rng.normal(size=(n, n_views, _D))
    vectors[:, view, :_C] += 4.0 * np.eye(_C)[classes]
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    return vectors.astype(np.float32), np.eye(_C)[classes]


@pytest.mark.parametrize("view", [0, 1])
def test_the_view_that_tells_the_class_is_taken(view: int) -> None:
    assert best_view(*_told_by(view)) == view


@pytest.mark.parametrize(("strength", "view"), [(0.0, 1), (1.2, 1), (4.0, 2)])
def test_the_first_token_is_taken_only_where_it_is_clearly_better(strength: float, view: int) -> None:
    classes = np.arange(_N) % _C
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(_N, 3, _D))
    for told, by in ((1, 1.1), (2, strength)):
        vectors[:, told, :_C] += by * np.eye(_C)[classes]
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    targets = np.eye(_C)[classes]
    if strength == 1.2:
        own, first = (errors_left_out(vectors[:, i], targets).mean() for i in (1, 2))
        assert first < own, "the case is one where the least error alone would take the first token"
    assert best_view(vectors.astype(np.float32), targets) == view


@pytest.mark.parametrize(
    ("own", "first_token", "standing", "view"),
    [
        (1.1, 1.0, None, 1),
        (1.1, 1.0, 1, 1),
        (1.1, 1.0, 2, 2),
        (1.1, 1.7, None, 2),
        (1.1, 1.7, 0, 1),
        (1.1, 1.7, 1, 1),
        (1.1, 1.7, 2, 2),
        (1.1, 2.1, 1, 2),
        (4.0, 0.0, 2, 1),
    ],
)
def test_labels_speak_against_the_view_that_they_were_asked_on(
    own: float, first_token: float, standing: int | None, view: int
) -> None:
    classes = np.arange(_N) % _C
    vectors = np.random.default_rng(3).normal(size=(_N, 3, _D))
    for told, by in ((1, own), (2, first_token)):
        vectors[:, told, :_C] += by * np.eye(_C)[classes]
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    assert best_view(vectors.astype(np.float32), np.eye(_C)[classes], standing) == view


@pytest.mark.parametrize(
    ("own", "standing", "view"),
    [
        # Leads of .2, 1.8 and 3.9 standard errors.
        (1.0, None, 1),
        (1.0, 0, 1),
        (1.0, 1, 1),
        (1.4, None, 0),
        (1.4, 0, 0),
        (1.4, 1, 1),
        (2.0, 1, 0),
    ],
)
def test_own_vectors_stand_alone_only_where_they_are_clearly_better(
    own: float, standing: int | None, view: int
) -> None:
    classes = np.arange(_N) % _C
    vectors = np.random.default_rng(3).normal(size=(_N, 2, _D))
    for told, by in ((0, own), (1, 1.1)):
        vectors[:, told, :_C] += by * np.eye(_C)[classes]
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    assert best_view(vectors.astype(np.float32), np.eye(_C)[classes], standing) == view


def _led_by_first_token(n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float64], float]:
    """Return vectors of three views that tell little, targets, and the lead of the first token in standard errors."""
    classes = np.arange(n) % 2
    vectors = np.random.default_rng(seed).normal(size=(n, 3, _D))
    vectors[:, 1, :2] += 0.3 * np.eye(2)[classes]
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    targets = np.eye(2)[classes]
    own, average, first = (errors_left_out(vectors[:, i], targets) for i in range(3))
    gain = min(own, average, key=lambda each: float(each.mean())) - first
    return vectors.astype(np.float32), targets, float(gain.mean() / gain.std() * n**0.5)


def test_the_first_token_has_to_wait_for_thirty_labels() -> None:
    vectors, targets = _told_by(2, n=30, n_views=3)
    assert best_view(vectors, targets) == 2
    assert best_view(vectors[:29], targets[:29]) != 2
    assert best_view(vectors[:29], targets[:29], standing=2) != 2


@pytest.mark.parametrize("n", [60, 100, 101, 200])
def test_with_few_labels_less_is_enough_to_leave_the_first_token(n: int) -> None:
    leads = {seed: _led_by_first_token(n, seed) for seed in range(60)}
    stayed = {seed: best_view(*found[:2], standing=2) == 2 for seed, found in leads.items()}
    least = -1.0 if n <= 100 else -3.0
    assert stayed == {seed: found[2] > least for seed, found in leads.items()}
    assert set(stayed.values()) == {True, False} or n > 100
    assert any(-3.0 < found[2] < -1.0 for found in leads.values())


def test_few_labels_a_class_choose_nothing() -> None:
    vectors, targets = _told_by(1)
    assert best_view(vectors[:14], targets[:14]) == 0
    assert best_view(vectors[:15], targets[:15]) == 1


def test_one_class_or_one_view_or_no_row_chooses_nothing() -> None:
    vectors, targets = _told_by(1)
    assert best_view(vectors, np.repeat(targets[:1], _N, axis=0)) == 0
    assert best_view(vectors[:, 1], targets) == 0
    assert best_view(vectors[:0], targets[:0]) == 0


@pytest.mark.parametrize(("view", "together"), [(0, (0,)), (1, (1, 0)), (2, (2,))])
def test_own_vectors_add_to_the_average_and_to_nothing_else(view: int, together: tuple[int, ...]) -> None:
    vectors, targets = _told_by(view, n_views=3)
    assert views_for(vectors, targets) == together
    assert views_for(vectors, targets, 2 - view) == ((1, 0) if view == 1 else (2 - view,))
    beside = view_beside(vectors, view)
    assert beside is None if len(together) == 1 else np.array_equal(beside, vectors[:, together[1]])


def test_only_the_first_thousand_rows_are_looked_at() -> None:
    vectors, targets = _told_by(1, n=1000)
    misleading = np.concatenate([vectors, np.zeros_like(vectors)])
    assert best_view(misleading, np.concatenate([targets, targets])) == 1


def test_errors_are_those_of_leaving_each_row_out() -> None:
    vectors, targets = _told_by(1, n=12)
    features = vectors[:, 1].astype(np.float64)
    found = errors_left_out(features, targets)
    for row in range(12):
        rest = np.arange(12) != row
        inputs = np.hstack([features, np.ones((12, 1))])
        gram = inputs[rest].T @ inputs[rest] + 0.3 * np.eye(inputs.shape[1])
        coef = np.linalg.solve(gram, inputs[rest].T @ targets[rest])
        assert found[row] == pytest.approx(((targets[row] - inputs[row] @ coef) ** 2).sum())


def test_a_view_is_taken_without_a_copy() -> None:
    vectors, _ = _told_by(0)
    assert np.shares_memory(view_of(vectors, 1), vectors)
    assert view_of(vectors[:, 0], 0).shape == (_N, _D)


@pytest.mark.parametrize("view", [1, 2])
def test_a_view_that_is_not_there_is_named(view: int) -> None:
    vectors, _ = _told_by(0)
    with pytest.raises(ShapeError, match=rf"shape .* have no view {view}; give all views"):
        view_of(vectors[:, 0] if view == 1 else vectors, view)


@dataclass(frozen=True)
class _Double(HashEmbedder):
    """Gives a text's vector, and the same turned round."""

    n_dimensions: int = 16

    @property
    def n_views(self) -> int:
        return 2

    def encode_views(self, texts: list[str]) -> NDArray[np.float32]:
        own = self.encode(texts)
        return np.stack([own, own[:, ::-1]], axis=1)


def test_an_embedder_without_views_has_one() -> None:
    assert n_views(HashEmbedder()) == 1
    assert encode_views(HashEmbedder(), ["a text"]).shape == (1, 256)


def test_views_are_kept_on_disk_beside_plain_vectors(tmp_path: Path) -> None:
    texts = [f"text number {i}" for i in range(5)]
    cached = Cached(_Double(), tmp_path)
    views, plain = views_in_cache(cached, texts), cached.encode_pool(texts)
    assert views.shape == (5, 2, 16)
    np.testing.assert_array_equal(views[:, 0], plain)
    np.testing.assert_array_equal(views[:, 1], plain[:, ::-1])
    assert len(list(tmp_path.glob("*.npy"))) == 2
    assert views_in_cache(Cached(HashEmbedder(), tmp_path), texts).shape == (5, 256)
