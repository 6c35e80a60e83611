"""Implicit Coordinate Attention: the bias of eqs. 3-9, Algorithm 1 and Table 6, computed exactly but cheaply.

Each token gets a semantic coordinate (c_x, c_y) from its own content (eq. 5 multiplies a token's query with its *own*
key). The attention bias of a pair is a learned function of |c_i - c_j| only: a bilinear look-up in a small grid,
then an MLP 66 -> 128 (GELU) -> one value per head. Read literally that is an L x L x 128 hidden layer. Three
identities make it cheap without changing a digit:

* Fold. The first MLP layer is linear, interpolation is linear in the grid, and bilinear interpolation reproduces
  every affine function of the position, so W1 [phi(G, p), p] + b1 = phi(G', p) with a 128-channel table G' computed
  once per forward pass. For align_corners=False grid_sample's zero padding is a ring of zero nodes around G; folding
  the same affine function into that ring keeps the identity.
* Symmetry. |c_i - c_j| = |c_j - c_i|: only pairs i < j are computed.
* Diagonal. |c_i - c_i| = 0: one constant vector.

The hidden layer is never kept: it is computed in chunks that fit the cache and recomputed in the backward pass, so that
only coordinates are saved. Under torch.compile, which fuses by itself, and for export the same formulas are ordinary
operators. ``literal_bias`` is Algorithm 1 line by line, for tests, for benchmarks, and to count multiply-adds as the
paper does.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHUNK = 4096
"""Pairs per chunk on a CPU: 2 MB of float32 hidden values at width 128, the fastest of 1024 to 8192 there."""


class SemanticBias(nn.Module):
    """Tokens (B, L, D) to the bias (B, heads, L, L) that ICA adds to the attention scores (eqs. 3-9).

    Always in the parameters' precision: coordinates differ by little and bf16 has three digits.

    Args:
        dim: D.
        num_heads: N_h, the outputs of the MLP.
        coord_dim: D' of eqs. 3-4.
        grid_size: S of eq. 8; the last axis of the grid is x.
        grid_dim: Channels of the grid.
        hidden: Hidden width of the MLP of eq. 9.
        learnable_gamma: Reading R1: the text says that the scale of eq. 5 is learned, Table 6 that it is D'^-0.5.
        align_corners: Reading R3: where the outer nodes of the grid lie.
    """

    table: Tensor | None

    def __init__(self, dim: int, num_heads: int, *, coord_dim: int = 64, grid_size: int = 16, grid_dim: int = 64,
                 hidden: int = 128, learnable_gamma: bool = False, align_corners: bool = True) -> None:
        super().__init__()
        self.to_qk = nn.Linear(dim, 4 * coord_dim, bias=False)  # q_x, k_x, q_y, k_y of eqs. 3-4
        self.coord_dim, self.align_corners = coord_dim, align_corners
        self.gamma: float | nn.Parameter = coord_dim**-0.5
        if learnable_gamma:
            self.gamma = nn.Parameter(torch.tensor(coord_dim**-0.5))
        self.grid = nn.Parameter(torch.randn(grid_dim, grid_size, grid_size) * 0.02)
        self.mlp = nn.Sequential(nn.Linear(grid_dim + 2, hidden), nn.GELU(), nn.Linear(hidden, num_heads))
        self.literal = False
        self.register_buffer("table", None, persistent=False)
        nn.init.zeros_(self.mlp[2].bias)

    def coordinates(self, tokens: Tensor) -> Tensor:
        """Semantic coordinates c (B, L, 2) in [-1, 1], x first (eqs. 3-5)."""
        q_x, k_x, q_y, k_y = self.to_qk(tokens).split(self.coord_dim, dim=-1)
        return torch.tanh(self.gamma * torch.stack([(q_x * k_x).sum(-1), (q_y * k_y).sum(-1)], dim=-1))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, D) -> (B, heads, L, L)."""
        with torch.autocast("cpu" if tokens.is_meta else tokens.device.type, enabled=False):
            coords = self.coordinates(tokens.to(self.grid.dtype))
            if self.literal:
                return literal_bias(coords, self.grid, self.mlp, self.align_corners)
            if self.table is not None:
                return tabulated_bias(coords, self.table)
            w2, b2 = self.mlp[2].weight, self.mlp[2].bias
            nodes = fold(self.grid, self.mlp[0], self.align_corners)
            position = _position(coords, self.grid.shape[-1], self.align_corners)
            if not (torch.compiler.is_compiling() or torch.jit.is_tracing()):
                return _ChunkedBias.apply(position, nodes, w2, b2, tokens.shape[1])
            return _plain_bias(position, nodes, w2, b2, tokens.shape[1])

    @torch.no_grad()
    def tabulate(self, per_cell: int = 16) -> None:
        """Inference only: replace grid and MLP by samples of their result, ``per_cell`` along each side of a cell.

        Between the samples the bias is interpolated, which is not exact; its error falls with per_cell^-2. Entering
        training mode drops the table.
        """
        size = (self.grid.shape[-1] - 1 if self.align_corners else 2 * self.grid.shape[-1]) * per_cell + 1
        delta = torch.linspace(0, 2, size, device=self.grid.device, dtype=self.grid.dtype)
        query = torch.stack(torch.meshgrid(delta, delta, indexing="xy"), dim=-1) - 1
        self.table = _interpolate_and_refine(query[None], self.grid, self.mlp, self.align_corners).permute(0, 3, 1, 2)

    def train(self, mode: bool = True) -> SemanticBias:
        """A table of the bias is of fixed weights: training drops it."""
        if mode:
            self.table = None
        return super().train(mode)


