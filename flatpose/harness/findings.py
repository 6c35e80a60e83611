"""Sentences that numbers write: the finding of a page, as a pure function of its records."""

from __future__ import annotations

from collections.abc import Sequence

from flatpose.harness import boxes, stats
from flatpose.harness.collect import RecordSet, Setting
from flatpose.harness.compare import BUILT, MISPRINT, OUTSIDE, WITHIN, Comparison, Measured, against_paper, measure
from flatpose.harness.spec import Experiment, Row
from flatpose.harness.tables import Column, metric_cell

FLOOR = 0.01
"""Below this (1 point) a network finds next to nothing, and so does a comparison."""
ABOVE = ("That is the score of a network that gives its training targets back exactly. Targets rounded to a cell do "
         "not say where in it a keypoint lies; the broader peak of a trained network does in part, and the decoder's "
         "step of a quarter cell uses it.")
UNITS = {"params_m": "M parameters", "gflops": "GFLOPs"}


def summary(experiment: Experiment, records: RecordSet, setting: Setting) -> str:
    """One short sentence for an overview: of the printed hyper-parameters where those are the question, else
    ``finding``."""
    if any(row.published and row.published.built for row in experiment.rows):
        return comparison_finding(against_paper(experiment, records))
    return finding(experiment, setting)


def finding(experiment: Experiment, setting: Setting) -> str:
    """One sentence about one setting: both ends of every curve, or best and worst row where there are none."""
    if experiment.headline == "boxes":
        return boxes.finding(experiment, setting)
    box = setting.box_sources[0] if setting.box_sources else None
    found = [(measure(setting, row, experiment.metric, box), row) for row in experiment.rows]
    low = sum(m.estimate.mean < FLOOR for m, _ in found if m.values)
    if low > 1 and low == sum(bool(m.values) for m, _ in found):
        return (f"All {low} rows measured are at the floor (below {_floor(experiment)}): nothing can be told from "
                "their order.")
    curves = _curves(experiment)
    return _ends(experiment, setting, curves, box) if curves else _extremes(experiment, found, low)


def detail(experiment: Experiment, setting: Setting) -> str:
    """What the page adds to the finding; empty for most experiments."""
    return boxes.detail(experiment, setting) if experiment.headline == "boxes" else ""


def ceiling_finding(experiment: Experiment, setting: Setting) -> str:
    """The same ends for encoding and decoding alone, and which rows score more than that; empty where neither is."""
    parts = []
    for name, rows in _curves(experiment).items():
        ends = [measure(setting, r, experiment.metric, None, kind="ceiling").values for r in (rows[0], rows[-1])]
        if ends[0] and ends[1]:
            parts.append(f"{name} {100 * ends[0][0]:.1f} → {100 * ends[1][0]:.1f}")
    ends_text = f"Codec ceiling (ground truth encoded and decoded, no training): {'; '.join(parts)}." if parts else ""
    return " ".join(text for text in (ends_text, _above_ceiling(experiment, setting)) if text)


def _above_ceiling(experiment: Experiment, setting: Setting) -> str:
    """Why a measured number may stand above its ceiling (tests/test_ceilings.py shows it on one person)."""
    box, above = setting.box_sources[0] if setting.box_sources else None, []
    for row in experiment.rows:
        own = measure(setting, row, experiment.metric, box)
        most = measure(setting, row, experiment.metric, None, kind="ceiling").values
        if own.values and most and own.estimate.mean > most[0]:
            above.append(row.label)
    return f"{', '.join(above)}: above the codec ceiling. {ABOVE}" if above else ""


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
        parts.append(f"{name} {_change(first, last)}")
    ends = next(iter(curves.values()))
    axis = experiment.figure.x_label.split(" (")[0]
    return f"From {axis} {ends[0].x:g} to {ends[-1].x:g}, {experiment.metric}: {'; '.join(parts)}{_seeds(counts)}."


