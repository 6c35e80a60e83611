"""The one rule of inference: what may be called higher, lower or undecided.

Differences are paired by seed and judged by their 95 % t-interval. One seed never gives a difference between rows: its
bootstrap interval over images says how much a number depends on the images, not on the training.

``scipy.special`` has the quantiles of ``scipy.stats`` at a tenth of the import time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from scipy.special import stdtrit

Outcome = Literal["higher", "lower", "undecided", "one seed", "no seeds"]


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences a - b over ``n`` seeds, with its 95 % t-interval (None with fewer than two)."""

    mean: float
    low: float | None
    high: float | None
    n: int
    verdict: Outcome
    """"higher" or "lower": a against b, when the interval excludes zero."""
    sd: float | None = None
    """Standard deviation of the paired differences."""


def interval(values: Iterable[float], level: float = 0.95) -> tuple[float, float] | None:
    """mean ± t((1 + level) / 2, n - 1) · s / √n over seeds; None for fewer than two values."""
    found = list(values)
    if len(found) < 2:
        return None
    half = t_quantile((1 + level) / 2, len(found) - 1) * stdev(found) / math.sqrt(len(found))
    return fmean(found) - half, fmean(found) + half


def paired(a: Mapping[int, float], b: Mapping[int, float]) -> Difference:
    """Whether ``a`` is higher or lower than ``b``; each maps seed -> value (a pandas Series by seed is one too).

    Only seeds of both count. Equal values of every seed (rows that share a run) are "undecided".
    """
    seeds = sorted(set(a.keys()) & set(b.keys()))
    gaps = [float(a[seed]) - float(b[seed]) for seed in seeds]
    if len(gaps) < 2:
        return Difference(gaps[0] if gaps else math.nan, None, None, len(gaps), "one seed" if gaps else "no seeds")
    low, high = interval(gaps) or (math.nan, math.nan)
    verdict: Outcome = "higher" if low > 0 else "lower" if high < 0 else "undecided"
    return Difference(fmean(gaps), low, high, len(gaps), verdict, stdev(gaps))


def seeds_needed(sd: float, smallest: float, level: float = 0.95, power: float = 0.8) -> int:
    """How many paired seeds find a difference ``smallest`` with the given power.

    Args:
        sd: Standard deviation of the paired differences, in the unit of ``smallest``.
        smallest: The difference to be found.
        level: Of the two-sided interval.
        power: Probability of finding a true difference of that size.

    Returns:
        The smallest n with (t((1 + level) / 2, n - 1) + t(power, n - 1)) · sd / √n <= smallest.

    Raises:
        ValueError: ``smallest`` is not positive.
    """
    if smallest <= 0:
        raise ValueError("the smallest difference must be positive")
    n = 2
    while (t_quantile((1 + level) / 2, n - 1) + t_quantile(power, n - 1)) * sd / math.sqrt(n) > smallest:
        n += 1
    return n


def t_quantile(p: float, df: float) -> float:
    """The p-quantile of Student's t distribution with ``df`` degrees of freedom."""
    return float(stdtrit(df, p))
