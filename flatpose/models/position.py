"""Fixed two-dimensional position code (eq. 2: X_0 = X + E_pos, "a standard 2D sinusoidal position encoding")."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sine_position_2d(height: int, width: int, dim: int, temperature: float = 10000.0) -> Tensor:
    """E_pos (height * width, dim), row by row: the first half of the channels encodes y, the second half x.

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
