"""Does what a plan says: one run after the other, each failure kept and none of them stopping the rest."""

from __future__ import annotations

import json
import shutil
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatpose.config import DataConfig, RunConfig, spec_hash, to_dict
from flatpose.data import identity, load
from flatpose.errors import DataError, FlatPoseError
from flatpose.harness import provenance
from flatpose.harness.identity import code_hash
from flatpose.harness.plan import Plan, PlannedRun, Status
from flatpose.harness.store import ERROR, Busy, RunDir
from flatpose.io import write_text
from flatpose.progress import Reporter

CODE = "code"  # names the code that began the run in this folder


@dataclass(frozen=True)
class Outcome:
    """What became of one planned run."""

    planned: PlannedRun
    status: Status
    reason: str
    seconds: float = 0.0


def run_plan(plan: Plan, runs_dir: Path, data_root: Path | None, reporter: Reporter,
             on_start: Callable[[int, PlannedRun], None] = lambda *_: None) -> list[Outcome]:
    """Run everything that is due and tell what became of each run, in the plan's order.

    Bad data blocks its runs and is no failure of theirs: nothing is recorded, and once the data is mended the same
    command goes on. All data is looked at before the first run starts.
    """
    bad = {data: problem for data in dict.fromkeys(planned.run.data for planned in plan.due)
           if (problem := _problem(data, data_root, reporter))}
    outcomes = []
    for number, planned in enumerate(plan.due):
        data = planned.run.data
        if data not in bad:
            on_start(number, planned)
            try:
                outcomes.append(_run_one(planned, runs_dir, data_root, reporter))
                continue
            except DataError as error:  # an image that cannot be decoded is met only in training
                bad[data] = _text(error)
        outcomes.append(Outcome(planned, "blocked", bad[data]))
    return outcomes


def _problem(data: DataConfig, data_root: Path | None, reporter: Reporter) -> str | None:
    try:
        load(data, data_root, reporter=reporter)
    except DataError as error:
        return str(error)
    return None


def _run_one(planned: PlannedRun, runs_dir: Path, data_root: Path | None, reporter: Reporter) -> Outcome:
    run, started = planned.run, time.monotonic()
    data_id, missing = (planned.data_id, None) if planned.data_id else identity(run.data, data_root)
    if data_id is None:
        raise DataError(missing or "the embedded data vanished while the sweep was running")
    folder = RunDir.of(runs_dir, spec_hash(run), planned.seed, data_id)
    try:
        with folder.lock():
            record = folder.record()
            if record is not None and record["status"] == "done" and planned.status == "not run":
                return Outcome(planned, "done", "another process finished it meanwhile")
            _clear(folder, planned, code_hash(run))
            record = _record(run, planned.seed, data_id, data_root, folder.path, reporter)
            folder.save(record)
    except Busy as busy:
        return Outcome(planned, "running", busy.what)
    return Outcome(planned, record["status"], record["reason"] or "", time.monotonic() - started)


def _clear(folder: RunDir, planned: PlannedRun, code: str) -> None:
    """Take away what no longer stands: the old record, and a checkpoint that another code began.

    A number from two codes would mean nothing. A failed or killed run of today's code goes on where it was.
    """
    folder.discard_record()
    (folder.path / ERROR).unlink(missing_ok=True)
    marker = folder.path / CODE
    other_code = marker.is_file() and marker.read_text() != code
    if planned.status in ("done", "stale") or other_code:
        for name in ("checkpoint", "checkpoint.old", "checkpoint.next"):
            shutil.rmtree(folder.path / name, ignore_errors=True)
    write_text(marker, code)


def _record(run: RunConfig, seed: int, data_id: str, data_root: Path | None, work_dir: Path, reporter: Reporter
            ) -> dict[str, Any]:
    """Execute one run; an exception becomes a failed record with its reason. Raises DataError for bad data."""
    from flatpose.pipeline import execute

    started, clock = provenance.now(), time.monotonic()
    measured: dict[str, Any] = {}
    status, reason = "done", None
    try:
        measured = execute(run, seed=seed, data_root=data_root, work_dir=work_dir, reporter=reporter)
        json.dumps(measured, allow_nan=False)  # a number that is none fails its run, not the sweep
    except DataError:
        raise
    except Exception as error:
        measured, status, reason = {}, "failed", _reason(error, work_dir, data_root)
        write_text(work_dir / ERROR, traceback.format_exc())
        reporter.message(f"failed: {reason} (details: {work_dir / ERROR})")
    return {"spec_hash": spec_hash(run), "seed": seed, "data_id": data_id, "code_hash": code_hash(run),
            "profile": run.profile, "spec": to_dict(run), "status": status, "reason": reason, **measured,
            "provenance": provenance.describe(started, time.monotonic() - clock)}


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
