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

QUANTILE, POWER = 0.975, 0.8
"""Of Student's t for a two-sided interval of 95 %; the probability of finding a true difference."""
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

    @property
    def half(self) -> float | None:
        """Half the width of the interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def interval(values: Iterable[float]) -> tuple[float, float] | None:
    """The 95 % interval mean ± t(0.975, n - 1) · s / √n over seeds; None for fewer than two values."""
    found = list(values)
    if len(found) < 2:
        return None
    half = stdtrit(len(found) - 1, QUANTILE) * stdev(found) / math.sqrt(len(found))
    return float(fmean(found) - half), float(fmean(found) + half)


def paired(a: Mapping[int, float], b: Mapping[int, float]) -> Difference:
    """Whether ``a`` is higher or lower than ``b``; each maps seed -> value (a pandas Series by seed is one too).

    Only seeds of both count. Equal values of every seed (rows that share a run) are "undecided".
    """
    gaps = [float(a[seed]) - float(b[seed]) for seed in sorted(set(a.keys()) & set(b.keys()))]
    if len(gaps) < 2:
        return Difference(gaps[0] if gaps else math.nan, None, None, len(gaps), "one seed" if gaps else "no seeds")
    low, high = interval(gaps) or (math.nan, math.nan)
    verdict: Outcome = "higher" if low > 0 else "lower" if high < 0 else "undecided"
    return Difference(fmean(gaps), low, high, len(gaps), verdict, stdev(gaps))


def seeds_needed(sd: float, smallest: float) -> int:
    """How many paired seeds find a difference ``smallest`` > 0 with a power of 0.8.

    ``sd`` is the standard deviation of the paired differences, in the unit of ``smallest``. The result is the smallest
    n with (t(0.975, n - 1) + t(0.8, n - 1)) · sd / √n <= smallest.
    """
    if smallest <= 0:
        raise ValueError("the smallest difference must be positive")
    n = 2
    while (stdtrit(n - 1, QUANTILE) + stdtrit(n - 1, POWER)) * sd / math.sqrt(n) > smallest:
        n += 1
    return n
