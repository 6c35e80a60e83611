"""TokenPose: Li et al., TokenPose: Learning Keypoint Tokens for Human Pose Estimation, ICCV 2021.

HRNet up to stage 3 gives a stride-4 map, whose patches become visual tokens. One learnable token per keypoint joins
them; after the transformer each keypoint token is turned into its heatmap by an MLP. A fixed sine code is added to the
visual tokens at the input and again before every block but the first of a group. TokenPose-L reads the keypoint tokens
after each of three groups of blocks.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from flatpose.config import TokenPoseConfig
from flatpose.errors import SpecError
from flatpose.models.backbones import Trunk, trunk_stride
from flatpose.models.hrnet import hrnet_trunk
from flatpose.models.setting import Setting
from flatpose.models.transformer import init_linear, init_output, sine_position_2d

_Norm = partial(nn.LayerNorm, eps=1e-5)


class TokenPose(nn.Module):
    """Trunk, tokens, transformer, MLP head."""

    def __init__(self, config: TokenPoseConfig, setting: Setting, trunk: Trunk) -> None:
        super().__init__()
        dim, (patch_w, patch_h), map_size = config.embed_dim, config.patch_size, setting.grid(trunk.stride)
        self.num_keypoints, self.map_size, self.patch_size = setting.num_keypoints, map_size, config.patch_size
        self.trunk = trunk
        self.to_tokens = nn.Linear(patch_w * patch_h * trunk.channels, dim)
        self.keypoint_tokens = nn.Parameter(torch.empty(1, self.num_keypoints, dim))
        position = sine_position_2d(map_size[0] // patch_h, map_size[1] // patch_w, dim)
        # A parameter as in the official code, where checkpoints hold it and published sizes count it; never trained.
        self.position = nn.Parameter(position[None], requires_grad=False)
        self.groups = nn.ModuleList(
            nn.ModuleList(Block(dim, config.num_heads, config.mlp_ratio, norm_layer=_Norm)
                          for _ in range(config.depth // config.groups)) for _ in range(config.groups))
        self.head = _head(config.groups * dim, config.head_hidden, map_size[0] * map_size[1])
        for part in (self.to_tokens, self.groups, self.head):
            part.apply(init_linear)
        init_output(self.head[-1], config.head_std)
        nn.init.trunc_normal_(self.keypoint_tokens, std=0.02)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) normalised -> heatmap (B, K, H / stride, W / stride)."""
        visual = self.to_tokens(self._patches(self.trunk(images))) + self.position
        tokens = torch.cat([self.keypoint_tokens.expand(len(visual), -1, -1), visual], dim=1)
        position = F.pad(self.position, (0, 0, self.num_keypoints, 0))  # nothing for the keypoint tokens
        answers = []
        for group in self.groups:
            for index, block in enumerate(group.children()):
                tokens = block(tokens + position if index else tokens)
            answers.append(tokens[:, :self.num_keypoints])
        return {"heatmap": self.head(torch.cat(answers, dim=-1)).unflatten(2, self.map_size)}

    def _patches(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, patches, patch height * patch width * C)."""
        patch_w, patch_h = self.patch_size
        # B, C, rows, patch_h, columns, patch_w
        cells = features.unflatten(3, (-1, patch_w)).unflatten(2, (-1, patch_h))
        return cells.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def _head(dim: int, hidden: int | None, cells: int) -> nn.Sequential:
    """From a keypoint's token to its flattened heatmap; there is no activation in between."""
    first = [] if hidden is None else [nn.LayerNorm(dim), nn.Linear(dim, hidden)]
    width = hidden or dim
    return nn.Sequential(*first, nn.LayerNorm(width), nn.Linear(width, cells))


def build(config: TokenPoseConfig, setting: Setting) -> TokenPose:
    """TokenPose for a heatmap codec of its trunk's stride.

    Raises:
        SpecError: Another codec, or blocks, heads or patches that do not divide evenly.
    """
    stride = trunk_stride(config.backbone)
    setting.require("heatmap", "TokenPose", stride)
    height, width = setting.grid(stride)
    patch_width, patch_height = config.patch_size
    for count, parts, what, field in ((width, patch_width, "columns", "patch_size"),
                                      (height, patch_height, "rows", "patch_size"),
                                      (config.depth, config.groups, "blocks", "groups"),
                                      (config.embed_dim, config.num_heads, "channels", "num_heads")):
        if count % parts:
            raise SpecError(f"{count} {what} are not a multiple of {parts}", where=f"model.{field}")
    return TokenPose(config, setting, hrnet_trunk(config.backbone, setting.start, stages=3))
