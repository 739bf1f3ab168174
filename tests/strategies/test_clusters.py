import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.strategies.clusters import find_groups


def two_groups():
    rng = np.random.default_rng(0)
    points = np.concatenate([np.tile([1.0, 0.0], (30, 1)), np.tile([0.0, 1.0], (10, 1))])
    return (points + rng.normal(scale=0.01, size=(40, 2))).astype(np.float32)


def test_groups_come_largest_first_and_hold_every_row_once():
    groups = find_groups(two_groups(), 2, 3, np.random.default_rng(0))
    assert [len(group.rows) for group in groups] == [30, 10]
    assert sorted(np.concatenate([group.rows for group in groups]).tolist()) == list(range(40))
    assert all(set(group.typical) <= set(group.rows) for group in groups)
    assert [len(group.typical) for group in groups] == [1, 1]


def test_rows_nearest_to_the_centre_come_first():
    angles = np.radians([-50.0, 0.0, 50.0])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    (group,) = find_groups(points, 1, 2, np.random.default_rng(0))
    assert group.typical[0] == 1
    assert len(group.typical) == 2


def test_near_copies_stand_for_a_group_once():
    same = np.tile(np.float32([0.6, 0.8]), (9, 1))
    (group,) = find_groups(same, 3, 4, np.random.default_rng(0))
    assert len(group.typical) == 1


def test_no_rows_give_no_groups_and_no_groups_are_refused():
    assert find_groups(np.zeros((0, 2), dtype=np.float32), 3, 2, np.random.default_rng(0)) == []
    with pytest.raises(ConfigError, match="the number of clusters is 0"):
        find_groups(two_groups(), 0, 2, np.random.default_rng(0))
