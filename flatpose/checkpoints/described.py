"""Checkpoints that describe themselves: weights with the network, codec and keypoints they belong to, and a card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from flatpose import benchmarks
from flatpose.checkpoints.files import read_weights
from flatpose.checkpoints.fit import feed_bgr, load_into
from flatpose.config import RunConfig
from flatpose.config.run import from_dict
from flatpose.errors import FlatPoseError
from flatpose.io import invalid, read_json, write_bytes, write_json, write_text
from flatpose.keypoints import KeypointSet
from flatpose.models import untrained

FORMAT: Literal["flatpose-pose/1"] = "flatpose-pose/1"
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
RECORD, RUN_WEIGHTS = "record.json", "weights.safetensors"
BUNDLED = Path(__file__).parents[1] / "weights" / WEIGHTS
HALF_MAX = 65504.0
HALF, FULL = "matrices and kernels rounded to 16 bits, vectors in 32", "32 bits"
PACK = "flatpose-exp pack makes one from a finished run, or with --system NAME from a published file"
CARD_METRICS = ("AP", "AP50", "AP75", "AR", "PCKh@0.5")
Knots = tuple[tuple[float, float], ...]


class Description(BaseModel):
    """The JSON inside the safetensors file, and beside it as config.json."""

    format: Literal["flatpose-pose/1"] = FORMAT
    run: RunConfig
    keypoint_set: KeypointSet
    record: dict[str, Any]
    """Where the weights come from: the record of the run, without its spec, or a published file."""
    stored: str = FULL
    bgr: bool = False
    """The weights expect BGR images; the network converts (``feed_bgr``)."""
    calibration: Knots = ()
    """Knots of a map from scores to shares of right answers; none where it was not measured."""

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


class Checkpoint(Description):
    """A network with all that is needed to use it."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    network: nn.Module = Field(exclude=True)


def save_checkpoint(checkpoint: Checkpoint, folder: Path, *, half: bool = False) -> list[Path]:
    """Write model.safetensors (self-contained), config.json and the model card; returns the three paths.

    ``half`` stores matrices and kernels in 16 bits. Vectors (biases, norms and their statistics) keep 32 bits: they
    are small, and variances may lie outside the range of 16.
    """
    facts = {**checkpoint.model_dump(mode="json"), "stored": HALF if half else FULL}
    state = {name: value.detach().cpu().contiguous() for name, value in checkpoint.network.state_dict().items()}
    if half:
        state = {name: value.half() if _fits_half(value) else value for name, value in state.items()}
    description = json.dumps(facts, sort_keys=True, allow_nan=False)
    write_bytes(folder / WEIGHTS, save(state, {"format": "pt", "flatpose": description}))
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
        source = {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        keypoints = keypoint_set or benchmarks.get(system.data.task).keypoints()
        known = Description(run=system, keypoint_set=keypoints, record={"checkpoint": source},
                            bgr=known is not None and known.bgr)
    elif known is not None:
        _refuse_giant(known, sum(value.numel() for value in weights.state.values()), file)
    else:
        raise FlatPoseError("weights without a description of network, keypoints and codec", where=str(file),
                            hint=f"--system NAME for a published file; {PACK}")
    network = untrained(known.run, len(known.keypoint_set))
    fit = load_into(network, known.run.model, file, weights)
    if known.bgr:
        feed_bgr(network)
    if system is not None:
        known.record["checkpoint"]["names"] = fit.note
    return Checkpoint(**{**dict(known), "bgr": known.bgr or fit.bgr}, network=network.eval())


def _of_run(folder: Path) -> Description:
    """The description of a finished run's weights, from its record."""
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
    return Description(run=run, keypoint_set=keypoints,
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
        problem = f"its description is incomplete ({invalid(error)[0]})"
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        problem = f"its description cannot be read ({str(error)[:200]})"
    raise FlatPoseError(problem, where=str(file), hint=PACK)


def _refuse_giant(known: Description, given: int, file: Path) -> None:
    """Refuse a description of a network larger than its file; it is built on the meta device to compare the sizes."""
    try:
        with torch.device("meta"):
            network = untrained(known.run, len(known.keypoint_set))
    except (RuntimeError, ValueError, AttributeError) as error:
        raise FlatPoseError(f"describes an impossible network ({str(error).splitlines()[0][:200]})", where=str(file),
                            hint=PACK) from None
    asked = sum(p.numel() for p in network.parameters())
    if asked > given:
        raise FlatPoseError(f"describes a network of {asked} parameters and holds {given}", where=str(file), hint=PACK)


def model_card(facts: dict[str, Any]) -> str:
    """README.md of a checkpoint, from the content of its config.json."""
    run, record, keypoints = facts["run"], facts["record"], facts["keypoint_set"]
    (width, height), start, cost = run["image_size"], record.get("start"), record.get("cost")
    curve = (record.get("train") or {}).get("curve") or {}
    judged = ", ".join(f"{100 * curve[epoch]:.1f} after epoch {epoch}" for epoch in sorted(curve, key=int))
    lines = [
        f"**Keypoints** {keypoints['name']}: {', '.join(keypoints['names'])}", f"**Weights** {_origin(run, record)}",
        start and f"**Start** {start['weights']} (sha256 {start['sha256'][:12]})",
        cost and f"**Cost** {cost['params_m']:.2f} M parameters, {cost['gflops']:.3f} G multiply-adds per forward pass",
        judged and f"**Validation while training**, main metric × 100: {judged}", f"**Stored** in {facts['stored']}",
        facts.get("calibration") and "**Scores** are probabilities (docs/predict.md)"]
    listed = "\n".join(f"- {line}" for line in lines if line)
    return f"""# {run['model']['kind']}, {run['codec']['kind']} targets, {height}×{width} (h×w)

A top-down 2-D pose network of flatpose-exp: one person per box, keypoints in image pixels.

{listed}

{_scores(record)}

Measured before weights were rounded. Numbers hold for these data, boxes and score rule only; those of a reduced
profile or of part of a data set are not comparable with published ones.

```python
from flatpose import Pose

pose = Pose.load("model.safetensors")
keypoints, scores = pose(image_rgb, boxes_xywh)
```
"""


def _origin(run: dict[str, Any], record: dict[str, Any]) -> str:
    """Where the weights come from: a published file, or a training with its data and command."""
    if "checkpoint" in record:
        return "{file} (sha256 {sha256}, {names})".format(**record["checkpoint"])
    made, data, train = (record.get(part) or {} for part in ("provenance", "data", "train"))
    return (f"{data.get('label', 'unknown data')}, profile `{run['profile']}`, seed {record.get('seed', '?')}, "
            f"{train.get('epochs', '?')} epochs; `{made.get('command', '?')}` at "
            f"{made.get('git_sha', 'an unknown commit')}, {made.get('ended', '')}")


def _scores(record: dict[str, Any]) -> str:
    """The metrics of the packed weights, one line per box source."""
    import pandas as pd

    trained = [r for r in record.get("results") or [] if r.get("kind") == "trained"]
    lines = [{"boxes": r["box_source"], "flip test": "yes" if r["flip_test"] else "no",
              **{f"{name} × 100": 100 * r["metrics"][name] for name in CARD_METRICS if name in r["metrics"]},
              "score rule": r["score_rule"]} for r in trained if r["weights"] == trained[0]["weights"]]
    return pd.DataFrame(lines).to_markdown(index=False, floatfmt=".1f") if lines else "Nothing was measured here."