def _seeds(counts: Sequence[int]) -> str:
    """How many seeds decided, and what did where one cannot."""
    if not counts:
        return ""
    several = str(min(counts)) if min(counts) == max(counts) else f"{min(counts)}–{max(counts)}"
    return f" (n = {several}; intervals over images)" if max(counts) == 1 else f" (n = {several} per point)"


def _change(first: Measured, last: Measured) -> str:
    """"falls 10.2 → 0.0", or says that the numbers do not tell the two apart."""
    ends = f"{100 * first.estimate.mean:.1f} → {100 * last.estimate.mean:.1f}"
    if not _apart(first, last):
        return f"{ends} (within noise)"
    return f"{'falls' if last.estimate.mean < first.estimate.mean else 'rises'} {ends}"


def _apart(first: Measured, last: Measured) -> bool:
    """By the interval of the difference over seeds; where a side has one seed, by intervals that do not meet."""
    gap = stats.difference(last.values, first.values)
    if abs(gap.mean) < 0.0005:
        return False
    if gap.half_width is not None:
        return not gap.contains(0.0)
    a, b = first.interval, last.interval
    return a is None or b is None or a[1] < b[0] or b[1] < a[0]


def _extremes(experiment: Experiment, found: Sequence[tuple[Measured, Row]], low: int) -> str:
    done = sorted(((m.estimate.mean, r.label, m) for m, r in found if m.values), key=lambda entry: entry[:2])
    if not done:
        return f"No row has a {experiment.metric} yet."
    if len(done) == 1:
        _, label, only = done[0]
        return f"One row measured: {experiment.metric} {metric_cell(only, Column('', '')).display} ({label})."
    (worst, last, _), (best, first, _) = done[0], done[-1]
    if low:
        return (f"The best of {len(done)} rows has {100 * best:.1f} {experiment.metric} ({first}); {low} "
                f"{'is' if low == 1 else 'are'} at the floor (below {_floor(experiment)}), where order tells nothing.")
    return (f"{experiment.metric} lies between {100 * worst:.1f} ({last}) and {100 * best:.1f} ({first}) over "
            f"{len(done)} rows.")


def _floor(experiment: Experiment) -> str:
    return f"{100 * FLOOR:.0f} {experiment.metric}"


def comparison_finding(comparisons: Sequence[Comparison]) -> str:
    """How many published numbers were reproduced, the worst deviation, misprints; empty when none was comparable."""
    built = [c for c in comparisons if c.convention == BUILT]
    if built:
        same = sum(c.verdict == WITHIN for c in built)
        read = any(c.measured is not None for c in built)
        return (f"{same} of {len(built)} printed hyper-parameters are those of the built network." if read else
                f"None of {len(built)} printed hyper-parameters has been read off the built network yet "
                f"(`flatpose-exp cost {built[0].experiment}`).")
    judged = [c for c in comparisons if c.verdict in (WITHIN, OUTSIDE)]
    wrong = sum(c.verdict == MISPRINT for c in comparisons)
    more = f"; {wrong} more {'is a misprint' if wrong == 1 else 'are misprints'}" if wrong else ""
    if not judged:
        return ""
    within = sum(c.verdict == WITHIN for c in judged)
    return (f"{within} of {len(judged)} comparable published numbers are within tolerance, the worst off by "
            f"{worst_deviation(judged)}{more}.")


def worst_deviation(comparisons: Sequence[Comparison]) -> str:
    """"-0.10 GFLOPs (row)": largest in units of its tolerance; empty when nothing was comparable."""
    judged = [c for c in comparisons if c.verdict in (WITHIN, OUTSIDE) and c.convention != BUILT]
    if not judged:
        return ""
    worst = max(judged, key=lambda c: abs(c.difference or 0.0) / c.tolerance)
    scale, digits = (1, 2) if worst.plain else (100, 1)
    return f"{scale * (worst.difference or 0):+.{digits}f} {UNITS.get(worst.quantity, worst.quantity)} ({worst.label})"
