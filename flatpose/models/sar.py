"""SAR: Wang and Zhang, Spatial-Aware Regression for Keypoint Localization, CVPR 2024.

Every cell of the stride-4 map regresses the keypoint (the cell's place minus an offset) and a weight for its own
answer. A third branch learns an ordinary heatmap, as an auxiliary loss for the trunk. The trunk is HRNet, or a
ResNet with SimpleBaseline's three deconvolutions. The paper gives no parameter count; ours is 63.6 M for W48.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from flatpose.config import CodecConfig, SARCodecConfig
from flatpose.config.cnn_peers import SARConfig
from flatpose.errors import SpecError
from flatpose.models.backbones import Start
from flatpose.models.heads import deconv_stack, init_conv
from flatpose.models.hrnet import build_trunk, is_hrnet, trunk_stride

PRIOR = 0.01  # initial probability of a cell, so that the many empty cells do not dominate the first steps


class SAR(nn.Module):
    """Stride-4 trunk and three 1x1 convolutions."""

    def __init__(self, trunk: nn.Module, channels: int, num_keypoints: int) -> None:
        super().__init__()
        self.trunk = trunk
        rare = math.log(PRIOR / (1 - PRIOR))
        self.logit = init_conv(nn.Conv2d(channels, num_keypoints, 1), 0.001, bias=rare)
        self.offset = init_conv(nn.Conv2d(channels, 2 * num_keypoints, 1), 0.001)
        self.heatmap = init_conv(nn.Conv2d(channels, num_keypoints, 1), 0.001, bias=rare)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) -> logit (B, K, h, w) in 0..1, keypoint (B, K, 2, h, w) over the input size, heatmap logits.

        Coordinates are formed in float32: bfloat16 would round them to whole pixels.
        """
        features = self.trunk(images)
        offset = self.offset(features).float().unflatten(1, (-1, 2))
        return {"logit": self.logit(features).float().sigmoid(), "keypoint": _cell_locations(offset) - offset,
                "heatmap": self.heatmap(features)}


def _cell_locations(like: Tensor) -> Tensor:
    """(2, h, w): column / w and row / h of every cell."""
    height, width = like.shape[-2:]
    x = torch.arange(width, device=like.device, dtype=like.dtype) / width
    y = torch.arange(height, device=like.device, dtype=like.dtype) / height
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])


def build(config: SARConfig, codec: CodecConfig, image_size: tuple[int, int], num_keypoints: int,
          start: Start) -> SAR:
    """SAR for its own codec at the stride of its map; raises SpecError for another."""
    deconvs = 0 if is_hrnet(config.backbone) else 3
    stride = trunk_stride(config.backbone) >> deconvs
    if not isinstance(codec, SARCodecConfig) or codec.stride != stride:
        raise SpecError(f"SAR regresses from every cell of a stride-{stride} map here", where="codec",
                        hint=f"use SARCodecConfig(stride={stride})")
    trunk, channels = build_trunk(config.backbone, start)
    if deconvs:
        upsampling, channels = deconv_stack(channels, deconvs, config.deconv_dim)
        trunk = nn.Sequential(trunk, upsampling)
    return SAR(trunk, channels, num_keypoints)
