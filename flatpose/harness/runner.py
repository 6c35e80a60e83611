"""One run, from its lock to its record. A failure is kept as a record too."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import shutil
import time
import traceback
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError

import flatpose
from flatpose import benchmarks
from flatpose.config import RunConfig, from_dict, spec_hash, to_dict, training_hash
from flatpose.data import KEYPOINTS_FILE, find_root, identity
from flatpose.errors import AllRanksError, CheckpointError, DataError, FlatPoseError, RunError
from flatpose.harness import provenance
from flatpose.harness.plan import PlannedRun, Status
from flatpose.harness.record import Record
from flatpose.harness.store import ERROR, Busy, RunDir, rank, world
from flatpose.io import invalid, write_bytes, write_text
from flatpose.progress import Reporter

T = TypeVar("T")
NUMERICS_FILE = "numerics"  # in a run's folder: the version of the numbers that its checkpoint belongs to
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
ROOM = 1 << 20  # bytes free below which a failed write is blamed on the disk, whatever a library says


@dataclass(frozen=True)
class Outcome:
    """How one planned run ended."""

    planned: PlannedRun
    status: Status
    reason: str
    seconds: float = 0.0
    record: Record | None = None
    """None where nothing was recorded, or an earlier record holds."""


def run_one(planned: PlannedRun, runs_dir: Path, data_root: Path | None, reporter: Reporter) -> Outcome:
    """Make one run; raises DataError where the data are bad and RunError where nothing more can be written."""
    started = time.monotonic()
    folder = folder_of(planned, runs_dir, data_root)
    try:
        with ExitStack() as held:  # lock and record belong to rank 0
            skipped = share(None if rank() else _begin(folder, planned, held))
            if skipped is not None:
                return skipped
            record = _recorded(planned, folder.path, data_root, reporter)
            if not rank():
                folder.save(record)
    except OSError as error:
        raise RunError(f"nothing more can be written ({error.strerror or error})", where=str(runs_dir),
                       hint="finished runs and the last checkpoint are kept; free some space, then the same command "
                            "continues") from error
    return Outcome(planned, record.status, record.reason or "", time.monotonic() - started, record)


def folder_of(planned: PlannedRun, runs_dir: Path, data_root: Path | None) -> RunDir:
    """Where a run is stored, also of embedded data that were generated after it was planned."""
    data_id, missing = (planned.data_id, None) if planned.data_id else identity(planned.run.data, data_root)
    if data_id is None:
        raise DataError(missing or "the embedded data were removed during the sweep")
    return RunDir.of(runs_dir, planned.spec_hash, planned.seed, data_id)


def _begin(folder: RunDir, planned: PlannedRun, held: ExitStack) -> Outcome | None:
    """Take the run's lock and clear its folder; an outcome when another process has the run or finished it."""
    try:
        held.enter_context(folder.lock())
    except Busy as busy:
        return Outcome(planned, "running", busy.what)
    record = folder.record()
    if record is not None and record.status == "done" and planned.status == "not run":
        return Outcome(planned, "done", "another process finished it meanwhile")
    _clear(folder, planned)
    return None


def _clear(folder: RunDir, planned: PlannedRun) -> None:
    """Remove the old record, and a checkpoint of another version of the numbers; a failed run resumes from its own."""
    folder.discard_record()
    for path in (*folder.path.glob("error*.txt"), *folder.path.glob(".*.tmp")):  # the latter of killed writers
        path.unlink(missing_ok=True)
    marker = folder.path / NUMERICS_FILE
    other = marker.is_file() and marker.read_text() != str(flatpose.NUMERICS)
    if planned.status in ("done", "stale") or other:
        for path in folder.path.glob("checkpoint*"):
            shutil.rmtree(path, ignore_errors=True)
    write_text(marker, str(flatpose.NUMERICS))


def _recorded(planned: PlannedRun, work_dir: Path, data_root: Path | None, reporter: Reporter) -> Record:
    """Train and evaluate one run. An exception becomes a failed record, but for bad data and a disk that is full.

    One of several processes that fails without the others does not return.
    """
    started, clock = provenance.now(), time.monotonic()
    try:
        measured = _measure(planned, data_root, work_dir, reporter)
        return make_record(planned.run, planned.seed, work_dir.name, started, clock, **measured)
    except Exception as error:
        if world() > 1 and not isinstance(error, AllRanksError | ValidationError):
            leave(error, work_dir)
        if isinstance(error, DataError):
            raise
        if _disk_fails(error, work_dir):
            raise OSError(errno.ENOSPC, text_of(error)) from error
        reason = _reason(error, work_dir, data_root)
        if not rank():
            write_text(work_dir / ERROR, traceback.format_exc())
        reporter.message(f"failed: {reason} (details: {work_dir / ERROR})")
        return make_record(planned.run, planned.seed, work_dir.name, started, clock, reason=reason)


def make_record(run: RunConfig, seed: int | None, data_id: str, started: str, clock: float, reason: str | None = None,
                **measured: Any) -> Record:
    """The record of a run that began at ``started`` (``clock`` on the monotonic clock); failed when there is a reason.

    Raises:
        ValidationError: A measured number is not finite.
    """
    return Record.model_validate({
        "numerics": flatpose.NUMERICS, "spec_hash": spec_hash(run), "seed": seed, "data_id": data_id,
        "profile": run.profile, "spec": to_dict(run), "status": "failed" if reason else "done", "reason": reason,
        **measured, "provenance": provenance.describe(started, time.monotonic() - clock)})


