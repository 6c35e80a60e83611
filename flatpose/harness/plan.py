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
from flatpose.harness import provenance
from flatpose.harness.identity import is_current
from flatpose.harness.spec import Experiment, Profile, Row, at_profile
from flatpose.harness.store import RunDir
from flatpose.harness.throughput import gpu_hours

Status = Literal["done", "failed", "blocked", "not run", "stale", "running"]
Rerun = Literal["missing", "failed", "stale", "all"]
# Which states each policy runs: what was never finished always, what runs elsewhere or is blocked never.
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
    gpu_hours: float | None = None
    """Of those runs that are due, or would be on a machine with a GPU, whose speed on a GPU some record says."""
    gpu_runs: int = 0
    """How many these are."""

    @property
    def due(self) -> tuple[PlannedRun, ...]:
        """The runs that would start."""
        return tuple(run for run in self.runs if run.due)


def make_plan(experiment: Experiment, profile: Profile, runs_dir: Path, *, rows: Sequence[Row] = (),
              seeds: Sequence[int] | None = None, data_root: Path | None = None, rerun: Rerun = "missing",
              elsewhere: bool = False) -> Plan:
    """The plan of ``run``. A data root switches a profile that would generate its data to the data on disk.

    ``elsewhere``: the runs are made on other machines, so that it does not matter whether this one has a GPU.

    Raises:
        SpecError: A row cannot exist at this profile.
    """
    configs: dict[RunConfig, list[str]] = {}
    for row in _offered(rows, profile) if rows else (r for r in experiment.rows if r.id not in profile.left_out):
        configs.setdefault(_at(row, profile, data_root), []).append(row.id)
    found: dict[DataConfig, tuple[str | None, str | None]] = {}
    runs = []
    for seed in seeds if seeds is not None else experiment.seeds:
        for run, names in configs.items():
            if run.data not in found:
                found[run.data] = identity(run.data, data_root)
            status, reason = _status(run, seed, *found[run.data], runs_dir, profile, elsewhere)
            runs.append(PlannedRun(tuple(names), run, seed, found[run.data][0], status, reason, status in DUE[rerun]))
    minutes = _measured_minutes(runs, runs_dir)
    wanted = [(p.run, p.data_id) for p in runs if p.due or (p.status == "blocked" and p.data_id is not None)]
    return Plan(experiment, profile, tuple(runs), profile.minutes_per_run if minutes is None else minutes,
                minutes is not None, *gpu_hours(wanted, runs_dir, data_root))


def _offered(rows: Sequence[Row], profile: Profile) -> Sequence[Row]:
    """Rows that were asked for by name; raises SpecError for one that this profile leaves out."""
    for row in rows:
        if row.id in profile.left_out:
            raise SpecError(f"not run at profile {profile.name!r}: {profile.left_out[row.id]}", where=f"row {row.id}",
                            hint="--profile synth and --profile paper run every row")
    return rows


def _at(row: Row, profile: Profile, data_root: Path | None) -> RunConfig:
    try:
        return at_profile(row.run, profile, source="disk" if data_root else None)
    except ValueError as error:
        raise SpecError(f"cannot be run at profile {profile.name!r}: {error}", where=f"row {row.id}") from error


def _status(run: RunConfig, seed: int, data_id: str | None, no_data: str | None, runs_dir: Path, profile: Profile,
            elsewhere: bool) -> tuple[Status, str]:
    if no_data is not None:
        return "blocked", no_data
    folder = RunDir.of(runs_dir, spec_hash(run), seed, data_id or "-")
    owner, record = folder.running(), folder.record()
    if owner is not None:
        return "running", owner
    if record is None and profile.gpu and not elsewhere and not provenance.has_gpu():
        return "blocked", f"profile {profile.name} needs a GPU and none was found"
    if record is None:
        return "not run", _why_missing(folder, data_id)
    if record["status"] == "failed":
        return "failed", str(record.get("reason") or "no reason was kept")
    if not is_current(record, run):
        return "stale", "the core's code has changed since"
    return "done", "record found"


def _why_missing(folder: RunDir, data_id: str | None) -> str:
    if data_id is None:
        return "the embedded data will be made first"
    if folder.damaged():
        return "its record is damaged and counts for nothing"
    return "goes on from its checkpoint" if (folder.path / "checkpoint").is_dir() else "no record"


def _measured_minutes(runs: list[PlannedRun], runs_dir: Path) -> float | None:
    """Median time of the finished runs of this plan that were made on a machine like this one."""
    folders = [RunDir.of(runs_dir, spec_hash(r.run), r.seed, r.data_id) for r in runs
               if r.data_id is not None and r.status in ("done", "stale")]
    made = [(folder.record() or {}).get("provenance", {}) for folder in folders]
    seconds = [p["seconds"] for p in made if p.get("cpu") == provenance.cpu() and "seconds" in p]
    return statistics.median(seconds) / 60 if seconds else None
