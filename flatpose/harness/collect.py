"""From records on disk to what a page needs: reports/data/<id>.json, and its records sorted into settings.

A record carries no experiment or row name. It belongs to a row when its spec hash is that of the row's run at one of
the experiment's profiles, so rows that ask for the same run share it, and an edited row lets go of its old records.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flatpose.config.run import from_dict, spec_hash
from flatpose.errors import DataError
from flatpose.harness import record_form
from flatpose.harness.spec import Experiment, Metric, Row, at_profile
from flatpose.io import read_json

Record = dict[str, Any]
Stale = Callable[[Record], bool]
SCHEMA_VERSION = 1
OPTIONAL = ("checkpoints", "latencies", "drawings")
"""Parts of a file that most experiments do not have."""
PAPER_DATA = {"coco": "COCO 2017", "crowdpose": "CrowdPose", "mpii": "MPII"}
"""Label of the data the paper's numbers were measured on, by task."""


@dataclass(frozen=True)
class RecordSet:
    """The finished (done or failed) runs of one experiment, and the computed costs of its rows."""

    experiment: str
    records: tuple[Record, ...] = ()
    costs: tuple[Record, ...] = ()
    checkpoints: tuple[Record, ...] = ()
    """Files evaluated without training (flatpose.harness.evaluate_checkpoint)."""
    latencies: tuple[Record, ...] = ()
    """Per row, what the stopwatch said (flatpose.harness.stopwatch)."""
    drawings: tuple[Record, ...] = ()
    """What a picture shows and the table beside it (flatpose.harness.pictures)."""

    def dump(self) -> str:
        """Canonical JSON, the content of reports/data/<id>.json."""
        return self._text

    @cached_property
    def _text(self) -> str:
        records = sorted(self.records, key=record_key)
        costs = sorted(self.costs, key=lambda c: str(c.get("row")))
        value = {"schema_version": SCHEMA_VERSION, "experiment": self.experiment, "records": records, "costs": costs}
        value |= {name: list(found) for name in OPTIONAL if (found := getattr(self, name))}
        return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"


def record_key(record: Record) -> tuple[str, int, str]:
    """Two records with the same key are the same run, repeated."""
    return record["spec_hash"], record["seed"], str(record["data_id"])


def run_id(record: Record) -> str:
    """Where the run lies below runs/: <spec_hash>/seed<k>/<data_id>."""
    return f"{record['spec_hash']}/seed{record['seed']}/{record['data_id']}"


def load(path: Path, experiment: str) -> RecordSet:
    """A reports/data file; an absent one is empty.

    Raises:
        DataError: Malformed JSON, another schema version, or records without their identity.
    """
    if not path.exists():
        return RecordSet(experiment)
    value = read_json(path)
    if not isinstance(value, dict) or value.get("schema_version") != SCHEMA_VERSION:
        raise DataError(f"not a record file of schema version {SCHEMA_VERSION}", where=str(path))
    records = value.get("records", [])
    if not isinstance(records, list):
        raise DataError("records is not a list", where=str(path))
    parts = {name: tuple(record_form.checked(name, value.get(name, []), path)) for name in ("costs", *OPTIONAL)}
    return RecordSet(experiment, tuple(_checked(r, path) for r in records), **parts)


def scan(runs_dir: Path) -> list[Record]:
    """Every finished record below a runs directory (record.json is the file written last)."""
    if not runs_dir.is_dir():
        return []
    return [_checked(read_json(path), path) for path in sorted(runs_dir.glob("*/seed*/*/record.json"))]


def _checked(record: Any, path: Path) -> Record:
    present = set(record) if isinstance(record, dict) else set()
    missing = {"schema_version", "spec_hash", "seed", "data_id", "status"} - present
    if missing:
        raise DataError(f"a record lacks {', '.join(sorted(missing))}", where=str(path), hint="delete it and run again")
    if record["schema_version"] != SCHEMA_VERSION:
        raise DataError(f"record of schema version {record['schema_version']}; this program reads {SCHEMA_VERSION}",
                        where=str(path))
    wrong = record_form.problem(record)
    if wrong:
        raise DataError(f"a record is damaged: {wrong}", where=str(path), hint="delete it and run again")
    return record


def wanted(experiment: Experiment) -> dict[str, list[tuple[Row, str]]]:
    """spec_hash -> the (row, profile name) pairs that ask for it, with the data from either source."""
    rows: dict[str, list[tuple[Row, str]]] = {}
    for name, profile in experiment.profiles.items():
        for row in (r for r in experiment.rows if r.id not in profile.left_out):
            runs = (at_profile(row.run, profile, source=source) for source in ("embedded", "disk"))
            for key in {spec_hash(run) for run in runs}:
                rows.setdefault(key, []).append((row, name))
    return rows


def merge(experiment: Experiment, committed: RecordSet, found: Iterable[Record],
          costs: Sequence[Record] = ()) -> RecordSet:
    """The committed records plus those found that a row wants; of two with one key the later-ended stays.

    A committed record that no row wants any more stays and becomes an orphan on the page. Only smoke records go, as
    soon as there is anything else: they prove that the path works and measure nothing.
    """
    keys = wanted(experiment)
    merged = {record_key(r): r for r in committed.records}
    for record in found:
        old = merged.get(record_key(record))
        if record["spec_hash"] in keys and (old is None or ended(record) >= ended(old)):
            merged[record_key(record)] = record
    measuring = {key: r for key, r in merged.items() if r.get("profile") != "smoke"}
    by_row = {c.get("row"): c for c in (*committed.costs, *costs)}
    return RecordSet(experiment.id, tuple(sorted((measuring or merged).values(), key=record_key)),
                     tuple(sorted(by_row.values(), key=lambda c: str(c.get("row")))), committed.checkpoints,
                     committed.latencies)


