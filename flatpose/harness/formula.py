"""What a sentence of the paper says about numbers: a formula over cells of tables, and what must be true of it.

A formula is evaluated over published cells, over computed costs, or over metrics measured here
(flatpose.harness.claims).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

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
RATIOS = ("reduction", "increase", "quotient")


@dataclass(frozen=True)
class Cell:
    """One number of one row: a metric in points (75.4), ``params_m`` in M, ``gflops`` in G, or one of SHAPES."""

    experiment: str
    row: str
    quantity: str = "AP"

    def __str__(self) -> str:
        return f"{self.experiment}/{self.row}.{self.quantity}"


class Term:
    """One of OPERATIONS on formulas."""

    def __init__(self, op: str, *args: Formula) -> None:
        self.op, self.args = op, args

    def __str__(self) -> str:
        if self.op != "difference":
            return f"{self.op}({', '.join(map(str, self.args))})"
        nested = isinstance(self.args[1], Term) and self.args[1].op == "difference"
        return f"{self.args[0]} − ({self.args[1]})" if nested else f"{self.args[0]} − {self.args[1]}"


Formula = Cell | Term
difference, reduction, increase, quotient, inverse_root, highest, lowest = (partial(Term, op) for op in OPERATIONS)


def cells(formula: Formula) -> tuple[Cell, ...]:
    """Every cell once, in the order of reading."""
    if isinstance(formula, Cell):
        return (formula,)
    return tuple(dict.fromkeys(c for arg in formula.args for c in cells(arg)))


def evaluate(formula: Formula, values: Mapping[Cell, float | None]) -> float | None:
    """The value; None where a cell has none, or where the denominator of a ratio is not positive."""
    if isinstance(formula, Cell):
        return values.get(formula)
    found = [evaluate(arg, values) for arg in formula.args]
    known = [v for v in found if v is not None]
    if len(known) < len(found) or (formula.op in RATIOS and known[1] <= 0):
        return None
    return OPERATIONS[formula.op](*known)


def bounds(formula: Formula, values: Mapping[Cell, float]) -> tuple[float, float]:
    """The least and the greatest value that printed cells allow: all but SHAPES are known to ±0.05."""
    ends = [(v,) if c.quantity in SHAPES else (v - 0.05, v + 0.05) for c, v in values.items()]
    found = [evaluate(formula, dict(zip(values, corner, strict=True))) for corner in product(*ends)]
    known = [v for v in found if v is not None]
    return min(known), max(known)


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
    def digits(self) -> int:
        """Decimals of the printed number."""
        return len((self.prints or "").partition(".")[2])

    @property
    def limits(self) -> tuple[float, float]:
        """Between which the value must lie."""
        if self.prints is not None:
            half = 0.5 * 10.0**-self.digits
            return float(self.prints) - half, float(self.prints) + half
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
        names = ("id", "section", "quote", "formula", "expected", "kind", "form", "as_named", "note")
        return {name: getattr(self, name) for name in names} | {"formula": str(self.formula)}
