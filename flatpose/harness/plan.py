"""What a command would run, and why: rows times seeds, one run where rows share a configuration."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flatpose.config import DataConfig, RunConfig, spec_hash
from flatpose.data import identity
from flatpose.errors import SpecError
from flatpose.harness.identity import code_hash
from flatpose.harness.spec import Experiment, Profile, Row, at_profile
from flatpose.harness.store import RunDir

Status = Literal["done", "failed", "blocked", "not run", "stale", "running"]
Rerun = Literal["missing", "failed", "stale", "all"]
# Which states each policy runs; an unfinished or blocked-no-more run is always due.
DUE: dict[Rerun, set[Status]] = {"missing": {"not run"}, "failed": {"not run", "failed"}, "stale": {"not run", "stale"},
                                 "all": {"not run", "failed", "stale", "done"}}


@dataclass(frozen=True)
class PlannedRun:
    """One run: its configuration, the rows it answers, where it lives, and whether it is due."""

    rows: tuple[str, ...]
    run: RunConfig
    seed: int
    data_id: str | None
    status: Status
    reason: str
    due: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON form for ``plan --json``."""
        return {"rows": list(self.rows), "seed": self.seed, "spec_hash": spec_hash(self.run), "data_id": self.data_id,
                "status": self.status, "reason": self.reason, "due": self.due}


@dataclass(frozen=True)
class Plan:
    """All runs of one command, and the minutes one of them takes."""

    experiment: Experiment
    profile: Profile
    runs: tuple[PlannedRun, ...]
    minutes_per_run: float | None
    measured: bool

    @property
    def due(self) -> tuple[PlannedRun, ...]:
        """The runs that would start."""
        return tuple(run for run in self.runs if run.due)


def make_plan(experiment: Experiment, profile: Profile, runs_dir: Path, *, rows: Sequence[Row] = (),
              seeds: Sequence[int] | None = None, data_root: Path | None = None, rerun: Rerun = "missing") -> Plan:
    """The plan of ``run``. A data root switches a profile that would generate its data to the data on disk.

    Raises:
        SpecError: A row cannot exist at this profile.
    """
    configs: dict[RunConfig, list[str]] = {}
    for row in rows or experiment.rows:
        configs.setdefault(_at(row, profile, data_root), []).append(row.id)
    found: dict[DataConfig, tuple[str | None, str | None]] = {}
    runs = []
    for seed in seeds if seeds is not None else experiment.seeds:
        for run, names in configs.items():
            if run.data not in found:
                found[run.data] = identity(run.data, data_root)
            runs.append(_planned(run, tuple(names), seed, *found[run.data], runs_dir, rerun))
    minutes = _measured_minutes(profile, runs, runs_dir)
    return Plan(experiment, profile, tuple(runs), profile.minutes_per_run if minutes is None else minutes,
                minutes is not None)


def _at(row: Row, profile: Profile, data_root: Path | None) -> RunConfig:
    try:
        return at_profile(row.run, profile, source="disk" if data_root else None)
    except ValueError as error:
        raise SpecError(f"cannot be run at profile {profile.name!r}: {error}", where=f"row {row.id}") from error


def _planned(run: RunConfig, rows: tuple[str, ...], seed: int, data_id: str | None, blocked: str | None,
             runs_dir: Path, rerun: Rerun) -> PlannedRun:
    status, reason = _status(run, seed, data_id, blocked, runs_dir)
    return PlannedRun(rows, run, seed, data_id, status, reason, status in DUE[rerun])


def _status(run: RunConfig, seed: int, data_id: str | None, blocked: str | None, runs_dir: Path
            ) -> tuple[Status, str]:
    if blocked is not None:
        return "blocked", blocked
    if data_id is None:
        return "not run", "the embedded data will be made first"
    folder = RunDir.of(runs_dir, spec_hash(run), seed, data_id)
    if folder.running():
        return "running", "another process works on it"
    record = folder.record()
    if record is None:
        started = (folder.path / "checkpoint").is_dir()
        return "not run", "goes on from its checkpoint" if started else "no record"
    if record["status"] == "failed":
        return "failed", str(record.get("reason") or "no reason was kept")
    if record.get("code_hash") != code_hash(run):
        return "stale", "the core's code has changed since"
    return "done", "record found"


def _measured_minutes(profile: Profile, runs: list[PlannedRun], runs_dir: Path) -> float | None:
    """Median time of the finished runs of this plan."""
    seconds = []
    for run in runs:
        if run.data_id is not None and run.status in ("done", "stale"):
            record = RunDir.of(runs_dir, spec_hash(run.run), run.seed, run.data_id).record() or {}
            seconds += [record["provenance"]["seconds"]] if "provenance" in record else []
    return statistics.median(seconds) / 60 if seconds else None