def gt_first(box_source: str) -> tuple[bool, str]:
    """Sort key of box sources."""
    return box_source != "gt", box_source


def ended(record: Record) -> str:
    """ISO time at which the run ended; sorts before everything when unknown."""
    return (record.get("provenance") or {}).get("ended") or ""


def orphans(experiment: Experiment, records: RecordSet) -> list[Record]:
    """Records in the committed file that no row of the spec asks for (any more)."""
    keys = wanted(experiment)
    return [r for r in records.records if r["spec_hash"] not in keys]


def unclaimed(experiments: Iterable[Experiment], runs_dir: Path) -> list[Record]:
    """Records on disk that no experiment asks for."""
    keys = {key for experiment in experiments for key in wanted(experiment)}
    return [r for r in scan(runs_dir) if r["spec_hash"] not in keys]


@dataclass(frozen=True)
class Setting:
    """One condition under which rows were measured: a profile and one exact data set."""

    profile: str
    data_id: str
    label: str
    """Of the data: "COCO subset (1829/338 images)"."""
    rows: dict[str, list[Record]] = field(default_factory=dict)
    """Row id -> its records, by seed."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Row id -> why the profile does not run it."""

    @property
    def title(self) -> str:
        form = {"crowdpose": "CrowdPose-like, ", "mpii": "MPII-like, "}.get(self.task or "", "")
        return f"{self.profile} · {form if self.label.startswith('embedded') else ''}{self.label}"

    @cached_property
    def records(self) -> list[Record]:
        """Every record once, also when rows share it."""
        return [*{record_key(r): r for records in self.rows.values() for r in records}.values()]

    @property
    def task(self) -> str | None:
        """The benchmark its records were measured on."""
        return next((r["spec"]["data"]["task"] for r in self.records if r.get("spec")), None)

    @property
    def done(self) -> list[Record]:
        return [r for r in self.records if r["status"] == "done"]

    @property
    def rows_done(self) -> int:
        return sum(any(r["status"] == "done" for r in records) for records in self.rows.values())

    @property
    def seeds(self) -> list[int]:
        return sorted({r["seed"] for r in self.done})

    @cached_property
    def box_sources(self) -> list[str]:
        """Ground truth first."""
        found = {s["box_source"] for r in self.done for s in r["results"] if s["kind"] == "trained"}
        return sorted(found, key=gt_first)

    @property
    def incomparable(self) -> str | None:
        """Why a metric measured here says nothing about the published one; None when it does."""
        reasons = [] if self.profile == "paper" else [f"{self.profile} profile"]
        data = [{**r["spec"]["data"], **r["data"]} for r in self.done]
        if any(d["source"] == "embedded" for d in data):
            reasons.append("embedded data")
        elif any(self.label != PAPER_DATA.get(d["task"]) for d in data):
            reasons.append(self.label)
        elif any(d.get("max_train_persons") or d.get("max_val_images") for d in data):
            reasons.append(f"only part of {self.label}")
        return ", ".join(reasons) or None


def settings(experiment: Experiment, records: RecordSet) -> list[Setting]:
    """The settings found in the records: default profile first, embedded data before real."""
    keys, labels = wanted(experiment), _labels(records)
    found: dict[tuple[str, str], Setting] = {}
    for record in sorted(records.records, key=lambda r: (r["seed"], record_key(r))):
        for row, profile in keys.get(record["spec_hash"], ()):
            key = profile, str(record["data_id"])
            if key not in found:
                label = labels.get(key[1], f"data {key[1][:8]}")
                found[key] = Setting(*key, label, left_out=experiment.profiles[profile].left_out)
            found[key].rows.setdefault(row.id, []).append(record)
    order = [experiment.default_profile, *(p for p in experiment.profiles if p != experiment.default_profile)]
    return sorted(found.values(), key=lambda s: (order.index(s.profile), not s.label.startswith("embedded"), s.label,
                                                 s.data_id))


def part_of(experiment: Experiment, setting: Setting) -> Experiment:
    """The rows that ask for the benchmark of this setting, under the metric of that benchmark."""
    rows = tuple(row for row in experiment.rows if setting.task in (None, row.run.data.task))
    metric: Metric = "PCKh@0.5" if setting.task == "mpii" else experiment.metric
    return replace(experiment, rows=rows, metric=metric)


def _labels(records: RecordSet) -> dict[str, str]:
    """Data id -> the name of the data set, as any of its records tells it; different sets of one name get their id."""
    labels = {str(r["data_id"]): r["data"]["label"] for r in records.records if (r.get("data") or {}).get("label")}
    counts = Counter(labels.values())
    return {i: label if counts[label] == 1 else f"{label} {i[:8]}" for i, label in labels.items()}


def stale_check(is_current: Callable[[Record, Any], bool]) -> Stale:
    """Whether a record was made by other code or defaults than today's, given ``identity.is_current``."""
    cache: dict[tuple[str, str | None], bool] = {}

    def stale(record: Record) -> bool:
        key = record["spec_hash"], record.get("code_hash")
        if key not in cache:
            try:
                cache[key] = not is_current(record, from_dict(record["spec"]))
            except (ValidationError, KeyError):  # a spec that today's classes do not take is of another time
                cache[key] = True
        return cache[key]

    return stale
