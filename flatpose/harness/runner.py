"""Does what a plan says: one run after the other, each failure kept and none of them stopping the rest."""

from __future__ import annotations

import errno
import json
import shutil
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from flatpose.config import DataConfig, RunConfig, spec_hash, to_dict
from flatpose.data import KEYPOINTS_FILE, find_root, identity, load
from flatpose.errors import AllRanksError, CheckpointError, DataError, FlatPoseError, RunError
from flatpose.harness import provenance, run_page
from flatpose.harness.identity import code_hash
from flatpose.harness.memory import keep_freed_memory
from flatpose.harness.plan import Plan, PlannedRun, Status
from flatpose.harness.ranks import leave, rank, share, world
from flatpose.harness.store import ERROR, Busy, RunDir
from flatpose.io import read_json, write_bytes, write_text
from flatpose.progress import Reporter

CODE = "code"  # names the code that began the run in this folder
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
ROOM = 1 << 20  # bytes free below which a failed write is the disk's fault, whatever a library says


@dataclass(frozen=True)
class Outcome:
    """What became of one planned run."""

    planned: PlannedRun
    status: Status
    reason: str
    seconds: float = 0.0


def run_plan(plan: Plan, runs_dir: Path, data_root: Path | None, reporter: Reporter,
             on_start: Callable[[int, PlannedRun], None] = lambda *_: None) -> list[Outcome]:
    """Run everything that is due and tell what became of each run.

    Bad data blocks its runs and is no failure of theirs: nothing is recorded, and once the data is mended the same
    command goes on. All data is looked at before the first run starts. The order is the plan's, but runs that took
    their process with them (the lock is still there) come last: what the system kills for its memory must not keep
    the others from being run. Of several processes (torchrun) rank 0 decides what starts, and one that fails by itself
    ends them all.

    Raises:
        RunError: Nothing more can be written. That is no failure of a run either.
    """
    bad = {data: problem for data in dict.fromkeys(planned.run.data for planned in plan.due)
           if (problem := _problem(data, data_root, reporter))}
    due, bad = share((sorted(plan.due, key=lambda planned: _died(planned, runs_dir)), bad))
    outcomes = []
    for number, planned in enumerate(due):
        data = planned.run.data
        if data not in bad:
            on_start(number, planned)
            try:
                outcomes.append(_run_one(planned, runs_dir, data_root, reporter))
                continue
            except DataError as error:  # an image that cannot be decoded is met only in training
                if world() > 1:
                    leave(_text(error))
                bad[data] = _text(error)
            except OSError as error:
                raise RunError(f"nothing more can be written ({error.strerror or error})", where=str(runs_dir),
                               hint="finished runs and the last checkpoint are kept; make room, then the same command "
                                    "goes on") from error
        outcomes.append(Outcome(planned, "blocked", bad[data]))
    return outcomes


def _problem(data: DataConfig, data_root: Path | None, reporter: Reporter) -> str | None:
    from flatpose.metrics.score import check_truth

    try:
        found = load(data, data_root, reporter=reporter)
        if data.source == "disk" and found.task in ("coco", "crowdpose"):  # before training, not after it
            check_truth(found.task, read_json(found.val.annotation_file), found.val.annotation_file)
    except DataError as error:
        return str(error)
    return None


def _died(planned: PlannedRun, runs_dir: Path) -> bool:
    """Whether an earlier process ended in this run without a word."""
    return planned.data_id is not None and \
        RunDir.of(runs_dir, spec_hash(planned.run), planned.seed, planned.data_id).abandoned()


def _run_one(planned: PlannedRun, runs_dir: Path, data_root: Path | None, reporter: Reporter) -> Outcome:
    run, started = planned.run, time.monotonic()
    data_id, missing = (planned.data_id, None) if planned.data_id else identity(run.data, data_root)
    if data_id is None:
        raise DataError(missing or "the embedded data vanished while the sweep was running")
    folder = RunDir.of(runs_dir, spec_hash(run), planned.seed, data_id)
    with ExitStack() as held:  # the lock and the record are rank 0's
        skipped = share(None if rank() else _begin(folder, planned, held))
        if skipped is not None:
            return skipped
        record = _record(run, planned.seed, data_id, data_root, folder.path, reporter)
        if not rank():
            folder.save(record)
            run_page.write(folder.path, record)
    return Outcome(planned, record["status"], record["reason"] or "", time.monotonic() - started)


def _begin(folder: RunDir, planned: PlannedRun, held: ExitStack) -> Outcome | None:
    """Take the run's lock and clear its folder; what became of the run when another process has or had it."""
    try:
        held.enter_context(folder.lock())
    except Busy as busy:
        return Outcome(planned, "running", busy.what)
    record = folder.record()
    if record is not None and record["status"] == "done" and planned.status == "not run":
        return Outcome(planned, "done", "another process finished it meanwhile")
    _clear(folder, planned, code_hash(planned.run))
    return None


def _clear(folder: RunDir, planned: PlannedRun, code: str) -> None:
    """Take away what no longer stands: the old record, and a checkpoint that another code began.

    A number from two codes would mean nothing. A failed or killed run of today's code goes on where it was.
    """
    folder.discard_record()
    for path in (*folder.path.glob("error*.txt"), *folder.path.glob(".*.tmp")):  # the latter a killed writer left
        path.unlink(missing_ok=True)
    marker = folder.path / CODE
    other_code = marker.is_file() and marker.read_text() != code
    if planned.status in ("done", "stale") or other_code:
        for name in ("checkpoint", "checkpoint.old", "checkpoint.next"):
            shutil.rmtree(folder.path / name, ignore_errors=True)
    write_text(marker, code)


