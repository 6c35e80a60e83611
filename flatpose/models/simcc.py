"""SimCC: Li et al., SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation, ECCV 2022.

A trunk, one or more maps per keypoint, and two linear layers, shared over keypoints, that classify x and y bins.
Two published variants are built here: HRNet-W48, whose stride-4 map is flattened (one map per keypoint), and the
upsample-free ResNet-50, whose stride-32 map is flattened as it is (28 maps per keypoint). ResNet-50 with
deconvolutions is flatpose.models.baseline with a SimCC head.
"""

from __future__ import annotations

from flatpose.config import SimCCConfig
from flatpose.models.backbones import Trunk
from flatpose.models.heads import PoseNet, build_head
from flatpose.models.setting import Setting


def build(config: SimCCConfig, setting: Setting) -> PoseNet:
    """SimCC for one input size; raises SpecError for a codec other than SimCC's."""
    setting.require("simcc", "SimCC")
    trunk = Trunk(config.backbone, setting.start)
    head = build_head(setting, trunk.channels, trunk.stride, config.maps_per_keypoint)
    return PoseNet(trunk=trunk, head=head)
