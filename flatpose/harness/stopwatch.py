"""Time of a forward pass of every row, side by side with FlatPose-B: does the cost advantage survive a stopwatch?

Every timing alternates with a fixed reference network in one process (flatpose.latency), and FlatPose-B is timed at
the start of each command, so a row's ratio to FlatPose-B is a ratio of two such ratios: it survives a busy machine
better than milliseconds do. Rows are written one by one to runs/costs/<id>.latency.json.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatpose.config import RunConfig
from flatpose.harness import catalog, provenance
from flatpose.harness.collect import Record
from flatpose.harness.record_form import checked
from flatpose.harness.spec import Experiment, Row
from flatpose.harness.tables import Cell, Column, Line, Table, number_cell
from flatpose.io import read_json, write_json
from flatpose.progress import SILENT, Reporter

if TYPE_CHECKING:
    from torch import nn

Build = Callable[[RunConfig], "nn.Module"]
GPU_BATCHES, CPU_BATCHES = (1, 32), (1, 8)
"""Latency and throughput; a CPU is saturated by far fewer images."""
REPEATS = 5


def modes() -> list[tuple[int, bool]]:
    """(batch, compiled) in the order they are timed."""
    batches = GPU_BATCHES if provenance.has_gpu() else CPU_BATCHES
    return [(batch, compiled) for batch in batches for compiled in (False, True)]


def time_rows(experiment: Experiment, rows: Iterable[Row], build: Build, runs_dir: Path,
              reporter: Reporter = SILENT) -> Iterator[Record]:
    """Time each row in every mode and keep the answer at once, so that an interrupted command loses one row.

    Args:
        experiment: Names the file.
        rows: Timed at the paper's scale.
        build: Network of a run.
        runs_dir: Holds costs/.
        reporter: Told about progress.

    Yields:
        Per row: "row", "latency" (one entry per mode; see flatpose.latency, with "ratio_flatpose_b" added), and the
        machine.
    """
    rows = list(rows)
    reporter.start("stopwatch", len(rows) + 1)
    base = catalog.find_row(catalog.load("table1"), "b").run
    reference = {(entry["batch"], entry["compiled"]): entry["ratio"] for entry in _timed(base, build)}
    for row in rows:
        reporter.advance(timing=row.id)
        entries = [{**entry, "ratio_flatpose_b": entry["ratio"] / reference[entry["batch"], entry["compiled"]]}
                   for entry in _timed(row.run, build)]
        found = {"row": row.id, "latency": entries, "cpu": provenance.cpu(), "ended": provenance.now(),
                 "torch": provenance.versions().get("torch")}
        write_json(_path(experiment.id, runs_dir), merged(experiment, load(experiment.id, runs_dir), [found]))
        yield found
    reporter.finish()


def _timed(run: RunConfig, build: Build) -> list[dict[str, Any]]:
    from flatpose.latency import latency

    model = build(run)
    return [dict(latency(model, run.image_size, batch=batch, compiled=compiled, repeats=REPEATS))
            for batch, compiled in modes()]


def _path(experiment: str, runs_dir: Path) -> Path:
    return runs_dir / "costs" / f"{experiment}.latency.json"


def load(experiment: str, runs_dir: Path) -> list[Record]:
    """What was timed on this machine."""
    path = _path(experiment, runs_dir)
    return checked("latencies", read_json(path), path) if path.exists() else []


def merged(experiment: Experiment, committed: Iterable[Record], found: Iterable[Record]) -> list[Record]:
    """One entry per row of the experiment, the latest, in the order of the rows."""
    latest = {r["row"]: r for r in sorted((*committed, *found), key=lambda r: r["ended"])}
    return [latest[row.id] for row in experiment.rows if row.id in latest]


def entry(record: Record, batch: int, compiled: bool) -> dict[str, Any] | None:
    """The timing of one mode."""
    return next((e for e in record["latency"] if (e["batch"], e["compiled"]) == (batch, compiled)), None)


def table(experiment: Experiment, records: Iterable[Record]) -> Table | None:
    """Milliseconds, images per second and the ratio to FlatPose-B, eager and compiled; None when nothing was timed."""
    by_row = {r["row"]: r for r in records}
    if not by_row:
        return None
    keys = list(dict.fromkeys((e["batch"], e["compiled"]) for r in by_row.values() for e in r["latency"]))
    columns = [column for batch, compiled in keys for column in _columns(batch, compiled)]
    lines = [Line(row.id, row.label, tuple(cell for batch, compiled in keys
                                           for cell in _cells(by_row.get(row.id), batch, compiled)), row.group)
             for row in experiment.rows]
    any_entry = next(iter(by_row.values()))
    where = any_entry["latency"][0]
    machine = any_entry["cpu"] if where["device"] == "CPU" else where["device"]
    notes = (f"forward pass at the paper's size, {machine}, {where['threads']} threads, torch {any_entry['torch']}; "
             "x B: times the cost of FlatPose-B, both relative to a ResNet-50 at 256×192 timed in turn in the same "
             "process",)
    return Table("latency", "Stopwatch: time of a forward pass against FlatPose-B", tuple(columns), tuple(lines), notes)


def _columns(batch: int, compiled: bool) -> tuple[Column, Column]:
    name = f"batch {batch}, {'compiled' if compiled else 'eager'}"
    key = f"{batch}_{'compiled' if compiled else 'eager'}"
    first = Column(f"ms_{key}", name, "ms", 1, "lower") if batch == 1 else Column(f"rate_{key}", name, "images/s", 1,
                                                                                  "higher")
    return first, Column(f"ratio_{key}", "x B", "", 2, "lower")


def _cells(record: Record | None, batch: int, compiled: bool) -> tuple[Cell, Cell]:
    found = entry(record, batch, compiled) if record else None
    first, ratio = _columns(batch, compiled)
    value = None if found is None else found["ms"] if batch == 1 else 1e3 * batch / found["ms"]
    return (number_cell(value, first, "not timed"),
            number_cell(found["ratio_flatpose_b"] if found else None, ratio, "not timed"))
