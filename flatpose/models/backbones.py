"""Backbones by name: timm's networks reduced to the feature maps that the heads use, and where their weights start."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from flatpose.errors import RunError, SpecError, nearest
from flatpose.models.setting import Start

SMALL_BACKBONES: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet_quick": ("test_resnet", {"channels": (16, 32, 96, 192), "stem_width": 8, "avg_down": False}),
    "convnext_quick": ("test_convnext2", {"dims": (16, 32, 96, 192), "depths": (1, 1, 1, 1)}),
    "convnext_quick_deep": ("test_convnext2", {"dims": (16, 32, 96, 192), "depths": (1, 1, 3, 1)}),
}
"""Networks for CPU minutes: timm's builders with one block per stage and few channels where the map is large."""
OUTPUT_STRIDE_16 = "_os16"
"""Suffix of any of these names ("resnet_quick_os16"): the last stage is dilated instead of strided.

A 128x96 input then gives the 8x6 tokens of the paper's 256x192. The weights fit both strides.
"""
WEIGHTS = Path(__file__).parent / "weights"
"""Weights of the small backbones, made by flatpose.pretrain on embedded images that no experiment uses."""


class Backbone(nn.Module):
    """A timm network as feature extractor: normalised images (B, 3, H, W) -> (B, channels, H / stride, W / stride).

    Args:
        name: timm's name or a small one, with ``_os16`` for output stride 16 instead of 32.
        start: Where its weights start.
        drop_path: Stochastic depth of the last block.
        levels: Feature maps that :meth:`maps` gives: the coarsest alone, or all four (strides 4, 8, 16, 32).
    """

    def __init__(self, name: str, start: Start, drop_path: float = 0.0, levels: int = 1) -> None:
        super().__init__()
        self.net = _create(name, start, drop_path, levels)
        self.widths: tuple[int, ...] = tuple(self.net.feature_info.channels())
        self.channels, self.stride = self.widths[-1], 16 if name.endswith(OUTPUT_STRIDE_16) else 32

    def forward(self, images: Tensor) -> Tensor:
        """The coarsest features."""
        return self.maps(images)[-1]

    def maps(self, images: Tensor) -> list[Tensor]:
        """All levels, finest first."""
        return self.net(images)


def _create(name: str, start: Start, drop_path: float, levels: int) -> Any:
    """A convolutional timm network as feature extractor.

    Raises:
        SpecError: timm has no such model.
        RunError: The start weights are missing or do not fit.
    """
    options: dict[str, Any] = {"features_only": True, "out_indices": range(-levels, 0)}
    if drop_path:
        options["drop_path_rate"] = drop_path
    base = name.removesuffix(OUTPUT_STRIDE_16)
    if base != name:
        options["output_stride"] = 16
    if base in SMALL_BACKBONES:
        timm_name, layout = SMALL_BACKBONES[base]
        return load_start(timm.create_model(timm_name, **options, **layout), name, start)
    if not timm.is_model(base):
        raise SpecError(f"timm has no model {base!r}", where="model.backbone",
                        hint=nearest(base, [*timm.list_models(), *SMALL_BACKBONES]))
    network = create_timm(base, start is True, **options)
    return load_start(network, name, start) if isinstance(start, str) else network


def create_timm(name: str, pretrained: bool, **options: Any) -> nn.Module:
    """timm.create_model; raises RunError when pretrained weights are neither on disk nor to be downloaded."""
    try:
        return timm.create_model(name, pretrained=pretrained, **options)
    except Exception as error:
        if not pretrained:
            raise
        raise RunError(
            f"no ImageNet weights for {name!r} ({type(error).__name__}: {error})", where="model.backbone",
            hint="put timm's weights in the Hugging Face cache, name a file in model.weights, or set "
                 "model.pretrained=False") from None


def load_start(network: nn.Module, name: str, start: Start) -> nn.Module:
    """The same network with its start weights: a file's, or for True those that this package has for ``name``."""
    if start:
        where = str(start_file(name, start))
        network.load_state_dict(fitted(start_state(name, start), network.state_dict(), where=where))
    return network


def start_file(name: str, start: Start) -> Path:
    """The file of start weights; for True the committed one of a small backbone."""
    return Path(start) if isinstance(start, str) else WEIGHTS / f"{name.removesuffix(OUTPUT_STRIDE_16)}.safetensors"


def start_state(name: str, start: Start) -> dict[str, Tensor]:
    """The tensors of a file of start weights (safetensors, or a state dict saved by torch), floats as float32.

    Raises:
        RunError: There is no such file, or it holds something else.
    """
    path = start_file(name, start)
    if not path.is_file():
        raise RunError("no such weights", where=str(path),
                       hint="name an existing file in model.weights" if isinstance(start, str) else
                            f"python -m flatpose.pretrain {name} makes them; or set model.pretrained=False")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, AttributeError, EOFError, OSError) as error:
        raise RunError(f"not a file of weights ({type(error).__name__})", where=str(path),
                       hint="a safetensors file, or a state dict saved by torch.save, is expected") from None


def fitted(state: dict[str, Tensor], network: dict[str, Tensor], *, where: str) -> dict[str, Tensor]:
    """``state`` under the names of ``network``, which may be a feature extractor (``stages_0`` for ``stages.0``).

    torchvision's MobileNetV2 has timm's layers in the same order under other names, so its tensors pair by position.
    Tensors beyond the network's, such as a classifier, are left out.

    Raises:
        RunError: A tensor of the network is missing or has another shape.
    """
    found = {key.replace(".", "_"): value for key, value in state.items()}
    if "features_0_0_weight" in found:
        values = [value for key, value in state.items() if not key.endswith("num_batches_tracked")]
        names = [key for key in network if not key.endswith("num_batches_tracked")]
        found = {key.replace(".", "_"): value for key, value in zip(names, values, strict=False)}
    result = {}
    for key, ours in network.items():
        theirs = found.get(key.replace(".", "_"), ours if key.endswith("num_batches_tracked") else None)
        if theirs is None or theirs.shape != ours.shape:
            shape = "missing" if theirs is None else f"of shape {tuple(theirs.shape)}"
            raise RunError(f"the weights do not fit: {key} is {shape}, expected {tuple(ours.shape)}", where=where,
                           hint="use the weights of this backbone")
        result[key] = theirs
    return result
