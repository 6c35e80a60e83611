"""What a command would run, and why: rows times seeds, one run where rows share a configuration. Also ``status``."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flatpose import parallel
from flatpose.config import RunConfig, spec_hash, training_hash
from flatpose.data import find_file, identity
from flatpose.errors import SpecError
from flatpose.harness import catalog, provenance
from flatpose.harness.record import read_record_file
from flatpose.harness.spec import Experiment, Profile, Row, at_profile
from flatpose.harness.store import OWNER, Rerun, RunDir, world

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["done", "failed", "blocked", "not run", "stale", "running"]
DUE: dict[Rerun, set[Status]] = {"missing": {"not run"}, "failed": {"not run", "failed"}, "stale": {"not run", "stale"},
                                 "all": {"not run", "failed", "stale", "done"}}
"""The states in which each policy starts a run: unfinished ones always, blocked ones and those running never."""
SHORT_MINUTES = 0.5


@dataclass(frozen=True)
class PlannedRun:
    """One run: its configuration, the rows that have it, its state, and whether it is due."""

    rows: tuple[str, ...]
    run: RunConfig
    seed: int
    data_id: str | None
    """None for embedded data that have not been generated yet."""
    status: Status
    reason: str
    due: bool

    @cached_property
    def spec_hash(self) -> str:
        return spec_hash(self.run)

    @property
    def title(self) -> str:
        """Name for messages."""
        return f"{self.rows[0]} seed {self.seed}"

    def folder(self, runs_dir: Path) -> RunDir:
        """Where the run is stored."""
        return RunDir.of(runs_dir, self.spec_hash, self.seed, self.data_id or "-")

    def to_dict(self) -> dict[str, Any]:
        """JSON form for ``plan --json``."""
        return {"rows": list(self.rows), "seed": self.seed, "spec_hash": self.spec_hash, "data_id": self.data_id,
                "status": self.status, "reason": self.reason, "due": self.due}


@dataclass(frozen=True)
class Plan:
    """All runs of one command, and the minutes that one of them takes."""

    experiment: Experiment
    profile: Profile
    runs: tuple[PlannedRun, ...]
    minutes_per_run: float | None
    """The median of trainings on this kind of machine, else the profile's estimate (None where it has none)."""
    measured: bool
    elsewhere: bool = False
    """Made on other machines, all at once."""

    @property
    def due(self) -> tuple[PlannedRun, ...]:
        """The runs that would start."""
        return tuple(run for run in self.runs if run.due)

    @property
    def trainings(self) -> int:
        """How many of the due runs train: one that differs in decoding alone takes over another's weights."""
        return len(self.due) if self.elsewhere else len({(training_hash(run.run), run.seed) for run in self.due})

    @property
    def gpu_hours(self) -> float | None:
        """Of the due runs of a profile that is meant for GPUs."""
        if not self.profile.gpu or self.minutes_per_run is None:
            return None
        return self.minutes_per_run * self.trainings / 60

    @property
    def lacks_data(self) -> bool:
        """Whether data of a run are missing on disk. A missing GPU is no mistake: it may be on another machine."""
        return any(r.status == "blocked" and r.data_id is None and r.run.data.source == "disk" for r in self.runs)


def side_by_side(plan: Plan, asked: int | None = None) -> int:
    """How many due runs go on side by side: as many as asked, else one per core; one on a GPU and under torchrun.

    On a cluster all of them do.

    Unasked, runs of a few seconds follow each other, because a process for each takes longer to start.
    """
    if plan.elsewhere:
        return len(plan.due)
    if provenance.has_gpu() or world() > 1:
        return 1
    short = plan.minutes_per_run is not None and plan.minutes_per_run < SHORT_MINUTES
    return max(1, min(asked or (1 if short else parallel.cores()), len(plan.due)))


def make_plan(experiment: Experiment, profile: Profile, runs_dir: Path, *, rows: Sequence[Row] = (),
              seeds: Sequence[int] | None = None, data_root: Path | None = None, rerun: Rerun = "missing",
              elsewhere: bool = False, reports: Path | None = None) -> Plan:
    """The plan of ``run``: ``rows`` (or all that the profile runs) times ``seeds`` (or the experiment's).

    Args:
        experiment: What is planned, at one of its profiles.
        profile: That profile.
        runs_dir: Folder with the finished runs.
        rows: Raises SpecError for one that cannot exist at this profile.
        seeds: None for the experiment's own.
        data_root: Folder with coco/ and the like, whose data replace generated ones.
        rerun: Which runs are due besides unfinished ones.
        elsewhere: The runs are made on other machines, so this one needs no GPU.
        reports: Folder of the committed records; a run that is there without a folder in runs/ is marked.
    """
    configs: dict[RunConfig, list[str]] = {}
    for row in rows or [r for r in experiment.rows if r.id not in profile.left_out]:
        configs.setdefault(run_of(row, profile, data_root), []).append(row.id)
    found = {data: identity(data, data_root) for data in dict.fromkeys(run.data for run in configs)}
    committed = _committed(experiment, reports)
    runs = []
    for seed in seeds if seeds is not None else experiment.seeds:
        for run, names in configs.items():
            data_id, no_data = found[run.data]
            key = spec_hash(run)
            folder = RunDir.of(runs_dir, key, seed, data_id or "-")
            status, reason = _status(folder, data_id, no_data or _lacks(run, profile, data_root, elsewhere))
            if (status == "not run" and not folder.path.exists()
                    and (key, seed, data_id or run.data.source) in committed):
                reason = "recorded in reports/data, no run folder here"
            runs.append(PlannedRun(tuple(names), run, seed, data_id, status, reason, due=status in DUE[rerun]))
    minutes = _measured_minutes(runs, runs_dir)
    return Plan(experiment, profile, tuple(runs), profile.minutes_per_run if minutes is None else minutes,
                minutes is not None, elsewhere)


