"""SAR: Wang and Zhang, Spatial-Aware Regression for Keypoint Localization, CVPR 2024.

Every cell of the stride-4 map regresses the keypoint (the cell's place minus an offset) and a weight for its own
answer. A third branch learns an ordinary heatmap, as an auxiliary loss for the trunk. The trunk is HRNet, or a
ResNet with SimpleBaseline's three deconvolutions. The paper gives no parameter count; ours is 63.6 M for W48.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from flatpose.config import SARConfig
from flatpose.models.backbones import Trunk, is_hrnet, trunk_stride
from flatpose.models.heads import deconv_stack, heatmap_conv
from flatpose.models.setting import Setting

PRIOR = 0.01  # initial probability of a cell, so that the many empty cells do not dominate the first steps


class SAR(nn.Module):
    """Stride-4 trunk and three 1x1 convolutions."""

    def __init__(self, trunk: nn.Module, channels: int, num_keypoints: int) -> None:
        super().__init__()
        self.trunk = trunk
        rare = math.log(PRIOR / (1 - PRIOR))
        self.logit = heatmap_conv(channels, num_keypoints, bias=rare)
        self.offset = heatmap_conv(channels, 2 * num_keypoints)
        self.heatmap = heatmap_conv(channels, num_keypoints, bias=rare)

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
    y, x = (torch.arange(size, device=like.device, dtype=like.dtype) / size for size in like.shape[-2:])
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))


def build(config: SARConfig, setting: Setting) -> SAR:
    """SAR for its own codec at the stride of its map; raises SpecError for another."""
    deconvs = 0 if is_hrnet(config.backbone) else 3
    setting.require("sar", "SAR", trunk_stride(config.backbone) >> deconvs)
    trunk = Trunk(config.backbone, setting.start)
    if not deconvs:
        return SAR(trunk, trunk.channels, setting.num_keypoints)
    upsampling, channels = deconv_stack(trunk.channels, deconvs, config.deconv_dim)
    return SAR(nn.Sequential(trunk, upsampling), channels, setting.num_keypoints)
