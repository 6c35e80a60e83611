"""Checkpoints that explain themselves: weights, what they are the weights of, and what was measured with them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from flatpose.checkpoints.files import load_file
from flatpose.config import RunConfig
from flatpose.config.run import from_dict, to_dict
from flatpose.errors import FlatPoseError
from flatpose.io import write_bytes, write_json, write_text
from flatpose.keypoints import KeypointSet
from flatpose.models import build_model

FORMAT = "flatpose-pose/1"
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
DEFAULT = Path(__file__).parent / "weights" / WEIGHTS
HALF_MAX = 65504.0
HALF, FULL = "matrices and kernels rounded to 16 bits, vectors in 32", "32 bits"
MOST_KEYPOINTS = 1000
PACK = "flatpose-exp pack ID --row R -o DIR makes one from a finished run"


@dataclass(frozen=True)
class Checkpoint:
    """A network with all that is needed to use it, and the record (without spec) of the run that trained it."""

    run: RunConfig
    keypoint_set: KeypointSet
    network: nn.Module
    record: dict[str, Any]

    def describe(self) -> dict[str, Any]:
        """The JSON that travels in the file and beside it."""
        return {"format": FORMAT, "run": to_dict(self.run), "keypoint_set": asdict(self.keypoint_set),
                "record": self.record}


def save_checkpoint(checkpoint: Checkpoint, folder: Path, *, half: bool = False) -> list[Path]:
    """Write model.safetensors (self-contained), config.json and the model card; returns the three paths.

    ``half`` stores matrices and kernels in 16 bits. Vectors (biases, norms and their statistics) keep 32: they are
    small, and variances may lie outside the range of 16.
    """
    facts = json.loads(json.dumps({**checkpoint.describe(), "stored": HALF if half else FULL}, allow_nan=False))
    state = {name: _stored(value, half) for name, value in checkpoint.network.state_dict().items()}
    write_bytes(folder / WEIGHTS, save(state, {"format": "pt", "flatpose": json.dumps(facts, sort_keys=True)}))
    write_json(folder / CONFIG, facts)
    write_text(folder / CARD, model_card(facts))
    return [folder / WEIGHTS, folder / CONFIG, folder / CARD]


def _stored(value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu().contiguous()
    fits = value.is_floating_point() and value.ndim > 1 and value.numel() and value.abs().max() < HALF_MAX
    return value.half() if half and fits else value


def load_checkpoint(path: Path | str | None = None) -> Checkpoint:
    """The checkpoint in a file, or in a folder that :func:`save_checkpoint` wrote; None is the one that comes along.

    Raises:
        FlatPoseError: It is missing, damaged, not one of ours, or its weights do not fit what it says of itself.
    """
    file = DEFAULT if path is None else Path(path)
    file = file / WEIGHTS if file.is_dir() else file
    state = load_file(file)  # tensors only: a pickle that holds more is refused here
    run, keypoints, record = _parsed(_facts(file), file)
    try:
        _refuse_giant(run, len(keypoints), state, file)
        network = build_model(run.model, run.codec, run.image_size, len(keypoints), pretrained=False)
        network.load_state_dict({name: v.float() if v.is_floating_point() else v for name, v in state.items()})
    except (RuntimeError, ValueError, AttributeError) as error:
        raise FlatPoseError(f"the weights are not those of the network it names ({str(error).splitlines()[0][:200]})",
                            where=str(file), hint=PACK) from None
    return Checkpoint(run, keypoints, network.eval(), record)


def _refuse_giant(run: RunConfig, keypoints: int, state: dict[str, Tensor], file: Path) -> None:
    """A description may ask for a network of any size: on the meta device its size is known without its memory."""
    with torch.device("meta"):
        asked = sum(p.numel() for p in build_model(run.model, run.codec, run.image_size, keypoints,
                                                   pretrained=False).parameters())
    given = sum(value.numel() for value in state.values())
    if asked > given:
        raise FlatPoseError(f"describes a network of {asked} parameters and holds {given}", where=str(file), hint=PACK)


def _facts(file: Path) -> Any:
    """The description inside the file; weights of other programs have none."""
    if file.suffix != ".safetensors":
        raise FlatPoseError("weights alone, without a word on network, keypoints and codec", where=str(file),
                            hint=f"{PACK}; weights of others: flatpose-exp run ID --row R --checkpoint FILE")
    try:
        with safe_open(file, framework="pt") as content:
            text = (content.metadata() or {}).get("flatpose")
        if text is None:
            raise FlatPoseError("weights alone, without a word on network, keypoints and codec", where=str(file),
                                hint=PACK)
        return json.loads(text)
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise FlatPoseError(f"its description cannot be read ({str(error)[:200]})", where=str(file)) from None


def _parsed(facts: Any, file: Path) -> tuple[RunConfig, KeypointSet, dict[str, Any]]:
    """The description, checked."""
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        named = facts.get("format") if isinstance(facts, dict) else None
        raise FlatPoseError(f"a checkpoint of form {named!r}; this program reads {FORMAT!r}", where=str(file),
                            hint="it may come from another version of flatpose-exp")
    try:
        return from_dict(facts["run"]), _keypoints(facts["keypoint_set"]), dict(facts["record"])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (KeyError, TypeError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
    raise FlatPoseError(f"its description is not whole ({problem[:200]})", where=str(file), hint=PACK)


def _keypoints(values: dict[str, Any]) -> KeypointSet:
    """Lists of JSON as tuples; every index must name a keypoint."""
    names = tuple(str(name) for name in values["names"])
    pairs = {key: tuple((int(a), int(b)) for a, b in values[key]) for key in ("flip_pairs", "skeleton")}
    upper, sigmas = tuple(int(i) for i in values["upper_body"]), tuple(float(s) for s in values["sigmas"])
    used = [*upper, *(i for group in pairs.values() for pair in group for i in pair)]
    if not 0 < len(names) <= MOST_KEYPOINTS or len(sigmas) != len(names):
        raise ValueError(f"{len(names)} keypoints, {len(sigmas)} sigmas")
    if any(not 0 <= i < len(names) for i in used):
        raise ValueError("a pair names a keypoint that does not exist")
    return KeypointSet(name=str(values["name"]), names=names, flip_pairs=pairs["flip_pairs"], sigmas=sigmas,
                       skeleton=pairs["skeleton"], upper_body=upper)


def model_card(facts: dict[str, Any]) -> str:
    """README.md of a checkpoint, from nothing but its description."""
    run, record, names = facts["run"], facts["record"], facts["keypoint_set"]["names"]
    data, train, made = record.get("data", {}), record.get("train", {}), record.get("provenance", {})
    cost, (width, height) = record.get("cost", {}), run["image_size"]
    lines = [f"# {run['model']['kind']}, {run['codec']['kind']} targets, {height}×{width} (h×w)", "",
             "A top-down 2-D pose network of flatpose-exp: one person per box, keypoints in image pixels.", "",
             f"- **Keypoints** {facts['keypoint_set']['name']}: {', '.join(names)}",
             f"- **Trained on** {data.get('label', 'not recorded')}, profile `{run['profile']}`, seed "
             f"{record.get('seed', 'not recorded')}, {train.get('epochs', '?')} epochs",
             f"- **Cost** {_rounded(cost.get('params_m'), 2)} M parameters, {_rounded(cost.get('gflops'), 3)} G "
             "multiply-adds for one forward pass",
             f"- **Made by** `{made.get('command', 'not recorded')}` at {made.get('git_sha', 'an unknown commit')}, "
             f"{made.get('ended', '')}",
             f"- **Stored** in {facts['stored']}" + (
                 "; the numbers below were measured before that, in 32 bits" if facts["stored"] == HALF else ""),
             "", "## Measured", "", *_measured(record), "",
             "Numbers hold for these data, boxes and score rule only. A `quick` or `mini` number is not comparable "
             "with a published one, and a network of that size misses most poses in the wild.", "", "## Use", "",
             "```python", "from flatpose import Pose", "", 'pose = Pose.load("model.safetensors")',
             "keypoints, scores = pose(image_rgb, boxes_xywh)", "```", ""]
    return "\n".join(lines)


def _measured(record: dict[str, Any]) -> list[str]:
    """One line per box source of the stored network, which is the averaged one where there is an average."""
    trained = [r for r in record.get("results", []) if r.get("kind") == "trained"]
    stored = [r for r in trained if r["weights"] == trained[0]["weights"]]
    if not stored:
        return ["Nothing was measured with these weights."]
    names = [n for n in ("AP", "AP50", "AP75", "AR", "PCKh@0.5") if n in stored[0]["metrics"]]
    head = ["boxes", "flip test", *(f"{n} × 100" for n in names), "score rule"]
    rows = [[r["box_source"], "yes" if r["flip_test"] else "no", *(_percent(r["metrics"].get(n)) for n in names),
             str(r["score_rule"])] for r in stored]
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]


def _rounded(value: float | None, decimals: int) -> str:
    return "?" if value is None else f"{value:.{decimals}f}"


def _percent(value: float | None) -> str:
    return "—" if value is None else f"{100 * value:.1f}"
