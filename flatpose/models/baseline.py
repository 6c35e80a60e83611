"""SimpleBaseline and its relatives: Xiao et al., Simple Baselines for Human Pose Estimation, ECCV 2018.

A ResNet (any timm backbone), zero to three deconvolutions, and one of three heads. With a heatmap head and three
deconvolutions it is SimpleBaseline; with fewer, the heatmap curve of Fig. 1(b); with a SimCC head, its coordinate
curve (the head of Li et al., SimCC, ECCV 2022).
"""

from __future__ import annotations

from flatpose.config import BaselineConfig
from flatpose.models.backbones import Trunk, trunk_stride
from flatpose.models.heads import PoseNet, build_head, deconv_stack
from flatpose.models.setting import Setting


def build(config: BaselineConfig, setting: Setting) -> PoseNet:
    """The network of a BaselineConfig; raises SpecError when head, stride and codec do not fit together."""
    stride = trunk_stride(config.backbone) >> config.num_deconvs
    setting.require(config.head, f"head {config.head!r}", stride)
    backbone = Trunk(config.backbone, setting.start)
    deconvs, channels = deconv_stack(backbone.channels, config.num_deconvs, config.deconv_dim)
    return PoseNet(backbone=backbone, deconvs=deconvs, head=build_head(setting, channels, stride))
