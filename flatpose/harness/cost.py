"""What each row costs at the paper's size: parameters, multiply-adds in every convention and, on request, time.

A network is counted once: ``runs/cost`` caches the counts by configuration and ``flatpose.NUMERICS``. What was counted
and timed for an experiment is left in ``runs/costs/<id>.json`` for the report. Time is measured in turns with
FlatPose-B and a reference network (flatpose.latency): ratios survive a busy machine, milliseconds do not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flatpose
from flatpose import parallel
from flatpose.config import RunConfig, to_dict
from flatpose.harness import catalog, provenance
from flatpose.harness.record import CostRow, LatencyRow, read_record_file
from flatpose.harness.spec import Experiment, Row
from flatpose.io import read_json, write_json, write_text
from flatpose.progress import SILENT, Reporter

if TYPE_CHECKING:
    from torch import nn

    from flatpose.latency import Pass

START = ("pretrained", "weights")
"""Fields of a model that say where its weights come from, and do not change its counts."""
REPEATS = {1: 9, 32: 3}
"""Batch size -> turns."""
MODES = tuple((batch, compiled) for batch in REPEATS for compiled in (False, True))
"""(batch, compiled) in the order in which they are timed."""


def cost_rows(experiments: Sequence[Experiment], *, row: str | None = None, latency: bool = False,
              runs_dir: Path = Path("runs"), reporter: Reporter = SILENT) -> list[dict[str, Any]]:
    """One entry per row, at the paper's scale whatever the profile: the fields of CostRow and what the paper prints.

    With ``row`` only that one (SpecError when there is none); ``latency`` also measures time and memory here and now,
    which takes minutes per row.
    """
    found, chosen = [], [(e, e.rows if row is None else (catalog.find_row(e, row),)) for e in experiments]
    cache = runs_dir / "cost"
    wanted = {_cached(each.run, cache): each.run for _, rows in chosen for each in rows}
    networks = {path: run for path, run in wanted.items() if not path.exists()}
    reporter.start("cost", len(networks))
    for (path, _), counts in parallel.each(_measure, list(networks.items())):
        write_json(path, counts)
        reporter.advance()
    reporter.finish()
    for experiment, rows in chosen:
        costs = [CostRow(row=each.id, input_hw=each.run.image_size[::-1], **read_json(_cached(each.run, cache)))
                 for each in rows]
        _keep(experiment, runs_dir, costs=costs)
        timed = _time(experiment, rows, runs_dir, reporter) if latency else {}
        for each, cost in zip(rows, costs, strict=True):
            said = each.published
            found.append({"experiment": experiment.id, "label": each.label, **cost.model_dump(mode="json"),
                          "published_params_m": said and said.params_m, "published_gflops": said and said.gflops})
            if latency:
                found[-1]["latency"] = [t.model_dump(mode="json", exclude={"row"}) for t in timed[each.id]]
    return found


def _keep(experiment: Experiment, runs_dir: Path, costs: Iterable[CostRow] = (), times: Iterable[LatencyRow] = ()
          ) -> None:
    """Add to the experiment's file in runs/costs, in which a row's newest entry stays."""
    path = runs_dir / "costs" / f"{experiment.id}.json"
    write_text(path, read_record_file(path, experiment.id).adding(costs, times).dump())


def _cached(run: RunConfig, cache: Path) -> Path:
    """Where the counts of a network are, by its configuration, the version of the numbers and the libraries."""
    spec = to_dict(run)
    model = {name: value for name, value in spec["model"].items() if name not in START}
    libraries = [version(name) for name in ("torch", "timm", "fvcore")]
    key = json.dumps([model, spec["codec"], spec["image_size"], run.data.task, flatpose.NUMERICS, libraries])
    return cache / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _measure(network: tuple[Path, RunConfig]) -> dict[str, Any]:
    from flatpose.complexity import ShapesOnly, measure, table6

    run = network[1]
    with ShapesOnly():
        model = _build(run)
    with_ica = [block for block in getattr(model, "coarse", ()) if block.semantic_bias is not None]
    extra = {"table6": table6(with_ica[0])} if with_ica else {}
    return {**asdict(measure(model, run.image_size)), **extra}


def _build(run: RunConfig) -> nn.Module:
    from flatpose import benchmarks
    from flatpose.models import untrained

    return untrained(run, len(benchmarks.get(run.data.task).keypoints()))


def _time(experiment: Experiment, rows: Sequence[Row], runs_dir: Path, reporter: Reporter
          ) -> dict[str, list[LatencyRow]]:
    """Time each row in every mode, and keep it at once, so that an interrupted command loses one row."""
    from flatpose.latency import forward_pass, reference_pass

    reporter.start("latency", len(rows))
    base, found = catalog.find_row(catalog.load("table1"), "b").run, {}
    references = {(batch, compiled): {  # compiled once for all rows
        "reference": reference_pass(batch=batch, compiled=compiled),
        "flatpose_b": forward_pass(_build(base), base.image_size, batch=batch, compiled=compiled)}
        for batch, compiled in MODES}
    for row in rows:
        found[row.id] = _time_row(row, references)
        _keep(experiment, runs_dir, times=found[row.id])
        reporter.advance(row=row.id)
    reporter.finish()
    return found


def _time_row(row: Row, references: dict[tuple[int, bool], dict[str, Pass]]) -> list[LatencyRow]:
    from flatpose.latency import forward_pass, time_beside

    model, times = _build(row.run), []
    for batch, compiled in MODES:
        own = forward_pass(model, row.run.image_size, batch=batch, compiled=compiled)
        measured = time_beside(own, references[batch, compiled], repeats=REPEATS[batch])
        times.append(LatencyRow(
            row=row.id, batch=batch, compiled=compiled, cpu=provenance.cpu(), torch=version("torch"),
            ended=provenance.now(), **{k: v for k, v in measured.items() if k in LatencyRow.model_fields}))
    return times
