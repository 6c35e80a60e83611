"""timm backbones reduced to the one feature map the heads use."""

from __future__ import annotations

import timm
from torch import Tensor, nn

from flatpose.errors import RunError, SpecError, nearest

# ResNets for CPU minutes: timm's own builder with one block per stage and few channels where the map is large.
SMALL_RESNET = {"resnet_quick": {"channels": (16, 32, 96, 192), "stem_width": 8, "avg_down": False}}


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


def _create(name: str, pretrained: bool, drop_path: float) -> nn.Module:
    options = {"drop_path_rate": drop_path} if drop_path else {}
    base = name
    if name in SMALL_RESNET:
        base, options = "test_resnet", {**options, **SMALL_RESNET[name]}
    elif not timm.is_model(name):
        raise SpecError(f"timm has no model {name!r}", where="model.backbone", hint=nearest(name, timm.list_models()))
    try:
        return timm.create_model(base, pretrained=pretrained, features_only=True, out_indices=(-1,), **options)
    except Exception as error:
        if pretrained:
            raise RunError(
                f"no ImageNet weights for {name!r} ({type(error).__name__}: {error})", where="model.backbone",
                hint="put timm's weights in the Hugging Face cache, or set pretrained=False in the spec") from None
        raise
