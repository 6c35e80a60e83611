"""What a sentence of the paper says about numbers: a formula over cells of tables, and what must be true of it.

A formula is evaluated over published cells (each known to half a unit of its last digit, so the result is an interval),
over computed costs, or over metrics measured here (flatpose.harness.claims).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

COSTS = ("params_m", "gflops")
SHAPES = ("L", "top_k", "D", "N_h", "d_k", "D'", "gamma")
"""How a network is built: tokens, selected tokens, and the symbols of Table 6."""
PEERS = "peers"
"""The experiment whose rows are in no table of the paper: systems in their own published variants."""
OPERATIONS: dict[str, Callable[..., float]] = {
    "difference": lambda a, b: a - b,
    "reduction": lambda a, b: 100 * (1 - a / b),  # by how many per cent a lies below b
    "increase": lambda a, b: 100 * (a / b - 1),  # by how many per cent a lies above b
    "quotient": lambda a, b: a / b,
    "inverse_root": lambda a: a**-0.5,
    "highest": max,
    "lowest": min,
}
"""All are monotonic in each argument, so the extremes of a result lie at the ends of its arguments' ranges."""


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
    """One of OPERATIONS on formulas."""

    op: str
    args: tuple[Formula, ...]

    def __str__(self) -> str:
        if self.op != "difference":
            return f"{self.op}({', '.join(map(str, self.args))})"
        nested = isinstance(self.args[1], Term) and self.args[1].op == "difference"
        return f"{self.args[0]} − ({self.args[1]})" if nested else f"{self.args[0]} − {self.args[1]}"


Formula = Cell | Term


def _operation(op: str) -> Callable[..., Term]:
    return lambda *args: Term(op, args)


difference, reduction, increase, quotient, inverse_root, highest, lowest = map(_operation, OPERATIONS)


def cells(formula: Formula) -> tuple[Cell, ...]:
    """Every cell once, in the order of reading."""
    if isinstance(formula, Cell):
        return (formula,)
    return tuple(dict.fromkeys(c for arg in formula.args for c in cells(arg)))


def evaluate(formula: Formula, lookup: Callable[[Cell], Interval | None]) -> Interval | None:
    """The value with its range; None where a cell has none, or a ratio a denominator that may be zero."""
    if isinstance(formula, Cell):
        return lookup(formula)
    found = [evaluate(arg, lookup) for arg in formula.args]
    values = [v for v in found if v is not None]
    if len(values) < len(found) or (formula.op in ("reduction", "increase", "quotient") and values[1].low <= 0):
        return None
    compute = OPERATIONS[formula.op]
    ends = [compute(*corner) for corner in product(*((v.low, v.high) for v in values))]
    return Interval(min(ends), compute(*(v.mid for v in values)), max(ends))


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One sentence. Exactly one of ``prints``, ``above`` and ``between`` says what must be true of ``formula``."""

    id: str
    section: str
    quote: str
    """A few words or the numbers, not the sentence."""
    formula: Formula
    prints: str | None = None
    """The number as the paper prints it; its digits are the tolerance."""
    above: float | None = None
    """The value must be greater than this."""
    between: tuple[float, float] | None = None
    """For words instead of numbers ("nearly 40 %"): the range they are taken to mean."""
    note: str = ""
    mixed_boxes: bool = False
    """Compares FlatPose in Table 2 with another system, whose boxes seem to differ (reading R15)."""

    def __post_init__(self) -> None:
        if sum(v is not None for v in (self.prints, self.above, self.between)) != 1:
            raise ValueError(f"claim {self.id}: give exactly one of prints, above, between")

    @property
    def limits(self) -> tuple[float, float]:
        """Between which the value must lie."""
        if self.prints is not None:
            low, _, high = Interval.printed(float(self.prints), len(self.prints.partition(".")[2]))
            return low, high
        return self.between or (self.above or 0.0, math.inf)

    @property
    def expected(self) -> str:
        if self.prints is not None:
            return f"= {self.prints}"
        return f"> {self.above:g}" if self.above is not None else "in {:g}…{:g}".format(*self.limits)

    @property
    def kind(self) -> str:
        """"cost" (parameters, GFLOPs), "shape" (how the network is built) or "metric"."""
        quantities = {c.quantity for c in cells(self.formula)}
        return "cost" if quantities <= set(COSTS) else "shape" if quantities <= set(SHAPES) else "metric"

    @property
    def form(self) -> str:
        """"quotation" repeats one cell of a table; "comparison" compares several."""
        return "quotation" if isinstance(self.formula, Cell) else "comparison"

    @property
    def as_named(self) -> bool:
        """Judges the sentence by the system that it names, where the table holds another one."""
        return any(c.experiment == PEERS for c in cells(self.formula))

    def is_true(self, value: float) -> bool:
        low, high = self.limits
        return value > low + 1e-9 if self.above is not None else low - 1e-9 <= value <= high + 1e-9

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "section": self.section, "quote": self.quote, "formula": str(self.formula),
                "expected": self.expected, "kind": self.kind, "form": self.form, "as_named": self.as_named,
                "note": self.note}
