"""HRNet: Sun et al., Deep High-Resolution Representation Learning for Human Pose Estimation, CVPR 2019.

Branches at strides 4, 8, 16 and 32 exchange features again and again; a 1x1 convolution on the stride-4 branch gives
one heatmap per keypoint. The trunk is timm's ``hrnet_w32`` / ``hrnet_w48`` (the ImageNet weights the authors start
from). The pose network differs in one place: nothing reads the three coarse outputs of its last fusion, so those
layers do not exist (28.5 M parameters instead of 29.3 M for W32).
"""

from __future__ import annotations

from typing import Any

import timm
from timm.models.hrnet import HighResolutionNetFeatures
from torch import Tensor, nn

from flatpose.config import CodecConfig, HeatmapCodecConfig
from flatpose.config.cnn_peers import HRNetConfig
from flatpose.errors import SpecError, nearest
from flatpose.models.backbones import create_timm
from flatpose.models.heads import heatmap_conv

FINEST_STRIDE = 4


def _small_stage(channels: tuple[int, ...]) -> dict[str, object]:
    return {"num_modules": 1, "num_branches": len(channels), "block_type": "BASIC", "fuse_method": "SUM",
            "num_blocks": (1,) * len(channels), "num_channels": channels}


# For CPU minutes: timm's own builder with one block per branch and one exchange per stage.
SMALL_HRNET = {"hrnet_quick": {
    "stem_width": 16, "stage1": {**_small_stage((16,)), "block_type": "BOTTLENECK"}, "stage2": _small_stage((16, 32)),
    "stage3": _small_stage((16, 32, 64)), "stage4": _small_stage((16, 32, 64, 128)),
}}


def is_hrnet(name: str) -> bool:
    """Whether a backbone is one of these (and therefore has stride 4) rather than a stride-32 network."""
    return name.startswith("hrnet")


class HRNetTrunk(nn.Module):
    """HRNet without a head: (B, 3, H, W) -> (B, C, H/4, W/4); H and W are multiples of 32.

    Args:
        name: timm's name ("hrnet_w32", "hrnet_w48") or "hrnet_quick".
        pretrained: Start from timm's ImageNet weights.
        stages: 4, or 3 to stop before the stride-32 branch appears (TokenPose).
        all_branches: Keep the last fusion whole, so that :meth:`branches` gives every scale (SRPose).

    Attributes:
        channels: Channels of each branch that :meth:`branches` returns, finest first.
    """

    def __init__(self, name: str, pretrained: bool, *, stages: int = 4, all_branches: bool = False) -> None:
        super().__init__()
        net = _create(name, pretrained)
        if stages == 3:
            del net.transition3, net.stage4
        last = list(net.stage4 if stages == 4 else net.stage3)[-1]
        widths = list(last.num_in_chs)
        if not all_branches:
            last.fuse_layers = nn.ModuleList([last.fuse_layers[0]])
            widths = widths[:1]
        self.net, self.stages, self.channels = net, stages, tuple(widths)

    def forward(self, images: Tensor) -> Tensor:
        """The stride-4 branch."""
        return self.branches(images)[0]

    def branches(self, images: Tensor) -> list[Tensor]:
        """The outputs of the last fusion, finest first: one map, or all of them with ``all_branches``."""
        net = self.net
        x = net.act1(net.bn1(net.conv1(images)))
        x = net.act2(net.bn2(net.conv2(x)))
        x = net.layer1(x)
        maps = net.stage2([transition(x) for transition in net.transition1])
        maps = net.stage3(_widen(net.transition2, maps))
        return maps if self.stages == 3 else net.stage4(_widen(net.transition3, maps))


def _widen(transitions: nn.ModuleList, maps: list[Tensor]) -> list[Tensor]:
    """Inputs of the next stage: the branches as they are, and a new one made from the coarsest."""
    return [maps[i] if isinstance(t, nn.Identity) else t(maps[-1]) for i, t in enumerate(transitions)]


def _create(name: str, pretrained: bool) -> Any:
    """timm's network, which has no types."""
    if name in SMALL_HRNET:
        if pretrained:
            raise SpecError(f"{name!r} has no pretrained weights", where="model.pretrained", hint="set it to False")
        return HighResolutionNetFeatures(SMALL_HRNET[name], feature_location="")
    if not (is_hrnet(name) and timm.is_model(name)):
        known = [*timm.list_models("hrnet*"), *SMALL_HRNET]
        raise SpecError(f"no HRNet called {name!r}", where="model.backbone", hint=nearest(name, known))
    return create_timm(name, pretrained, features_only=True, feature_location="")


class HRNet(nn.Module):
    """Trunk and heatmap head."""

    def __init__(self, trunk: HRNetTrunk, num_keypoints: int) -> None:
        super().__init__()
        self.trunk, self.head = trunk, heatmap_conv(trunk.channels[0], num_keypoints)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised -> heatmap (B, K, H/4, W/4)."""
        return {"heatmap": self.head(self.trunk(images))}


def build(config: HRNetConfig, codec: CodecConfig, image_size: tuple[int, int], num_keypoints: int,
          pretrained: bool) -> HRNet:
    """HRNet for a heatmap codec of stride 4; raises SpecError for another codec."""
    if not isinstance(codec, HeatmapCodecConfig) or codec.stride != FINEST_STRIDE:
        raise SpecError("HRNet gives heatmaps of stride 4", where="codec", hint="use HeatmapCodecConfig(stride=4)")
    return HRNet(HRNetTrunk(config.backbone, pretrained), num_keypoints)
