"""``run --launcher slurm``: the runs that are due as one job array, through submitit.

A job that is preempted, reaches its time limit or loses its node goes back into the queue and resumes from its
checkpoint. Interrupting the launcher leaves the jobs alone; the same command submits what is not finished, and a job
that finds its run done or running ends at once.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatpose.errors import RunError, SpecError
from flatpose.harness.plan import Plan, PlannedRun
from flatpose.harness.runner import Outcome, run_one
from flatpose.progress import SILENT

if TYPE_CHECKING:
    from flatpose.harness.console import Display

LOGS = "slurm"  # below runs/
DEFAULTS: dict[str, Any] = {"timeout_min": 24 * 60, "cpus_per_task": 8}
POLL_SECONDS, GRACE_SECONDS = 5.0, 10.0  # a record may reach a shared folder a little after its job left the queue


@dataclass(frozen=True)
class Job:
    """What each job of the array does with its run."""

    runs_dir: Path
    data_root: Path | None

    def __call__(self, planned: PlannedRun) -> str:
        """Make the run and return its status. Several tasks of one job train together, as under torchrun."""
        if int(os.environ.get("SLURM_NTASKS", "1")) > 1:
            from submitit.helpers import TorchDistributedEnvironment

            address = os.environ.pop("MASTER_ADDR", None)  # the user's, which submitit refuses and which has precedence
            TorchDistributedEnvironment().export()
            os.environ["MASTER_ADDR"] = address or os.environ["MASTER_ADDR"]
        return run_one(planned, self.runs_dir, self.data_root, SILENT).status

    def checkpoint(self, planned: PlannedRun) -> Any:
        """submitit calls this before a job is preempted or its time ends: the same job, back into the queue."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, planned)


def parse_options(given: Sequence[str]) -> dict[str, Any]:
    """``["timeout_min=600", "slurm_partition=gpu"]`` as a mapping; raises SpecError for anything else."""
    options: dict[str, Any] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name.isidentifier():
            raise SpecError(f"{item!r} is not NAME=VALUE", where="--slurm", hint="write --slurm slurm_partition=gpu")
        options[name] = int(value) if value.isdecimal() else value
    return options


def submit(plan: Plan, runs_dir: Path, data_root: Path | None, options: Mapping[str, Any]) -> dict[str, PlannedRun]:
    """Submit the due runs as one array; job id -> run. ``options`` are submitit's (``timeout_min``, ``gpus_per_node``).

    Raises SpecError for an unknown parameter, and RunError where submitit, Slurm or the embedded data are missing.
    """
    try:
        import submitit
    except ImportError:
        raise RunError("submitit is not installed", where="--launcher slurm",
                       hint="pip install 'flatpose-exp[slurm]'") from None
    if any(planned.data_id is None for planned in plan.due):
        raise RunError("the embedded data have not been generated", where=plan.experiment.id,
                       hint=f"flatpose-exp data make {plan.experiment.id}, on a machine whose cache the nodes share")
    try:
        executor = submitit.AutoExecutor(folder=(runs_dir / LOGS).resolve() / "%j", cluster="slurm")
        executor.update_parameters(name=f"flatpose-{plan.experiment.id}", **{**DEFAULTS, **options})
        jobs = executor.map_array(Job(runs_dir.resolve(), data_root and data_root.resolve()), plan.due)
    except (NameError, TypeError) as error:
        raise SpecError(str(error).splitlines()[0], where="--slurm") from None
    except (RuntimeError, submitit.core.utils.FailedJobError) as error:
        raise RunError(f"Slurm did not accept the jobs: {str(error).splitlines()[0]}", where="--launcher slurm",
                       hint="sinfo shows whether Slurm runs here") from None
    for planned in plan.due:
        planned.folder(runs_dir).discard_record()  # so that a new one is the job's
    return {str(job.job_id): planned for job, planned in zip(jobs, plan.due, strict=True)}


def follow(jobs: Mapping[str, PlannedRun], runs_dir: Path, display: Display, *, poll: float = POLL_SECONDS,
           grace: float = GRACE_SECONDS) -> list[Outcome]:
    """Wait until no job is in the queue any more; one that leaves no record is a failure of its run."""
    waiting, outcomes, started, reporter = dict(jobs), [], time.monotonic(), display.reporter("slurm")
    reporter.start("jobs", len(jobs))
    while waiting:
        active = _queue()
        for job in [job for job in waiting if active is not None and job not in active]:
            outcomes.append(_outcome(waiting.pop(job), job, runs_dir, grace, time.monotonic() - started))
            reporter.advance()
        time.sleep(poll if waiting else 0.0)
    reporter.finish()
    return outcomes


def _queue() -> set[str] | None:
    """Ids of this user's jobs that wait or run; None when squeue does not answer. Needs no accounting database."""
    try:
        command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else set(done.stdout.split())


def _outcome(planned: PlannedRun, job: str, runs_dir: Path, grace: float, seconds: float) -> Outcome:
    folder, until = planned.folder(runs_dir), time.monotonic() + grace
    while (record := folder.record()) is None and time.monotonic() < until:
        time.sleep(min(0.5, grace))
    if record is not None:
        return Outcome(planned, record.status, record.reason or "", seconds, record)
    return Outcome(planned, "failed", f"job {job} left no record: see {runs_dir / LOGS / job}", seconds)
