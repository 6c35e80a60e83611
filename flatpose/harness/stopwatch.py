"""Time of a forward pass of every row, side by side with FlatPose-B: does the cost advantage survive a stopwatch?

Every row, FlatPose-B and a fixed reference network are timed in turn in one process (flatpose.latency): their ratios
survive a busy machine, milliseconds do not. Rows are written one by one to runs/costs/<id>.latency.json.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median
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

    from flatpose.latency import Pass

Build = Callable[[RunConfig], "nn.Module"]
BATCHES = (1, 32)
"""Latency and throughput."""
REPEATS = {1: 9, 32: 3}
MODES = tuple((batch, compiled) for batch in BATCHES for compiled in (False, True))
"""(batch, compiled) in the order they are timed."""


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
        Per row: "row", "latency" (one entry per mode: flatpose.latency.time_beside, with FlatPose-B and the reference
        as rivals), and the machine.
    """
    rows = list(rows)
    reporter.start("stopwatch", len(rows))
    rivals = _rivals(build)
    for row in rows:
        found = {"row": row.id, "latency": _timed(row.run, build, rivals), "cpu": provenance.cpu(),
                 "ended": provenance.now(), "torch": provenance.versions().get("torch")}
        write_json(_path(experiment.id, runs_dir), merged(experiment, load(experiment.id, runs_dir), [found]))
        reporter.advance(timing=row.id)
        yield found
    reporter.finish()


def _rivals(build: Build) -> dict[tuple[int, bool], dict[str, Pass]]:
    """Per mode what every row is timed against, compiled once."""
    from flatpose.latency import forward_pass, reference_pass

    base = catalog.find_row(catalog.load("table1"), "b").run
    return {(batch, compiled): {"reference": reference_pass(batch=batch, compiled=compiled),
                                "flatpose_b": forward_pass(build(base), base.image_size, batch=batch,
                                                           compiled=compiled)}
            for batch, compiled in MODES}


def _timed(run: RunConfig, build: Build, rivals: dict[tuple[int, bool], dict[str, Pass]]) -> list[dict[str, Any]]:
    from flatpose.latency import forward_pass, time_beside

    model = build(run)
    return [{"batch": batch, "compiled": compiled,
             **time_beside(forward_pass(model, run.image_size, batch=batch, compiled=compiled),
                           rivals[batch, compiled], repeats=REPEATS[batch])} for batch, compiled in MODES]


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
    """Milliseconds, images per second, the ratio to FlatPose-B and memory; None when nothing was timed."""
    by_row = {r["row"]: r for r in records}
    if not by_row:
        return None
    keys = list(dict.fromkeys((e["batch"], e["compiled"]) for r in by_row.values() for e in r["latency"]))
    columns = [column for batch, compiled in keys for column in _columns(batch, compiled)]
    lines = [Line(row.id, row.label, tuple(cell for batch, compiled in keys
                                           for cell in _cells(by_row.get(row.id), batch, compiled)), row.group)
             for row in experiment.rows]
    return Table("latency", "Stopwatch: time of a forward pass against FlatPose-B", tuple(columns), tuple(lines),
                 (_conditions(list(by_row.values())),))


def _conditions(records: list[Record]) -> str:
    """On what, when, and how far the ratios of single turns lie apart."""
    entries = [e for r in records for e in r["latency"]]
    machines = sorted({f"{r['cpu'] if e['device'] == 'CPU' else e['device']}, {e['threads']} threads, torch "
                       f"{r['torch']}" for r in records for e in r["latency"]})
    days = sorted({str(r["ended"])[:10] for r in records})
    spread = median((e["range_flatpose_b"][1] - e["range_flatpose_b"][0]) / e["ratio_flatpose_b"] for e in entries)
    when = " to ".join(dict.fromkeys((days[0], days[-1])))
    turns = " or ".join(map(str, REPEATS.values()))
    return (f"forward pass at the paper's size, {' / '.join(machines)}, {when}; x B: times the time of FlatPose-B, the "
            f"two timed in turn in one process (median of {turns} turns, whose ratios span {100 * spread:.0f} % in the "
            "median row); MiB: the most that activations hold at once")


def _columns(batch: int, compiled: bool) -> tuple[Column, ...]:
    mode = "compiled" if compiled else "eager"
    name, key = f"batch {batch}, {mode}", f"{batch}_{mode}"
    time = (Column(f"ms_{key}", f"{name} (ms)", "ms", 1, "lower") if batch == 1
            else Column(f"rate_{key}", f"{name} (images/s)", "images/s", 1, "higher"))
    memory = () if compiled else (Column(f"memory_{key}", "MiB", "MiB", 0, "lower"),)
    return (time, Column(f"ratio_{key}", "x B", "", 2, "lower"), *memory)


def _cells(record: Record | None, batch: int, compiled: bool) -> tuple[Cell, ...]:
    columns, found = _columns(batch, compiled), entry(record, batch, compiled) if record else None
    if found is None:
        return tuple(number_cell(None, column, "not timed") for column in columns)
    values = (found["ms"] if batch == 1 else 1e3 * batch / found["ms"], found["ratio_flatpose_b"],
              found["peak_memory_mb"])
    return tuple(number_cell(value, column, "") for value, column in zip(values, columns, strict=False))
