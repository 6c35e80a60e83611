"""What ``plan`` and ``run`` say about a plan: how long it takes, what is recorded elsewhere, what keeps runs away."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from flatpose.config import spec_hash
from flatpose.harness import collect
from flatpose.harness.console import minutes
from flatpose.harness.plan import Plan, PlannedRun

NEW = ("no record", "the embedded data will be made first")
"""Reasons of a plan for runs that nothing is left of here."""
RECORDED = "recorded in reports/data, no run folder here"


def with_committed(made: Plan, reports: Path) -> Plan:
    """The plan, with a word on runs whose record came with the clone; they start, for runs/ has no folder of them."""
    found = collect.load(reports / "data" / f"{made.experiment.id}.json", made.experiment.id).records
    done = {(r["spec_hash"], r["seed"], source) for r in found if r["status"] == "done"
            for source in (r["data_id"], r["data"]["source"])}

    def worded(planned: PlannedRun) -> PlannedRun:
        data = planned.data_id or planned.run.data.source  # embedded data that are not made yet have no id
        known = (spec_hash(planned.run), planned.seed, data) in done
        return replace(planned, reason=RECORDED) if known and planned.reason in NEW else planned

    return replace(made, runs=tuple(map(worded, made.runs)))


def estimate(made: Plan) -> str:
    """How many runs start, and for how long."""
    each, basis = made.minutes_per_run, "measured here" if made.measured else "the profile's estimate"
    total = None if each is None else each * len(made.due)
    gpu = "; GPU-hours: no measured throughput yet" if made.profile.gpu else ""
    if made.gpu_hours is not None:
        gpu = f"; GPU-hours: {made.gpu_hours:.1f} at the measured throughput (runs of known speed: {made.gpu_runs})"
    return (f"{len(made.due)} of {len(made.runs)} runs start; about {minutes(total)} ({basis}: {minutes(each)} each)"
            + gpu)


def blocked(made: Plan) -> list[str]:
    """What keeps runs from starting, each reason once."""
    reasons = Counter(run.reason for run in made.runs if run.status == "blocked")
    return [f"blocked, {count} of {len(made.runs)} runs: {reason}" for reason, count in reasons.items()]


def lacks_data(made: Plan) -> bool:
    """Whether a run's data are not on disk. A GPU may be elsewhere: planning for one is no mistake."""
    return any(run.status == "blocked" and run.data_id is None and run.run.data.source == "disk" for run in made.runs)
