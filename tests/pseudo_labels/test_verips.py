import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.pseudo_labels.verips import Verips


def view(proba, labels=(0, 1, -1, -1, -1, -1)):
    """Two labelled rows and four others; rows 0, 2 and 3 point east, the others north."""
    east = np.array([1, 0, 1, 1, 0, 0])
    vectors = np.column_stack([east, 1 - east]).astype(np.float32)
    labels = np.array(labels)
    return PoolView(["t"] * 6, vectors, 2, labels, labels < 0, np.array(proba, dtype=np.float64))


SURE = [0.97, 0.03]
OTHER = [0.03, 0.97]
DOUBT = [0.94, 0.06]


def choose(pool, **fields):
    return Verips(**fields).pseudo_label(pool, np.random.default_rng(0))


def test_keeps_rows_of_a_wide_margin_that_the_verifier_confirms():
    rows, targets, weights = choose(view([SURE, OTHER, SURE, DOUBT, OTHER, OTHER]))
    # The margin of row 3 is .88.
    assert rows.tolist() == [2, 4, 5]
    assert targets.argmax(axis=1).tolist() == [0, 1, 1]
    assert weights.tolist() == [1, 1, 1]


def test_a_label_on_which_the_verifier_disagrees_is_left_out():
    rows, _, _ = choose(view([SURE, OTHER, SURE, SURE, SURE, OTHER]))
    assert rows.tolist() == [2, 3, 5]


def test_the_verifier_learns_the_labels_at_hand_also_where_they_are_wrong():
    # With both labels swapped it confirms the opposite.
    rows, _, _ = choose(view([SURE, OTHER, SURE, SURE, OTHER, OTHER], labels=(1, 0, -1, -1, -1, -1)))
    assert not len(rows)


def test_entropy_is_the_other_measure():
    # 1 - H(.97) / log 2 = .806, and .673 of .94.
    assert choose(view([SURE, OTHER, SURE, DOUBT, OTHER, OTHER]), measure="entropy", threshold=0.8)[0].tolist() == [
        2,
        4,
        5,
    ]
    assert 3 in choose(view([SURE, OTHER, SURE, DOUBT, OTHER, OTHER]), measure="entropy", threshold=0.67)[0]


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match="measure is 'gap'; choose from: entropy, margin"):
        Verips(measure="gap")
    with pytest.raises(ConfigError, match="threshold is 0; allowed is more than 0 and at most 1"):
        Verips(threshold=0)
