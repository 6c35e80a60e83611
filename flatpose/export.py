"""Networks for other runtimes: crops in, keypoints out, as ONNX or torch.export, compared with PyTorch's answers."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flatpose.checkpoints.described import Checkpoint
from flatpose.codecs import Codec, build_codec
from flatpose.data.loader import IMAGENET_MEAN, IMAGENET_STD
from flatpose.errors import FlatPoseError
from flatpose.io import write_bytes, write_json
from flatpose.predict import perfect_score

INPUT, BATCHES = "crops", (1, 3)
Answer = Callable[[Tensor], list[np.ndarray]]


class Exported(nn.Module):
    """Crops (B, H, W, 3) uint8 RGB -> keypoints (B, K, 2) in crop pixels, scores (B, K) in 0..1, network outputs.

    Normalisation and decoding are part of the graph. ``names`` are those of the outputs, known after a first call.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, codec: Codec) -> None:
        super().__init__()
        self.network, self.codec, self.perfect = network, codec, perfect_score(codec)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN))
        self.register_buffer("std", torch.tensor(IMAGENET_STD))
        self.names: list[str] = []

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Keypoints, scores, then the outputs of the network."""
        images = ((crops.float() - self.mean) / self.std).permute(0, 3, 1, 2)
        outputs = {k: v for k, v in self.network(images).items() if isinstance(v, Tensor)}
        self.names = ["keypoints", "scores", *outputs]
        keypoints, scores = self.codec.decode(outputs)
        return keypoints, (scores / self.perfect).clamp(0, 1), *outputs.values()


def export(checkpoint: Checkpoint, path: Path) -> dict[str, Any]:
    """Write ``path`` (.onnx or .pt2) and, beside it, ``path``.json: geometry, keypoints and the parity with PyTorch.

    Raises:
        FlatPoseError: The ending is another one, a package is missing, or the network cannot be exported.
    """
    run, write = checkpoint.run, {".onnx": _onnx, ".pt2": _torch}.get(path.suffix)
    if write is None:
        raise FlatPoseError(f"no export to {path.suffix or 'a file without ending'}", where=str(path),
                            hint=".onnx or .pt2")
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing and write is _onnx:
        raise FlatPoseError(f"{', '.join(missing)} not installed", where="export",
                            hint="pip install 'flatpose-exp[onnx]', or -o model.pt2")
    codec = build_codec(run.codec, run.image_size, len(checkpoint.keypoint_set))
    module = Exported(checkpoint.network.cpu().eval(), codec).eval()
    crops = _crops(run.image_size, max(BATCHES))
    with torch.no_grad():
        module(crops)  # collects the names of the outputs
        try:
            answer = write(module, crops, path)
        except FlatPoseError:
            raise
        except Exception as error:  # the exporters have dozens of error classes of their own
            first = next(iter(str(error).strip().splitlines()), "")[:200]
            raise FlatPoseError(f"{run.model.kind} cannot be exported ({type(error).__name__}: {first})",
                                where=str(path), hint="--debug shows the traceback") from error
        parity = {"batches": list(BATCHES), **_compare(module, answer, crops)}
    facts = {"kind": run.model.kind, "codec": run.codec.kind, "image_size": list(run.image_size), "udp": run.codec.udp,
             "padding": 1.25, "input": INPUT, "outputs": module.names,
             "keypoints": list(checkpoint.keypoint_set.names), "torch": torch.__version__,
             "skeleton": [list(pair) for pair in checkpoint.keypoint_set.skeleton], "parity": parity,
             "calibration": [list(knot) for knot in checkpoint.calibration]}
    write_json(path.with_name(path.name + ".json"), facts)
    return facts


def _crops(image_size: tuple[int, int], batch: int) -> Tensor:
    """Smooth random pictures: on white noise a network's answer would depend on rounding."""
    small = torch.rand(batch, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    large = nn.functional.interpolate(small, (image_size[1], image_size[0]), mode="bicubic", align_corners=False)
    return (255 * large).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _onnx(module: Exported, crops: Tensor, path: Path) -> Answer:
    import onnxruntime

    program = torch.onnx.export(_program(module, crops), dynamo=True, verbose=False, input_names=[INPUT],
                                output_names=module.names)
    assert program is not None  # only the old exporter returns None
    content = program.model_proto.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    batch = session.get_inputs()[0].shape[0]
    if isinstance(batch, int):  # the exporter does not report that it specialised the dimension
        raise FlatPoseError(f"the exporter fixed the batch size at {batch}; no file was written", where=str(path),
                            hint="-o model.pt2 uses torch.export, which says where")
    write_bytes(path, content)
    return lambda batch: list(session.run(module.names, {INPUT: batch.numpy()}))


def _torch(module: Exported, crops: Tensor, path: Path) -> Answer:
    content = io.BytesIO()
    torch.export.save(_program(module, crops), content)
    write_bytes(path, content.getvalue())
    loaded = torch.export.load(str(path)).module()
    return lambda batch: [value.numpy() for value in loaded(batch)]


def _program(module: Exported, crops: Tensor) -> torch.export.ExportedProgram:
    """The graph with a free batch size, by tracing or else by reading the bytecode, which keeps ``len(tensor)``."""
    options: dict[str, Any] = {"dynamic_shapes": {"crops": {0: torch.export.Dim("batch")}}}
    try:
        return torch.export.export(module, (crops,), strict=False, **options)
    except Exception:  # of many classes; the error of the second attempt is the one to show
        return torch.export.export(module, (crops,), strict=True, **options)


def _compare(module: Exported, answer: Answer, crops: Tensor) -> dict[str, float]:
    """Largest differences over all batch sizes: of the network's outputs, of scores and of keypoints in crop pixels."""
    apart = []
    for size in BATCHES:
        answers = zip(module(crops[:size]), answer(crops[:size]), strict=True)
        keypoints, scores, *outputs = (float(np.abs(ours.numpy() - theirs).max()) for ours, theirs in answers)
        apart.append((max(outputs), scores, keypoints))
    names = "max_abs_difference", "max_score_difference", "max_keypoint_difference_px"
    return {name: max(values) for name, values in zip(names, zip(*apart, strict=True), strict=True)}
