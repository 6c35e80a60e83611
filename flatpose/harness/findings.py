"""Sentences that numbers write: the finding of a page, as a pure function of its records."""

from __future__ import annotations

from collections.abc import Sequence

from flatpose.harness import boxes, stats
from flatpose.harness.collect import Setting
from flatpose.harness.compare import OUTSIDE, WITHIN, Comparison, measure
from flatpose.harness.spec import Experiment, Row


def finding(experiment: Experiment, setting: Setting) -> str:
    """One sentence about one setting: both ends of every curve, or best and worst row where there are none."""
    if experiment.headline == "boxes":
        return boxes.finding(experiment, setting)
    curves = _curves(experiment)
    box = setting.box_sources[0] if setting.box_sources else None
    return _ends(experiment, setting, curves, box) if curves else _extremes(experiment, setting, box)


def ceiling_finding(experiment: Experiment, setting: Setting) -> str:
    """The same ends for encoding and decoding alone; empty where no ceiling was recorded."""
    parts = []
    for name, rows in _curves(experiment).items():
        ends = [measure(setting, r, experiment.metric, None, kind="ceiling").values for r in (rows[0], rows[-1])]
        if ends[0] and ends[1]:
            parts.append(f"{name} {100 * ends[0][0]:.1f} → {100 * ends[1][0]:.1f}")
    return f"Codec ceiling (ground truth encoded and decoded, no training): {'; '.join(parts)}." if parts else ""


def _curves(experiment: Experiment) -> dict[str, list[Row]]:
    """Series -> its rows by x; empty when the experiment is not a figure."""
    if experiment.figure is None:
        return {}
    rows = sorted((r for r in experiment.rows if r.series and r.x is not None), key=lambda r: r.x or 0.0)
    names = dict.fromkeys(r.series for r in experiment.rows if r.series)
    return {name: [r for r in rows if r.series == name] for name in names}


def _ends(experiment: Experiment, setting: Setting, curves: dict[str, list[Row]], box: str | None) -> str:
    parts, counts = [], []
    assert experiment.figure is not None
    for name, rows in curves.items():
        first, last = (measure(setting, r, experiment.metric, box) for r in (rows[0], rows[-1]))
        if not first.values or not last.values:
            gaps = [f"{m.status} at {r.x:g}" for m, r in ((first, rows[0]), (last, rows[-1])) if not m.values]
            parts.append(f"{name}: {' and '.join(gaps)}")
            continue
        counts.append(min(len(first.values), len(last.values)))
        parts.append(f"{name} {_change(first.values, last.values)}")
    ends = next(iter(curves.values()))
    n = f" (n = {_range(counts)} per point)" if counts else ""
    axis = experiment.figure.x_label.split(" (")[0]
    return f"From {axis} {ends[0].x:g} to {ends[-1].x:g}, {experiment.metric}: {'; '.join(parts)}{n}."


def _range(counts: Sequence[int]) -> str:
    return str(min(counts)) if min(counts) == max(counts) else f"{min(counts)}–{max(counts)}"


def _change(first: Sequence[float], last: Sequence[float]) -> str:
    """"falls from a to b", or says that the seeds do not tell the two apart."""
    gap = stats.difference(last, first)
    ends = f"from {100 * sum(first) / len(first):.1f} to {100 * sum(last) / len(last):.1f}"
    if gap.contains(0.0) or abs(gap.mean) < 0.0005:
        return f"does not change beyond noise ({ends})"
    return f"{'falls' if gap.mean < 0 else 'rises'} {ends}"


def _extremes(experiment: Experiment, setting: Setting, box: str | None) -> str:
    pairs = [(measure(setting, r, experiment.metric, box), r) for r in experiment.rows]
    done = sorted(((m.estimate.mean, r.label) for m, r in pairs if m.values))
    if not done:
        return f"No row has a {experiment.metric} yet."
    (low, worst), (high, best) = done[0], done[-1]
    return (f"{experiment.metric} lies between {100 * low:.1f} ({worst}) and {100 * high:.1f} ({best}) "
            f"over {len(done)} rows.")


def comparison_finding(comparisons: Sequence[Comparison]) -> str:
    """How many published numbers were reproduced, and the worst deviation; empty when none was comparable."""
    judged = [c for c in comparisons if c.verdict in (WITHIN, OUTSIDE)]
    if not judged:
        return ""
    within = sum(c.verdict == WITHIN for c in judged)
    return (f"{within} of {len(judged)} comparable published numbers are within tolerance; the worst deviation is "
            f"{worst_deviation(judged)}.")


def worst_deviation(comparisons: Sequence[Comparison]) -> str:
    """"-0.10 (gflops, row)": largest in units of its tolerance; empty when nothing was comparable."""
    judged = [c for c in comparisons if c.verdict in (WITHIN, OUTSIDE)]
    if not judged:
        return ""
    worst = max(judged, key=lambda c: abs(c.difference or 0.0) / c.tolerance)
    scale, digits = (1, 2) if worst.quantity in ("params_m", "gflops") else (100, 1)
    return f"{scale * (worst.difference or 0):+.{digits}f} ({worst.quantity}, {worst.label})"
