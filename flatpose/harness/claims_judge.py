"""What our counts and our measurements say of the claims (flatpose.harness.claims): one convention, one box source.

Counts of parameters and multiply-adds are of the paper-size networks, so they are judged by the printed number. What
was measured at a reduced scale is judged by direction alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from flatpose.harness import stats
from flatpose.harness.claims import (
    DIRECTION,
    FAILS,
    HOLDS,
    KEEPS,
    LOSES,
    NOT_COMPARABLE,
    NOT_TESTED,
    OPPOSITE,
    SAME,
    UNDECIDED,
    Claim,
    Entries,
    Judged,
    Verdict,
    in_words,
    is_true,
    on_published,
    printed_range,
    published_cell,
)
from flatpose.harness.collect import Setting, settings
from flatpose.harness.compare import measure
from flatpose.harness.formula import COSTS, Cell, Formula, Interval, Term, cells, evaluate
from flatpose.harness.spec import Experiment

SCALES = ("paper", "synth", "mini_long", "mini_pretrained", "mini", "quick")
FLOOR = 1.0
"""Points of the metric: networks that find next to nothing differ by next to nothing."""
STRIDE = 32
"""Pixels per token, along each axis."""


def judge(claim: Claim, entries: Entries, box_gain: tuple[float, float] | None = None) -> Judged:
    """All verdicts of one claim. ``box_gain``: least and most AP that ground-truth boxes give (boxes_simulated)."""
    said = evaluate(claim.formula, lambda cell: published_cell(claim, cell, entries))
    ours = _metric_verdict(claim, entries) if claim.kind == "metric" else _count_verdict(claim, entries)
    boxes = None
    if claim.mixed_boxes and said is not None and box_gain is not None:
        boxes = _less_boxes(said.mid, box_gain)
    return Judged(claim, on_published(claim, said), ours, boxes)


def _count_verdict(claim: Claim, entries: Entries) -> Verdict:
    """Every cell replaced by our count of the paper-size network, all in one convention."""
    def lookup(cell: Cell) -> Interval | None:
        value = counted(cell, entries)
        return None if value is None else Interval.exact(value)

    value = evaluate(claim.formula, lookup)
    if value is None:
        return Verdict(NOT_TESTED, reason="cost not computed")
    if is_true(claim, value.mid):
        return Verdict(HOLDS, value.mid)
    if claim.prints is not None and isinstance(claim.formula, Term) and value.mid * float(claim.prints) > 0:
        return Verdict(DIRECTION, value.mid, f"we count {in_words(claim, value.mid)}")
    return Verdict(FAILS, value.mid, f"we count {in_words(claim, value.mid, 2)}")


def counted(cell: Cell, entries: Entries) -> float | None:
    """Our count of the network of a row: from its cost record, or for tokens from its configuration."""
    experiment, records = entries[cell.experiment]
    if cell.quantity in ("L", "top_k"):
        run = next(row.run for row in experiment.rows if row.id == cell.row)
        width, height = run.image_size
        return (width // STRIDE) * (height // STRIDE) if cell.quantity == "L" else getattr(run.model, "top_k", None)
    cost = next((c for c in records.costs if c.get("row") == cell.row), {})
    return cost.get(cell.quantity) if cell.quantity in COSTS else (cost.get("table6") or {}).get(cell.quantity)


def _metric_verdict(claim: Claim, entries: Entries) -> Verdict:
    """The best setting in which every cell was measured: the paper's own conditions if there are any."""
    found = []
    if claim.as_named:
        return Verdict(NOT_TESTED, reason="the paper's tables have no row of the system that the sentence names")
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
    verdict, reason = _by_interval(claim, value, half), ""
    if setting.incomparable:
        best = max(math.fsum(v) / len(v) for v in values.values())
        verdict, reason = _direction(claim, value, half, best)
    boxes = "GT boxes" if box == "gt" else "detector boxes"
    return setting, Verdict(verdict, value, reason, half, setting.title, boxes, min(map(len, values.values())))


def _by_interval(claim: Claim, value: float, half: float | None) -> str:
    """At the paper's scale: the interval must leave the bound."""
    if half is None:
        return UNDECIDED
    if claim.prints is not None:
        low, high = printed_range(claim.prints)
    else:
        low, high = (claim.above, math.inf) if claim.above is not None else claim.between or (0.0, 0.0)
    if low < value - half and value + half < high:
        return HOLDS
    return FAILS if value + half < low or value - half > high else UNDECIDED


def _direction(claim: Claim, value: float, half: float | None, best: float) -> tuple[str, str]:
    """At a reduced scale: on which side of no difference the interval lies, and why it decides nothing."""
    printed = 0.0 if claim.prints is None else float(claim.prints)
    if claim.quotation or (claim.above is None and not printed):
        what = "a level" if claim.quotation else "a range" if claim.between else "an equality"
        return NOT_COMPARABLE, f"{what} at another scale"
    if best < FLOOR:
        return UNDECIDED, f"every network of it is below {FLOOR:g}"
    if half is None:
        return UNDECIDED, "one seed: no interval"
    if abs(value - (claim.above or 0.0)) <= half:
        return UNDECIDED, "the interval over seeds spans no difference"
    return (SAME if (value > (claim.above or 0.0)) == (printed >= 0) else OPPOSITE), ""


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
    verdict = KEEPS if low > 0 else LOSES if high < 0 else UNDECIDED
    return Verdict(verdict, (low + high) / 2, f"{low:+.1f} to {high:+.1f} AP (simulated)")
