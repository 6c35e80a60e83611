"""Does what a plan says: one run after the other, each failure kept and none of them stopping the rest."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatpose.config import RunConfig, spec_hash, to_dict
from flatpose.data import identity, load
from flatpose.errors import DataError, FlatPoseError
from flatpose.harness import provenance
from flatpose.harness.identity import code_hash
from flatpose.harness.plan import Plan, PlannedRun
from flatpose.harness.store import ERROR, Busy, RunDir
from flatpose.io import write_text
from flatpose.progress import Reporter

CODE = "code"  # names the code that began the run in this folder


@dataclass(frozen=True)
class Outcome:
    """What became of one planned run."""

    planned: PlannedRun
    status: str
    reason: str
    seconds: float


def run_plan(plan: Plan, runs_dir: Path, data_root: Path | None, reporter: Reporter,
             on_start: Callable[[int, PlannedRun], None] = lambda *_: None) -> list[Outcome]:
    """Run everything that is due; the others are reported as they stand.

    Raises:
        DataError: The data is missing or damaged, found before any training starts.
    """
    prepared: set[Any] = set()
    outcomes = []
    for number, planned in enumerate(plan.due):
        if planned.run.data not in prepared:
            load(planned.run.data, data_root, reporter=reporter)  # bad data must not cost a run its record
            prepared.add(planned.run.data)
        on_start(number, planned)
        outcomes.append(_run_one(planned, runs_dir, data_root, reporter))
    return outcomes


def _run_one(planned: PlannedRun, runs_dir: Path, data_root: Path | None, reporter: Reporter) -> Outcome:
    run, seed = planned.run, planned.seed
    data_id = planned.data_id or identity(run.data, data_root)[0]
    if data_id is None:
        raise DataError("the data vanished while the sweep was running")
    folder = RunDir.of(runs_dir, spec_hash(run), seed, data_id)
    started = time.monotonic()
    try:
        with folder.lock():
            record = folder.record()
            if record is not None and record["status"] == "done" and planned.status == "not run":
                return Outcome(planned, "done", "another process finished it meanwhile", 0.0)
            folder.discard_record()
            if planned.status in ("done", "stale") or not _same_code(folder, code_hash(run)):
                _forget_checkpoint(folder)
            write_text(folder.path / CODE, code_hash(run))
            record = _record(run, seed, data_id, data_root, folder.path, reporter)
            folder.save(record)
    except Busy as busy:
        return Outcome(planned, "running", busy.what, 0.0)
    return Outcome(planned, record["status"], record["reason"] or "", time.monotonic() - started)


def _same_code(folder: RunDir, code: str) -> bool:
    """Whether what lies in the folder was begun by today's code; a number from two codes would mean nothing."""
    marker = folder.path / CODE
    return not marker.is_file() or marker.read_text() == code


def _forget_checkpoint(folder: RunDir) -> None:
    for name in ("checkpoint", "checkpoint.old", "checkpoint.next"):
        shutil.rmtree(folder.path / name, ignore_errors=True)


def _record(run: RunConfig, seed: int, data_id: str, data_root: Path | None, work_dir: Path, reporter: Reporter
            ) -> dict[str, Any]:
    """Execute one run; an exception becomes a failed record with its reason."""
    from flatpose.pipeline import execute

    started, clock = provenance.now(), time.monotonic()
    measured: dict[str, Any] = {}
    status, reason = "done", None
    try:
        measured = execute(run, seed=seed, data_root=data_root, work_dir=work_dir, reporter=reporter)
    except Exception as error:
        status, reason = "failed", _reason(error, work_dir, data_root)
        write_text(work_dir / ERROR, traceback.format_exc())
        reporter.message(f"failed: {reason} (details: {work_dir / ERROR})")
    return {"spec_hash": spec_hash(run), "seed": seed, "data_id": data_id, "code_hash": code_hash(run),
            "profile": run.profile, "spec": to_dict(run), "status": status, "reason": reason, **measured,
            "provenance": provenance.describe(started, time.monotonic() - clock)}


def _reason(error: Exception, work_dir: Path, data_root: Path | None) -> str:
    """One line for the record, without this machine's folders: records are committed."""
    text = error.what if isinstance(error, FlatPoseError) else f"{type(error).__name__}: {error}"
    if isinstance(error, FlatPoseError) and error.where:
        text = f"{error.where}: {text}"
    for folder, name in ((work_dir, "RUN"), (data_root, "DATA"), (Path.home(), "~")):
        if folder is not None:
            text = text.replace(str(folder), name)
    return text.splitlines()[0][:300] if text else type(error).__name__
