"""Formulas over cells of tables: what a sentence of the paper says about numbers, whichever numbers are put in.

A formula is evaluated over published cells (each known to half a unit of its last digit, so the result is an interval),
over computed costs, or over metrics measured here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

COSTS = ("params_m", "gflops")
SHAPES = ("L", "top_k", "D", "N_h", "d_k", "D'", "gamma")
"""How a network is built: tokens, selected tokens, and the symbols of Table 6."""


class Interval(NamedTuple):
    """A number and the range it was rounded from."""

    low: float
    mid: float
    high: float

    @classmethod
    def exact(cls, value: float) -> Interval:
        return cls(value, value, value)

    @classmethod
    def printed(cls, value: float, decimals: int = 1) -> Interval:
        half = 0.5 * 10.0**-decimals
        return cls(value - half, value, value + half)


@dataclass(frozen=True)
class Cell:
    """One number of one row: a metric in points (75.4), ``params_m`` in M, ``gflops`` in G, or one of SHAPES."""

    experiment: str
    row: str
    quantity: str

    def __str__(self) -> str:
        return f"{self.experiment}/{self.row}.{self.quantity}"


@dataclass(frozen=True)
class Term:
    """An operation on formulas; see the functions below."""

    op: Literal["difference", "reduction", "increase", "quotient", "inverse_root", "highest", "lowest"]
    args: tuple[Formula, ...]

    def __str__(self) -> str:
        parts = list(map(str, self.args))
        if self.op == "difference":
            nested = isinstance(self.args[1], Term) and self.args[1].op == "difference"
            return f"{parts[0]} − ({parts[1]})" if nested else f"{parts[0]} − {parts[1]}"
        return f"{self.op}({', '.join(parts)})"


Formula = Cell | Term


def difference(a: Formula, b: Formula) -> Term:
    """a − b."""
    return Term("difference", (a, b))


def reduction(a: Formula, b: Formula) -> Term:
    """By how many per cent a lies below b: 100 (1 − a / b)."""
    return Term("reduction", (a, b))


def increase(a: Formula, b: Formula) -> Term:
    """By how many per cent a lies above b: 100 (a / b − 1)."""
    return Term("increase", (a, b))


def quotient(a: Formula, b: Formula) -> Term:
    """a / b."""
    return Term("quotient", (a, b))


def inverse_root(a: Formula) -> Term:
    """a^−0.5."""
    return Term("inverse_root", (a,))


def highest(*args: Formula) -> Term:
    return Term("highest", args)


def lowest(*args: Formula) -> Term:
    return Term("lowest", args)


def cells(formula: Formula) -> tuple[Cell, ...]:
    """Every cell once, in the order of reading."""
    if isinstance(formula, Cell):
        return (formula,)
    return tuple(dict.fromkeys(c for arg in formula.args for c in cells(arg)))


def evaluate(formula: Formula, lookup: Callable[[Cell], Interval | None]) -> Interval | None:
    """The value; None where a cell has none, or a denominator is not positive."""
    if isinstance(formula, Cell):
        return lookup(formula)
    found = [evaluate(arg, lookup) for arg in formula.args]
    values = [v for v in found if v is not None]
    if len(values) < len(found):
        return None
    if formula.op in ("highest", "lowest"):
        pick = max if formula.op == "highest" else min
        return Interval(*(pick(ends) for ends in zip(*values, strict=True)))
    if formula.op == "inverse_root":
        return Interval(*(x**-0.5 for x in reversed(values[0])))
    a, b = values
    if formula.op == "difference":
        return Interval(a.low - b.high, a.mid - b.mid, a.high - b.low)
    if b.low <= 0:
        return None
    ratios = [x / y for x, y in zip(a, reversed(b), strict=True)]
    if formula.op == "quotient":
        return Interval(*ratios)
    percent = [100 * (ratio - 1) for ratio in ratios]
    return Interval(*percent) if formula.op == "increase" else Interval(*(-p for p in reversed(percent)))
