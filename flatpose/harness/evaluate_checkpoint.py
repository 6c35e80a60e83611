"""A row's network with the weights of a file: evaluated without training, recorded apart from what was trained here.

For a row that the paper measured on COCO test-dev, a data root that has it also gives a submission for COCO's server.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from flatpose import benchmarks
from flatpose.config import RunConfig
from flatpose.errors import DataError, SpecError
from flatpose.harness import provenance
from flatpose.harness.record import Record
from flatpose.harness.runner import make_record
from flatpose.harness.spec import Experiment, Profile, Row, at_profile
from flatpose.harness.store import RECORD, RunDir
from flatpose.progress import Reporter


def evaluate_checkpoint(experiment: Experiment, row: Row, profile: Profile | None, checkpoint: Path, runs_dir: Path,
                        data_root: Path | None, reporter: Reporter) -> tuple[Record, list[Path]]:
    """Evaluate a published file, a packed folder or a run's folder as the network of ``row``.

    The network has the scale of ``profile``, or for None the paper's size, which published weights have. Without a data
    root it is evaluated on the embedded data of the experiment's default profile. Returns the record and the files
    that were written below ``runs_dir``.

    Raises:
        FlatPoseError: The file is damaged, unsafe or of another network, or data are missing or damaged.
    """
    from accelerate import Accelerator

    from flatpose.checkpoints.described import load_checkpoint
    from flatpose.codecs import build_codec
    from flatpose.complexity import measure
    from flatpose.data import load
    from flatpose.evaluate import evaluate
    from flatpose.models import build_model

    started, clock = provenance.now(), time.monotonic()
    run = _run(experiment, row, profile, data_root)
    keypoints = benchmarks.get(run.data.task).keypoints(data_root)
    found = load_checkpoint(checkpoint, system=run, keypoint_set=keypoints)  # before the data: it may not fit
    data = load(run.data, data_root, reporter=reporter)
    codec = build_codec(run.codec, run.image_size, len(keypoints))
    results = evaluate(run, data, codec, {"file": found.network}, Accelerator(), reporter)
    bare = build_model(run.model, run.codec, run.image_size, len(keypoints), pretrained=False)
    cost = measure(bare.eval(), run.image_size)  # without the exchange of channels that a file may need
    boxes = data.detector_file
    record = make_record(
        run, None, data.data_id, started, clock, cost={"params_m": cost.params_m, "gflops": cost.gflops},
        data={"label": data.label, "task": run.data.task, "source": run.data.source,
              "val_images": len(data.val.image_ids), "val_persons": len(data.val.persons),
              "detector_file": boxes.name if boxes else None},
        checkpoint=found.record["checkpoint"],
        results=[{**result, "kind": "checkpoint", "weights": None} for result in results])
    folder = runs_dir / record.run_id
    RunDir(folder).save(record)
    zips = [] if data_root is None else _submission(row, run, found.network, data_root, checkpoint, folder, reporter)
    return record, [folder / RECORD, *zips]


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


def _submission(row: Row, run: RunConfig, network: Any, data_root: Path, checkpoint: Path, folder: Path,
                reporter: Reporter) -> list[Path]:
    """The zip for COCO's server, for rows that were published on test-dev."""
    if row.published is None or row.published.split != "COCO test-dev":
        return []
    from flatpose.testdev import coco_test_dev, load_test_dev, results_of

    try:
        data = load_test_dev(data_root)
    except DataError as error:
        reporter.message(f"no submission for COCO test-dev: {error.what}")
        return []
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", checkpoint.stem)
    return [coco_test_dev(results_of(network, run, data, reporter), data.val.annotation_file, folder, name)]
