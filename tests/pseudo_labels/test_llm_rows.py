from dataclasses import replace

import numpy as np
import pytest

from llm_al.errors import ConfigError, ShapeError
from llm_al.llm_votes import LLMVotes
from llm_al.pool import PoolView
from llm_al.pseudo_labels._names import fit_named, named_rows
from llm_al.pseudo_labels.llm_rows import Labelled, LLMRows

C, D = 4, 16


class World:
    """Four clouds of texts; three voters who are right on 60 % and prefer class 0 where they err."""

    def __init__(self, n=240, n_human=8, seed=0):
        rng = np.random.default_rng(seed)
        self.truth = np.arange(n) % C
        x = np.eye(C, D)[self.truth] + 0.45 * rng.normal(size=(n, D))
        self.x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
        errs = rng.random((n, 3)) > 0.6
        self.said = np.where(
            errs, np.where(rng.random((n, 3)) < 0.5, 0, rng.integers(C, size=(n, 3))), self.truth[:, None]
        )
        self.human = Labelled(np.arange(n_human), np.eye(C)[self.truth[:n_human]])
        self.votes = LLMVotes(np.arange(n), self.said, ("a", "b", "c"))

    def view(self, **fields):
        n = len(self.x)
        labels = np.full(n, -1)
        labels[self.human.positions] = self.truth[self.human.positions]
        return PoolView([""] * n, self.x, C, labels, labels < 0, **fields)

    def rows(self, settings=None, **fields):
        certified = fields.pop("certified", None)
        return (settings or LLMRows()).rows(
            self.view(**fields), self.votes, self.human, np.random.default_rng(0), certified=certified
        )

    def accuracy(self, choice):
        return (choice[1].argmax(axis=1) == self.truth[choice[0]]).mean()


def test_rows_are_those_that_people_did_not_label():
    world = World()
    positions, targets, weights = world.rows()
    assert positions.tolist() == list(range(8, 240))
    np.testing.assert_allclose(targets.sum(axis=1), 1.0)
    np.testing.assert_allclose(weights, 0.3 * targets.max(axis=1))


def test_targets_are_right_more_often_than_the_votes():
    world = World()
    plain = LLMRows(alpha=0.0)
    votes = np.mean([(world.said[8:, j] == world.truth[8:]).mean() for j in range(3)])
    assert world.accuracy(world.rows(plain)) > votes + 0.05
    assert world.accuracy(world.rows()) > world.accuracy(world.rows(plain))


def test_certified_rows_keep_their_label_and_the_weight_of_a_person():
    world = World()
    certified = Labelled(np.array([3, 20]), np.eye(C)[[1, 2]])
    positions, targets, weights = world.rows(certified=certified)
    # Row 3 is a person's and stays theirs.
    assert 3 not in positions
    row = positions.tolist().index(20)
    assert (targets[row].tolist(), weights[row]) == ([0.0, 0.0, 1.0, 0.0], 1.0)
    assert len(positions) == 232


def test_a_certified_row_needs_no_vote():
    world = World()
    world.votes = LLMVotes(np.arange(100), world.said[:100], ("a", "b", "c"))
    positions, _, weights = world.rows(certified=Labelled(np.array([200]), np.eye(C)[[0]]))
    assert positions[-1] == 200
    assert weights[-1] == 1.0


def test_rows_whose_voters_all_abstain_are_left_out():
    world = World()
    world.said[100:] = -1
    assert world.rows()[0].max() == 99
    world.said[:] = -1
    positions, targets, weights = world.rows()
    assert (len(positions), targets.shape, len(weights)) == (0, (0, C), 0)


def test_labels_left_out_for_a_test_do_not_leak_into_the_targets():
    world = World()
    flipped = World()
    flipped.human = Labelled(flipped.human.positions, np.roll(flipped.human.targets, 1, axis=1))
    left_out = np.arange(8)
    found = []
    for each in (world, flipped):
        prepared = LLMRows().prepare(each.view(), each.votes, each.human, np.random.default_rng(0))
        found.append(prepared.rows(left_out))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_names_of_labels_serve_where_nobody_has_labelled():
    world = World(n_human=0)
    named = world.accuracy(world.rows(label_embeddings=np.eye(C, D, dtype=np.float32)))
    assert named > 0.9
    assert len(world.rows()[0]) == 240


