"""A row's network with the weights of a file: evaluated without training, kept apart from what was trained here.

The file is the authors', mmpose's or our own; flatpose.checkpoints recognises the names and refuses what does not
fit. The answer is a record of kind "checkpoint" with the file's name and hash, under runs/checkpoints/. For a row that
the paper measured on COCO test-dev, a data root that has it also gets a submission for COCO's server.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatpose.config import RunConfig, spec_hash, to_dict
from flatpose.errors import DataError, SpecError
from flatpose.harness import provenance
from flatpose.harness.collect import Record
from flatpose.harness.compare import condition
from flatpose.harness.record_form import checked
from flatpose.harness.spec import Experiment, Profile, Row, at_profile
from flatpose.harness.store import SCHEMA_VERSION
from flatpose.harness.tables import Cell, Column, Line, Table, box_name, number_cell, text_cell
from flatpose.io import read_json, write_json
from flatpose.progress import Reporter

if TYPE_CHECKING:
    from torch import nn

    from flatpose.complexity import Cost

FOLDER = "checkpoints"
KIND = "checkpoint"
"""Of the results: every table of trained rows asks for another kind."""


def evaluate_checkpoint(experiment: Experiment, row: Row, profile: Profile | None, checkpoint: Path, runs_dir: Path,
                        data_root: Path | None, reporter: Reporter) -> tuple[Record, list[Path]]:
    """Evaluate ``checkpoint`` as the network of ``row`` and keep the record.

    Args:
        experiment: Its default profile says which embedded data to use where there is no data root.
        row: Decides network, codec, input size, boxes, flip test and score rule.
        profile: Scale of the network; None is the paper's, which published weights have.
        checkpoint: A .pth or .safetensors file.
        runs_dir: The record goes to runs_dir/checkpoints/<spec hash>/<file's hash>/<data id>/.
        data_root: Real data; None evaluates on embedded data.
        reporter: Told about progress.

    Returns:
        The record, and the files written.

    Raises:
        FlatPoseError: The file is damaged, unsafe, or of another network (the message says which keys differ).
        DataError: Data is missing or damaged.
    """
    from accelerate import Accelerator

    from flatpose.codecs import build_codec
    from flatpose.data import load
    from flatpose.evaluate import evaluate

    started, clock = provenance.now(), time.monotonic()
    run = _run(experiment, row, profile, data_root)
    network, note, cost = _network(run, checkpoint, data_root)
    data = load(run.data, data_root, reporter=reporter)
    codec = build_codec(run.codec, run.image_size, len(data.keypoint_set))
    results = evaluate(run, data, codec, {"file": network}, Accelerator(), reporter)
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    record: Record = {
        "schema_version": SCHEMA_VERSION, "spec_hash": spec_hash(run), "data_id": data.data_id, "row": row.id,
        "checkpoint": {"file": checkpoint.name, "sha256": digest, "names": note}, "spec": to_dict(run),
        "data": {"label": data.label, "task": data.task, "val_images": len(data.val.image_ids),
                 "val_persons": len(data.val.persons)},
        "cost": {"params_m": cost.params_m, "gflops": cost.gflops},
        "results": [{**found, "kind": KIND, "weights": None} for found in results],
        "provenance": provenance.describe(started, time.monotonic() - clock)}
    folder = runs_dir / FOLDER / spec_hash(run) / digest[:12] / data.data_id
    write_json(folder / "record.json", record)
    return record, [folder / "record.json", *_submission(row, run, network, data_root, checkpoint, folder, reporter)]


def _run(experiment: Experiment, row: Row, profile: Profile | None, data_root: Path | None) -> RunConfig:
    """The row's run at the scale of the weights, on the data that is there."""
    if profile is not None and row.id in profile.left_out:
        raise SpecError(f"not run at profile {profile.name!r}: {profile.left_out[row.id]}", where=f"row {row.id}",
                        hint="leave --profile out for weights of the paper's size")
    run = row.run if profile is None else at_profile(row.run, profile)
    if data_root is not None:
        return replace(run, data=replace(run.data, source="disk"))
    small = experiment.profiles[experiment.default_profile].data
    return replace(run, data=replace(small or run.data, task=run.data.task, source="embedded"))


