"""Backbones by name: timm's networks reduced to the feature maps that the heads use, and where their weights start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
from timm.models.hrnet import HighResolutionNetFeatures
from torch import Tensor, nn

from flatpose.checkpoints.files import read_weights
from flatpose.errors import RunError, SpecError, nearest
from flatpose.models.setting import Start

SMALL_RESNET = ("test_resnet", {"channels": (16, 32, 96, 192), "stem_width": 8, "avg_down": False})
SMALL_BACKBONES: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet_quick": SMALL_RESNET, "resnet_quick_heatmap": SMALL_RESNET,
    "convnext_quick": ("test_convnext2", {"dims": (16, 32, 96, 192), "depths": (1, 1, 1, 1)}),
    "convnext_quick_deep": ("test_convnext2", {"dims": (16, 32, 96, 192), "depths": (1, 1, 3, 1)}),
}
"""Networks for CPU minutes: timm's builders with one block per stage and few channels where the map is large.

``resnet_quick_heatmap`` is ``resnet_quick`` with start weights that were trained under a heatmap head alone.
"""


def _small_stage(channels: tuple[int, ...]) -> dict[str, object]:
    return {"num_modules": 1, "num_branches": len(channels), "block_type": "BASIC", "fuse_method": "SUM",
            "num_blocks": (1,) * len(channels), "num_channels": channels}


SMALL_HRNET = {"hrnet_quick": {
    "stem_width": 16, "stage1": {**_small_stage((16,)), "block_type": "BOTTLENECK"}, "stage2": _small_stage((16, 32)),
    "stage3": _small_stage((16, 32, 64)), "stage4": _small_stage((16, 32, 64, 128)),
}}
"""The same with one block per branch and one exchange per stage. Its second convolution has no stride, so that its
finest branch is at stride 2: at 128x96 as many cells as HRNet has at 256x192."""
OUTPUT_STRIDE_16 = "_os16"
"""Suffix of any of these names ("resnet_quick_os16"): the last stage is dilated instead of strided.

A 128x96 input then gives the 8x6 tokens of the paper's 256x192. The weights fit both strides.
"""
WEIGHTS = Path(__file__).parent / "weights"
"""Weights of the small backbones, made by flatpose.pretrain on embedded images that no experiment uses."""


def is_hrnet(name: str) -> bool:
    """Whether a backbone is an HRNet rather than a network that ends in one coarse map."""
    return name.startswith("hrnet")


def trunk_stride(name: str) -> int:
    """Input pixels per cell of the map that a trunk of this name gives."""
    if is_hrnet(name):
        return 2 if name in SMALL_HRNET else 4
    return 16 if name.endswith(OUTPUT_STRIDE_16) else 32


class Trunk(nn.Module):
    """A timm network without a head: normalised images (B, 3, H, W) -> (B, channels, H / stride, W / stride).

    An HRNet gives its finest branch, every other network its coarsest map.

    Args:
        name: timm's name or a small one, with ``_os16`` for output stride 16 instead of 32.
        start: Where its weights start.
        drop_path: Stochastic depth of the last block (HRNets have none).
        pyramid: :meth:`maps` gives all four maps, finest first, and not one alone.
        stages: Of an HRNet; 3 stops before the coarsest branch appears.

    Raises:
        SpecError: timm has no such model.
        RunError: The start weights are missing or do not fit.
    """

    def __init__(self, name: str, start: Start, *, drop_path: float = 0.0, pyramid: bool = False, stages: int = 4
                 ) -> None:
        super().__init__()
        if is_hrnet(name):
            net = _create(name, start, feature_location="")
            self.widths = _keep_branches(net, stages, pyramid)
            self.first, self.best = 1, 0  # timm's first feature is the stem
        else:
            net = _create(name, start, out_indices=range(-4 if pyramid else -1, 0),
                          **({"drop_path_rate": drop_path} if drop_path else {}))
            self.widths = tuple(net.feature_info.channels())
            self.first, self.best = 0, -1
        if isinstance(start, str) or name.removesuffix(OUTPUT_STRIDE_16) in {**SMALL_BACKBONES, **SMALL_HRNET}:
            load_start(net, name, start)
        self.net, self.channels, self.stride = net, self.widths[self.best], trunk_stride(name)

    def forward(self, images: Tensor) -> Tensor:
        """The map of :attr:`stride`."""
        return self.maps(images)[self.best]

    def maps(self, images: Tensor) -> list[Tensor]:
        """One map, or with ``pyramid`` all of them (channels ``widths``)."""
        return self.net(images)[self.first:]


def _create(name: str, start: Start, **options: Any) -> Any:
    """timm's network as feature extractor, with timm's own weights where ``start`` is True."""
    base = name.removesuffix(OUTPUT_STRIDE_16)
    if base != name:
        options["output_stride"] = 16
    if base in SMALL_HRNET:
        network = HighResolutionNetFeatures(SMALL_HRNET[base], **options)
        network.conv2.stride = (1, 1)
        return network
    if base in SMALL_BACKBONES:
        timm_name, layout = SMALL_BACKBONES[base]
        return timm.create_model(timm_name, features_only=True, **options, **layout)
    return create_timm(base, start is True, features_only=True, **options)


def _keep_branches(net: Any, stages: int, pyramid: bool) -> tuple[int, ...]:
    """Remove the layers of an HRNet whose outputs nothing reads; returns the channels of the branches that stay."""
    last = list(net.stage4 if stages == 4 else net.stage3)[-1]
    widths = tuple(last.num_in_chs)
    if not pyramid:
        last.fuse_layers = nn.ModuleList([last.fuse_layers[0]])
        widths = widths[:1]
    if stages == 3:
        net.transition3, net.stage4 = nn.ModuleList(nn.Identity() for _ in widths), nn.Identity()
    return widths


def create_timm(name: str, pretrained: bool, **options: Any) -> nn.Module:
    """timm.create_model; raises SpecError when there is no such model, RunError when its weights cannot be had."""
    if not timm.is_model(name):
        raise SpecError(f"timm has no model {name!r}", where="model.backbone",
                        hint=nearest(name, [*timm.list_models(), *SMALL_BACKBONES, *SMALL_HRNET]))
    try:
        return timm.create_model(name, pretrained=pretrained, **options)
    except Exception as error:
        if not pretrained:
            raise
        raise RunError(
            f"no ImageNet weights for {name!r} ({type(error).__name__}: {error})", where="model.backbone",
            hint="put timm's weights in the Hugging Face cache, name a file in model.weights, or set "
                 "model.pretrained=False") from None


def load_start(network: nn.Module, name: str, start: Start) -> None:
    """Load start weights: a file's, or for True those that this package has for ``name``."""
    if start:
        where = str(start_file(name, start))
        network.load_state_dict(fitted(start_state(name, start), network.state_dict(), where=where))


def start_file(name: str, start: Start) -> Path:
    """The file of start weights; for True the committed one of a small backbone."""
    return Path(start) if isinstance(start, str) else WEIGHTS / f"{name.removesuffix(OUTPUT_STRIDE_16)}.safetensors"


def start_state(name: str, start: Start) -> dict[str, Tensor]:
    """The tensors of a file of start weights, floats as float32; raises RunError where there are none."""
    path = start_file(name, start)
    if start is True and not path.is_file():
        raise RunError("no such weights", where=str(path),
                       hint=f"python -m flatpose.pretrain {name} makes them; or set model.pretrained=False")
    return {key: value.float() if value.is_floating_point() else value
            for key, value in read_weights(path).state.items()}


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
