"""How sure a number is: intervals over seeds, and the smallest difference that so many seeds can show.

scipy.special instead of scipy.stats: the same quantiles, a tenth of the import time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` independent seeds; ``half_width`` and ``sd`` are None when n = 1 gives no spread."""

    mean: float
    n: int
    half_width: float | None = None
    sd: float | None = None

    def contains(self, value: float) -> bool:
        """Whether the interval reaches ``value``; never true without an interval."""
        return self.half_width is not None and abs(self.mean - value) <= self.half_width


def t_quantile(p: float, df: float) -> float:
    """The p-quantile of Student's t distribution with ``df`` degrees of freedom."""
    return float(stdtrit(df, p))


def estimate(values: Sequence[float], level: float = 0.95) -> Estimate:
    """Mean and t-interval over seeds: mean ± t((1 + level) / 2, n - 1) · s / √n, with s² = Σ(x - mean)² / (n - 1).

    Raises:
        ValueError: ``values`` is empty.
    """
    n = len(values)
    if n == 0:
        raise ValueError("no values")
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, 1)
    sd = math.sqrt(math.fsum((x - mean) ** 2 for x in values) / (n - 1))
    return Estimate(mean, n, t_quantile((1 + level) / 2, n - 1) * sd / math.sqrt(n), sd)


def pooled_sd(samples: Sequence[Sequence[float]]) -> float | None:
    """s_p = √(Σᵢ (nᵢ - 1) sᵢ² / Σᵢ (nᵢ - 1)) over groups of seeds; None when no group has two."""
    groups = [estimate(s) for s in samples if len(s) > 1]
    df = sum(g.n - 1 for g in groups)
    if df == 0:
        return None
    return math.sqrt(math.fsum((g.n - 1) * (g.sd or 0.0) ** 2 for g in groups) / df)


def difference(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Estimate:
    """mean(a) - mean(b) with the two-sample t-interval t((1 + level) / 2, n_a + n_b - 2) · s_p · √(1/n_a + 1/n_b).

    ``n`` is the smaller of the two; there is no interval unless both sides have two seeds.
    """
    n, diff = min(len(a), len(b)), math.fsum(a) / len(a) - math.fsum(b) / len(b)
    sd = pooled_sd([a, b])
    if n < 2 or sd is None:
        return Estimate(diff, n)
    t = t_quantile((1 + level) / 2, len(a) + len(b) - 2)
    return Estimate(diff, n, t * sd * math.sqrt(1 / len(a) + 1 / len(b)), sd)


def detectable_difference(sd: float, n: int, *, level: float = 0.95, power: float = 0.8) -> float | None:
    """Smallest difference of two means of n seeds each that a two-sample t-test finds with the given power.

    δ = (t((1 + level) / 2, 2n - 2) + t(power, 2n - 2)) · s_p · √(2 / n); None for n < 2.
    """
    if n < 2:
        return None
    df = 2 * n - 2
    return (t_quantile((1 + level) / 2, df) + t_quantile(power, df)) * sd * math.sqrt(2 / n)


def seeds_needed(sd: float, smallest: float, *, level: float = 0.95, power: float = 0.8) -> int:
    """How many seeds a row a two-sample t-test needs to find the difference ``smallest`` with the given power.

    Raises:
        ValueError: ``smallest`` is not positive.
    """
    if smallest <= 0:
        raise ValueError("a difference of nothing cannot be found")
    n = max(2, round(2 * ((t_quantile((1 + level) / 2, 1e6) + t_quantile(power, 1e6)) * sd / smallest) ** 2) - 2)
    while True:
        found = detectable_difference(sd, n, level=level, power=power)
        if found is not None and found <= smallest:
            return n
        n += 1