def _measure(planned: PlannedRun, data_root: Path | None, work_dir: Path, reporter: Reporter) -> dict[str, Any]:
    """Train and evaluate one run in ``work_dir``, resuming what is there; the measured part of its record."""
    from flatpose.pipeline import WEIGHTS, execute

    run, seed = planned.run, planned.seed
    _keep_freed_memory()
    if not rank():
        _drop_untrusted_checkpoints(work_dir, reporter)
        root = find_root(data_root)
        if root is not None and benchmarks.get(run.data.task).keypoint_set is None:
            # The user's own keypoint set, which `pack` needs beside the weights.
            write_bytes(work_dir / KEYPOINTS_FILE, (root / KEYPOINTS_FILE).read_bytes())
    share(None)  # no process reads a checkpoint before rank 0 has checked it
    twin = share(None if planned.status in ("done", "stale") else _twin(run, work_dir, WEIGHTS))
    if twin is not None:
        measured = execute(run, seed=seed, data_root=data_root, work_dir=work_dir, reporter=reporter,
                           trained_weights=work_dir.parents[2] / twin.run_id / WEIGHTS)
        return {**measured, "train": {**twin.to_json()["train"], "shared_with": twin.run_id}}
    try:
        return execute(run, seed=seed, data_root=data_root, work_dir=work_dir, reporter=reporter)
    except CheckpointError as error:
        reporter.message(f"{error.what}; this run starts from the beginning")
    return execute(run, seed=seed, data_root=data_root, work_dir=work_dir, reporter=reporter)


def _twin(run: RunConfig, work_dir: Path, weights: str) -> Record | None:
    """The record of a finished run with the same training, seed and data, whose weights are there; else None."""
    wanted = training_hash(run)
    for path in sorted(work_dir.parents[2].glob(f"*/{work_dir.parent.name}/{work_dir.name}/{weights}")):
        record = RunDir(path.parent).record()
        if (record is not None and record.status == "done" and not record.stale and record.profile == run.profile
                and training_hash(from_dict(record.spec)) == wanted):
            return record
    return None


def _drop_untrusted_checkpoints(work_dir: Path, reporter: Reporter) -> None:
    """Remove a checkpoint whose pickled part holds more than tensors: a runs folder may come from another person."""
    for folder in sorted(work_dir.glob("checkpoint*")):
        try:
            for path in folder.glob("custom_checkpoint*.pkl"):
                from flatpose.checkpoints.files import load_file

                load_file(path)
        except FlatPoseError as error:
            shutil.rmtree(folder)
            reporter.message(f"removed a checkpoint that is not safe to load ({error.what}); this run starts from the "
                             "beginning")


def _keep_freed_memory() -> None:
    """Tell glibc to keep freed blocks for the next training step: the kernel would zero every returned page again.

    That is a fifth of the time of a small network on a CPU (benchmarks/results/engine.md). The numbers are mallopt's
    M_MMAP_THRESHOLD and M_TRIM_THRESHOLD; older releases refuse more than 32 MiB.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        for option in (-3, -1):
            any(mallopt(option, size) for size in (1 << 30, 1 << 25))


def share(value: T) -> T:
    """Rank 0's value, in every process; all of them must call this at the same place."""
    if world() == 1:
        return value
    import torch
    from accelerate.state import PartialState
    from accelerate.utils import broadcast_object_list, parse_flag_from_env

    # Starts the process group when there is none yet, in the way of the trainer's Accelerator, which takes it over.
    state = PartialState(cpu=not torch.cuda.is_available() or parse_flag_from_env("ACCELERATE_USE_CPU"))
    if state.device.type == "cpu":  # "cpu:0" counts as another device: a network that is sent there is copied
        state.device = torch.device("cpu")
    return broadcast_object_list([value])[0]


def leave(error: Exception, work_dir: Path | None = None) -> NoReturn:
    """End this process at once, because it failed alone: torchrun then ends the others.

    A normal exit would wait for communication that the others will never answer. The traceback is left in the run's
    folder, each rank's in a file of its own.
    """
    message = f"error: rank {rank()} of {world()}: {text_of(error)}"
    if work_dir is not None:
        path = work_dir / (f"error-rank{rank()}.txt" if rank() else ERROR)
        message += f" (details: {path})"
        with suppress(OSError):
            write_text(path, traceback.format_exc())
    os.write(2, f"{message}\n".encode())
    os._exit(1)


def _disk_fails(error: Exception, work_dir: Path) -> bool:
    """Whether a run ended because nothing could be written; torch and safetensors have their own errors for that."""
    if isinstance(error, OSError):
        return error.errno in DISK_ERRORS
    return "No space left" in str(error) or shutil.disk_usage(work_dir).free < ROOM


def _reason(error: Exception, work_dir: Path, data_root: Path | None) -> str:
    """One line for the record, without this machine's folders: records are published."""
    text = text_of(error).replace(str(work_dir), "RUN").replace(str(data_root or "DATA"), "DATA")
    return text.replace(str(Path.home()), "~").splitlines()[0][:300]


def text_of(error: Exception) -> str:
    """The message of an error; of one in a data-loading process, without the traceback that torch puts before it."""
    kind = type(error).__name__
    if isinstance(error, ValidationError):
        return f"non-finite or missing result: {invalid(error)[0]}"
    text = str(error)
    if text.startswith("Caught "):
        text = text.rsplit(f"{kind}: ", 1)[-1]
    text = text.strip() or kind
    return text if isinstance(error, FlatPoseError) else f"{kind}: {text}"
