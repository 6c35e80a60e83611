"""Checkpoints that describe themselves: weights with the network, codec and keypoints they belong to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ValidationError, field_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from flatpose import benchmarks
from flatpose.checkpoints.card import model_card
from flatpose.checkpoints.files import read_weights
from flatpose.checkpoints.fit import feed_bgr, load_into
from flatpose.config import RunConfig
from flatpose.config.run import from_dict, to_dict
from flatpose.errors import FlatPoseError
from flatpose.io import read_json, write_bytes, write_json, write_text
from flatpose.keypoints import KeypointSet
from flatpose.models import build_model

FORMAT: Literal["flatpose-pose/1"] = "flatpose-pose/1"
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
RECORD, RUN_WEIGHTS = "record.json", "weights.safetensors"
BUNDLED = Path(__file__).parents[1] / "weights" / WEIGHTS
HALF_MAX = 65504.0
HALF, FULL = "matrices and kernels rounded to 16 bits, vectors in 32", "32 bits"
PACK = "flatpose-exp pack makes one from a finished run, or with --system NAME from a published file"
Knots = tuple[tuple[float, float], ...]


class Description(BaseModel):
    """The JSON inside the safetensors file, and beside it as config.json."""

    format: Literal["flatpose-pose/1"]
    run: RunConfig
    keypoint_set: KeypointSet
    record: dict[str, Any]
    stored: str = FULL
    bgr: bool = False
    calibration: Knots = ()

    @field_validator("keypoint_set")
    @classmethod
    def _indices_exist(cls, found: KeypointSet) -> KeypointSet:
        used = [*found.upper_body, *(i for pair in (*found.flip_pairs, *found.skeleton) for i in pair)]
        if not 0 < len(found) <= 1000 or len(found.sigmas) != len(found):
            raise ValueError(f"{len(found)} keypoints, {len(found.sigmas)} sigmas")
        if any(not 0 <= i < len(found) for i in used):
            raise ValueError("a pair names a keypoint that does not exist")
        return found

    @field_validator("calibration")
    @classmethod
    def _rises(cls, knots: Knots) -> Knots:
        for column in zip(*knots, strict=True):
            if list(column) != sorted(column) or not all(0 <= value <= 1 for value in column):
                raise ValueError("not a rising map from 0..1 to 0..1")
        return knots


@dataclass(frozen=True)
class Checkpoint:
    """A network with all that is needed to use it, and the record (without spec) of where its weights come from.

    ``bgr``: the weights expect BGR images; the network converts (``feed_bgr``). ``calibration``: knots of a map from
    scores to shares of right answers; none where it was not measured (``flatpose.calibration``).
    """

    run: RunConfig
    keypoint_set: KeypointSet
    network: nn.Module
    record: dict[str, Any]
    bgr: bool = False
    calibration: Knots = ()

    def describe(self, stored: str = FULL) -> dict[str, Any]:
        """The content of config.json."""
        return {"format": FORMAT, "run": to_dict(self.run), "keypoint_set": asdict(self.keypoint_set),
                "record": self.record, "stored": stored, "bgr": self.bgr, "calibration": self.calibration}


def save_checkpoint(checkpoint: Checkpoint, folder: Path, *, half: bool = False) -> list[Path]:
    """Write model.safetensors (self-contained), config.json and the model card; returns the three paths.

    ``half`` stores matrices and kernels in 16 bits. Vectors (biases, norms and their statistics) keep 32 bits: they
    are small, and variances may lie outside the range of 16.
    """
    facts = json.loads(json.dumps(checkpoint.describe(HALF if half else FULL), allow_nan=False))
    state = {name: value.detach().cpu().contiguous() for name, value in checkpoint.network.state_dict().items()}
    if half:
        state = {name: value.half() if _fits_half(value) else value for name, value in state.items()}
    write_bytes(folder / WEIGHTS, save(state, {"format": "pt", "flatpose": json.dumps(facts, sort_keys=True)}))
    write_json(folder / CONFIG, facts)
    write_text(folder / CARD, model_card(facts))
    return [folder / WEIGHTS, folder / CONFIG, folder / CARD]


def _fits_half(value: Tensor) -> bool:
    return value.is_floating_point() and value.ndim > 1 and value.numel() > 0 and bool(value.abs().max() < HALF_MAX)


def load_checkpoint(path: Path | str | None = None, *, system: RunConfig | None = None,
                    keypoint_set: KeypointSet | None = None) -> Checkpoint:
    """A packed folder or its file, the folder of a finished run, or a published file; None is the bundled network.

    A published file needs its ``system``: network, codec and input size, with ``keypoint_set`` or else that of the
    system's benchmark.

    Raises:
        FlatPoseError: It is missing, damaged, unsafe to read, or its weights do not fit the network.
    """
    file = BUNDLED if path is None else Path(path)
    if not file.exists():
        raise FlatPoseError("no such file or folder", where=str(path), hint="a packed folder, a run's folder or a "
                            "published file; flatpose.harness.networks.load_pose also knows ID/ROW and system names")
    known: Description | None = None
    if (file / RECORD).is_file():
        known, file = _of_run(file), file / RUN_WEIGHTS
    elif file.is_dir():
        file = file / WEIGHTS
    weights = read_weights(file)  # a pickle that holds more than tensors is refused here
    known = known or _inside(file)
    if system is not None:
        run, keypoints = system, keypoint_set or benchmarks.get(system.data.task).keypoints()
    elif known is not None:
        run, keypoints = known.run, known.keypoint_set
        _refuse_giant(run, len(keypoints), sum(value.numel() for value in weights.state.values()), file)
    else:
        raise FlatPoseError("weights without a description of network, keypoints and codec", where=str(file),
                            hint=f"--system NAME for a published file; {PACK}")
    network = build_model(run.model, run.codec, run.image_size, len(keypoints), pretrained=False)
    fit = load_into(network, run.model, file, weights)
    if known is not None and known.bgr:
        feed_bgr(network)
    if system is None:
        assert known is not None
        record = known.record
    else:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        record = {"checkpoint": {"file": file.name, "sha256": digest, "names": fit.note}}
    calibration = known.calibration if known is not None and system is None else ()
    return Checkpoint(run, keypoints, network.eval(), record, fit.bgr or (known is not None and known.bgr),
                      calibration)


def _of_run(folder: Path) -> Description:
    """What the record of a finished run says of its weights."""
    record = read_json(folder / RECORD)
    if not isinstance(record, dict) or record.get("status") != "done" or not (folder / RUN_WEIGHTS).is_file():
        raise FlatPoseError("no finished run with weights", where=str(folder),
                            hint="a folder runs/<spec hash>/seed<k>/<data id>")
    try:
        run = from_dict(record["spec"])
    except ValidationError as error:
        raise FlatPoseError(f"its spec does not fit this version ({error.error_count()} fields)", where=str(folder),
                            hint="flatpose-exp run --rerun stale trains it again") from None
    keypoints = benchmarks.get(run.data.task).keypoints(folder)  # a user's own set is stored with the run
    return Description(format=FORMAT, run=run, keypoint_set=keypoints,
                       record={name: value for name, value in record.items() if name != "spec"})


def _inside(file: Path) -> Description | None:
    """The description inside the file; None for weights of other programs, which have none."""
    if file.suffix != ".safetensors":
        return None
    try:
        with safe_open(file, framework="pt") as content:
            facts = json.loads((content.metadata() or {}).get("flatpose", "null"))
        return None if facts is None else Description.model_validate(facts)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        problem = f"its description is incomplete ({'.'.join(map(str, first['loc']))}: {first['msg']})"
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        problem = f"its description cannot be read ({str(error)[:200]})"
    raise FlatPoseError(problem, where=str(file), hint=PACK)


def _refuse_giant(run: RunConfig, keypoints: int, given: int, file: Path) -> None:
    """A description may ask for a network of any size, so that its size is first compared on the meta device."""
    try:
        with torch.device("meta"):
            network = build_model(run.model, run.codec, run.image_size, keypoints, pretrained=False)
    except (RuntimeError, ValueError, AttributeError) as error:
        raise FlatPoseError(f"describes an impossible network ({str(error).splitlines()[0][:200]})", where=str(file),
                            hint=PACK) from None
    asked = sum(p.numel() for p in network.parameters())
    if asked > given:
        raise FlatPoseError(f"describes a network of {asked} parameters and holds {given}", where=str(file), hint=PACK)