def test_the_student_of_the_round_before_is_listened_to():
    world = World(n_human=4)
    proba = 0.1 + 0.6 * np.eye(C)[world.truth]
    assert world.accuracy(world.rows(proba=proba)) > world.accuracy(world.rows())
    deaf = LLMRows(student_share=0.0)
    np.testing.assert_array_equal(world.rows(deaf, proba=proba)[1], world.rows(deaf)[1])


@pytest.mark.parametrize("keep", ["confident", "small_loss"])
def test_filters_leave_out_rows_whose_votes_are_wrong(keep):
    world = World(n_human=40)
    everything, kept = world.rows()[0], world.rows(LLMRows(keep=keep))[0]
    assert 0 < len(kept) < len(everything)

    def rate(rows):
        return np.mean([(world.said[row] == world.truth[row]).mean() for row in rows])

    assert rate(kept) > rate(everything) + 0.05


def test_the_head_counts_more_and_votes_less_the_more_labels_there_are():
    found = [LLMRows().balance(labels) for labels in (0.0, 1.0, 4.0, 100.0)]
    assert found == [(1.0, 1.0), (1.0, 1.0), (0.5, 0.5), (0.3, 0.3)]
    assert LLMRows(temperature=0.7, trust=0.2).balance(4.0) == (0.7, 0.2)


def test_large_pools_are_drawn_from():
    positions = World().rows(LLMRows(max_rows=50))[0]
    assert len(positions) == 50
    assert positions.min() >= 8


def test_inputs_stay_as_they_are_and_the_answer_repeats():
    world = World()
    before = world.said.copy()
    first, second = world.rows(), world.rows()
    np.testing.assert_array_equal(world.said, before)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_noise_matrix_of_every_voter_can_be_looked_at():
    world = World()
    prepared = LLMRows().prepare(world.view(), world.votes, world.human, np.random.default_rng(0))
    noise = prepared.noise()
    assert noise.matrices.shape == (3, C, C)
    # Errors go to class 0 by half; among three others by an eighth each.
    assert noise.matrices[:, 1:, 0].mean() > 2 * noise.matrices[:, 1:, 3].mean() - noise.matrices[:, 3, 3].mean()
    assert prepared.positions[:8].tolist() == list(range(8))


def test_rows_join_and_the_first_counts():
    joined = Labelled(np.array([4, 2]), np.eye(2)).and_also(Labelled(np.array([2, 7]), np.eye(2)))
    assert joined.positions.tolist() == [4, 2, 7]
    assert joined.targets.argmax(axis=1).tolist() == [0, 1, 1]
    assert len(joined.at(np.array([2]))) == 1


def test_names_move_to_where_the_texts_are_the_further_the_more_texts():
    texts = np.full((2, 2), 2.0, dtype=np.float32)
    rows, targets = named_rows(texts, np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32), 2)
    np.testing.assert_allclose(rows, [[1.75, 0.75], [0.75, 1.75]])
    np.testing.assert_array_equal(targets, np.eye(2))
    assert len(named_rows(texts, None, 2)[0]) == 0
    assert fit_named(texts, np.array([[1.0, 0.0], [0.0, 1.0]]), np.ones(2), None).shape == (3, 2)
    with pytest.raises(ShapeError, match="label_embeddings have shape"):
        named_rows(texts, np.ones((3, 2), dtype=np.float32), 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_neighbours": 0}, "n_neighbours is 0"),
        ({"temperature": 0.0}, "temperature is 0.0; allowed is more than 0"),
        ({"alpha": 1.0}, "alpha is 1.0; allowed is 0 to less than 1"),
        ({"student_share": 2.0}, "student_share is 2.0; allowed is 0 to 1"),
        ({"trust": 0.0}, "trust is 0.0; allowed is more than 0, to 1, or none"),
        ({"keep": "some"}, "keep is 'some'; choose from: all, confident, small_loss"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        LLMRows(**settings)


def test_rows_and_targets_of_differing_number_are_refused():
    with pytest.raises(ShapeError, match="got 2 rows and 3 targets"):
        Labelled(np.arange(2), np.eye(3))
    assert replace(LLMRows(), keep="confident").keep == "confident"
