"""ViTPose: Xu et al., ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation, NeurIPS 2022.

A plain vision transformer gives features at stride 16; the classic decoder is SimpleBaseline's head with two
deconvolutions. Three places differ from timm's ViT: the 16-pixel patches are read with two pixels of padding, there
is no class token (its slot of the pretrained position code is added to every patch), and ViT-S has 12 heads.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from flatpose.config import CodecConfig
from flatpose.config.vit_peers import ViTPoseConfig
from flatpose.models.backbones import Start
from flatpose.models.heads import deconv_stack, heatmap_conv
from flatpose.models.hrnet import check_heatmap
from flatpose.models.vit import ViTTrunk, patch_size


class ViTPose(nn.Module):
    """Transformer, two deconvolutions, 1x1 convolution.

    Args:
        backbone: timm's VisionTransformer without class token.
        grid: Its patches (height, width).
        deconv_dim: Channels of the decoder.
        num_keypoints: K.
    """

    def __init__(self, backbone: Any, grid: tuple[int, int], deconv_dim: int, num_keypoints: int) -> None:
        super().__init__()
        self.backbone, self.grid = backbone, grid
        self.deconvs, channels = deconv_stack(backbone.embed_dim, 2, deconv_dim)
        self.head = heatmap_conv(channels, num_keypoints)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised -> heatmap (B, K, 4h, 4w) of h x w patches."""
        tokens = self.backbone.forward_features(images)
        features = tokens.transpose(1, 2).unflatten(2, self.grid)
        return {"heatmap": self.head(self.deconvs(features))}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """timm's layer groups for layer-wise decay: embeddings, one per block, all the rest (last norm and decoder)."""
        return {"stem": r"^backbone\.(?:pos_embed|patch_embed)", "blocks": r"^backbone\.blocks\.(\d+)"}

    def no_weight_decay(self) -> set[str]:
        """Parameters beside biases and norms that weight decay spares."""
        return {"backbone.pos_embed"}


def build(config: ViTPoseConfig, codec: CodecConfig, image_size: tuple[int, int], num_keypoints: int,
          start: Start) -> ViTPose:
    """ViTPose for a heatmap codec of a quarter of a patch; raises SpecError for another or a size that does not fit."""
    check_heatmap(codec, patch_size(config.backbone) // 4, "ViTPose")
    trunk = ViTTrunk(config.backbone, start, image_size, num_heads=config.num_heads, drop_path=config.drop_path)
    return ViTPose(trunk.net, trunk.grid, config.deconv_dim, num_keypoints)
