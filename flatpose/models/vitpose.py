"""ViTPose: Xu et al., ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation, NeurIPS 2022.

A plain vision transformer gives features at stride 16; the classic decoder is SimpleBaseline's head with two
deconvolutions. Three places differ from timm's ViT: the 16-pixel patches are read with two pixels of padding, there
is no class token (its slot of the pretrained position code is added to every patch), and ViT-S has 12 heads.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from flatpose.config import ViTPoseConfig
from flatpose.models.heads import deconv_stack, heatmap_conv
from flatpose.models.setting import Setting
from flatpose.models.vit import ViTTrunk, patch_size


class ViTPose(nn.Module):
    """Transformer, two deconvolutions of ``deconv_dim`` channels, 1x1 convolution."""

    def __init__(self, trunk: ViTTrunk, deconv_dim: int, num_keypoints: int) -> None:
        super().__init__()
        self.backbone, self.grid = trunk.net, trunk.grid
        self.deconvs, channels = deconv_stack(trunk.channels, 2, deconv_dim)
        self.head = heatmap_conv(channels, num_keypoints)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised -> heatmap (B, K, 4h, 4w) of h x w patches."""
        features = self.backbone.forward_features(images).transpose(1, 2).unflatten(2, self.grid)
        return {"heatmap": self.head(self.deconvs(features))}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """timm's layer groups for layer-wise decay: embeddings, one per block, all the rest (last norm and decoder)."""
        return {"stem": r"^backbone\.(?:pos_embed|patch_embed)", "blocks": r"^backbone\.blocks\.(\d+)"}

    def no_weight_decay(self) -> set[str]:
        """Parameters beside biases and norms that weight decay spares."""
        return {"backbone.pos_embed"}


def build(config: ViTPoseConfig, setting: Setting) -> ViTPose:
    """ViTPose for a heatmap codec of a quarter of a patch; raises SpecError for another or a size that does not fit."""
    setting.require("heatmap", "ViTPose", patch_size(config.backbone) // 4)
    trunk = ViTTrunk(config.backbone, setting, num_heads=config.num_heads, drop_path=config.drop_path)
    return ViTPose(trunk, config.deconv_dim, setting.num_keypoints)