def run_of(row: Row, profile: Profile, data_root: Path | None) -> RunConfig:
    """A row's run at a profile; raises SpecError where the profile does not run it."""
    if row.id in profile.left_out:
        raise SpecError(f"not run at profile {profile.name!r}: {profile.left_out[row.id]}", where=f"row {row.id}",
                        hint="choose another profile; `flatpose-exp show ID` lists them")
    try:
        return at_profile(row.run, profile, source="disk" if data_root else None)
    except ValueError as error:
        raise SpecError(f"cannot be run at profile {profile.name!r}: {error}", where=f"row {row.id}") from error


def _committed(experiment: Experiment, reports: Path | None) -> set[tuple[str, int | None, str]]:
    """(spec hash, seed, data id or source) of the committed finished runs."""
    if reports is None or experiment.picture is not None:  # whose file holds the picture's measurements
        return set()
    records = read_record_file(reports / "data" / f"{experiment.id}.json", experiment.id).records
    return {(r.spec_hash, r.seed, place) for r in records if r.status == "done" and r.data
            for place in (r.data_id, r.data.source)}


def _lacks(run: RunConfig, profile: Profile, data_root: Path | None, elsewhere: bool) -> str:
    """What is missing besides data; empty where a run can start."""
    weights = getattr(run.model, "weights", None)
    if weights and not find_file(weights, data_root).is_file():
        return f"no start weights {weights} below the data root; docs/training.md has the command that makes them"
    if profile.gpu and not elsewhere and not provenance.has_gpu():
        return f"profile {profile.name} needs a GPU and none was found (on a cluster: --launcher slurm)"
    return ""


def _status(folder: RunDir, data_id: str | None, lacks: str) -> tuple[Status, str]:
    owner, record = folder.running(), folder.record()
    if owner is not None:
        return "running", owner
    if record is None and lacks:
        return "blocked", lacks
    if record is None:
        return "not run", _why_missing(folder, data_id)
    if record.status == "failed":
        return "failed", record.reason or "no reason was kept"
    if record.stale:
        return "stale", f"made by version {record.numerics} of the numbers, or with other defaults"
    return "done", "record found"


def _why_missing(folder: RunDir, data_id: str | None) -> str:
    if data_id is None:
        return "the embedded data will be generated first"
    if folder.damaged():
        return "its record is damaged and does not count"
    return "continues from its checkpoint" if (folder.path / "checkpoint").is_dir() else "no record"


def _measured_minutes(runs: Iterable[PlannedRun], runs_dir: Path) -> float | None:
    """Median duration of the finished trainings of this plan that were made on a machine like this one."""
    records = [r.folder(runs_dir).record() for r in runs if r.data_id is not None and r.status in ("done", "stale")]
    seconds = [r.provenance.seconds for r in records if r is not None and r.provenance.cpu == provenance.cpu()
               and r.train is not None and r.train.shared_with is None]
    return statistics.median(seconds) / 60 if seconds else None


def overview(root: Path, runs_dir: Path) -> list[dict[str, Any]]:
    """For ``status``: one entry per experiment, profile and data set with any run, else one without a setting.

    It covers the experiments that come with the program and the user's own, from committed records and those in runs/.
    """
    from flatpose.harness import frame

    experiments = [*catalog.own(runs_dir), *map(catalog.load, catalog.ids())]
    if not experiments:
        return []
    frames, entries = frame.read(root, runs_dir, experiments=experiments), []
    for experiment in experiments:
        found = frames.of(experiment.id).results
        trained = found[found["kind"] == "trained"]
        running = _running(frame.wanted(experiment), runs_dir)
        keys = sorted({*zip(trained["profile"], trained["data_id"], strict=True), *running}) or [("", "")]
        for profile, data_id in keys:
            lines = trained[(trained["profile"] == profile) & (trained["data_id"] == data_id)]
            entries.append(_entry(experiment, profile, data_id, lines, running[profile, data_id]))
    return entries


def _entry(experiment: Experiment, profile: str, data_id: str, lines: pd.DataFrame, running: int) -> dict[str, Any]:
    done = lines[lines["status"] == "done"]
    states = lines["status"].mask((lines["status"] == "done") & (lines["stale"] == True), "stale")  # noqa: E712
    counts = lines.groupby(states)["run_id"].nunique()
    label = next(iter(lines["data"]), f"data {data_id[:8]}")
    return {"experiment": experiment.id, "setting": f"{profile} · {label}" if profile else "-",
            "rows": len(experiment.rows), "rows_done": done["row"].nunique(),
            **{state: int(counts.get(state, 0)) for state in ("done", "stale", "failed")}, "running": running,
            "seeds": sorted(map(int, done["seed"].unique()))}


def _running(keys: dict[str, list[tuple[Row, str]]], runs_dir: Path) -> Counter[tuple[str, str]]:
    """(profile, data id) -> number of runs that a live process is working on."""
    return Counter((profile, owner.parent.name) for key, wanted in keys.items()
                   for profile in dict.fromkeys(profile for _, profile in wanted)
                   for owner in runs_dir.glob(f"{key}/seed*/*/{OWNER}") if RunDir(owner.parent).running())
