"""Claims: quantitative sentences of the paper, each a formula over cells, judged three times.

On the published numbers (is the paper's arithmetic right?), on our costs under one FLOP convention (fvcore, every
matmul counted, for every system), and on metrics measured here with one box source. Nothing here knows a verdict:
all follow from the specs' published cells and the committed records.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flatpose.harness import stats
from flatpose.harness.collect import RecordSet, Setting, settings
from flatpose.harness.compare import measure
from flatpose.harness.formula import COSTS, Cell, Formula, Interval, Term, cells, evaluate
from flatpose.harness.spec import Experiment

HOLDS, ROUNDING, FAILS, NOT_PRINTED = "holds", "holds within rounding", "fails", "not printed"
DIRECTION = "fails, same direction"
UNDECIDED, NOT_TESTED = "undecided", "not tested"

SCALES = ("paper", "synth", "mini", "quick")
FLOOR = 1.0
"""Points of the metric: networks that find next to nothing differ by next to nothing."""

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

    def __post_init__(self) -> None:
        if sum(v is not None for v in (self.prints, self.above, self.between)) != 1:
            raise ValueError(f"claim {self.id}: give exactly one of prints, above, between")

    @property
    def expected(self) -> str:
        if self.prints is not None:
            return f"= {self.prints}"
        return f"> {self.above:g}" if self.above is not None else "in {:g}…{:g}".format(*self.between or ())

    @property
    def is_cost(self) -> bool:
        return all(c.quantity in COSTS for c in cells(self.formula))


@dataclass(frozen=True)
class Verdict:
    verdict: str
    value: float | None = None
    reason: str = ""

    @property
    def text(self) -> str:
        return f"{self.verdict}: {self.reason}" if self.reason else self.verdict


@dataclass(frozen=True)
class Judged:
    """A claim with its verdicts; ``ours`` is about our costs, or about metrics measured here."""

    claim: Claim
    published: Verdict
    ours: Verdict
    one_box_source: Verdict | None = None
    """For ``mixed_boxes``: the published difference less what ground-truth boxes were simulated to give."""

    def to_dict(self) -> dict[str, Any]:
        c = self.claim
        made = {"id": c.id, "section": c.section, "quote": c.quote, "formula": str(c.formula), "expected": c.expected,
                "kind": "cost" if c.is_cost else "metric", "published": vars(self.published), "ours": vars(self.ours),
                "note": c.note}
        return made | ({"one_box_source": vars(self.one_box_source)} if self.one_box_source else {})


def judge(claim: Claim, entries: Entries, box_gain: tuple[float, float] | None = None) -> Judged:
    """All verdicts of one claim. ``box_gain``: least and most AP that ground-truth boxes give (boxes_simulated)."""
    said = evaluate(claim.formula, lambda cell: published_cell(cell, entries))
    ours = _cost_verdict(claim, entries) if claim.is_cost else _metric_verdict(claim, entries)
    boxes = None
    if claim.mixed_boxes and said is not None and box_gain is not None:
        boxes = _less_boxes(said.mid, box_gain)
    return Judged(claim, on_published(claim, said), ours, boxes)


def published_cell(cell: Cell, entries: Entries) -> Interval | None:
    """What the paper prints there, to one decimal.

    Raises:
        KeyError: No such experiment or row: a claim with a typo.
    """
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
    if _true(claim, value.mid):
        return Verdict(HOLDS, value.mid)
    if claim.prints is not None:
        low, high = _printed_range(claim.prints)
        if value.low <= high and value.high >= low:
            return Verdict(ROUNDING, value.mid, f"the cells give {plain(value.mid)}")
    return Verdict(FAILS, value.mid, f"the cells give {plain(value.mid)}")


def plain(value: float, decimals: int = 1) -> str:
    """The number without the sign of a rounded zero."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def _printed_range(text: str) -> tuple[float, float]:
    half = 0.5 * 10.0 ** -len(text.partition(".")[2])
    return float(text) - half, float(text) + half


def _true(claim: Claim, value: float) -> bool:
    if claim.above is not None:
        return value > claim.above + 1e-9
    low, high = _printed_range(claim.prints) if claim.prints is not None else claim.between or (math.inf, -math.inf)
    return low - 1e-9 <= value <= high + 1e-9


def _cost_verdict(claim: Claim, entries: Entries) -> Verdict:
    """Every cell replaced by our count of the paper-size network, all in one convention."""
    def lookup(cell: Cell) -> Interval | None:
        costs = {c.get("row"): c for c in entries[cell.experiment][1].costs}
        value = costs.get(cell.row, {}).get(cell.quantity)
        return None if value is None else Interval.exact(value)

    value = evaluate(claim.formula, lookup)
    if value is None:
        return Verdict(NOT_TESTED, reason="cost not computed")
    if _true(claim, value.mid):
        return Verdict(HOLDS, value.mid)
    if claim.prints is not None and isinstance(claim.formula, Term) and value.mid * float(claim.prints) > 0:
        return Verdict(DIRECTION, value.mid, f"we count {plain(value.mid)}")
    return Verdict(FAILS, value.mid, f"we count {plain(value.mid, 2)}")


