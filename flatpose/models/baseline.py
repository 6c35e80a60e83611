"""SimpleBaseline and its relatives: Xiao et al., Simple Baselines for Human Pose Estimation, ECCV 2018.

A ResNet (any timm backbone), zero to three deconvolutions, and one of three heads. With a heatmap head and three
deconvolutions it is SimpleBaseline; with fewer, the heatmap curve of Fig. 1(b); with a SimCC head, its coordinate
curve (the head of Li et al., SimCC, ECCV 2022).
"""

from __future__ import annotations

from torch import Tensor, nn

from flatpose.config import BaselineConfig, CodecConfig, HeatmapCodecConfig, SimCCCodecConfig
from flatpose.errors import SpecError
from flatpose.models.backbones import Start
from flatpose.models.heads import RegressionHead, SimCCHead, deconv_stack, heatmap_conv
from flatpose.models.hrnet import build_trunk, trunk_stride


class Baseline(nn.Module):
    """Backbone, deconvolutions, head."""

    def __init__(self, backbone: nn.Module, deconvs: nn.Sequential, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.deconvs, self.head = backbone, deconvs, head

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised -> heatmap, or simcc_x and simcc_y, or coords."""
        output = self.head(self.deconvs(self.backbone(images)))
        return output if isinstance(output, dict) else {"heatmap": output}


def build(config: BaselineConfig, codec: CodecConfig, image_size: tuple[int, int], num_keypoints: int,
          start: Start) -> Baseline:
    """The network of a BaselineConfig; raises SpecError when head, stride and codec do not fit together."""
    stride = trunk_stride(config.backbone) >> config.num_deconvs
    _check(config, codec, stride)
    backbone, channels = build_trunk(config.backbone, start)
    deconvs, channels = deconv_stack(channels, config.num_deconvs, config.deconv_dim)
    return Baseline(backbone, deconvs, _head(config, codec, channels, stride, image_size, num_keypoints))


def _head(config: BaselineConfig, codec: CodecConfig, channels: int, stride: int,
          image_size: tuple[int, int], num_keypoints: int) -> nn.Module:
    if config.head == "heatmap":
        return heatmap_conv(channels, num_keypoints)
    if isinstance(codec, SimCCCodecConfig):
        cells = (image_size[0] // stride) * (image_size[1] // stride)
        return SimCCHead(channels, cells, num_keypoints, image_size, codec.split_ratio)
    return RegressionHead(channels, num_keypoints)


def _check(config: BaselineConfig, codec: CodecConfig, stride: int) -> None:
    if codec.kind != config.head:
        raise SpecError(f"head {config.head!r} needs codec {config.head!r}, not {codec.kind!r}", where="model.head")
    if isinstance(codec, HeatmapCodecConfig) and codec.stride != stride:
        raise SpecError(f"{config.num_deconvs} deconvolutions give stride {stride}, the codec says {codec.stride}",
                        where="codec.stride", hint=f"set codec.stride={stride}")
