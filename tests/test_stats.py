"""The rule of inference against scipy on small numbers."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from scipy import stats as scipy_stats

from flatpose.harness import stats

A, B = {0: 0.44, 1: 0.43, 2: 0.47}, {2: 0.45, 1: 0.40, 0: 0.42}


def test_paired_interval_is_that_of_scipy_and_decides():
    found = stats.paired(A, B)
    expected = scipy_stats.ttest_rel([0.44, 0.43, 0.47], [0.42, 0.40, 0.45]).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert found.mean == pytest.approx(0.07 / 3) and (found.n, found.verdict) == (3, "higher")
    assert stats.paired(B, A).verdict == "lower"
    assert stats.paired(A, {0: 0.44, 1: 0.50, 2: 0.40}).verdict == stats.paired(A, A).verdict == "undecided"


def test_only_common_seeds_count_and_one_seed_decides_nothing():
    assert stats.paired(pd.Series(A), pd.Series({1: 0.1, 7: 0.2})) == stats.Difference(
        pytest.approx(0.33), None, None, 1, "one seed")
    none = stats.paired(A, {9: 0.1})
    assert none.verdict == "no seeds" and math.isnan(none.mean) and stats.interval([0.3]) is None


def test_seeds_needed_reaches_the_power():
    """Checked with the exact power of the paired t-test, which the usual sum of two quantiles approximates."""
    n = stats.seeds_needed(0.5, 0.5)
    t = scipy_stats.t.ppf(0.975, n - 1)
    assert 1 - scipy_stats.nct.cdf(t, n - 1, math.sqrt(n)) == pytest.approx(0.8, abs=0.04)
    assert stats.seeds_needed(0.5, 5.0) <= stats.seeds_needed(0.5, 1.0) < stats.seeds_needed(0.5, 0.2)
    with pytest.raises(ValueError):
        stats.seeds_needed(0.5, 0.0)
