from __future__ import annotations

import math

import pytest

from flatpose.harness import stats


def test_interval_by_hand():
    """1, 2, 3: s = 1, t(0.975, 2) = 4.302653, half-width 4.302653 / sqrt(3)."""
    found = stats.estimate([1.0, 2.0, 3.0])
    assert (found.mean, found.sd, found.n) == (2.0, 1.0, 3)
    assert found.half_width == pytest.approx(2.484138, abs=1e-6)
    assert found.contains(4.4) and not found.contains(4.5)


def test_one_seed_has_no_interval():
    found = stats.estimate([0.4])
    assert (found.mean, found.n, found.half_width, found.sd) == (0.4, 1, None, None)
    assert not found.contains(0.4)


def test_no_values():
    with pytest.raises(ValueError, match="no values"):
        stats.estimate([])


def test_pooled_sd():
    assert stats.pooled_sd([[1, 3], [5, 9], [7]]) == pytest.approx(math.sqrt((2 + 8) / 2))
    assert stats.pooled_sd([[1], [2]]) is None


def test_difference():
    """Two pairs with pooled sd sqrt(2): t(0.975, 2) * sqrt(2) * sqrt(1/2 + 1/2)."""
    found = stats.difference([10.0, 12.0], [1.0, 3.0])
    assert found.mean == 9.0
    assert found.half_width == pytest.approx(4.302653 * math.sqrt(2), abs=1e-5)
    assert stats.difference([1.0], [2.0, 3.0]).half_width is None


def test_detectable_difference():
    """n = 3, df = 4: (2.776445 + 0.940965) * sqrt(2 / 3)."""
    assert stats.detectable_difference(1.0, 3) == pytest.approx(3.717410 * math.sqrt(2 / 3), abs=1e-5)
    assert stats.detectable_difference(1.0, 1) is None
    assert stats.detectable_difference(1.0, 10) < stats.detectable_difference(1.0, 5)


def test_as_many_seeds_as_needed_and_not_one_more():
    for sd, smallest in ((0.002, 0.001), (0.01, 0.02), (0.0001, 0.05)):
        n = stats.seeds_needed(sd, smallest)
        assert stats.detectable_difference(sd, n) <= smallest
        assert n == 2 or stats.detectable_difference(sd, n - 1) > smallest
    with pytest.raises(ValueError, match="nothing"):
        stats.seeds_needed(0.1, 0.0)


def test_seeds_that_do_not_scatter_need_no_more_than_two():
    """Networks that find nothing all have 0 AP: this once never came to an end."""
    assert stats.seeds_needed(0.0, 0.01) == 2
