"""HRNet: Sun et al., Deep High-Resolution Representation Learning for Human Pose Estimation, CVPR 2019.

Branches at strides 4, 8, 16 and 32 exchange features again and again; a 1x1 convolution on the stride-4 branch gives
one heatmap per keypoint. The trunk is timm's ``hrnet_w32`` / ``hrnet_w48`` (the ImageNet weights the authors start
from). The pose network differs in one place: nothing reads the three coarse outputs of its last fusion, so those
layers do not exist (28.5 M parameters instead of 29.3 M for W32).
"""

from __future__ import annotations

from typing import Any, Union

import timm
from timm.models.hrnet import HighResolutionNetFeatures
from torch import Tensor, nn

from flatpose.config import HRNetConfig
from flatpose.errors import SpecError, nearest
from flatpose.models.backbones import OUTPUT_STRIDE_16, Backbone, create_timm, load_start
from flatpose.models.heads import PoseNet, build_head
from flatpose.models.setting import Setting, Start


def _small_stage(channels: tuple[int, ...]) -> dict[str, object]:
    return {"num_modules": 1, "num_branches": len(channels), "block_type": "BASIC", "fuse_method": "SUM",
            "num_blocks": (1,) * len(channels), "num_channels": channels}


# For CPU minutes: timm's own builder with one block per branch and one exchange per stage. Its second convolution has
# no stride, so that its finest branch is at stride 2: at 128x96 as many cells as HRNet has at 256x192.
SMALL_HRNET = {"hrnet_quick": {
    "stem_width": 16, "stage1": {**_small_stage((16,)), "block_type": "BOTTLENECK"}, "stage2": _small_stage((16, 32)),
    "stage3": _small_stage((16, 32, 64)), "stage4": _small_stage((16, 32, 64, 128)),
}}


def is_hrnet(name: str) -> bool:
    """Whether a backbone is one of these rather than a network that ends in one coarse map."""
    return name.startswith("hrnet")


class HRNetTrunk(nn.Module):
    """HRNet without a head: (B, 3, H, W) -> (B, C, H / stride, W / stride); H and W are multiples of 32.

    Args:
        name: timm's name ("hrnet_w32", "hrnet_w48") or "hrnet_quick".
        start: Where the weights start: False, True (timm's ImageNet weights) or a file.
        stages: 4, or 3 to stop before the stride-32 branch appears (TokenPose).
        all_branches: Keep the last fusion whole, so that :meth:`maps` gives every scale (SRPose).

    Attributes:
        channels: Channels of the finest branch, which :meth:`forward` returns.
        widths: Channels of each branch that :meth:`maps` returns, finest first.
        stride: Input pixels per cell of the finest branch.
    """

    def __init__(self, name: str, start: Start, *, stages: int = 4, all_branches: bool = False) -> None:
        super().__init__()
        net = _create(name, start)
        last = list(net.stage4 if stages == 4 else net.stage3)[-1]
        widths = tuple(last.num_in_chs)
        if not all_branches:
            last.fuse_layers = nn.ModuleList([last.fuse_layers[0]])
            widths = widths[:1]
        if stages == 3:
            net.transition3, net.stage4 = nn.ModuleList(nn.Identity() for _ in widths), nn.Identity()
        if isinstance(start, str) or name in SMALL_HRNET:
            load_start(net, name, start)
        self.net, self.widths = net, widths
        self.channels, self.stride = widths[0], trunk_stride(name)

    def forward(self, images: Tensor) -> Tensor:
        """The finest branch."""
        return self.maps(images)[0]

    def maps(self, images: Tensor) -> list[Tensor]:
        """The outputs of the last fusion, finest first: one map, or all of them with ``all_branches``."""
        return self.net(images)[1:]  # timm's first feature is the stem


def _create(name: str, start: Start) -> Any:
    """timm's network, which has no types."""
    if name in SMALL_HRNET:
        network = HighResolutionNetFeatures(SMALL_HRNET[name], feature_location="")
        network.conv2.stride = (1, 1)
        return network
    if not (is_hrnet(name) and timm.is_model(name)):
        known = [*timm.list_models("hrnet*"), *SMALL_HRNET]
        raise SpecError(f"no HRNet called {name!r}", where="model.backbone", hint=nearest(name, known))
    return create_timm(name, start is True, features_only=True, feature_location="")


Trunk = Union[Backbone, HRNetTrunk]
"""Both have ``channels`` and ``stride`` of the one map they give, and ``widths`` and ``maps`` of all of them."""


def trunk_stride(name: str) -> int:
    """The output stride of the trunk that :func:`build_trunk` makes."""
    if is_hrnet(name):
        return 2 if name in SMALL_HRNET else 4
    return 16 if name.endswith(OUTPUT_STRIDE_16) else 32


def build_trunk(name: str, start: Start, *, drop_path: float = 0.0, pyramid: bool = False) -> Trunk:
    """The trunk called ``name`` (an HRNet, or a convolutional timm network); four maps with ``pyramid``.

    Raises:
        SpecError: timm has no such network.
        RunError: The start weights are missing or do not fit.
    """
    if is_hrnet(name):
        return HRNetTrunk(name, start, all_branches=pyramid)
    return Backbone(name, start, drop_path, levels=4 if pyramid else 1)


def build(config: HRNetConfig, setting: Setting) -> PoseNet:
    """HRNet for a heatmap codec of its trunk's stride; raises SpecError for another codec."""
    setting.require("heatmap", "HRNet", trunk_stride(config.backbone))
    trunk = HRNetTrunk(config.backbone, setting.start)
    return PoseNet(trunk=trunk, head=build_head(setting, trunk.channels, trunk.stride))
