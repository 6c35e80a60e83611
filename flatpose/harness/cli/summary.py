"""The table at the end of ``run``: a line per row with its main metric, interval, difference and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from flatpose.harness.console import minutes

if TYPE_CHECKING:
    from flatpose.harness.record import Result
    from flatpose.harness.runner import Outcome
    from flatpose.harness.spec import Experiment


def table(experiment: Experiment, outcomes: Sequence[Outcome]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and cells. Metrics are printed in per cent, with ground-truth boxes where a run was evaluated on both.

    The interval is the t-interval over seeds, or with one seed the bootstrap interval over images. The difference from
    the experiment's reference row is paired by seed.
    """
    rows = {row: [o for o in outcomes if row in o.planned.rows] for o in outcomes for row in o.planned.rows}
    results = {row: {o.planned.seed: o.record.results[0] for o in own
                     if o.record is not None and o.record.results and o.status in ("done", "stale")}
               for row, own in rows.items()}
    reference, metric = experiment.reference, _metric(experiment, outcomes)
    columns = ["row", f"{metric} (95 % interval)", *([f"less {reference}"] if reference else []), "boxes", "time", ""]
    lines = []
    for row, own in rows.items():
        found = results[row]
        compared = [_difference(found, results.get(reference, {}), metric)] if reference else []
        spent = sum(o.seconds for o in own)
        lines.append((row, _mean(found, metric), *compared, next((r.box_source for r in found.values()), ""),
                      minutes(spent / 60) if spent else "", _trouble(own)))
    return tuple(columns), lines


def _metric(experiment: Experiment, outcomes: Sequence[Outcome]) -> str:
    from flatpose import benchmarks

    tasks = [outcome.planned.run.data.task for outcome in outcomes[:1]]
    return benchmarks.get(tasks[0]).metric(experiment.metric) if tasks else experiment.metric


def _mean(found: Mapping[int, Result], metric: str) -> str:
    from flatpose.harness.stats import interval

    values = [100 * r.metrics[metric] for r in found.values() if metric in r.metrics]
    if not values:
        return ""
    if len(values) == 1:
        ends = next(iter(found.values())).bootstrap.get(metric)
        return f"{values[0]:.1f}" + (f" ({100 * ends[0]:.1f} to {100 * ends[1]:.1f} over images)" if ends else "")
    low, high = interval(values) or (values[0], values[0])
    return f"{fmean(values):.1f} ({low:.1f} to {high:.1f} over {len(values)} seeds)"


def _difference(found: Mapping[int, Result], reference: Mapping[int, Result], metric: str) -> str:
    from flatpose.harness.stats import paired

    own, other = ({seed: 100 * r.metrics[metric] for seed, r in side.items() if metric in r.metrics}
                  for side in (found, reference))
    if found is reference or not own.keys() & other.keys():
        return ""
    gap = paired(own, other)
    if gap.low is None or gap.high is None:
        return f"{gap.mean:+.1f} (one seed)"
    return f"{gap.mean:+.1f} ({gap.low:+.1f} to {gap.high:+.1f}: {gap.verdict})"


def _trouble(outcomes: Sequence[Outcome]) -> str:
    """The first state other than done, with its reason; what blocks runs is printed below the table, once for all."""
    for outcome in (o for o in outcomes if o.status != "done"):
        reason = "" if outcome.status == "blocked" else outcome.reason.partition("\n")[0]
        return ": ".join(filter(None, (outcome.status, reason)))
    return ""
