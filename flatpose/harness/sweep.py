"""A sweep as the user sees it: progress per run, a summary at the end, a clean stop on Ctrl-C."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import NoReturn

from flatpose.config import spec_hash
from flatpose.harness.console import OPTIONS, err, make_reporter, minutes, table
from flatpose.harness.plan import Plan, PlannedRun
from flatpose.harness.ranks import rank
from flatpose.harness.runner import Outcome, run_plan
from flatpose.harness.store import RunDir

HINTS = {"failed": "try again: --rerun failed", "stale": "run it by today's code: --rerun stale"}


def sweep(plan: Plan, runs_dir: Path, data_root: Path | None) -> int:
    """Run what is due and say how it went.

    Returns:
        The exit code: 1 when a run failed, else 2 when bad or missing input kept one from running, else 0.
    """
    reporter, started = make_reporter(), time.monotonic()

    def announce(number: int, planned: PlannedRun) -> None:
        reporter.title = f"[{number + 1}/{len(plan.due)}] {planned.rows[0]} seed {planned.seed}"
        if number:
            each = (time.monotonic() - started) / number / 60
            reporter.message(f"{number} of {len(plan.due)} runs finished, "
                             f"{minutes(each * (len(plan.due) - number))} left")

    try:
        outcomes = run_plan(plan, runs_dir, data_root, reporter, announce)
    except KeyboardInterrupt:
        _stopped("finished runs and the last checkpoint are kept")
    finally:
        reporter.finish()
    if rank():
        return 0  # rank 0 speaks for all; at another code torchrun would end it, in the middle of its pages
    return _conclude(plan, outcomes, runs_dir)


def slurm_sweep(plan: Plan, runs_dir: Path, data_root: Path | None, options: list[str]) -> int:
    """The same, one Slurm job per run; ``options`` are NAME=VALUE of submitit. Interrupting it leaves the jobs alone.

    Raises:
        SpecError: An option is malformed or unknown to submitit.
        RunError: submitit or Slurm is not there.
    """
    from flatpose.harness.launch_slurm import Slurm, launch, parse_options

    reporter = make_reporter()
    try:
        outcomes = launch(plan, runs_dir, data_root, reporter, Slurm(parse_options(options)))
    except KeyboardInterrupt:
        _stopped("the jobs go on (squeue --me)")
    finally:
        reporter.finish()
    return _conclude(plan, outcomes, runs_dir)


def _stopped(what_remains: str) -> NoReturn:
    err.print(f"stopped; {what_remains}. To go on:\n  " + shlex.join(["flatpose-exp", *sys.argv[1:]]), markup=False)
    raise SystemExit(130) from None


def _conclude(plan: Plan, outcomes: list[Outcome], runs_dir: Path) -> int:
    told = {id(outcome.planned) for outcome in outcomes}
    others = [Outcome(run, run.status, run.reason) for run in plan.runs if not run.due and id(run) not in told]
    everything = [*(_settled(outcome, runs_dir) for outcome in outcomes), *others]
    _summarise(everything)
    return _exit_code(everything)


def _settled(outcome: Outcome, runs_dir: Path) -> Outcome:
    """What another process was working on may have ended while this one did the rest."""
    planned = outcome.planned
    if outcome.status != "running" or planned.data_id is None:
        return outcome
    record = RunDir.of(runs_dir, spec_hash(planned.run), planned.seed, planned.data_id).record()
    return outcome if record is None else Outcome(planned, record["status"], "another process ran it meanwhile")


def _summarise(outcomes: list[Outcome]) -> None:
    """What was run now and what is not as it should be, with the way out; each kind of bad input once."""
    shown = [o for o in outcomes if o.seconds or o.status not in ("done", "blocked")]
    if shown and not OPTIONS.quiet:
        table("", ["row", "seed", "status", "time", ""],
              [[", ".join(o.planned.rows), str(o.planned.seed), o.status, minutes(o.seconds / 60) if o.seconds else "",
                o.reason.splitlines()[0] if o.reason else ""] for o in shown], console=err)
    for status, hint in HINTS.items():
        rows = [f"{o.planned.rows[0]} seed {o.planned.seed}" for o in outcomes if o.status == status]
        if rows:
            err.print(f"{status}: {', '.join(rows)}\n  → {hint}", markup=False)
    for reason in dict.fromkeys(o.reason for o in outcomes if o.status == "blocked"):
        count = sum(o.reason == reason for o in outcomes)
        err.print(f"blocked, {count} of {len(outcomes)} runs: {reason}", markup=False)
    if not OPTIONS.quiet:
        err.print(f"{sum(o.status == 'done' for o in outcomes)} of {len(outcomes)} runs are done", markup=False)


def _exit_code(outcomes: list[Outcome]) -> int:
    states = {o.status for o in outcomes}
    return 1 if "failed" in states else 2 if "blocked" in states else 0
