"""Implicit Coordinate Attention: the attention bias of eqs. 3-9 (Algorithm 1, Table 6).

Each token gets a semantic coordinate from its own content: eq. 5 multiplies a token's query with its *own* key. The
bias of a pair of tokens is a function of the distance of their coordinates: a bilinear look-up in a small grid,
then an MLP 66 -> 128 (GELU) -> one value per head. As printed, the first layer of the MLP runs on every pair.

That layer can run on the S x S nodes of the grid instead. It is linear, interpolation is linear in the grid, and
bilinear interpolation reproduces every affine function of the query point p, so that

    W1 [phi(G, p), p] + b1 = phi(G', p),    G'[node] = W1 [G[node], position of the node] + b1.

``literal`` computes Algorithm 1 as printed: the reference of the tests, and what the paper's multiply-adds count.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class SemanticBias(nn.Module):
    """Tokens (B, L, D) to the bias (B, heads, L, L) that ICA adds to the attention scores.

    Always in the parameters' precision: coordinates differ by little and bfloat16 has three digits. A forward hook
    sees the normalised tokens and the bias; ``coordinates(tokens)`` gives the semantic coordinates.

    Args:
        dim: D.
        num_heads: N_h, the outputs of the MLP.
        coord_dim: D' of eqs. 3-4.
        grid_size: S of eq. 8; the last axis of the grid is x.
        grid_dim: Channels of the grid.
        hidden: Hidden width of the MLP of eq. 9.
        learnable_gamma: Reading R1: the text says that the scale of eq. 5 is learned, Table 6 that it is D'^-0.5.
        align_corners: Reading R3: whether distances 0 and 2 fall on the outer nodes of the grid.
    """

    def __init__(self, dim: int, num_heads: int, *, coord_dim: int = 64, grid_size: int = 16, grid_dim: int = 64,
                 hidden: int = 128, learnable_gamma: bool = False, align_corners: bool = True) -> None:
        super().__init__()
        self.to_qk = nn.Linear(dim, 4 * coord_dim, bias=False)
        self.coord_dim, self.align_corners = coord_dim, align_corners
        self.gamma: float | nn.Parameter = coord_dim**-0.5
        if learnable_gamma:
            self.gamma = nn.Parameter(torch.tensor(coord_dim**-0.5))
        self.grid = nn.Parameter(torch.randn(grid_dim, grid_size, grid_size) * 0.02)
        self.mlp = nn.Sequential(nn.Linear(grid_dim + 2, hidden), nn.GELU(), nn.Linear(hidden, num_heads))
        self.literal = False
        nn.init.zeros_(self.mlp[2].bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, D) -> (B, heads, L, L)."""
        with torch.autocast("cpu" if tokens.is_meta else tokens.device.type, enabled=False):
            coords = self.coordinates(tokens.to(self.grid.dtype))  # eqs. 3-5
            distance = (coords[:, :, None] - coords[:, None]).abs()  # eq. 6
            query = distance - 1  # eq. 7
            if self.literal:
                return self.literal_bias(query)
            if torch.is_grad_enabled() and not torch.compiler.is_compiling():
                return checkpoint(self.folded_bias, query, use_reentrant=False)  # its hidden layer is not stored
            return self.folded_bias(query)

    def coordinates(self, tokens: Tensor) -> Tensor:
        """Semantic coordinates (B, L, 2) in [-1, 1], x first."""
        q_x, k_x, q_y, k_y = self.to_qk(tokens).split(self.coord_dim, dim=-1)  # eqs. 3, 4
        return torch.tanh(self.gamma * torch.stack([(q_x * k_x).sum(-1), (q_y * k_y).sum(-1)], dim=-1))  # eq. 5

    def literal_bias(self, query: Tensor) -> Tensor:
        """Query points (B, L, L, 2) -> bias (B, heads, L, L) by Algorithm 1 as printed."""
        grid = self.grid.expand(len(query), -1, -1, -1)
        sampled = F.grid_sample(grid, query, align_corners=self.align_corners)  # eq. 8
        return self.mlp(torch.cat([sampled.permute(0, 2, 3, 1), query], dim=-1)).permute(0, 3, 1, 2)  # eq. 9

    def folded_bias(self, query: Tensor) -> Tensor:
        """The same with the first layer of the MLP folded into the grid."""
        table, stretch = self.fold()
        batch, length = query.shape[:2]
        points = (query * stretch).view(1, batch * length, length, 2)  # one look-up for the whole batch
        hidden = F.grid_sample(table[None], points, align_corners=True)[0]  # eq. 8 and the first layer of eq. 9
        last = cast(nn.Linear, self.mlp[2])
        bias = last.weight @ self.mlp[1](hidden).flatten(1) + last.bias[:, None]  # the rest of eq. 9
        return bias.view(-1, batch, length, length).transpose(0, 1)

    def fold(self) -> tuple[Tensor, float]:
        """G' (hidden, N, N), to be read with align_corners=True, and the factor that query points then need.

        N is S. With align_corners=False it is S + 2: grid_sample pads with zeros, which become a ring of nodes.
        """
        grid: Tensor = self.grid
        stretch = 1.0
        if not self.align_corners:
            size = grid.shape[-1]
            grid, stretch = F.pad(grid, (1, 1, 1, 1)), size / (size + 1)
        at = torch.linspace(-1, 1, grid.shape[-1], device=grid.device, dtype=grid.dtype) / stretch
        position = torch.stack(torch.meshgrid(at, at, indexing="xy"))  # (2, N, N), x first
        return self.mlp[0](torch.cat([grid, position]).permute(1, 2, 0)).permute(2, 0, 1), stretch
