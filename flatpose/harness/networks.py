"""Networks by name: the published systems, a finished run of a row, or a file; and what they score without training."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatpose import benchmarks
from flatpose.config import spec_hash
from flatpose.errors import SpecError, nearest
from flatpose.harness import catalog, provenance, store
from flatpose.harness.plan import run_of
from flatpose.harness.record import Record, read_record_file
from flatpose.harness.runner import make_record
from flatpose.harness.spec import Experiment, Profile, Published, Row, at_profile, for_weights, require
from flatpose.progress import Reporter

if TYPE_CHECKING:
    from flatpose.checkpoints.described import Checkpoint
    from flatpose.predict import Pose

SYSTEMS = "peers"
"""The experiment whose rows are the published systems."""
MMPOSE = "mmpose 1.x"
FILES = {
    "baseline": f"leoxiaobin/deep-high-resolution-net.pytorch (pose_resnet), {MMPOSE}",
    "baseline simcc": f"leeyegy/SimCC, {MMPOSE}",
    "hrnet": f"leoxiaobin/deep-high-resolution-net.pytorch (pose_hrnet), {MMPOSE}", "simcc": "leeyegy/SimCC",
    "sar": "kennethwdk/SAR", "srpose": "haonanwang0522/SRPose", "rtmpose": MMPOSE, "tokenpose": "leeyegy/TokenPose",
    "vitpose": f"ViTAE-Transformer/ViTPose, {MMPOSE}", "sharpose": "AnxQ/sharpose"}
"""By model kind: repositories whose files of weights fit."""


def systems() -> list[dict[str, Any]]:
    """One entry per published system, in the order of the experiment ``peers``.

    The keys are name, label, task, input_hw, params_m, gflops, cost ("counted" for reports/, every product counted, or
    "printed" by the source in its own convention), metrics (in points, with their source, split and boxes) and files.
    """
    counted = read_record_file(store.root() / "reports" / "data" / f"{SYSTEMS}.json", SYSTEMS).costs
    costs = {cost.row: (round(cost.params_m, 2), round(cost.gflops, 2)) for cost in counted}
    return [_entry(row, costs) for row in rows().values()]


def rows() -> dict[str, Row]:
    """Name -> row of the published systems."""
    return {row.id: row for row in catalog.load(SYSTEMS).rows if row.run.model.kind in FILES}


def _entry(row: Row, costs: dict[str, tuple[float, float]]) -> dict[str, Any]:
    run, said = row.run, row.published or Published(source="")
    params_m, gflops = costs.get(row.id, (said.params_m, said.gflops))
    task = run.data.task
    detected = "detector of 56.4 AP" if task == benchmarks.COCO.name else "detector"
    usual = detected if benchmarks.get(task).layout.detections else "ground truth"
    kind = run.model.kind + (" simcc" if run.model.kind == "baseline" and run.codec.kind == "simcc" else "")
    return {"name": row.id, "label": row.label, "task": task, "input_hw": run.image_size[::-1],
            "params_m": params_m, "gflops": gflops, "cost": "counted" if row.id in costs else "printed",
            "metrics": dict(said.metrics), "source": said.source, "split": said.split or "validation",
            "boxes": said.boxes or usual, "files": FILES[kind]}


def resolve_network(spec: str | None = None, system_name: str | None = None, *, profile: str | None = None,
                    seed: int = 0) -> Checkpoint:
    """The network that a command's argument means.

    ``spec`` is a packed folder or file, a run's folder, a published file (with ``system_name``), or ID/ROW for the
    finished run of a row at ``profile`` with ``seed``; None is the bundled network.

    Raises:
        FlatPoseError: There is no such network, or its file is damaged or does not fit.
    """
    from flatpose.checkpoints.described import load_checkpoint

    run = None if system_name is None else require(system_name, rows(), "published system", where="--system").run
    if spec is None and run is not None:
        raise SpecError("a published system needs its file of weights", where=f"--system {system_name}",
                        hint="--checkpoint FILE")
    return load_checkpoint(None if spec is None else locate(spec, profile, seed), system=run)


def load_pose(spec: str | None = None, system_name: str | None = None, *, device: str | None = None) -> Pose:
    """``Pose.load`` that also knows ID/ROW and the published systems' names, as the command line does.

    Raises:
        FlatPoseError: As :func:`resolve_network`.
    """
    from flatpose.predict import Pose

    return Pose(resolve_network(spec, system_name), device=device)


def locate(spec: str, profile: str | None = None, seed: int = 0) -> Path:
    """The path ``spec``, or the folder of the finished run of ID/ROW; raises SpecError for none, or on several data."""
    from flatpose.checkpoints.described import RECORD, RUN_WEIGHTS

    name, _, last = spec.rpartition("/")
    if Path(spec).exists():
        return Path(spec)
    if spec in catalog.known():
        raise SpecError("an experiment has several networks", where=spec, hint=f"{spec}/ROW; `show {spec}` lists them")
    if not name.endswith(".py") and name not in catalog.known():
        raise SpecError("neither a file, nor a folder, nor ID/ROW of an experiment", where=spec,
                        hint=nearest(name or last, catalog.known()) + " with its row, as in fig1/simcc_s8")
    experiment = catalog.load(name)
    scale, row = catalog.find_profile(experiment, profile), catalog.find_row(experiment, last)
    hashes = {spec_hash(at_profile(row.run, scale, source=source)) for source in ("embedded", "disk")}
    folders = [path.parent for key in hashes for path in store.runs_dir().glob(f"{key}/seed{seed}/*/{RECORD}")]
    done = sorted(folder for folder in folders if (folder / RUN_WEIGHTS).is_file())
    where = f"{experiment.id}, row {last}, profile {scale.name}, seed {seed}"
    if not done:
        raise SpecError("no finished run with weights", where=where, hint=f"flatpose-exp run {name} --row "
                        f"{last} --profile {scale.name} --seeds {seed}")
    if len(done) > 1:
        raise SpecError("finished on several data sets", where=where,
                        hint="give one folder instead of the id: " + ", ".join(map(str, done)))
    return done[0]


def untrained(experiment: str, row: str) -> Checkpoint:
    """A row's network with random weights, at the paper's size."""
    from flatpose import models
    from flatpose.checkpoints.described import Checkpoint

    run = catalog.find_row(catalog.load(experiment), row).run
    keypoints = benchmarks.get(run.data.task).keypoints()
    network = models.untrained(run, len(keypoints)).eval()
    return Checkpoint(run=run, keypoint_set=keypoints, network=network, record={})


def evaluate_checkpoint(experiment: Experiment, row: Row, profile: Profile | None, checkpoint: Path, runs_dir: Path,
                        data_root: Path | None, reporter: Reporter) -> Record:
    """Evaluate a published file, a packed folder or a run's folder as the network of ``row``.

    The network has the scale of ``profile``, or for None the paper's size, which published weights have. Without a data
    root it is evaluated on the embedded data of the experiment's default profile. The record lies below ``runs_dir``.

    Raises:
        FlatPoseError: The file is damaged, unsafe or of another network, or data are missing or damaged.
    """
    from accelerate import Accelerator

    from flatpose import models
    from flatpose.checkpoints.described import load_checkpoint
    from flatpose.codecs import build_codec
    from flatpose.complexity import measure
    from flatpose.data import load
    from flatpose.evaluate import data_facts, evaluate

    started, clock = provenance.now(), time.monotonic()
    run = for_weights(experiment, row.run if profile is None else run_of(row, profile, data_root),
                      "embedded" if data_root is None else "disk")
    keypoints = benchmarks.get(run.data.task).keypoints(data_root)
    found = load_checkpoint(checkpoint, system=run, keypoint_set=keypoints)  # before the data: it may not fit
    data = load(run.data, data_root, reporter=reporter)
    codec = build_codec(run.codec, run.image_size, len(keypoints))
    results = evaluate(run, data, codec, {"file": found.network}, Accelerator(), reporter)
    bare = models.untrained(run, len(keypoints)).eval()  # without the exchange of channels that a file may need
    cost = measure(bare, run.image_size)
    record = make_record(
        run, None, data.data_id, started, clock, cost={"params_m": cost.params_m, "gflops": cost.gflops},
        data=data_facts(run, data), checkpoint=found.record["checkpoint"],
        results=[{**result, "kind": "checkpoint", "weights": None} for result in results])
    store.RunDir(runs_dir / record.run_id).save(record)
    return record


def test_dev_results(network: Checkpoint, data_root: Path, reporter: Reporter, any_list: bool
                     ) -> tuple[list[dict[str, Any]], Path]:
    """COCO results of a network on test-dev's detected persons, and the list of test-dev's images."""
    from flatpose.testdev import image_ids, load_test_dev, results_of

    if network.run.data.task != benchmarks.COCO.name:
        raise SpecError(f"a network for {network.run.data.task}, expected coco", where="--checkpoint")
    data = load_test_dev(data_root)
    image_ids(data.val.annotation_file, any_list=any_list)  # before hours of predicting
    return results_of(network.network, network.run, data, reporter), data.val.annotation_file
