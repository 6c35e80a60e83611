"""A READING of GatedUniPose (Feng et al., arXiv 2409.07752, 2024): no code is public, so nothing checks it.

Known from its abstract and its sibling paper (arXiv 2409.07798): UniRepLKNet (Ding et al., CVPR 2024) with gated
convolutions, and a head that upsamples with DySample (Liu et al., ICCV 2023) and concatenates feature maps.

Assumed: the S trunk (the sibling prints 96 channels at stride 4), its usual stem, and its large kernels as they are
after re-parametrisation (one 13x13 depthwise convolution, no parallel dilated ones while training). The feed-forward
half of every block is a convolutional gated linear unit of the same size (hidden width 8/3 instead of 4). The head
brings every scale to 256 channels and goes up from stride 32 to 4 in three steps: upsample, concatenate, 1x1 fusion.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from timm.layers import DropPath, LayerNorm2d, SqueezeExcite
from torch import Tensor, nn

from flatpose.config import GatedUniPoseConfig
from flatpose.errors import SpecError, nearest
from flatpose.models.heads import heatmap_conv
from flatpose.models.setting import Setting

LARGE, SMALL = 13, 3
LAYER_SCALE = 1e-6


@dataclass(frozen=True)
class Layout:
    """Channels and kernel sizes of the blocks of each stage; the stem's stride, which is the finest map's."""

    widths: tuple[int, ...]
    kernels: tuple[tuple[int, ...], ...]
    stride: int = 4


TRUNKS = {
    "unireplknet_s": Layout((96, 192, 384, 768),
                            ((SMALL,) * 3, (LARGE,) * 3, (LARGE, SMALL, SMALL) * 9, (LARGE,) * 3)),
    # For CPU minutes: at 128x96 as many cells as at 256x192.
    "unireplknet_quick": Layout((16, 32, 64, 128), ((SMALL,), (LARGE,), (LARGE, SMALL), (LARGE,)), stride=2),
}


class ConvGLU(nn.Module):
    """Gated convolution: 1x1 to values and gates, depthwise 3x3 and GELU on the gates, product, 1x1, BN."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = dim * 8 // 3
        self.expand = nn.Conv2d(dim, 2 * hidden, 1)
        self.gate = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.reduce = nn.Conv2d(hidden, dim, 1, bias=False)
        self.norm = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        value, gate = self.expand(x).chunk(2, dim=1)
        return self.norm(self.reduce(value * F.gelu(self.gate(gate))))


class UniRepBlock(nn.Module):
    """Depthwise convolution, BN, squeeze-and-excitation, gated feed-forward, layer scale, residual."""

    def __init__(self, dim: int, kernel: int, drop_path: float) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(dim, dim, kernel, padding=kernel // 2, groups=dim, bias=False)
        self.norm = nn.BatchNorm2d(dim)
        self.se = SqueezeExcite(dim, rd_channels=dim // 4)
        self.feed_forward = ConvGLU(dim)
        self.scale = nn.Parameter(torch.full((dim, 1, 1), LAYER_SCALE))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        return x + self.drop_path(self.scale * self.feed_forward(self.se(self.norm(self.spatial(x)))))


def _down(in_channels: int, out_channels: int, stride: int = 2) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1),
                         LayerNorm2d(out_channels, eps=1e-6))


def _trunk(layout: Layout, drop_path: float) -> nn.ModuleList:
    """Four stages at 1, 2, 4 and 8 times the stem's stride, each beginning with its downsampling."""
    rates = iter(torch.linspace(0, drop_path, sum(map(len, layout.kernels)), device="cpu").tolist())
    stages, channels = [], 3
    for number, (width, kernels) in enumerate(zip(layout.widths, layout.kernels, strict=True)):
        down = _down(channels, width)
        if number == 0:
            down = nn.Sequential(_down(3, width // 2), nn.GELU(), _down(width // 2, width, layout.stride // 2))
        stages.append(nn.Sequential(down, *(UniRepBlock(width, kernel, next(rates)) for kernel in kernels)))
        channels = width
    return nn.ModuleList(stages)


class DySample(nn.Module):
    """Upsampling by two at learned places: every output cell reads the input at its own centre plus an offset.

    With zero offsets this is bilinear upsampling. Channels are split into groups with offsets of their own.
    """

    def __init__(self, dim: int, groups: int = 4) -> None:
        super().__init__()
        self.groups = groups
        self.offset = nn.Conv2d(dim, 2 * groups * 4, 1)
        nn.init.normal_(self.offset.weight, std=0.001)
        nn.init.zeros_(self.offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, 2h, 2w)."""
        batch, channels, height, width = x.shape
        offset = F.pixel_shuffle(0.25 * self.offset(x), 2).reshape(batch * self.groups, 2, 2 * height, 2 * width)
        # Centres of the output cells in input cells, then both in grid_sample's units: -1 to 1 over the map.
        ys, xs = (torch.arange(2 * n, device=x.device, dtype=x.dtype) / 2 + 0.25 for n in (height, width))
        place_x = (xs + offset[:, 0]) * 2 / width - 1
        place_y = (ys[:, None] + offset[:, 1]) * 2 / height - 1
        sampled = F.grid_sample(x.reshape(batch * self.groups, -1, height, width),
                                torch.stack([place_x, place_y], dim=-1).to(x.dtype), align_corners=False,
                                padding_mode="border")
        return sampled.view(batch, channels, 2 * height, 2 * width)


class GatedUniPose(nn.Module):
    """Trunk, top-down path of three DySample steps, heatmaps."""

    def __init__(self, layout: Layout, drop_path: float, dim: int, num_keypoints: int) -> None:
        super().__init__()
        self.stages = _trunk(layout, drop_path)
        self.lateral = nn.ModuleList(nn.Conv2d(width, dim, 1) for width in layout.widths)
        self.upsample = nn.ModuleList(DySample(dim) for _ in range(3))
        self.fuse = nn.ModuleList(nn.Sequential(nn.Conv2d(2 * dim, dim, 1, bias=False), nn.BatchNorm2d(dim), nn.ReLU())
                                  for _ in range(3))
        self.head = heatmap_conv(dim, num_keypoints)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised -> heatmap (B, K, H / stride, W / stride)."""
        maps, x = [], images
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            x = stage(x)
            maps.append(lateral(x))
        x = maps.pop()
        for upsample, fuse in zip(self.upsample, self.fuse, strict=True):
            x = fuse(torch.cat([upsample(x), maps.pop()], dim=1))
        return {"heatmap": self.head(x)}


def build(config: GatedUniPoseConfig, setting: Setting) -> GatedUniPose:
    """Our reading of GatedUniPose for a heatmap codec of its stem's stride; raises SpecError for anything else."""
    if config.backbone not in TRUNKS:
        raise SpecError(f"no UniRepLKNet called {config.backbone!r}", where="model.backbone",
                        hint=nearest(config.backbone, TRUNKS))
    layout = TRUNKS[config.backbone]
    setting.require("heatmap", "GatedUniPose", layout.stride)
    if setting.start:
        raise SpecError("no weights for this reading are public", where="model.pretrained", hint="set it to False")
    return GatedUniPose(layout, config.drop_path, config.embed_dim, setting.num_keypoints)
