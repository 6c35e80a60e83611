"""Claims: quantitative sentences of the paper, each a formula over cells of its tables, and what print alone says.

What our counts and measurements say is in flatpose.harness.claims_judge. Nothing here knows a verdict: all follow from
the specs' published cells and the committed records.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flatpose.harness.collect import RecordSet
from flatpose.harness.formula import COSTS, PEERS, SHAPES, Cell, Formula, Interval, cells
from flatpose.harness.spec import Experiment

HOLDS, ROUNDING, FAILS, NOT_PRINTED = "holds", "holds within rounding", "fails", "not printed"
DIRECTION = "fails, same direction"
SAME, OPPOSITE, NOT_COMPARABLE = "same direction", "opposite direction", "not comparable"
"""All that a reduced scale can say: of a difference its sign, of a level, a range or an equality nothing."""
KEEPS, LOSES = "lead stays", "lead gone"
UNDECIDED, NOT_TESTED = "undecided", "not tested"

Entries = Mapping[str, tuple[Experiment, RecordSet]]


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
    """For words instead of numbers ("nearly 40 %"): the range they are taken to mean, fixed here."""
    note: str = ""
    mixed_boxes: bool = False
    """Compares a FlatPose row of Table 2 with another system's, whose boxes seem to differ (reading R15)."""
    facts: Mapping[Cell, Interval] = field(default_factory=dict)
    """Numbers of cells that no spec has as published ones: a symbol's of Table 6, a token count."""

    def __post_init__(self) -> None:
        if sum(v is not None for v in (self.prints, self.above, self.between)) != 1:
            raise ValueError(f"claim {self.id}: give exactly one of prints, above, between")

    @property
    def expected(self) -> str:
        if self.prints is not None:
            return f"= {self.prints}"
        return f"> {self.above:g}" if self.above is not None else "in {:g}…{:g}".format(*self.between or ())

    @property
    def kind(self) -> str:
        """"cost" (parameters, GFLOPs), "shape" (how the network is built) or "metric"."""
        quantities = {c.quantity for c in cells(self.formula)}
        return "cost" if quantities <= set(COSTS) else "shape" if quantities <= set(SHAPES) else "metric"

    @property
    def quotation(self) -> bool:
        """Repeats one cell of a table and compares nothing."""
        return isinstance(self.formula, Cell)

    @property
    def as_named(self) -> bool:
        """Judges the sentence against the system that it names, where the table holds another one."""
        return any(c.experiment == PEERS for c in cells(self.formula))


@dataclass(frozen=True)
class Verdict:
    verdict: str
    value: float | None = None
    reason: str = ""
    half_width: float | None = None
    setting: str = ""
    """Of a measurement: profile and data ..."""
    boxes: str = ""
    n: int | None = None
    """... and the seeds of the row that has fewest."""

    @property
    def text(self) -> str:
        return f"{self.verdict}: {self.reason}" if self.reason else self.verdict

    @property
    def where(self) -> str:
        """"quick · embedded v1 (2000/300 images), detector boxes, n = 3"; empty where nothing was measured."""
        return ", ".join([self.setting, self.boxes, f"n = {self.n}"]) if self.setting else ""

    def to_dict(self) -> dict[str, Any]:
        """Without the parts that only measurements have, where nothing was measured."""
        measured = ("half_width", "setting", "boxes", "n") if self.setting else ()
        return {name: getattr(self, name) for name in ("verdict", "value", "reason", *measured)}


@dataclass(frozen=True)
class Judged:
    """A claim with its verdicts; ``ours`` is about our counts, or about metrics measured here."""

    claim: Claim
    published: Verdict
    ours: Verdict
    one_box_source: Verdict | None = None
    """For ``mixed_boxes``: the published difference less what ground-truth boxes were simulated to give."""

    def to_dict(self) -> dict[str, Any]:
        c = self.claim
        made = {"id": c.id, "section": c.section, "quote": c.quote, "formula": str(c.formula), "expected": c.expected,
                "kind": c.kind, "form": "quotation" if c.quotation else "comparison", "as_named": c.as_named,
                "published": self.published.to_dict(), "ours": self.ours.to_dict(), "note": c.note}
        return made | ({"one_box_source": self.one_box_source.to_dict()} if self.one_box_source else {})


def published_cell(claim: Claim, cell: Cell, entries: Entries) -> Interval | None:
    """What the paper prints there, to one decimal; or the claim's own fact.

    Raises:
        KeyError: No such experiment or row: a claim with a typo.
    """
    if cell in claim.facts:
        return claim.facts[cell]
    rows = {row.id: row for row in entries[cell.experiment][0].rows}
    if cell.row not in rows:
        raise KeyError(f"{cell.experiment} has no row {cell.row!r}")
    said = rows[cell.row].published
    if said is None:
        return None
    value = getattr(said, cell.quantity) if cell.quantity in COSTS else said.metrics.get(cell.quantity)  # type: ignore[call-overload]
    return None if value is None else Interval.printed(value)


def on_published(claim: Claim, value: Interval | None) -> Verdict:
    """Exactly by the printed cells, or only if the cells were rounded favourably, or not at all."""
    if value is None:
        return Verdict(NOT_PRINTED, reason="a number the sentence speaks of is in no table")
    if is_true(claim, value.mid):
        return Verdict(HOLDS, value.mid)
    if claim.prints is not None:
        low, high = printed_range(claim.prints)
        if value.low <= high and value.high >= low:
            return Verdict(ROUNDING, value.mid, f"the cells give {in_words(claim, value.mid)}")
    what = "numbers" if claim.as_named else "cells"
    return Verdict(FAILS, value.mid, f"the {what} give {in_words(claim, value.mid)}")


def in_words(claim: Claim, value: float, decimals: int = 1) -> str:
    """The value; of a reduction that is none, how much more it is."""
    more = getattr(claim.formula, "op", "") == "reduction" and round(value, decimals) < 0
    return f"{plain(-value, decimals)} % more" if more else plain(value, decimals)


def plain(value: float, decimals: int = 1) -> str:
    """The number without the sign of a rounded zero."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def printed_range(text: str) -> tuple[float, float]:
    half = 0.5 * 10.0 ** -len(text.partition(".")[2])
    return float(text) - half, float(text) + half


def is_true(claim: Claim, value: float) -> bool:
    if claim.above is not None:
        return value > claim.above + 1e-9
    low, high = printed_range(claim.prints) if claim.prints is not None else claim.between or (math.inf, -math.inf)
    return low - 1e-9 <= value <= high + 1e-9