def measure(run: RunConfig, seed: int, data_root: Path | None, work_dir: Path, reporter: Reporter) -> dict[str, Any]:
    """Train and evaluate one run in ``work_dir``, going on from what lies there; the measured part of its record.

    A checkpoint that is damaged or not to be trusted is removed, and the run starts afresh.
    """
    from flatpose.pipeline import execute

    keep_freed_memory()
    if not rank():
        _drop_code(work_dir, reporter)
    share(None)  # nobody reads a checkpoint before rank 0 has looked at it
    _keep_keypoints(run, data_root, work_dir)
    try:
        return execute(run, seed=seed, data_root=data_root, work_dir=work_dir, reporter=reporter)
    except CheckpointError as error:
        reporter.message(f"{error.what}; this run starts afresh")
    return execute(run, seed=seed, data_root=data_root, work_dir=work_dir, reporter=reporter)


def _keep_keypoints(run: RunConfig, data_root: Path | None, work_dir: Path) -> None:
    """A keypoint set of one's own lies with the data; `pack` needs it with the weights."""
    root = find_root(data_root)
    if run.data.task == "custom" and root is not None and not rank():
        write_bytes(work_dir / KEYPOINTS_FILE, (root / KEYPOINTS_FILE).read_bytes())


def _drop_code(work_dir: Path, reporter: Reporter) -> None:
    """Remove a checkpoint whose averaged weights, which accelerate unpickles, hold more than tensors.

    A runs folder may come from a stranger.
    """
    from flatpose.checkpoints import load_file

    for folder in sorted(work_dir.glob("checkpoint*")):
        try:
            for path in folder.glob("custom_checkpoint*.pkl"):
                load_file(path)
        except FlatPoseError as error:
            shutil.rmtree(folder)
            reporter.message(f"the checkpoint was not to be trusted ({error.what}) and has been removed; this run "
                             "starts afresh")


def _record(run: RunConfig, seed: int, data_id: str, data_root: Path | None, work_dir: Path, reporter: Reporter
            ) -> dict[str, Any]:
    """Execute one run; an exception becomes a failed record with its reason.

    One of several processes that fails without the others does not return.

    Raises:
        DataError: The data is bad.
        OSError: The disk is full or cannot be written.
    """
    started, clock = provenance.now(), time.monotonic()
    measured: dict[str, Any] = {}
    status, reason = "done", None
    try:
        measured = measure(run, seed, data_root, work_dir, reporter)
        _refuse_nan(measured)
    except Exception as error:
        if world() > 1 and not isinstance(error, AllRanksError):
            _leave(error, work_dir)
        if isinstance(error, DataError):
            raise
        if _disk_fails(error, work_dir):
            raise OSError(errno.ENOSPC, _text(error)) from error
        measured, status, reason = {}, "failed", _reason(error, work_dir, data_root)
        if not rank():
            write_text(work_dir / ERROR, traceback.format_exc())
        reporter.message(f"failed: {reason} (details: {work_dir / ERROR})")
    return {"spec_hash": spec_hash(run), "seed": seed, "data_id": data_id, "code_hash": code_hash(run),
            "profile": run.profile, "spec": to_dict(run), "status": status, "reason": reason, **measured,
            "provenance": provenance.describe(started, time.monotonic() - clock)}


def _refuse_nan(measured: dict[str, Any]) -> None:
    """A number that is none fails its run, not the sweep; no process waits for another any more."""
    try:
        json.dumps(measured, allow_nan=False)
    except ValueError as error:
        raise AllRanksError(f"a measured number is none: {error}") from error


def _leave(error: Exception, work_dir: Path) -> NoReturn:
    """Of several processes this one failed alone; the traceback lies in the run's folder, each rank's its own."""
    path = work_dir / (f"error-rank{rank()}.txt" if rank() else ERROR)
    with suppress(OSError):
        write_text(path, traceback.format_exc())
    leave(f"{_text(error)} (details: {path})")


def _disk_fails(error: Exception, work_dir: Path) -> bool:
    """Whether a run ended because nothing could be written; torch and safetensors have their own errors for that."""
    if isinstance(error, OSError):
        return error.errno in DISK_ERRORS
    return "No space left" in str(error) or shutil.disk_usage(work_dir).free < ROOM


def _reason(error: Exception, work_dir: Path, data_root: Path | None) -> str:
    """One line for the record, without this machine's folders: records are published."""
    text = _text(error)
    for folder, name in ((work_dir, "RUN"), (data_root, "DATA"), (Path.home(), "~")):
        if folder is not None:
            text = text.replace(str(folder), name)
    return text.splitlines()[0][:300]


def _text(error: Exception) -> str:
    """The message of an error; of one in a data-loading process, without the traceback that torch puts before it."""
    kind = type(error).__name__
    text = str(error)
    if text.startswith("Caught "):
        text = text.rsplit(f"{kind}: ", 1)[-1]
    text = text.strip() or kind
    return text if isinstance(error, FlatPoseError) else f"{kind}: {text}"