def literal_bias(coords: Tensor, grid: Tensor, mlp: nn.Module, align_corners: bool) -> Tensor:
    """Algorithm 1, lines 14-20, as printed: coordinates (B, L, 2) -> bias (B, heads, L, L)."""
    query = (coords[:, :, None] - coords[:, None]).abs() - 1  # eqs. 6, 7
    return _interpolate_and_refine(query, grid, mlp, align_corners).permute(0, 3, 1, 2)


def _interpolate_and_refine(query: Tensor, grid: Tensor, mlp: nn.Module, align_corners: bool) -> Tensor:
    """Eqs. 8, 9: query points (B, h, w, 2) in [-1, 1] -> (B, h, w, heads)."""
    sampled = F.grid_sample(grid.expand(len(query), -1, -1, -1), query, align_corners=align_corners)
    return mlp(torch.cat([sampled.permute(0, 2, 3, 1), query], dim=-1))


def tabulated_bias(coords: Tensor, table: Tensor) -> Tensor:
    """Bias (B, heads, L, L) read off a table (1, heads, R, R) of it over distances in [0, 2]^2; approximate."""
    query = (coords[:, :, None] - coords[:, None]).abs() - 1
    return F.grid_sample(table.expand(len(query), -1, -1, -1), query, align_corners=True, padding_mode="border")


def fold(grid: Tensor, layer: nn.Linear, align_corners: bool) -> Tensor:
    """Nodes (N, N, hidden), y first, of the grid whose bilinear interpolation is the MLP's first layer applied.

    N is S, or S + 2 where align_corners=False adds the ring of zeros that grid_sample pads with.
    """
    size = grid.shape[-1]
    if align_corners:
        at = torch.linspace(-1, 1, size, device=grid.device, dtype=grid.dtype)
    else:
        grid = F.pad(grid, (1, 1, 1, 1))
        at = (2 * torch.arange(size + 2, device=grid.device, dtype=grid.dtype) - 1) / size - 1
    query = torch.stack(torch.meshgrid(at, at, indexing="xy"), dim=-1)
    return layer(torch.cat([grid.permute(1, 2, 0), query], dim=-1))


