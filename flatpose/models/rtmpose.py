"""RTMPose: Jiang et al., RTMPose: Real-Time Multi-Person Pose Estimation based on MMPose, arXiv 2303.07399, 2023.

CSPNeXt (timm's), a 7x7 convolution to one stride-32 map per keypoint, each map a token; one gated attention unit
(Hua et al., Transformer Quality in Linear Time, ICML 2022) mixes the tokens; SimCC classifiers follow.
The published weights start from CSPNeXt trained on keypoints (AIC + COCO), which timm does not have: from ImageNet
weights, expect a lower AP.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flatpose.config import RTMPoseConfig
from flatpose.models.backbones import Trunk
from flatpose.models.heads import init_conv
from flatpose.models.setting import Setting


class ScaleNorm(nn.Module):
    """x / rms(x), times one learned number."""

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.scale, self.eps = dim**-0.5, eps
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalises the last axis."""
        rms = torch.linalg.vector_norm(x, dim=-1, keepdim=True) * self.scale
        return x / rms.clamp(min=self.eps) * self.gain


class GatedAttentionUnit(nn.Module):
    """One head of squared-ReLU attention whose result is gated by the token; residual with a learned scale.

    Args:
        dim: Width of a token.
        expanded: Width of gate and values.
        key_dim: Width of queries and keys, which are two scaled and shifted copies of one projection.
    """

    def __init__(self, dim: int, expanded: int, key_dim: int) -> None:
        super().__init__()
        self.widths = (expanded, expanded, key_dim)
        self.norm = ScaleNorm(dim)
        self.to_uvz = nn.Linear(dim, sum(self.widths), bias=False)
        self.gamma = nn.Parameter(torch.rand(2, key_dim))
        self.beta = nn.Parameter(torch.rand(2, key_dim))
        self.out = nn.Linear(expanded, dim, bias=False)
        self.residual_scale = nn.Parameter(torch.ones(dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, K, D) -> (B, K, D)."""
        gate, values, shared = F.silu(self.to_uvz(self.norm(tokens))).split(self.widths, dim=-1)
        query, key = (shared[..., None, :] * self.gamma + self.beta).unbind(-2)
        scores = query @ key.transpose(-1, -2) / math.sqrt(key.shape[-1])
        return self.residual_scale * tokens + self.out(gate * (F.relu(scores).square() @ values))


class RTMPose(nn.Module):
    """Backbone, keypoint tokens, gated attention unit, classifiers."""

    def __init__(self, config: RTMPoseConfig, setting: Setting, backbone: Trunk) -> None:
        super().__init__()
        dim, (height, width) = config.hidden_dim, setting.grid(backbone.stride)
        self.backbone = backbone
        self.to_maps = init_conv(nn.Conv2d(backbone.channels, setting.num_keypoints, 7, padding=3))
        self.norm = ScaleNorm(height * width)
        self.to_tokens = nn.Linear(height * width, dim, bias=False)
        self.gau = GatedAttentionUnit(dim, config.expansion * dim, config.key_dim)
        self.cls_x, self.cls_y = (nn.Linear(dim, count, bias=False) for count in setting.bins())
        for linear in (self.to_tokens, self.gau.to_uvz, self.gau.out, self.cls_x, self.cls_y):
            nn.init.normal_(linear.weight, std=0.01)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised -> logits simcc_x (B, K, Wx), simcc_y (B, K, Wy)."""
        maps = self.to_maps(self.backbone(images)).flatten(2)
        tokens = self.gau(self.to_tokens(self.norm(maps)))
        return {"simcc_x": self.cls_x(tokens), "simcc_y": self.cls_y(tokens)}


def build(config: RTMPoseConfig, setting: Setting) -> RTMPose:
    """RTMPose for one input size; raises SpecError for a codec other than SimCC's."""
    setting.require("simcc", "RTMPose")
    return RTMPose(config, setting, Trunk(config.backbone, setting.start))
