"""``run --launcher slurm``: one job per run that is due, through submitit.

What was submitted is written beside the run (``slurm.json``) before it is followed, so a launcher that died is started
again by the same command: jobs still in the queue are followed, not submitted twice. A job that left the queue without
a record was preempted or killed with its node and is submitted again; it goes on from its checkpoint. A failed run has
a record and is not.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from flatpose.config import spec_hash
from flatpose.errors import FlatPoseError, RunError, SpecError
from flatpose.harness.plan import Plan, PlannedRun
from flatpose.harness.runner import Outcome, run_plan
from flatpose.harness.store import LOCK, RunDir
from flatpose.io import read_json, write_json
from flatpose.progress import SILENT, Reporter

LEDGER, LOGS = "slurm.json", "slurm"
DEFAULTS: dict[str, Any] = {"timeout_min": 24 * 60, "cpus_per_task": 8}
SUBMISSIONS = 5  # of one run by one launcher: a run that loses its job more often has another trouble
GRACE_SECONDS = 10.0  # a record may reach a shared folder a little after its job left the queue
POLL_SECONDS = 10.0


class Cluster(Protocol):
    """What the launcher needs of a queue."""

    def submit(self, job: Job, logs: Path) -> str:
        """Put a job into the queue and return its id."""

    def active(self, ids: set[str]) -> set[str]:
        """Those of ``ids`` that wait or run."""


@dataclass(frozen=True)
class Job:
    """What one job does: the plan of a single run, where the runs and the data are."""

    plan: Plan
    runs_dir: Path
    data_root: Path | None

    def __call__(self) -> str:
        """Run it; returns the status. Several tasks of one job train together, as under torchrun."""
        if int(os.environ.get("SLURM_NTASKS", "1")) > 1:
            _join_tasks()
        return run_plan(self.plan, self.runs_dir, self.data_root, SILENT)[0].status

    def checkpoint(self) -> Any:
        """submitit calls this before a preempted job ends: the same job, back into the queue."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