def _metric_verdict(claim: Claim, entries: Entries) -> Verdict:
    """The best setting in which every cell was measured: the paper's own conditions if there are any."""
    found = []
    names = {c.experiment for c in cells(claim.formula)}
    if len(names) > 1:
        return Verdict(NOT_TESTED, reason="its numbers stand in two experiments")
    experiment, records = entries[names.pop()]
    for setting in settings(experiment, records):
        if setting.profile != "smoke":
            for box in sorted(setting.box_sources, key=lambda b: b == "gt"):  # detector boxes: what the others used
                found.append(_measured(claim, experiment, setting, box))
    tested = [(s, v) for s, v in found if v.verdict != NOT_TESTED]
    if not tested:
        rows = {c.row for c in cells(claim.formula)}
        split = next((r.published.split for r in experiment.rows if r.id in rows and r.published), "")
        return Verdict(NOT_TESTED, reason=f"needs {split}, whose truth is not public" if split else
                       _why(found, rows))
    comparable = [v for s, v in tested if s.incomparable is None]
    return (comparable or [v for _, v in sorted(tested, key=lambda t: (t[1].verdict == UNDECIDED, _rank(t[0])))])[0]


def _rank(setting: Setting) -> int:
    """The larger scale says more."""
    return SCALES.index(setting.profile) if setting.profile in SCALES else len(SCALES)


def _why(found: Sequence[tuple[Setting, Verdict]], rows: set[str]) -> str:
    """Why nothing tells: of a setting that has some of the rows, if there is one."""
    near = [v.reason for s, v in found if rows & s.rows.keys()]
    return (near or [v.reason for _, v in found] or ["no run of these rows here"])[0]


def _measured(claim: Claim, experiment: Experiment, setting: Setting, box: str) -> tuple[Setting, Verdict]:
    rows = {row.id: row for row in experiment.rows}
    values: dict[Cell, tuple[float, ...]] = {}
    for cell in cells(claim.formula):
        if cell.quantity in COSTS:
            return setting, Verdict(NOT_TESTED, reason="accuracy and cost in one formula")
        got = measure(setting, rows[cell.row], cell.quantity, box)
        if not got.values:
            return setting, Verdict(NOT_TESTED, reason=f"{cell.row}: {got.reason}")
        values[cell] = tuple(100 * v for v in got.values)
    value, half = with_interval(claim.formula, values)
    if value is None:
        return setting, Verdict(NOT_TESTED, reason=f"a ratio to an AP of 0 at {setting.title}")
    if setting.incomparable and max(math.fsum(v) / len(v) for v in values.values()) < FLOOR:
        return setting, Verdict(UNDECIDED, value, f"every network of it is below {FLOOR:g} at {setting.title}")
    n = min(map(len, values.values()))
    width = "" if half is None else f" ± {half:.1f}"
    where = f"{plain(value)}{width} (n = {n}) at {setting.title}, {'GT' if box == 'gt' else 'detector'} boxes"
    small = f", reduced scale ({setting.incomparable})" if setting.incomparable else ""
    return setting, Verdict(_by_interval(claim, value, half, bool(small)), value, where + small)


def _by_interval(claim: Claim, value: float, half: float | None, reduced: bool) -> str:
    """Of a printed difference a reduced scale can test the direction only; the interval must leave the bound."""
    if half is None:
        return UNDECIDED
    if claim.prints is not None and not reduced:
        low, high = _printed_range(claim.prints)
    elif claim.between is not None and reduced:
        return UNDECIDED
    elif claim.prints is not None:
        if not isinstance(claim.formula, Term) or float(claim.prints) == 0:
            return UNDECIDED  # a level, or "no difference": neither carries over to another scale
        low, high = (0.0, math.inf) if float(claim.prints) > 0 else (-math.inf, 0.0)
    else:
        low, high = (claim.above, math.inf) if claim.above is not None else claim.between or (0.0, 0.0)
    if low < value - half and value + half < high:
        return HOLDS
    return FAILS if value + half < low or value - half > high else UNDECIDED


def with_interval(formula: Formula, values: Mapping[Cell, Sequence[float]]) -> tuple[float | None, float | None]:
    """Value over means and the half-width of its 95 % t-interval (delta method, one pooled spread of the seeds).

    For a difference of two rows this is the two-sample t-interval of stats.difference.
    """
    means = {cell: math.fsum(v) / len(v) for cell, v in values.items()}
    base = evaluate(formula, lambda c: Interval.exact(means[c]))
    sd = stats.pooled_sd(list(values.values()))
    if base is None or sd is None or min(map(len, values.values())) < 2:
        return (None if base is None else base.mid), None
    variance = 0.0
    for cell, v in values.items():
        step = 1e-4 * max(1.0, abs(means[cell]))
        moved = evaluate(formula, lambda c, cell=cell, step=step:  # type: ignore[misc]
                         Interval.exact(means[c] + (step if c == cell else 0.0)))
        slope = 0.0 if moved is None else (moved.mid - base.mid) / step
        variance += slope**2 * sd**2 / len(v)
    df = sum(len(v) - 1 for v in values.values())
    return base.mid, stats.t_quantile(0.975, df) * math.sqrt(variance)


def _less_boxes(gap: float, gain: tuple[float, float]) -> Verdict:
    low, high = gap - gain[1], gap - gain[0]
    verdict = HOLDS if low > 0 else FAILS if high < 0 else UNDECIDED
    return Verdict(verdict, (low + high) / 2, f"{low:+.1f} to {high:+.1f} AP (simulated)")
