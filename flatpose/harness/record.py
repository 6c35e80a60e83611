"""The record of one run: the only form in which results are written, read and published.

A record keeps a result together with the conditions under which it holds. It carries neither the experiment nor the
row: a record belongs to every row whose run has its ``spec_hash``, so rows with the same run share one record.
``reports/data/<experiment>.json`` is a :class:`RecordFile`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import flatpose
from flatpose.config.run import from_dict, spec_hash
from flatpose.errors import DataError
from flatpose.io import invalid, read_json

SCHEMA_VERSION: Literal[2] = 2
P = TypeVar("P", bound=BaseModel)
PathPart = Annotated[str, Field(max_length=64, pattern=r"^[\w.-]+$")]
"""A component of a run's path, which therefore holds no separator."""


class Part(BaseModel):
    """Base of everything that is stored: immutable, finite, and without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def to_json(self) -> dict[str, Any]:
        """The stored form: without defaults, but with the version of the schema."""
        return self.model_dump(mode="json", exclude_defaults=True) | {"schema_version": SCHEMA_VERSION}


class Data(Part):
    """The data that a run was trained and evaluated on; ``label`` names them in tables."""

    label: str
    task: Literal["coco", "crowdpose", "mpii", "custom"]
    source: Literal["embedded", "disk"]
    train_images: Optional[int] = None
    train_persons: Optional[int] = None
    val_images: int
    val_persons: int
    detector_file: Optional[str] = None


class Training(Part):
    """How a run was trained. ``seconds`` and ``images_per_s`` exclude evaluation; ``ema_decay`` is that at the end.

    ``shared_with`` is the run that was trained where this one, which differs in decoding alone, took over its weights.
    """

    epochs: int
    steps: int
    effective_batch: int
    accumulate: int
    batch_per_process: int
    processes: int
    lr: float
    lr_rule: str
    ema_decay: Optional[float] = None
    precision: str
    precision_reason: str
    loss_first: float
    loss_last: float
    seconds: float
    images_per_s: float
    peak_memory_mb: float
    curve: Optional[dict[int, float]] = None
    """Epoch -> main metric of the validation persons, where it was measured while training."""
    best_epoch: Optional[int] = None
    best_metric: Optional[float] = None
    shared_with: Optional[str] = None


class Counts(Part):
    """Parameters and multiply-adds of the network that was run (not of the paper-size one)."""

    params_m: float
    gflops: Optional[float] = None


class Start(Part):
    """The weights that a backbone started from, when they came from a file."""

    weights: str
    sha256: str


class Checkpoint(Part):
    """The file whose weights were evaluated without training; ``names`` is the naming scheme that was recognised."""

    file: str
    sha256: str
    names: str


class Result(Part):
    """One evaluation of one network. Metrics lie in 0..1."""

    kind: Literal["trained", "ceiling", "checkpoint"]
    """"ceiling": ground truth encoded and decoded by the codec, with no network in between."""
    weights: Optional[Literal["ema", "raw"]] = None
    box_source: str
    """"gt", or "det:" and the name of the detections file."""
    flip_test: bool
    score_rule: str
    metrics: dict[str, float]
    bootstrap: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """Metric -> 95 % bootstrap interval over images."""
    images: int
    predictions: int


class Provenance(Part):
    """Where and by what code a record was made. Times are UTC, ISO 8601."""

    started: Optional[str] = None
    ended: str
    seconds: float
    git_sha: Optional[str] = None
    dirty_diff_hash: Optional[str] = None
    versions: dict[str, str] = Field(default_factory=dict)
    platform: Optional[str] = None
    device: Optional[str] = None
    cpu: Optional[str] = None
    threads: Optional[int] = None
    host_class: Optional[str] = None
    command: Optional[str] = None


class Record(Part):
    """One finished run: a configuration, a seed and a data set, and what was measured on them."""

    schema_version: Literal[2] = SCHEMA_VERSION
    numerics: int
    """``flatpose.NUMERICS`` when the record was made; a record with an older number is stale."""
    spec_hash: PathPart
    seed: Optional[int] = Field(default=None, ge=0)
    """None for an evaluated checkpoint, which was not trained here."""
    data_id: PathPart
    profile: str
    spec: dict[str, Any]
    """The whole configuration, as ``flatpose.config.to_dict`` writes it."""
    status: Literal["done", "failed"]
    reason: Optional[str] = None
    data: Optional[Data] = None
    train: Optional[Training] = None
    cost: Optional[Counts] = None
    start: Optional[Start] = None
    checkpoint: Optional[Checkpoint] = None
    results: tuple[Result, ...] = ()
    provenance: Provenance

    @property
    def key(self) -> tuple[str, str, str]:
        """Two records with the same key are repetitions of the same run."""
        made_from = self.checkpoint.sha256[:12] if self.checkpoint else f"seed{self.seed}"
        return self.spec_hash, made_from, self.data_id

    @property
    def stale(self) -> bool:
        """Whether code with other numbers made it, or a default or field of its configuration has changed since.

        ``spec`` holds defaults too and ``spec_hash`` leaves them out, so that today's hash of the one differs then.
        """
        try:
            return self.numerics != flatpose.NUMERICS or spec_hash(from_dict(self.spec)) != self.spec_hash
        except ValidationError:
            return True

    @property
    def run_id(self) -> str:
        """Path of the run's folder below runs/."""
        return "/".join(self.key)


