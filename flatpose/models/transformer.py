"""Attention and transformer blocks; the coarse block with Implicit Coordinate Attention (section 3.2, eq. 10).

What the paper does not say and we read (docs/decisions and experiments/readings.py): norms before each branch and one
at the end, GELU, a feed-forward ratio of 4, biases in every projection.
"""

from __future__ import annotations

from typing import Optional

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from flatpose.models.ica import SemanticBias

Trace = Optional[dict[str, list[Tensor]]]
"""Where intermediate tensors are appended for the figures; None in a normal forward pass."""


class Attention(nn.Module):
    """Multi-head attention with an optional additive bias (eq. 10), written out so that every matmul is counted.

    Args:
        dim: D.
        num_heads: N_h.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads, self.scale = num_heads, (dim // num_heads) ** -0.5
        self.to_q, self.to_kv, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)

    def forward(self, queries: Tensor, context: Tensor, bias: Tensor | None = None, trace: Trace = None) -> Tensor:
        """Queries (B, Q, D), context (B, L, D), bias (B, heads, Q, L) -> (B, Q, D)."""
        q = self._heads(self.to_q(queries))
        k, v = (self._heads(t) for t in self.to_kv(context).chunk(2, dim=-1))
        scores = (q * self.scale) @ k.transpose(-2, -1)
        if bias is not None:
            scores = scores + bias
        weights = scores.softmax(dim=-1)
        if trace is not None:
            trace["attention"].append(weights)
        return self.out((weights.to(v.dtype) @ v).transpose(1, 2).flatten(2))

    def _heads(self, tokens: Tensor) -> Tensor:
        """(B, L, D) -> (B, heads, L, D / heads)."""
        return tokens.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class FeedForward(nn.Sequential):
    """Linear, GELU, Linear."""

    def __init__(self, dim: int, ratio: float) -> None:
        hidden = int(dim * ratio)
        super().__init__(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))


class CoarseBlock(nn.Module):
    """One block of the global encoding stage: ICA (or standard attention, Table 5 row 6) and feed-forward, pre-norm."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, semantic_bias: SemanticBias | None,
                 drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, num_heads)
        self.semantic_bias = semantic_bias
        self.feed_forward = FeedForward(dim, mlp_ratio)
        self.drop = DropPath(drop_path)

    def forward(self, tokens: Tensor, trace: Trace = None) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        x = self.norm1(tokens)
        bias = None if self.semantic_bias is None else self.semantic_bias(x)
        if trace is not None and self.semantic_bias is not None:
            trace["attn_bias"].append(bias)
            trace["semantic_coords"].append(self.semantic_bias.coordinates(x))
        tokens = tokens + self.drop(self.attention(x, x, bias, trace))
        return tokens + self.drop(self.feed_forward(self.norm2(tokens)))


def init_linear(module: nn.Module) -> None:
    """Truncated normal, std 0.02, zero bias: for the linear layers of the blocks (``nn.Module.apply``)."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def new_trace() -> dict[str, list[Tensor]]:
    """An empty trace for one forward pass."""
    return {name: [] for name in ("attention", "attn_bias", "semantic_coords", "salience", "selected")}


def stacked(trace: dict[str, list[Tensor]]) -> dict[str, Tensor]:
    """One tensor per name, blocks first; names with nothing recorded are left out."""
    return {name: torch.stack(parts) for name, parts in trace.items() if parts}
