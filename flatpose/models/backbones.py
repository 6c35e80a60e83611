"""timm backbones reduced to the one feature map the heads use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
from safetensors.torch import load_file
from torch import Tensor, nn

from flatpose.errors import RunError, SpecError, nearest

# Networks for CPU minutes: timm's builders with one block per stage and few channels where the map is large. Their
# "pretrained" weights are ours, made by flatpose.pretrain on embedded images that no experiment uses.
QUICK_BACKBONES: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet_quick": ("test_resnet", {"channels": (16, 32, 96, 192), "stem_width": 8, "avg_down": False}),
    "convnext_quick": ("test_convnext2", {"dims": (16, 32, 96, 192), "depths": (1, 1, 1, 1)}),
    "convnext_quick_deep": ("test_convnext2", {"dims": (16, 32, 96, 192), "depths": (1, 1, 3, 1)}),
}
WEIGHTS = Path(__file__).parent / "weights"


class Backbone(nn.Module):
    """The last feature map of a timm network: (B, 3, H, W) -> (B, C, H/32, W/32)."""

    def __init__(self, name: str, pretrained: bool, drop_path: float = 0.0) -> None:
        super().__init__()
        self.net = _create(name, pretrained, drop_path)
        self.channels = self.net.feature_info.channels()[-1]
        self.stride = self.net.feature_info.reduction()[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Stride-32 features."""
        return self.net(images)[-1]


def build_backbone(name: str, pretrained: bool, *, drop_path: float = 0.0) -> tuple[nn.Module, int]:
    """A timm backbone giving its stride-32 map, and the number of channels of that map.

    Raises:
        SpecError: timm has no such model.
        RunError: Pretrained weights were asked for and are neither on disk nor to be downloaded.
    """
    backbone = Backbone(name, pretrained, drop_path)
    return backbone, backbone.channels


class Pyramid(nn.Module):
    """The last four feature maps of a timm network, strides 4, 8, 16, 32 in this order."""

    def __init__(self, name: str, pretrained: bool) -> None:
        super().__init__()
        self.net = _create(name, pretrained, 0.0, out_indices=(-4, -3, -2, -1))
        self.channels = self.net.feature_info.channels()

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> four maps, finest first."""
        return self.net(images)


def _create(name: str, pretrained: bool, drop_path: float, *, out_indices: tuple[int, ...] = (-1,)) -> nn.Module:
    common: dict[str, Any] = {"features_only": True, "out_indices": out_indices}
    if drop_path:
        common["drop_path_rate"] = drop_path
    if name in QUICK_BACKBONES:
        base, layout = QUICK_BACKBONES[name]
        network = timm.create_model(base, **common, **layout)
        if pretrained:
            network.load_state_dict(_quick_weights(name))
        return network
    if not timm.is_model(name):
        raise SpecError(f"timm has no model {name!r}", where="model.backbone", hint=nearest(name, timm.list_models()))
    return create_timm(name, pretrained, **common)


def create_timm(name: str, pretrained: bool, **options: Any) -> nn.Module:
    """timm.create_model; raises RunError when pretrained weights are neither on disk nor to be downloaded."""
    try:
        return timm.create_model(name, pretrained=pretrained, **options)
    except Exception as error:
        if not pretrained:
            raise
        raise RunError(
            f"no ImageNet weights for {name!r} ({type(error).__name__}: {error})", where="model.backbone",
            hint="put timm's weights in the Hugging Face cache, or set pretrained=False in the spec") from None


def _quick_weights(name: str) -> dict[str, Tensor]:
    """Our own committed weights, stored in half precision."""
    path = WEIGHTS / f"{name}.safetensors"
    if not path.is_file():
        raise RunError("no such weights", where=str(path), hint=f"python -m flatpose.pretrain {name} makes them")
    return {key: value.float() if value.is_floating_point() else value for key, value in load_file(path).items()}