def _network(run: RunConfig, checkpoint: Path, data_root: Path | None) -> tuple[nn.Module, str, Cost]:
    """The network with the file's weights, what was recognised, and its cost (without the file's order of colours)."""
    from flatpose import benchmarks
    from flatpose.checkpoints import load_into
    from flatpose.complexity import measure
    from flatpose.models import build_model

    count = len(benchmarks.get(run.data.task).keypoints(data_root))
    network = build_model(run.model, run.codec, run.image_size, count, pretrained=False)
    cost = measure(network.eval(), run.image_size)
    return network, load_into(network, run.model, checkpoint), cost


def _submission(row: Row, run: RunConfig, network: nn.Module, data_root: Path | None, checkpoint: Path, folder: Path,
                reporter: Reporter) -> list[Path]:
    """The zip for COCO's server, for rows that were published on test-dev where its images are at hand."""
    if data_root is None or row.published is None or row.published.split != "COCO test-dev":
        return []
    from flatpose.data.submit import coco_test_dev
    from flatpose.testdev import load_test_dev, results_of

    try:
        data = load_test_dev(data_root)
    except DataError as error:
        reporter.message(f"no submission for COCO test-dev: {error.what}")
        return []
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", checkpoint.stem)
    return [coco_test_dev(results_of(network, run, data, reporter), data.val.annotation_file, folder, name)]


def scan(runs_dir: Path) -> list[Record]:
    """Every record of an evaluated checkpoint below a runs directory."""
    return [entry for path in sorted((runs_dir / FOLDER).glob("*/*/*/record.json"))
            for entry in checked("checkpoints", [read_json(path)], path)]


def merged(experiment: Experiment, committed: Iterable[Record], found: Iterable[Record]) -> list[Record]:
    """Committed records and those found that a row of the experiment asks for; of two evaluations the later one."""
    rows = {row.id: row for row in experiment.rows}
    known = {(r["row"], r["checkpoint"]["sha256"], r["spec_hash"], r["data_id"]): r for r in
             sorted((*committed, *found), key=lambda r: r["provenance"]["ended"])
             if r["row"] in rows and r["spec"]["model"]["kind"] == rows[r["row"]].run.model.kind}
    return [known[key] for key in sorted(known)]


def table(experiment: Experiment, records: Iterable[Record]) -> Table | None:
    """Evaluated files, one line per file, data and box source; None when there are none."""
    labels = {row.id: f"{row.label} {row.run.image_size[1]}x{row.run.image_size[0]}" for row in experiment.rows}
    names = ("AP", "AP50", "AP75", "AR", "AP_easy", "AP_medium", "AP_hard", "PCKh@0.5")
    used = [n for n in names if any(n in e["metrics"] for r in records for e in r["results"])]
    columns = (Column("file", "weights", numeric=False), Column("data", "data", numeric=False),
               Column("boxes", "boxes", numeric=False), *(Column(n, n, "x 100", direction="higher") for n in used))
    lines = [Line(r["row"], labels[r["row"]], _cells(r, entry, columns[3:])) for r in records for entry in r["results"]]
    title = "Evaluated from checkpoints (files of others or our own; nothing was trained)"
    return Table("checkpoints", title, columns, tuple(lines)) if lines else None


def _cells(record: Record, entry: dict[str, Any], metrics: Iterable[Column]) -> tuple[Cell, ...]:
    file = record["checkpoint"]
    values = [(c, entry["metrics"].get(c.key)) for c in metrics]
    return (text_cell(f"{file['file']} (sha256 {file['sha256'][:12]}, {file['names']})"),
            text_cell(record["data"]["label"]), text_cell(box_name(entry["box_source"])),
            *(replace(number_cell(None if v is None else 100 * v, c, f"{c.key} is not of this benchmark"),
                      condition=condition(entry)) for c, v in values))