class CostRow(Part):
    """Counts of the paper-size network of one row (``flatpose-exp cost``).

    ``params_leaf_m`` counts leaf modules only, as common summary tools do. ``gflops`` counts the algorithm as printed,
    ``gflops_executed`` what this implementation executes.
    """

    row: str
    input_hw: tuple[int, int]
    params_m: float
    params_leaf_m: float
    gflops: float
    gflops_executed: float
    gflops_torch: float
    gflops_hrnet_tool: Optional[float] = None
    table6: Optional[dict[str, Any]] = None
    uncounted: dict[str, int] = Field(default_factory=dict, exclude=True)
    """In older files; no longer written."""


class LatencyRow(Part):
    """Time of one forward pass of a row's network, measured in turns with FlatPose-B and a reference network."""

    row: str
    batch: int
    compiled: bool
    ms: float
    ratio_flatpose_b: float
    range_flatpose_b: tuple[float, float]
    ratio_reference: float
    peak_memory_mb: float
    device: str
    threads: int
    cpu: Optional[str] = None
    torch: Optional[str] = None
    ended: str


class RecordFile(Part):
    """The content of reports/data/<experiment>.json."""

    schema_version: Literal[2] = SCHEMA_VERSION
    experiment: str
    records: tuple[Record, ...] = ()
    costs: tuple[CostRow, ...] = ()
    latencies: tuple[LatencyRow, ...] = ()

    def adding(self, costs: Iterable[CostRow] = (), latencies: Iterable[LatencyRow] = ()) -> RecordFile:
        """A copy with these entries too; of two for one row the newer stays."""
        times = sorted((*self.latencies, *latencies), key=lambda t: t.ended)
        return self.model_copy(update={
            "costs": tuple({c.row: c for c in (*self.costs, *costs)}.values()),
            "latencies": tuple({(t.row, t.batch, t.compiled): t for t in times}.values())})

    def dump(self) -> str:
        """Canonical JSON: equal content gives equal bytes."""
        ordered = self.model_copy(update={
            "records": tuple(sorted(self.records, key=lambda r: r.key)),
            "costs": tuple(sorted(self.costs, key=lambda c: c.row)),
            "latencies": tuple(sorted(self.latencies, key=lambda t: (t.row, t.batch, t.compiled)))})
        return json.dumps(ordered.to_json(), indent=1, sort_keys=True, allow_nan=False) + "\n"


def read_record(path: Path) -> Record:
    """The record in a file; raises DataError when it is missing or damaged, or its form is not today's."""
    return parse(Record, path)


def read_record_file(path: Path, experiment: str) -> RecordFile:
    """The records of an experiment, none in an absent file; raises DataError as :func:`read_record` does."""
    return parse(RecordFile, path) if path.exists() else RecordFile(experiment=experiment)


def parse(form: type[P], path: Path) -> P:
    """The content of a stored file; raises DataError naming the field where it is missing or damaged."""
    value = read_json(path)
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version != SCHEMA_VERSION:
        raise DataError(f"schema version {version!r}; this program reads {SCHEMA_VERSION}", where=str(path),
                        hint="delete it and run again")
    try:
        return form.model_validate(value)
    except ValidationError as error:
        problem, known = invalid(error, form.model_fields)
        raise DataError(f"damaged: {problem}", where=str(path), hint=known or "delete it and run again") from error
