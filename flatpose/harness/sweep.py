"""A sweep as the user sees it: progress per run, a summary at the end, a clean stop on Ctrl-C."""

from __future__ import annotations

import time
from pathlib import Path

from flatpose.harness.console import err, make_reporter, minutes
from flatpose.harness.plan import Plan, PlannedRun
from flatpose.harness.runner import Outcome, run_plan


def sweep(plan: Plan, runs_dir: Path, data_root: Path | None, quiet: bool) -> bool:
    """Run what is due and say how it went; True when a run failed or could not start."""
    reporter, started = make_reporter(quiet), time.monotonic()

    def announce(number: int, planned: PlannedRun) -> None:
        reporter.title = f"[{number + 1}/{len(plan.due)}] {planned.rows[0]} seed {planned.seed}"
        if number and not quiet:
            each = (time.monotonic() - started) / number / 60
            err.print(f"{number} of {len(plan.due)} runs finished, {minutes(each * (len(plan.due) - number))} left",
                      markup=False)

    try:
        outcomes = run_plan(plan, runs_dir, data_root, reporter, announce)
    except KeyboardInterrupt:
        reporter.finish()
        err.print("stopped; finished runs and the last checkpoint are kept. The same command goes on from here.")
        raise SystemExit(130) from None
    reporter.finish()
    return _summarise(plan, outcomes, quiet)


def _summarise(plan: Plan, outcomes: list[Outcome], quiet: bool) -> bool:
    standing = [run for run in plan.runs if not run.due]
    failed = [o for o in outcomes if o.status == "failed"]
    old = [run for run in standing if run.status in ("failed", "blocked")]
    if not quiet:
        done = sum(o.status == "done" for o in outcomes) + sum(run.status == "done" for run in standing)
        err.print(f"{done} of {len(plan.runs)} runs are done", markup=False)
    for outcome in failed:
        err.print(f"failed: {outcome.planned.rows[0]} seed {outcome.planned.seed}: {outcome.reason}", markup=False)
    for outcome in outcomes:
        if outcome.status == "running":
            err.print(f"left to another process: {outcome.planned.rows[0]} seed {outcome.planned.seed}: "
                      f"{outcome.reason}", markup=False)
    for run in old:
        hint = " (try again: --rerun failed)" if run.status == "failed" else ""
        err.print(f"{run.status}: {run.rows[0]} seed {run.seed}: {run.reason}{hint}", markup=False)
    for run in (r for r in standing if r.status == "stale"):
        err.print(f"stale: {run.rows[0]} seed {run.seed}: {run.reason} (run it again: --rerun stale)", markup=False)
    return bool(failed or old)
