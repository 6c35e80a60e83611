"""A finished run as a checkpoint that explains itself: weights, network, keypoints, codec and record in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flatpose.config import spec_hash
from flatpose.errors import FlatPoseError, RunError, SpecError
from flatpose.harness.spec import Experiment, Profile, Row, at_profile
from flatpose.harness.store import RECORD, RunDir
from flatpose.io import read_json

WEIGHTS = "weights.safetensors"


def find_run(experiment: Experiment, row: Row, profile: Profile, seed: int, runs_dir: Path, *, real: bool) -> Path:
    """The folder of the finished run of a row; ``real``: of those on a data root's data.

    Raises:
        SpecError: There is none, or several data sets have one.
    """
    run = at_profile(row.run, profile, source="disk" if real else None)
    folder = runs_dir / spec_hash(run) / f"seed{seed}"
    found = [path.parent for path in sorted(folder.glob(f"*/{RECORD}")) if (path.parent / WEIGHTS).is_file()]
    where = f"{experiment.id}, row {row.id}, profile {profile.name}, seed {seed}"
    if not found:
        raise SpecError("no finished run with weights", where=where,
                        hint=f"flatpose-exp run {experiment.id} --row {row.id} --profile {profile.name} --seeds {seed}"
                             + (" --data-root DIR" if real else "; --real for a run on a data root's data"))
    if len(found) > 1:
        raise SpecError("finished on several data sets", where=where,
                        hint="give one folder instead of the id: " + ", ".join(map(str, found)))
    return found[0]


def pack(folder: Path, target: Path, *, half: bool) -> list[Path]:
    """Write the checkpoint of one run's folder below ``target``.

    Raises:
        FlatPoseError: The folder holds no finished run, or its weights are not of its network.
    """
    from pydantic import ValidationError

    from flatpose.checkpoints.files import load_file
    from flatpose.config.run import from_dict
    from flatpose.models import build_model
    from flatpose.pose_checkpoint import Checkpoint, save_checkpoint

    record = RunDir(folder).record()
    if record is None or record["status"] != "done":
        raise RunError("no finished run", where=str(folder), hint="a folder runs/<spec hash>/seed<k>/<data id>")
    try:
        run = from_dict(record["spec"])
    except ValidationError as error:
        raise RunError(f"its spec is of another version ({error.error_count()} fields)", where=str(folder)) from None
    keypoints = _keypoint_set(run.data.task, folder)
    network = build_model(run.model, run.codec, run.image_size, len(keypoints), pretrained=False)
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except RuntimeError as error:
        raise FlatPoseError(f"the weights are not of the recorded network ({str(error).splitlines()[0]})",
                            where=str(folder)) from None
    kept: dict[str, Any] = {name: value for name, value in record.items() if name != "spec"}
    return save_checkpoint(Checkpoint(run, keypoints, network, kept), target, half=half)


def _keypoint_set(task: str, folder: Path) -> Any:
    """The benchmark's; own keypoints are described by keypoints.json, of which the run's folder has a copy."""
    from flatpose import benchmarks

    return benchmarks.get(task).keypoints(folder)


def is_run(name: str) -> bool:
    """Whether a command's argument is a run's folder rather than an experiment."""
    return (Path(name) / RECORD).is_file() and isinstance(read_json(Path(name) / RECORD), dict)
