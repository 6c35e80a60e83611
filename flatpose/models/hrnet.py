"""HRNet: Sun et al., Deep High-Resolution Representation Learning for Human Pose Estimation, CVPR 2019.

Branches at strides 4, 8, 16 and 32 exchange features again and again; a 1x1 convolution on the stride-4 branch gives
one heatmap per keypoint. The trunk is timm's ``hrnet_w32`` / ``hrnet_w48`` (the ImageNet weights the authors start
from). The pose network differs in one place: nothing reads the three coarse outputs of its last fusion, so those
layers do not exist (28.5 M parameters instead of 29.3 M for W32).
"""

from __future__ import annotations

from flatpose.config import HRNetConfig
from flatpose.errors import SpecError
from flatpose.models.backbones import Trunk, is_hrnet, trunk_stride
from flatpose.models.heads import PoseNet, build_head
from flatpose.models.setting import Setting, Start


def hrnet_trunk(name: str, start: Start, *, stages: int = 4) -> Trunk:
    """The trunk called ``name``; raises SpecError when that is no HRNet."""
    if not is_hrnet(name):
        raise SpecError(f"{name!r} is no HRNet", where="model.backbone", hint="hrnet_w32 or hrnet_w48")
    return Trunk(name, start, stages=stages)


def build(config: HRNetConfig, setting: Setting) -> PoseNet:
    """HRNet for a heatmap codec of its trunk's stride; raises SpecError for another codec."""
    setting.require("heatmap", "HRNet", trunk_stride(config.backbone))
    trunk = hrnet_trunk(config.backbone, setting.start)
    return PoseNet(trunk=trunk, head=build_head(setting, trunk.channels, trunk.stride))
