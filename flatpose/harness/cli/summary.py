"""The table at the end of ``run``: a line per row with its main metric, interval, difference and time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flatpose import benchmarks
from flatpose.harness.console import minutes

if TYPE_CHECKING:
    from flatpose.harness.runner import Outcome
    from flatpose.harness.spec import Experiment


def table(experiment: Experiment, outcomes: Sequence[Outcome]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and cells. Metrics are in per cent, with ground-truth boxes where a run was evaluated on both.

    The interval is the t-interval over seeds, or with one seed the bootstrap interval over images. The difference from
    the experiment's reference row is paired by seed.
    """
    metric = benchmarks.get(outcomes[0].planned.run.data.task).metric(experiment.metric)
    rows = {row: [o for o in outcomes if row in o.planned.rows] for o in outcomes for row in o.planned.rows}
    results = {row: {o.planned.seed: o.record.results[0] for o in own
                     if o.record is not None and o.record.results and o.status in ("done", "stale")}
               for row, own in rows.items()}
    values = {row: {seed: 100 * r.metrics[metric] for seed, r in found.items() if metric in r.metrics}
              for row, found in results.items()}
    reference = experiment.reference
    columns = ("row", f"{metric} (95 % interval)", *([f"less {reference}"] if reference else []), "boxes", "time", "")
    lines = []
    for row, own in rows.items():
        found = list(results[row].values())
        compared = [_difference(values[row], values.get(reference, {}))] if reference else []
        spent = sum(o.seconds for o in own) / 60
        lines.append((row, _mean(list(values[row].values()), [r.bootstrap.get(metric) for r in found]), *compared,
                      found[0].box_source if found else "", minutes(spent) if spent else "", _trouble(own)))
    return columns, lines


def _mean(values: list[float], over_images: Sequence[tuple[float, float] | None]) -> str:
    from flatpose.harness.stats import interval

    over_seeds = interval(values)
    if over_seeds is not None:
        return f"{sum(values) / len(values):.1f} ({over_seeds[0]:.1f} to {over_seeds[1]:.1f} over {len(values)} seeds)"
    ends = [f" ({100 * ends[0]:.1f} to {100 * ends[1]:.1f} over images)" for ends in over_images if ends]
    return "".join([*(f"{value:.1f}" for value in values), *ends])


def _difference(own: dict[int, float], reference: dict[int, float]) -> str:
    from flatpose.harness.stats import paired

    gap = paired(own, reference)
    if own is reference or not gap.n:
        return ""
    if gap.low is None or gap.high is None:
        return f"{gap.mean:+.1f} (one seed)"
    return f"{gap.mean:+.1f} ({gap.low:+.1f} to {gap.high:+.1f}: {gap.verdict})"


def _trouble(outcomes: Sequence[Outcome]) -> str:
    """The first state other than done, with its reason; what blocks runs is printed below the table, once for all."""
    found = next((o for o in outcomes if o.status != "done"), None)
    if found is None or found.status == "blocked":
        return found.status if found else ""
    return f"{found.status}: {found.reason.splitlines()[0]}" if found.reason else found.status
