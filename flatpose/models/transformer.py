"""Position code (eq. 2), attention and transformer blocks; the coarse block with ICA (section 3.2, eq. 10).

What the paper does not say is in ``FlatPoseReadings`` (reading R4); every projection has a bias.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from flatpose.config import FlatPoseConfig, FlatPoseReadings
from flatpose.models.ica import SemanticBias


def sine_position_2d(height: int, width: int, dim: int, temperature: float = 10000.0) -> Tensor:
    """The fixed E_pos of eq. 2 (height * width, dim), row by row: half of the channels encode y, then half x.

    Reading R5: rows and columns are scaled to (0, 2 pi], and each coordinate t becomes pairs sin(t / T^(2i/d)),
    cos(t / T^(2i/d)) with d = dim / 2 and T the temperature, as in the detection transformers the paper builds on.

    Raises:
        ValueError: ``dim`` is not a multiple of 4.
    """
    if dim % 4:
        raise ValueError(f"a 2-D sine code needs a multiple of 4 channels, not {dim}")
    quarter = dim // 4
    frequency = temperature ** (-torch.arange(quarter, dtype=torch.float64) / quarter)

    def axis(size: int) -> Tensor:
        angle = (torch.arange(1, size + 1, dtype=torch.float64) / size * 2 * math.pi)[:, None] * frequency
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)

    y, x = axis(height), axis(width)
    code = torch.cat([y[:, None].expand(-1, width, -1), x[None].expand(height, -1, -1)], dim=-1)
    return code.flatten(0, 1).float()


def branch_drop(readings: FlatPoseReadings) -> nn.Module:
    """Dropout and stochastic depth of a residual branch."""
    return nn.Sequential(nn.Dropout(readings.dropout), DropPath(readings.drop_path))


class Attention(nn.Module):
    """Multi-head attention with an optional additive bias (eq. 10), written out so that every matmul is counted.

    A forward hook on ``softmax`` sees the attention weights (B, heads, Q, L).
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads, self.scale = num_heads, (dim // num_heads) ** -0.5
        self.softmax = nn.Softmax(dim=-1)
        self.to_q, self.to_kv, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)

    def forward(self, queries: Tensor, context: Tensor, bias: Tensor | None = None) -> Tensor:
        """Queries (B, Q, D), context (B, L, D), bias (B, heads, Q, L) -> (B, Q, D)."""
        q = self._heads(self.to_q(queries))
        k, v = (self._heads(t) for t in self.to_kv(context).chunk(2, dim=-1))
        scores = (q * self.scale) @ k.transpose(-2, -1)
        if bias is not None:
            scores = scores + bias
        weights = self.softmax(scores)
        return self.out((weights.to(v.dtype) @ v).transpose(1, 2).flatten(2))

    def _heads(self, tokens: Tensor) -> Tensor:
        """(B, L, D) -> (B, heads, L, D / heads)."""
        return tokens.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """The second half of a block with its residual: x + f(norm(x)), or norm(x + f(x)) for post-norm."""

    def __init__(self, config: FlatPoseConfig) -> None:
        super().__init__()
        dim, readings = config.embed_dim, config.readings
        hidden = int(dim * readings.mlp_ratio)
        self.pre_norm = readings.norm == "pre"
        self.norm = nn.LayerNorm(dim)
        activation = nn.GELU() if readings.activation == "gelu" else nn.ReLU()
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), activation, nn.Linear(hidden, dim), branch_drop(readings))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        return tokens + self.mlp(self.norm(tokens)) if self.pre_norm else self.norm(tokens + self.mlp(tokens))


class CoarseBlock(nn.Module):
    """One block of the global encoding stage; ``semantic_bias`` is ICA's, or None (Table 5 row 6)."""

    def __init__(self, config: FlatPoseConfig, semantic_bias: SemanticBias | None) -> None:
        super().__init__()
        self.pre_norm = config.readings.norm == "pre"
        self.norm = nn.LayerNorm(config.embed_dim)
        self.attention = Attention(config.embed_dim, config.num_heads)
        self.semantic_bias = semantic_bias
        self.drop = branch_drop(config.readings)
        self.feed_forward = FeedForward(config)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        x = self.norm(tokens) if self.pre_norm else tokens
        bias = None if self.semantic_bias is None else self.semantic_bias(x)
        tokens = tokens + self.drop(self.attention(x, x, bias))
        return self.feed_forward(tokens if self.pre_norm else self.norm(tokens))


def init_linear(module: nn.Module) -> None:
    """Truncated normal, std 0.02, zero bias: for the linear layers of the blocks (``nn.Module.apply``)."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def init_output(layer: Any, std: float | None) -> None:
    """Draw the weights of a network's last layer anew with that standard deviation; None leaves them."""
    if std is not None:
        nn.init.trunc_normal_(layer.weight, std=std)
