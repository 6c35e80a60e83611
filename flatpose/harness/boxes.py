"""Ground-truth against detector boxes: the same weights on both, paired run by run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from flatpose.harness import stats
from flatpose.harness.collect import Record, Setting, Stale, run_id
from flatpose.harness.compare import measure, result
from flatpose.harness.spec import Experiment, Row
from flatpose.harness.tables import Cell, Column, Line, Table, box_name, metric_cell

COLUMNS = (
    Column("AP_gt", "AP, gt", "x 100", direction="higher"), Column("AP_det", "AP, det", "x 100", direction="higher"),
    Column("difference", "gt − det", "x 100"), Column("seeds_interval", "± over seeds", "x 100"),
    Column("images_interval", "± over images, at most", "x 100"),
    Column("AP50_gt", "AP50, gt", "x 100"), Column("AP50_det", "AP50, det", "x 100"),
    Column("gap_gt", "AR − AP, gt", "x 100"), Column("gap_det", "AR − AP, det", "x 100"))
NOTES = (
    "gt − det is paired: both numbers are of the same weights; the interval over seeds is the 95 % t-interval of these "
    "differences and needs two seeds",
    "over images: the half-widths of both APs' 95 % bootstrap intervals, combined as if independent; they share their "
    "images, so the true one is smaller")
TELLING = 0.3
"""Below this AP with ground-truth boxes, keypoints are off by more than boxes are."""


@dataclass(frozen=True)
class Pair:
    """One run's results with ground-truth and with detector boxes."""

    record: Record
    gt: Record
    det: Record

    def gain(self, metric: str = "AP") -> float:
        return float(self.gt["metrics"][metric] - self.det["metrics"][metric])

    @property
    def image_half_width(self) -> float | None:
        """Of the difference, at most; None where a record has no bootstrap interval."""
        widths = [self.gt.get("bootstrap", {}).get("AP"), self.det.get("bootstrap", {}).get("AP")]
        if None in widths:
            return None
        return math.hypot(*(0.5 * (high - low) for low, high in widths))


def detector(setting: Setting) -> str | None:
    """The setting's detector boxes, when it has both sources."""
    found = [source for source in setting.box_sources if source != "gt"]
    return found[0] if found and "gt" in setting.box_sources else None


def pairs(setting: Setting, row: Row) -> list[Pair]:
    """The finished runs of a row that were evaluated on both box sources."""
    det = detector(setting)
    if det is None:
        return []
    both = [(r, result(r, "gt"), result(r, det)) for r in setting.rows.get(row.id, []) if r["status"] == "done"]
    return [Pair(r, gt, other) for r, gt, other in both
            if gt and other and "AP" in gt["metrics"] and "AP" in other["metrics"]]


def table(experiment: Experiment, setting: Setting, stale: Stale | None = None) -> Table | None:
    """AP with both sources, their difference with its intervals, and the two signs a reader can look for.

    Rows that the profile leaves out are left to the table of metrics, which says why: they would be most lines here.
    """
    det = detector(setting)
    if det is None:
        return None
    lines = [Line(row.id, row.label, _cells(setting, row, det, stale), row.group) for row in experiment.rows
             if row.id not in setting.left_out]
    return Table("boxes", f"Ground-truth boxes and {box_name(det)}, {setting.title}", COLUMNS, tuple(lines), NOTES)


def _cells(setting: Setting, row: Row, det: str, stale: Stale | None) -> tuple[Cell, ...]:
    both = [measure(setting, row, "AP", source, stale=stale) for source in ("gt", det)]
    found = pairs(setting, row)
    runs = tuple(run_id(p.record) for p in found)
    if not found:
        empty = Cell(None, "—", "empty", both[0].reason or "one box source is missing", both[0].runs)
        return (*(metric_cell(m, c) for m, c in zip(both, COLUMNS, strict=False)), *[empty] * (len(COLUMNS) - 2))
    gain = stats.estimate([p.gain() for p in found])
    conditions = {"gt": both[0].condition, "det": both[1].condition}
    paired = "; ".join(conditions.values())
    widths = [w for p in found if (w := p.image_half_width) is not None]

    def number(value: float | None, why: str = "", sign: str = "", condition: str = paired) -> Cell:
        if value is None:
            return Cell(None, "—", "empty", why, runs)
        return Cell(100 * value, f"{100 * value:{sign}.1f}", run_ids=runs, condition=condition)

    def mean(source: str, metric: str, minus: str | None = None) -> Cell:
        values = [m[metric] - (m[minus] if minus else 0.0) for m in (getattr(p, source)["metrics"] for p in found)]
        return number(statistics.fmean(values), condition=conditions[source])

    return (*(metric_cell(m, c) for m, c in zip(both, COLUMNS, strict=False)), number(gain.mean, sign="+"),
            number(gain.half_width, "one seed"), number(statistics.fmean(widths) if widths else None, "no bootstrap"),
            mean("gt", "AP50"), mean("det", "AP50"), mean("gt", "AR", "AP"), mean("det", "AR", "AP"))


def finding(experiment: Experiment, setting: Setting) -> str:
    """The range of the difference over all rows, in a sentence."""
    rows = _systems(experiment, setting)
    if not rows:
        return "No row has been evaluated on both box sources yet."
    gains = [statistics.fmean(p.gain() for p in found) for found in rows]
    best = max(p.gt["metrics"]["AP"] for found in rows for p in found)
    warning = "" if best >= TELLING else f", in networks of at most {100 * best:.1f} AP"
    return (f"Over {len(rows)} systems ground-truth boxes give {_range(gains)} AP more than the detector's (median "
            f"{100 * statistics.median(gains):+.1f}){warning}.")


def detail(experiment: Experiment, setting: Setting) -> str:
    """The range of both signs over all rows, and what networks so weak cannot say."""
    rows = _systems(experiment, setting)
    if not rows:
        return ""
    gaps = {source: [statistics.fmean(_gap(getattr(p, source)) for p in found) for found in rows]
            for source in ("gt", "det")}
    told = sum(g < d for g, d in zip(gaps["gt"], gaps["det"], strict=True))
    best = max(p.gt["metrics"]["AP"] for found in rows for p in found)
    warning = "" if best >= TELLING else (
        f" The best of these networks has {100 * best:.1f} AP: so far from the persons that boxes hardly matter, and "
        "neither the difference nor the signature says anything about networks of 75 AP.")
    return (f"AR − AP is {_range(gaps['gt'])} with ground-truth boxes and "
            f"{_range(gaps['det'])} with detector boxes; it is the smaller of the two with ground truth in {told} of "
            f"{len(rows)} systems.{warning}")


def _systems(experiment: Experiment, setting: Setting) -> list[list[Pair]]:
    """The runs of each row; rows that share theirs at a small scale are one system."""
    each = [found for row in experiment.rows if (found := pairs(setting, row))]
    return list({tuple(run_id(p.record) for p in found): found for found in each}.values())


def _gap(found: Record) -> float:
    return float(found["metrics"]["AR"] - found["metrics"]["AP"])


def _range(values: Sequence[float]) -> str:
    low, high = (round(100 * v, 1) + 0.0 for v in (min(values), max(values)))  # + 0.0: no "-0.0"
    return f"{low:.1f}" if low == high else f"{low:.1f} to {high:.1f}"
