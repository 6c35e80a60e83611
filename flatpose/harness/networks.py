"""Networks by name: the published systems, a finished run of a row, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatpose import benchmarks
from flatpose.config import RunConfig, spec_hash
from flatpose.errors import SpecError, nearest
from flatpose.harness import catalog, store
from flatpose.harness.record import read_record_file
from flatpose.harness.spec import Published, Row, at_profile

if TYPE_CHECKING:
    from flatpose.checkpoints.described import Checkpoint

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
    return [_entry(row, costs) for row in catalog.load(SYSTEMS).rows if row.run.model.kind in FILES]


def _entry(row: Row, costs: dict[str, tuple[float, float]]) -> dict[str, Any]:
    run, said = row.run, row.published or Published(source="")
    params_m, gflops = costs.get(row.id, (said.params_m, said.gflops))
    usual = {"coco": "detector of 56.4 AP", "crowdpose": "detector", "mpii": "ground truth"}.get(run.data.task, "")
    kind = run.model.kind + (" simcc" if run.model.kind == "baseline" and run.codec.kind == "simcc" else "")
    return {"name": row.id, "label": row.label, "task": run.data.task, "input_hw": run.image_size[::-1],
            "params_m": params_m, "gflops": gflops, "cost": "counted" if row.id in costs else "printed",
            "metrics": dict(said.metrics), "source": said.source, "split": said.split or "validation",
            "boxes": said.boxes or usual, "files": FILES[kind]}


def system(name: str) -> RunConfig:
    """The run of a published system; raises SpecError with the nearest name."""
    rows = {row.id: row for row in catalog.load(SYSTEMS).rows if row.run.model.kind in FILES}
    if name not in rows:
        raise SpecError(f"no published system {name!r}", where="--system", hint=f"{nearest(name, rows)} "
                        "(flatpose-exp systems lists them)")
    return rows[name].run


def resolve_network(spec: str | None = None, system_name: str | None = None, *, row: str | None = None,
                    profile: str | None = None, seed: int = 0, real: bool = False) -> Checkpoint:
    """The network that a command's argument means.

    Args:
        spec: A packed folder or file, a run's folder, a published file (with ``system_name``), or ID/ROW for the
            finished run of a row; None is the bundled network.
        system_name: Published system of the file.
        row: Row of the experiment ``spec``, instead of ID/ROW.
        profile: Scale of that run; None is the experiment's default.
        seed: Of that run.
        real: The run on a data root's data rather than on embedded data.

    Raises:
        FlatPoseError: There is no such network, or its file is damaged or does not fit.
    """
    from flatpose.checkpoints.described import load_checkpoint

    run = None if system_name is None else system(system_name)
    if spec is None and run is not None:
        raise SpecError("a published system needs its file of weights", where=f"--system {system_name}",
                        hint="--checkpoint FILE")
    return load_checkpoint(None if spec is None else locate(spec, row=row, profile=profile, seed=seed, real=real),
                           system=run)


def locate(spec: str, *, row: str | None = None, profile: str | None = None, seed: int = 0, real: bool = False) -> Path:
    """The file or folder that ``spec`` names, or the folder of the finished run of ID/ROW; raises SpecError."""
    if Path(spec).exists() and not spec.endswith(".py"):
        return Path(spec)
    name, _, last = spec.rpartition("/") if row is None else (spec, "", row)
    if not name or not (name.endswith(".py") or name in catalog.ids()):
        raise SpecError("neither a file, nor a folder, nor ID/ROW of an experiment", where=spec,
                        hint=nearest(name or last, catalog.ids()) + " with --row R or as ID/ROW")
    return find_run(name, last, profile, seed, real=real)


def find_run(experiment: str, row: str, profile: str | None, seed: int, *, real: bool) -> Path:
    """The folder of the finished run of a row; ``real``: of those on a data root's data.

    Raises:
        SpecError: There is none, or several data sets have one.
    """
    from flatpose.checkpoints.described import RECORD, RUN_WEIGHTS

    found = catalog.load(experiment)
    scale = catalog.find_profile(found, profile)
    run = at_profile(catalog.find_row(found, row).run, scale, source="disk" if real else None)
    folder = store.runs_dir() / spec_hash(run) / f"seed{seed}"
    done = [path.parent for path in sorted(folder.glob(f"*/{RECORD}")) if (path.parent / RUN_WEIGHTS).is_file()]
    where = f"{found.id}, row {row}, profile {scale.name}, seed {seed}"
    if not done:
        command = f"flatpose-exp run {found.id} --row {row} --profile {scale.name} --seeds {seed}"
        raise SpecError("no finished run with weights", where=where, hint=command + (
            " --data-root DIR" if real else "; --real for a run on a data root's data"))
    if len(done) > 1:
        raise SpecError("finished on several data sets", where=where,
                        hint="give one folder instead of the id: " + ", ".join(map(str, done)))
    return done[0]


def untrained(experiment: str, row: str, profile: str | None) -> Checkpoint:
    """A row's network as it is built, at the paper's size unless a profile says otherwise."""
    from flatpose.checkpoints.described import Checkpoint
    from flatpose.models import build_model

    found = catalog.load(experiment)
    run = catalog.find_row(found, row).run
    run = run if profile is None else at_profile(run, catalog.find_profile(found, profile))
    keypoints = benchmarks.get(run.data.task).keypoints()
    network = build_model(run.model, run.codec, run.image_size, len(keypoints), pretrained=False)
    return Checkpoint(run, keypoints, network.eval(), {})
