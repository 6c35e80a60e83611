"""The convolutional systems of Tables 2 to 4. Defaults are the published COCO variant named in each docstring."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from flatpose.config.base import Weights, config


@config
class HRNetConfig:
    """HRNet-W32 with one heatmap per keypoint."""

    kind: Literal["hrnet"] = "hrnet"
    backbone: str = "hrnet_w32"
    pretrained: bool = True
    weights: Weights = None


@config
class SimCCConfig:
    """SimCC on HRNet-W48, or on a ResNet without upsampling. (ResNet + deconvolutions: BaselineConfig, head simcc.)"""

    kind: Literal["simcc"] = "simcc"
    backbone: str = "hrnet_w48"
    pretrained: bool = True
    weights: Weights = None
    maps_per_keypoint: PositiveInt = 1
    """28 in the upsample-free ResNet-50, whose maps have only 8x6 cells."""


@config
class SARConfig:
    """SAR on HRNet-W48; on a ResNet three deconvolutions come first."""

    kind: Literal["sar"] = "sar"
    backbone: str = "hrnet_w48"
    pretrained: bool = True
    weights: Weights = None
    deconv_dim: PositiveInt = 256


@config
class SRPoseConfig:
    """SRPose on ResNet-50 (or hrnet_w32)."""

    kind: Literal["srpose"] = "srpose"
    backbone: str = "resnet50"
    pretrained: bool = True
    weights: Weights = None


@config
class RTMPoseConfig:
    """RTMPose-m (cspnext_m) or -l (cspnext_l)."""

    kind: Literal["rtmpose"] = "rtmpose"
    backbone: str = "cspnext_m"
    pretrained: bool = True
    weights: Weights = None
    hidden_dim: PositiveInt = 256
    """Width of a keypoint's token in the gated attention unit."""
    key_dim: PositiveInt = 128
    expansion: PositiveInt = 2
