"""SHaRPose: An et al., Sparse High-Resolution Representation for Human Pose Estimation, AAAI 2024.

One vision transformer runs twice. Coarse stage: the image at half resolution, with one token per keypoint and one for
the quality of the answer; all keypoints get a heatmap, the attention from keypoints to image cells is recorded,
and a small MLP predicts the quality of the answer. Fine stage, for persons of low predicted quality: the cells with
most attention are replaced by their four full-resolution patches (plus what the coarse stage made of the cell), the
others keep their coarse patch, and the keypoint tokens start afresh.

Kept from the official code although the paper does not say so: the last keypoint's attention is left out of the
selection (a slice that ends one early), and predicted quality ends in a GELU, so that it is not bounded by 1.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flatpose.config import SHaRPoseConfig
from flatpose.models.setting import Setting
from flatpose.models.transformer import init_linear, init_output
from flatpose.models.vit import build_vit, patch_size, resized_position

NORM_EPS = 1e-5
ATTENTION_MEMORY = 0.99  # of the running mean over blocks


class SHaRPose(nn.Module):
    """Both stages on timm's VisionTransformer, whose patch convolution, blocks and norm are used."""

    def __init__(self, config: SHaRPoseConfig, setting: Setting, vit: Any) -> None:
        super().__init__()
        patch = patch_size(config.backbone)
        self.grid = setting.grid(2 * patch)  # cells of the coarse stage; the fine one has twice as many each way
        self.map_size = setting.grid(patch // 4)
        self.num_keypoints, self.threshold = setting.num_keypoints, config.threshold
        dim, cells = vit.embed_dim, self.grid[0] * self.grid[1]
        self.num_refined = math.ceil(config.alpha * cells)
        self.patches, self.blocks, self.norm = vit.patch_embed.proj, vit.blocks, vit.norm
        self.positions = nn.ParameterList([torch.zeros(1, cells, dim), torch.zeros(1, 4 * cells, dim)])
        self.keypoint_tokens = nn.Parameter(config.token_std * torch.randn(1, self.num_keypoints, dim))
        self.quality_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.reuse = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.quality = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim), nn.GELU(),
                                     nn.Linear(dim, 1), nn.GELU())
        self.head = _head(dim, self.map_size[0] * self.map_size[1], config.head_hidden)
        for part in (self.reuse, self.quality):
            part.apply(init_linear)
        init_output(self.head[-1], config.head_std)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Normalised images (B, 3, H, W) to both answers and what decided between them.

        Returns:
            ``heatmap`` (B, K, 4h, 4w) of h x w fine patches, refined where quality is low; ``heatmap_coarse``
            like it; ``quality`` (B,) predicted for the coarse answer; ``cell_score`` (B, cells), the attention of
            keypoints, row by row.
        """
        coarse_input = self._embed(F.interpolate(images, scale_factor=0.5, mode="bilinear"), 0)
        tokens, cell_score = self._coarse_stage(coarse_input)
        quality = self.quality(tokens[:, 0])[:, 0]
        answer, features = tokens[:, 1:1 + self.num_keypoints], tokens[:, 1 + self.num_keypoints:]
        coarse = self._heatmaps(answer)
        outputs = {"heatmap_coarse": coarse, "quality": quality, "cell_score": cell_score}
        # Operators are counted on a trace, and counted as if every person were refined.
        if self.training or self.threshold is None or torch.jit.is_tracing():
            return {"heatmap": self._fine_stage(images, coarse_input, features, cell_score), **outputs}
        poor = (quality < self.threshold).nonzero()[:, 0]
        heatmap = coarse.clone()
        heatmap[poor] = self._fine_stage(images[poor], coarse_input[poor], features[poor], cell_score[poor])
        return {"heatmap": heatmap, **outputs}

    def _coarse_stage(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Patch tokens (B, cells, D) -> tokens [quality, keypoints, cells] (B, 1 + K + cells, D), score (B, cells)."""
        fresh = torch.cat([self.quality_token, self.keypoint_tokens], dim=1).expand(len(patches), -1, -1)
        tokens, score = torch.cat([fresh, patches], dim=1), torch.zeros_like(patches[..., 0])
        first = len(self.blocks) // 4
        for index, block in enumerate(self.blocks):
            if index < first:
                tokens = block(tokens)
                continue
            tokens, attention = _with_attention(block, tokens)
            seen = attention[:, :, 1:self.num_keypoints, 1 + self.num_keypoints:].mean(1).sum(1)
            score = ATTENTION_MEMORY * score + (1 - ATTENTION_MEMORY) * seen
        return self.norm(tokens), score

    def _fine_stage(self, images: Tensor, coarse_input: Tensor, features: Tensor, cell_score: Tensor) -> Tensor:
        """Heatmaps (B, K, h, w) from full-resolution patches in the best cells and coarse ones elsewhere."""
        order = cell_score.topk(cell_score.shape[1]).indices
        refined, others = order[:, :self.num_refined], order[:, self.num_refined:]
        fine = self._by_cell(self._embed(images, 1)) + self.reuse(features)[:, :, None]
        tokens = torch.cat([self.keypoint_tokens.expand(len(images), -1, -1), _pick(fine.flatten(2), refined)
                            .unflatten(2, (4, -1)).flatten(1, 2), _pick(coarse_input, others)], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self._heatmaps(self.norm(tokens)[:, :self.num_keypoints])

    def _embed(self, images: Tensor, stage: int) -> Tensor:
        return self.patches(images).flatten(2).transpose(1, 2) + self.positions[stage]

    def _by_cell(self, tokens: Tensor) -> Tensor:
        """Fine tokens (B, 4 * cells, D), row by row -> (B, cells, 4, D), those of one coarse cell together."""
        rows, columns = self.grid
        quads = tokens.unflatten(1, (rows, 2, columns, 2)).transpose(2, 3)
        return quads.flatten(3, 4).flatten(1, 2)

    def _heatmaps(self, tokens: Tensor) -> Tensor:
        return self.head(tokens).unflatten(2, self.map_size)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """timm's layer groups for layer-wise decay: embeddings, one per block, all the rest."""
        return {"stem": r"^(?:positions|patches|keypoint_tokens|quality_token)", "blocks": r"^blocks\.(\d+)"}

    def no_weight_decay(self) -> set[str]:
        """Parameters beside biases and norms that weight decay spares."""
        return {"positions.0", "positions.1", "keypoint_tokens", "quality_token"}

    @torch.no_grad()
    def start_positions(self, code: Tensor) -> None:
        """Start both position codes from that of a pretrained ViT, whose class slot is dropped."""
        for factor, position in enumerate(self.positions, start=1):
            position.copy_(resized_position(code, (factor * self.grid[0], factor * self.grid[1]))[1])


def _with_attention(block: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """timm's block on tokens (B, N, D), and its attention weights (B, heads, N, N), which timm does not give."""
    attention = block.attn
    qkv = attention.qkv(block.norm1(tokens)).unflatten(-1, (3, attention.num_heads, -1))
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    weights = ((q * attention.scale) @ k.transpose(-2, -1)).softmax(dim=-1)
    mixed = attention.proj((weights.to(v.dtype) @ v).transpose(1, 2).flatten(2))
    tokens = tokens + block.drop_path1(mixed)
    return tokens + block.drop_path2(block.mlp(block.norm2(tokens))), weights


def _pick(tokens: Tensor, index: Tensor) -> Tensor:
    """Tokens (B, N, D) numbered by index (B, M) -> (B, M, D)."""
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))


def _head(dim: int, cells: int, hidden: bool | None) -> nn.Sequential:
    """From token to flattened heatmap; a token narrower than a quarter of the map gets a hidden layer of half its size.

    This rule (for ``hidden`` None), and not the published size, makes Base at 384x288 a network of 118.5 M parameters.
    """
    if not (dim < cells // 4 if hidden is None else hidden):
        return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, cells))
    return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, cells // 2), nn.GELU(), nn.LayerNorm(cells // 2),
                         nn.Linear(cells // 2, cells))


def build(config: SHaRPoseConfig, setting: Setting) -> SHaRPose:
    """SHaRPose; raises SpecError unless the codec makes heatmaps of a quarter of a patch and the size fits."""
    setting.require("heatmap", "SHaRPose", patch_size(config.backbone) // 4)
    setting.grid(2 * patch_size(config.backbone))
    vit, code = build_vit(config.backbone, setting, num_heads=config.num_heads, drop_path=config.drop_path,
                          norm_eps=NORM_EPS, position=False)
    model = SHaRPose(config, setting, vit)
    if code is not None:
        model.start_positions(code)
    return model