def _pairs(length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """First and second token of every pair i < j, and last the pair (0, 0), which stands for the whole diagonal."""
    first, second = torch.triu_indices(length, length, offset=1, device=device)
    return F.pad(first, (0, 1)), F.pad(second, (0, 1))


def _position(coords: Tensor, grid_size: int, align_corners: bool) -> Tensor:
    """Coordinates (B, L, 2) -> where each pair falls among the nodes (B, L(L-1)/2 + 1, 2), in units of cells."""
    first, second = _pairs(coords.shape[1], coords.device)
    delta = (coords[:, first] - coords[:, second]).abs()  # eq. 6
    return delta * ((grid_size - 1) / 2) if align_corners else delta * (grid_size / 2) + 0.5


def _pair_of(length: int, device: torch.device) -> Tensor:
    """(L * L,): the number of the pair that each (i, j) belongs to."""
    first, second = _pairs(length, device)
    number = torch.full((length, length), len(first) - 1, device=device)
    upper = torch.arange(len(first) - 1, device=device)
    number[first[:-1], second[:-1]] = upper
    number[second[:-1], first[:-1]] = upper
    return number.flatten()


def _cells(position: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Row-major number (...,) of the upper left node of each position's cell, and the fractions x, y within it."""
    cell = position.detach().floor().clamp(0, size - 2)
    x, y = (position - cell).unbind(-1)
    column, row = cell.long().unbind(-1)
    return row * size + column, x, y


def _plain_bias(position: Tensor, nodes: Tensor, w2: Tensor, b2: Tensor, length: int) -> Tensor:
    """Pair positions (B, P, 2) -> bias (B, heads, L, L) by ordinary operators, for tracing, export and compilation."""
    size, flat = len(nodes), nodes.flatten(0, 1)
    corner, x, y = _cells(position, size)
    top = torch.lerp(flat[corner], flat[corner + 1], x[..., None])
    bottom = torch.lerp(flat[corner + size], flat[corner + size + 1], x[..., None])
    values = F.linear(F.gelu(torch.lerp(top, bottom, y[..., None])), w2, b2)
    return values[:, _pair_of(length, position.device)].transpose(1, 2).unflatten(2, (length, length))


class _Chunk:
    """Hidden pre-activations of n pairs, and their derivatives. A weighted bag of four nodes is their interpolation.

    ``flat`` are the nodes (N * N, hidden), ``position`` (n, 2).
    """

    def __init__(self, position: Tensor, flat: Tensor) -> None:
        self.flat, self.size = flat, math.isqrt(len(flat))
        self.corner, self.x, self.y = _cells(position, self.size)
        self.bags = torch.stack([self.corner + shift for shift in (0, 1, self.size, self.size + 1)], dim=-1)
        x, y = self.x, self.y
        self.weights = torch.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], dim=-1)
        self.hidden = self._bag(self.weights)

    def _bag(self, weights: Tensor) -> Tensor:
        return F.embedding_bag(self.bags, self.flat, mode="sum", per_sample_weights=weights)

    def position_grad(self, grad: Tensor) -> Tensor:
        """Gradient (n, 2) from that of ``hidden`` (n, hidden)."""
        x, y = self.x, self.y
        along_x = self._bag(torch.stack([y - 1, 1 - y, -y, y], dim=-1))
        along_y = self._bag(torch.stack([x - 1, -x, 1 - x, x], dim=-1))
        return torch.stack([along.mul_(grad).sum(-1) for along in (along_x, along_y)], dim=-1)

    def add_node_grad(self, grad: Tensor, total: Tensor) -> None:
        """Add to ``total`` (N * N, hidden). Pairs sorted by cell are again bags: one per cell and corner."""
        order = self.corner.argsort()
        start = self.corner.bincount(minlength=len(total)).cumsum(0).roll(1)
        start[0] = 0
        offsets = torch.cat([start + k * len(order) for k in range(4)])
        sums = F.embedding_bag(order.repeat(4), grad, offsets, mode="sum",
                               per_sample_weights=self.weights[order].t().flatten())
        for shift, part in zip((0, 1, self.size, self.size + 1), sums.chunk(4), strict=True):
            total[shift:] += part[: len(total) - shift]


def _chunks(rows: Tensor) -> tuple[Tensor, ...]:
    return rows.split(64 * CHUNK if rows.is_cuda else CHUNK)


class _ChunkedBias(torch.autograd.Function):
    """``_plain_bias`` outside compilation: the hidden layer lives one chunk at a time and is recomputed backward."""

    @staticmethod
    def forward(ctx: Any, position: Tensor, nodes: Tensor, w2: Tensor, b2: Tensor, length: int) -> Tensor:
        ctx.save_for_backward(position, nodes, w2)
        ctx.length = length
        flat = nodes.flatten(0, 1)
        values = torch.cat([w2 @ F.gelu(_Chunk(rows, flat).hidden).t()
                            for rows in _chunks(position.flatten(0, 1))], dim=1)
        values = (values + b2[:, None]).unflatten(1, position.shape[:2])
        bias = values[:, :, _pair_of(length, position.device)]
        return bias.transpose(0, 1).unflatten(2, (length, length))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        position, nodes, w2 = ctx.saved_tensors
        upstream = _pair_grad(grad)
        flat = nodes.flatten(0, 1)
        node_grad, w2_grad, position_grad = torch.zeros_like(flat), torch.zeros_like(w2), []
        for rows, g in zip(_chunks(position.flatten(0, 1)), _chunks(upstream), strict=True):
            chunk = _Chunk(rows, flat)
            w2_grad += g.t() @ F.gelu(chunk.hidden)
            hidden_grad = torch.ops.aten.gelu_backward(g @ w2, chunk.hidden)
            chunk.add_node_grad(hidden_grad, node_grad)
            position_grad.append(chunk.position_grad(hidden_grad))
        return torch.cat(position_grad).view_as(position), node_grad.view_as(nodes), w2_grad, upstream.sum(0), None


def _pair_grad(grad: Tensor) -> Tensor:
    """Gradient of the bias (B, heads, L, L) -> that of each pair's values, rows (B * P, heads)."""
    length = grad.shape[-1]
    first, second = _pairs(length, grad.device)
    both = (grad + grad.transpose(2, 3)).flatten(2)[:, :, first * length + second]
    both[:, :, -1] = grad.diagonal(dim1=2, dim2=3).sum(-1)
    return both.transpose(1, 2).flatten(0, 1)
