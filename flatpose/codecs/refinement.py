"""Sub-cell steps of heatmap decoders, from a window of 5x5 cells around the highest one.

Quarter offset: Newell et al., Stacked Hourglass, ECCV 2016, with the borders of HRNet's decoder. DARK: Zhang et al.,
Distribution-Aware Coordinate Representation, CVPR 2020. UDP's variant of the DARK step: Huang et al., The Devil is in
the Details, CVPR 2020.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

REACH = 2
"""Cells of a window on each side of its centre."""
UDP_RANGE = (1e-3, 50.0)
"""UDP's decoder clamps heights to this range before taking their logarithm."""


def window_at(heatmap: Tensor, cell: Tensor) -> Tensor:
    """Values (B, K, 5, 5) of maps (B, K, h, w) around cells (B, K, 2: column, row); the border is repeated."""
    height, width = heatmap.shape[-2:]
    offsets = torch.arange(-REACH, REACH + 1, device=cell.device)
    x = (cell[..., 0, None] + offsets).clamp(0, width - 1)
    y = (cell[..., 1, None] + offsets).clamp(0, height - 1)
    index = y[..., :, None] * width + x[..., None, :]
    return heatmap.flatten(2).gather(-1, index.flatten(2)).view(index.shape)


def interior(cell: Tensor, cells: tuple[int, int], before: int, behind: int) -> Tensor:
    """(B, K, 1) whether ``before`` cells lie left of and above the cell, and ``behind`` right of and below it."""
    last = torch.tensor(cells, device=cell.device) - behind
    return ((cell >= before) & (cell < last)).all(-1, keepdim=True)


def quarter_step(window: Tensor, cell: Tensor, cells: tuple[int, int]) -> Tensor:
    """A quarter cell (B, K, 2) towards the higher neighbour of each axis, 0 between equal neighbours.

    0 in the last row and column and in the first two, as in HRNet's decoder, whose condition is ``1 < x < width - 1``.
    """
    slope = torch.stack([window[..., 2, 3] - window[..., 2, 1], window[..., 3, 2] - window[..., 1, 2]], dim=-1)
    return 0.25 * slope.sign() * interior(cell, cells, 2, 1)


def blurred(heatmap: Tensor, kernel: int) -> Tensor:
    """The maps (B, K, h, w) blurred by a Gaussian and rescaled to their old maximum (DARK's modulation)."""
    sigma = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8  # OpenCV's rule for a kernel given without its sigma
    offsets = torch.arange(kernel, device=heatmap.device, dtype=heatmap.dtype) - kernel // 2
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    weights = weights / weights.sum()
    maps = heatmap.flatten(0, 1)[:, None]
    if heatmap.shape[-1] > 1:  # along an axis of one cell it would only be a factor, which rescaling takes out
        maps = F.conv2d(maps, weights.view(1, 1, 1, -1), padding=(0, kernel // 2))
    if heatmap.shape[-2] > 1:
        maps = F.conv2d(maps, weights.view(1, 1, -1, 1), padding=(kernel // 2, 0))
    smooth = maps.view(heatmap.shape)
    return smooth * (heatmap.amax((2, 3), keepdim=True) / smooth.amax((2, 3), keepdim=True).clamp(min=1e-12))


def dark_step(window: Tensor, cell: Tensor, cells: tuple[int, int]) -> Tensor:
    """DARK's Newton step -H^-1 g (B, K, 2) on the logarithm of a blurred window; heights below 1e-10 count as 1e-10.

    0 within two cells of the border, where the Hessian is singular, and on an axis whose step exceeds two cells.
    """
    log = window.clamp(min=1e-10).log()
    hxx = 0.25 * (log[..., 2, 4] - 2 * log[..., 2, 2] + log[..., 2, 0])
    hyy = 0.25 * (log[..., 4, 2] - 2 * log[..., 2, 2] + log[..., 0, 2])
    hxy = 0.25 * (log[..., 3, 3] - log[..., 3, 1] - log[..., 1, 3] + log[..., 1, 1])
    determinant = hxx * hyy - hxy**2
    step = _newton(log, hxx, hyy, hxy, torch.where(determinant == 0, torch.ones_like(determinant), determinant))
    usable = interior(cell, cells, 2, 2) & (determinant != 0)[..., None]
    # A flat or noisy map can ask for a step of many cells; the highest cell is then the better answer.
    return torch.where(usable & (step.abs() <= 2.0), step, torch.zeros_like(step))


def udp_step(window: Tensor) -> Tensor:
    """UDP's Newton step -(H + eps)^-1 g (B, K, 2) on the logarithm of a blurred window, up to the border."""
    log = window.clamp(*UDP_RANGE).log()
    tiny = torch.finfo(torch.float32).eps
    sides = log[..., 2, 1] + log[..., 2, 3], log[..., 1, 2] + log[..., 3, 2]
    hxx, hyy = (side - 2 * log[..., 2, 2] + tiny for side in sides)
    hxy = 0.5 * (log[..., 3, 3] + log[..., 1, 1] + 2 * log[..., 2, 2] - sides[0] - sides[1])
    return _newton(log, hxx, hyy, hxy, hxx * hyy - hxy**2)


def _newton(log: Tensor, hxx: Tensor, hyy: Tensor, hxy: Tensor, determinant: Tensor) -> Tensor:
    """-H^-1 g (B, K, 2), with the gradient by central differences."""
    gx, gy = 0.5 * (log[..., 2, 3] - log[..., 2, 1]), 0.5 * (log[..., 3, 2] - log[..., 1, 2])
    return -torch.stack([hyy * gx - hxy * gy, hxx * gy - hxy * gx], dim=-1) / determinant[..., None]
