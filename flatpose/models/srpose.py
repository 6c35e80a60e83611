"""SRPose: Wang et al., Lightweight Super-Resolution Head for Human Pose Estimation, ACM Multimedia 2023.

A light decoder goes from the coarsest feature map to the finest. At each of the four levels a super-resolution
head turns the features into heatmaps finer than the level itself: 1/4 of the input at the first three, the full input
resolution at the last. All are supervised; inference keeps the last. Before that, a plain heatmap of the coarsest
level is predicted and fused back into the features.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flatpose.config import SRPoseConfig
from flatpose.models.backbones import Trunk
from flatpose.models.heads import init_conv
from flatpose.models.setting import Setting

WIDTHS = (256, 128, 64, 32)  # decoder channels, coarsest level first
EMBEDDINGS = (16, 8, 4, 4)  # channels per keypoint inside a super-resolution head
KERNELS = (3, 5, 7, 9)
UPSCALES = (8, 4, 2, 4)
LEVELS = tuple(f"heatmap_level{i}" for i in range(3))


def _lateral(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels), nn.ReLU())


def _carry(in_channels: int, out_channels: int) -> nn.Sequential:
    """From one level to the next, before resizing: depthwise 3x3, 1x1, BN, ReLU."""
    return nn.Sequential(nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels),
                         *_lateral(in_channels, out_channels))


class ConvBlock(nn.Module):
    """ConvNeXt's block with batch normalisation: x + MLP(BN(depthwise 7x7))."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.spatial = nn.Sequential(nn.Conv2d(dim, dim, 7, padding=3, groups=dim), nn.BatchNorm2d(dim))
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        return x + self.mlp(self.spatial(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SuperResolution(nn.Sequential):
    """Features (B, C, h, w) -> heatmaps (B, K, up * h, up * w); each keypoint has its own channels throughout."""

    def __init__(self, channels: int, level: int, num_keypoints: int) -> None:
        embedding, kernel, upscale = EMBEDDINGS[level], KERNELS[level], UPSCALES[level]
        to_pixels = nn.Conv2d(embedding * num_keypoints, upscale**2 * num_keypoints, kernel, padding=kernel // 2,
                              groups=num_keypoints)
        super().__init__(nn.Conv2d(channels, embedding * num_keypoints, 1), nn.ReLU(), init_conv(to_pixels),
                         nn.PixelShuffle(upscale))


class SRPose(nn.Module):
    """Trunk with all its maps (strides 4, 8, 16 and 32), decoder and super-resolution heads."""

    training_only = ("heads.0.", "heads.1.", "heads.2.")
    """Prefixes of parameters that inference does not use (0.3 M): not part of a count."""

    def __init__(self, trunk: Trunk, num_keypoints: int) -> None:
        super().__init__()
        steps, channels = range(1, len(WIDTHS)), trunk.widths
        self.trunk = trunk
        self.coarse_heatmap = nn.Conv2d(channels[-1], num_keypoints, 1)
        self.fuse_heatmap = nn.Conv2d(num_keypoints, WIDTHS[0], 1)
        self.lateral = nn.ModuleList(_lateral(c, w) for c, w in zip(reversed(channels), WIDTHS, strict=True))
        self.carry = nn.ModuleList(_carry(WIDTHS[i - 1], WIDTHS[i]) for i in steps)
        self.fuse = nn.ModuleList(nn.Conv2d(2 * WIDTHS[i], WIDTHS[i], 1) for i in steps)
        self.blocks = nn.ModuleList(nn.Sequential(ConvBlock(WIDTHS[i]), ConvBlock(WIDTHS[i])) for i in steps)
        self.heads = nn.ModuleList(SuperResolution(w, i, num_keypoints) for i, w in enumerate(WIDTHS))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) -> heatmap (B, K, H, W); while training also heatmap_level0..2 and heatmap_coarse."""
        maps = self.trunk.maps(images)[::-1]
        coarse = F.relu(self.coarse_heatmap(maps[0]))
        features = [self.lateral[0](maps[0]) + F.relu(self.fuse_heatmap(coarse))]
        for i, carry in enumerate(self.carry):
            carried = F.interpolate(carry(features[-1]), maps[i + 1].shape[2:])
            joined = self.fuse[i](torch.cat([carried, self.lateral[i + 1](maps[i + 1])], dim=1))
            features.append(self.blocks[i](joined))
        outputs = {"heatmap": self.heads[-1](features[-1])}
        if self.training:
            outputs["heatmap_coarse"] = coarse
            outputs |= {name: head(feature) for name, head, feature in zip(LEVELS, self.heads, features, strict=False)}
        return outputs


def build(config: SRPoseConfig, setting: Setting) -> SRPose:
    """SRPose for a heatmap codec of stride 1; raises SpecError for another."""
    setting.require("heatmap", "SRPose", 1)
    return SRPose(Trunk(config.backbone, setting.start, pyramid=True), setting.num_keypoints)
