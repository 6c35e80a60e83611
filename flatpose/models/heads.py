"""Heads shared by several systems: deconvolutions, heatmap, SimCC classifiers, coordinate regression."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from flatpose.models.setting import Setting


def deconv_stack(in_channels: int, num_deconvs: int, dim: int = 256) -> tuple[nn.Sequential, int]:
    """``num_deconvs`` times [transposed conv 4x4 stride 2, BN, ReLU] (Xiao et al. 2018), and its output channels."""
    layers: list[nn.Module] = []
    for index in range(num_deconvs):
        source = in_channels if index == 0 else dim
        layers += [nn.ConvTranspose2d(source, dim, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(dim),
                   nn.ReLU(inplace=True)]
    stack = nn.Sequential(*layers)
    for module in stack:
        if isinstance(module, nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=0.001)
    return stack, dim if num_deconvs else in_channels


def heatmap_conv(in_channels: int, num_keypoints: int, bias: float = 0.0) -> nn.Conv2d:
    """1x1 convolution to one map per keypoint, initialised as in SimpleBaseline."""
    return init_conv(nn.Conv2d(in_channels, num_keypoints, 1), bias)


def init_conv(conv: nn.Conv2d, bias: float = 0.0) -> nn.Conv2d:
    """The same convolution with weights N(0, 0.001) and a constant bias."""
    nn.init.normal_(conv.weight, std=0.001)
    if conv.bias is not None:
        nn.init.constant_(conv.bias, bias)
    return conv


class SimCCHead(nn.Module):
    """1x1 conv to K maps, each flattened and classified over x and y bins by two linear layers shared over keypoints.

    Args:
        in_channels: Channels of the feature map.
        cells: Number of cells h * w of the feature map.
        num_keypoints: K.
        bins: Bins over x and over y.
        maps_per_keypoint: Maps that are flattened together for one keypoint.
    """

    def __init__(self, in_channels: int, cells: int, num_keypoints: int, bins: tuple[int, int],
                 maps_per_keypoint: int = 1) -> None:
        super().__init__()
        self.num_keypoints = num_keypoints
        self.to_maps = nn.Conv2d(in_channels, num_keypoints * maps_per_keypoint, 1)
        self.cls_x, self.cls_y = (nn.Linear(maps_per_keypoint * cells, count) for count in bins)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) -> logits simcc_x (B, K, Wx) and simcc_y (B, K, Wy)."""
        vectors = self.to_maps(features).unflatten(1, (self.num_keypoints, -1)).flatten(2)
        return {"simcc_x": self.cls_x(vectors), "simcc_y": self.cls_y(vectors)}


class RegressionHead(nn.Module):
    """Mean over cells, one hidden layer, 2K coordinates as fractions of the input."""

    def __init__(self, in_channels: int, num_keypoints: int, hidden: int = 1024) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(in_channels, hidden), nn.ReLU(inplace=True),
                                 nn.Linear(hidden, 2 * num_keypoints))
        # The initial prediction is the middle of the crop.
        nn.init.constant_(self.mlp[-1].bias, 0.5)
        nn.init.normal_(self.mlp[-1].weight, std=0.01)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) -> coords (B, K, 2)."""
        return {"coords": self.mlp(torch.mean(features, dim=(2, 3))).unflatten(1, (-1, 2))}


def build_head(setting: Setting, channels: int, stride: int, maps_per_keypoint: int = 1) -> nn.Module:
    """The head that the codec needs, on features of that stride: heatmap, SimCC or regression."""
    if setting.codec.kind == "heatmap":
        return heatmap_conv(channels, setting.num_keypoints)
    if setting.codec.kind == "simcc":
        height, width = setting.grid(stride)
        return SimCCHead(channels, height * width, setting.num_keypoints, setting.bins(), maps_per_keypoint)
    return RegressionHead(channels, setting.num_keypoints)


class PoseNet(nn.Sequential):
    """Named parts that run one after the other: a trunk, perhaps deconvolutions, a head."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__(OrderedDict(parts))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised -> heatmap (B, K, H / stride, W / stride), or simcc_x and simcc_y, or coords."""
        output = super().forward(images)
        return output if isinstance(output, dict) else {"heatmap": output}
