"""Records against other records, an earlier commit's or another machine's, row by row at equal profile and data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from flatpose.harness import stats
from flatpose.harness.collect import Record, RecordSet, Setting, gt_first, settings
from flatpose.harness.compare import (
    FAILED,
    NOT_COMPARABLE,
    NOT_RUN,
    UNDECIDED,
    WITHIN,
    Comparison,
    Measured,
    Verdict,
    box_name,
    comparison,
    judge,
    measure,
)
from flatpose.harness.spec import Experiment, Row


def against_records(experiment: Experiment, ours: RecordSet, theirs: RecordSet, name: str) -> list[Comparison]:
    """The experiment's metric by box source, then costs: of the networks as run, and of those of the paper's size.

    A difference is always given; a metric's is judged only when data, boxes and code are the same on both sides.

    Args:
        experiment: Its rows are compared.
        ours: The records that are measured.
        theirs: The records that are the reference.
        name: Of the reference, as its user knows it (a path, a revision).
    """
    others = settings(experiment, theirs)
    rows: list[Comparison] = []
    for setting in settings(experiment, ours):
        alike = [s for s in others if s.profile == setting.profile]
        for other in [s for s in alike if s.data_id == setting.data_id] or alike[:1]:
            boxes = sorted({*setting.box_sources, *other.box_sources}, key=gt_first)
            pairs = (_pair(experiment, row, setting, other, box, name) for row in experiment.rows for box in boxes)
            rows += [pair for pair in pairs if pair]
            for row in experiment.rows:
                rows += _costs(experiment, row, setting.title, _cost(setting, row), _cost(other, row), name)
    for row in experiment.rows:
        a, b = (next((c for c in found.costs if c.get("row") == row.id), {}) for found in (ours, theirs))
        rows += _costs(experiment, row, None, a, b, name)
    return rows


def _pair(experiment: Experiment, row: Row, setting: Setting, other: Setting, box: str, name: str) -> Comparison | None:
    a, b = (measure(s, row, experiment.metric, box) for s in (setting, other))
    if b.status != "done":
        return None
    estimate, reference, tolerance = None, b.estimate.mean, row.tolerance.metric / 100
    if box not in setting.box_sources:
        verdict = Verdict(NOT_COMPARABLE, f"boxes differ: ours are {', '.join(map(box_name, setting.box_sources))}")
    elif a.status != "done":
        verdict = Verdict(FAILED if a.status == "failed" else NOT_RUN, a.reason)
    else:
        gap = stats.difference(a.values, b.values)
        estimate = stats.Estimate(a.estimate.mean, gap.n, gap.half_width)
        unlike = _unlike(setting, other, row, (a, b))
        verdict = Verdict(NOT_COMPARABLE, unlike) if unlike else _judge(a, b, estimate, tolerance)
    made = comparison(experiment, row, experiment.metric, setting.title, box, reference, tolerance, estimate, verdict,
                      name, a.condition)
    return replace(made, bootstrap=a.over_images if a.values else None)


def _judge(a: Measured, b: Measured, estimate: stats.Estimate, tolerance: float) -> Verdict:
    """As against the paper; where one seed gives no interval, both intervals over images stand in for it."""
    verdict = judge(estimate, b.estimate.mean, tolerance)
    if estimate.half_width is not None or verdict.verdict == WITHIN or not (a.interval and b.interval):
        return verdict
    if a.interval[1] < b.interval[0] or b.interval[1] < a.interval[0]:
        return verdict
    who = "one seed each" if len(a.values) == len(b.values) == 1 else "one seed on one side"
    return Verdict(UNDECIDED, f"{who}: the intervals over images meet")


def _unlike(setting: Setting, other: Setting, row: Row, pair: tuple[Measured, Measured]) -> str:
    """What besides chance could explain a difference between two sets of records."""
    codes = [{r.get("code_hash") for r in s.rows[row.id] if r["status"] == "done"} for s in (setting, other)]
    reasons = ["data differ"] if setting.data_id != other.data_id else []
    reasons += ["code differs"] if codes[0] != codes[1] else []
    reasons += ["flip test or score rule differs"] if pair[0].condition != pair[1].condition else []
    return ", ".join(reasons)


def _cost(setting: Setting, row: Row) -> Record:
    """Of the row's network as it ran."""
    return next((r["cost"] for r in setting.rows.get(row.id, ()) if r["status"] == "done" and r.get("cost")), {})


def _costs(experiment: Experiment, row: Row, setting: str | None, ours: Record, theirs: Record, name: str
           ) -> Iterator[Comparison]:
    """Counts that both sides have; neither data nor seeds enter them."""
    for quantity, relative in (("params_m", row.tolerance.params), ("gflops", row.tolerance.gflops)):
        value, reference = ours.get(quantity), theirs.get(quantity)
        if value is None or reference is None:
            continue
        estimate, tolerance = stats.Estimate(value, 1), relative * reference
        found = comparison(experiment, row, quantity, setting, None, reference, tolerance, estimate,
                           judge(estimate, reference, tolerance), name)
        yield replace(found, convention="all")