class Slurm:
    """The real one. ``options`` are submitit's parameters (``timeout_min``, ``slurm_partition``, ``gpus_per_node``)."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        try:
            import submitit
        except ImportError:
            raise RunError("submitit is not installed", where="--launcher slurm",
                           hint="pip install 'flatpose-exp[slurm]'") from None
        self._submitit, self.options = submitit, {**DEFAULTS, **options}

    def submit(self, job: Job, logs: Path) -> str:
        """One sbatch; raises SpecError for a parameter that submitit does not have, RunError when Slurm refuses."""
        try:
            executor = self._submitit.AutoExecutor(folder=logs, cluster="slurm")
            executor.update_parameters(name=f"flatpose-{job.plan.experiment.id}", **self.options)
            return str(executor.submit(job).job_id)
        except (NameError, TypeError) as error:
            raise SpecError(str(error).splitlines()[0], where="--slurm") from None
        except (RuntimeError, self._submitit.core.utils.FailedJobError) as error:
            raise RunError(f"Slurm took no job: {str(error).splitlines()[0]}", where="--launcher slurm",
                           hint="sinfo says whether Slurm runs here") from None

    def active(self, ids: set[str]) -> set[str]:
        """Asks squeue, which needs no accounting database; a queue that does not answer loses no job."""
        try:
            answer = subprocess.run(["squeue", "--me", "--noheader", "--format=%A"], capture_output=True, text=True,
                                    timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return ids
        return ids if answer.returncode else ids & set(answer.stdout.split())


def _join_tasks() -> None:
    """torch's variables for the tasks of this job.

    A MASTER_ADDR of the launcher's environment wins over the first node's name: some clusters' nodes cannot look each
    other's names up, others have several networks. submitit would refuse it.
    """
    import submitit

    address = os.environ.pop("MASTER_ADDR", None)
    submitit.helpers.TorchDistributedEnvironment().export()
    if address:
        os.environ["MASTER_ADDR"] = address


def parse_options(given: list[str]) -> dict[str, Any]:
    """``["timeout_min=600", "slurm_partition=gpu"]`` as a mapping; raises SpecError for anything else."""
    options: dict[str, Any] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name.isidentifier():
            raise SpecError(f"{item!r} is not NAME=VALUE", where="--slurm", hint="write --slurm slurm_partition=gpu")
        options[name] = int(value) if value.isdecimal() else value
    return options


def launch(plan: Plan, runs_dir: Path, data_root: Path | None, reporter: Reporter, cluster: Cluster, *,
           poll: float = POLL_SECONDS, grace: float = GRACE_SECONDS) -> list[Outcome]:
    """Submit what is due, follow it to the end and tell what became of each run.

    Jobs of an earlier launcher that are still in the queue are taken over, whatever the plan says of their runs.
    Interrupting this leaves the jobs alone.
    """
    wanted = [p for p in plan.runs if p.due or p.status == "running"]
    waiting: dict[int, tuple[PlannedRun, str]] = {}
    submitted = dict.fromkeys(range(len(wanted)), 0)
    outcomes: list[Outcome] = []
    started = time.monotonic()
    for number, planned in enumerate(wanted):
        folder = _folder(planned, runs_dir)
        known = _ledger(folder)
        if known is not None and cluster.active({known}):
            reporter.message(f"{planned.rows[0]} seed {planned.seed}: following job {known}")
            waiting[number] = planned, known
        elif planned.due or known is not None:
            waiting[number] = planned, _submit(planned, plan, runs_dir, data_root, cluster, reporter)
            submitted[number] += 1
        else:
            outcomes.append(Outcome(planned, "running", planned.reason))
    reporter.start("jobs", len(waiting))
    while waiting:
        active = cluster.active({job for _, job in waiting.values()})
        for number, (planned, job) in list(waiting.items()):
            if job in active:
                continue
            record = _await_record(_folder(planned, runs_dir), grace)
            if record is None and submitted[number] < SUBMISSIONS:
                reporter.message(f"{planned.rows[0]} seed {planned.seed}: job {job} ended without a record; again")
                waiting[number] = planned, _submit(planned, plan, runs_dir, data_root, cluster, reporter)
                submitted[number] += 1
                continue
            del waiting[number]
            reporter.advance()
            outcomes.append(_outcome(planned, record, job, runs_dir, time.monotonic() - started))
        if waiting:
            time.sleep(poll)
    reporter.finish()
    return outcomes


def _submit(planned: PlannedRun, plan: Plan, runs_dir: Path, data_root: Path | None, cluster: Cluster,
            reporter: Reporter) -> str:
    """Put one run into the queue and write its job id beside it."""
    folder = _folder(planned, runs_dir)
    _break_lock(folder)
    if planned.status in ("done", "stale", "failed"):
        folder.discard_record()  # its return is the sign that the job is over
    single = replace(plan, runs=(replace(planned, due=True),))
    logs = folder.path / LOGS
    logs.mkdir(parents=True, exist_ok=True)
    job = cluster.submit(Job(single, runs_dir.resolve(), data_root and data_root.resolve()), logs.resolve())
    write_json(folder.path / LEDGER, {"job": job})
    reporter.message(f"{planned.rows[0]} seed {planned.seed}: job {job}")
    return job


def _folder(planned: PlannedRun, runs_dir: Path) -> RunDir:
    if planned.data_id is None:
        raise RunError("the embedded data have not been made", where=planned.rows[0],
                       hint="flatpose-exp data make ID, on a machine whose cache the nodes share")
    return RunDir.of(runs_dir, spec_hash(planned.run), planned.seed, planned.data_id)


def _ledger(folder: RunDir) -> str | None:
    """The job that was last submitted for this run, if any; a damaged ledger counts for none."""
    try:
        ledger = read_json(folder.path / LEDGER)
    except FlatPoseError:
        return None
    job = ledger.get("job") if isinstance(ledger, dict) else None
    return job if isinstance(job, str) and job else None


def _break_lock(folder: RunDir) -> None:
    """A job that is no longer in the queue holds nothing, also on a node whose processes cannot be looked up here."""
    owner = folder.owner()
    if owner is not None and owner["host"] != socket.gethostname() and _ledger(folder) is not None:
        (folder.path / LOCK).unlink(missing_ok=True)


def _await_record(folder: RunDir, grace: float) -> dict[str, Any] | None:
    until = time.monotonic() + grace
    while (record := folder.record()) is None and time.monotonic() < until:
        time.sleep(min(0.5, grace))
    return record


def _outcome(planned: PlannedRun, record: dict[str, Any] | None, job: str, runs_dir: Path, seconds: float) -> Outcome:
    if record is not None:
        return Outcome(planned, record["status"], record["reason"] or "", seconds)
    logs = _folder(planned, runs_dir).path.relative_to(runs_dir) / LOGS
    return Outcome(planned, "failed", f"job {job} left no record after {SUBMISSIONS} submissions: see {logs}", seconds)
