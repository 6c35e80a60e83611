"""One 2-D Gaussian map per keypoint.

Quarter offset: Newell et al., Stacked Hourglass, ECCV 2016, with the borders of HRNet's decoder. DARK: Zhang et al.,
Distribution-Aware Coordinate Representation, CVPR 2020. UDP, its geometry and its variant of the DARK step: Huang et
al., The Devil is in the Details, CVPR 2020.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from flatpose.codecs.base import Outputs, inside, mean_of
from flatpose.config import HeatmapCodecConfig

UDP_RANGE = (1e-3, 50.0)
"""Heights outside are cut off before UDP's decoder takes their logarithm."""


class HeatmapCodec:
    """Targets and outputs ``heatmap`` (B, K, h, w), peak 1, sigma in cells.

    Plain geometry: cell i stands for crop pixel ``i * stride``. UDP: ``i * (size - 1) / (cells - 1)``.
    """

    def __init__(self, config: HeatmapCodecConfig, image_size: tuple[int, int], num_keypoints: int) -> None:
        self.config, self.image_size, self.num_keypoints = config, image_size, num_keypoints
        self.cells = (image_size[0] // config.stride, image_size[1] // config.stride)

    def _pixels_per_cell(self, like: Tensor) -> Tensor:
        size, cells = torch.tensor(self.image_size), torch.tensor(self.cells)
        ratio = (size - 1) / (cells - 1).clamp(min=1) if self.config.udp else size / cells
        return ratio.to(like)

    def encode(self, keypoints: Tensor, weights: Tensor) -> Outputs:
        """Gaussians around each keypoint; one more than three sigma outside the map gets weight 0 (HRNet's rule)."""
        centre = keypoints / self._pixels_per_cell(keypoints)
        if self.config.encode == "rounded":
            centre = torch.floor(centre + 0.5)
        width, height = self.cells
        columns = torch.arange(width, device=keypoints.device, dtype=keypoints.dtype)
        rows = torch.arange(height, device=keypoints.device, dtype=keypoints.dtype)
        dx = columns - centre[..., :1]
        dy = rows - centre[..., 1:]
        spread = -0.5 / self.config.sigma**2
        heatmap = torch.exp(spread * dy**2)[..., :, None] * torch.exp(spread * dx**2)[..., None, :]
        peak = torch.floor(centre + 0.5)
        return {"heatmap": heatmap, "weights": inside(peak, weights, self.cells, margin=3 * self.config.sigma)}

    def decode(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Position of the highest cell, moved within the cell as ``decode`` says; score is the height of the peak."""
        heatmap = outputs["heatmap"].float()
        scores, flat = heatmap.flatten(2).max(-1)
        width = heatmap.shape[-1]
        cell = torch.stack([flat % width, flat // width], dim=-1)
        position = cell.to(heatmap.dtype)
        if self.config.decode == "quarter":
            position = position + 0.25 * _sign_of_slope(heatmap, cell)
        elif self.config.decode == "dark":
            position = position + _taylor_step(_blurred(heatmap, self.config.dark_kernel).clamp(min=1e-10).log(), cell)
        elif self.config.decode == "dark_udp":
            blurred = _blurred(heatmap, self.config.dark_kernel).clamp(*UDP_RANGE)
            position = position + _udp_step(blurred.log(), cell)
        return position * self._pixels_per_cell(position), scores

    def flip(self, outputs: Outputs, flip_index: Tensor) -> Outputs:
        """Mirror the map back. In plain geometry the mirrored cell i came from cell w - i: shift right by one."""
        heatmap = outputs["heatmap"].flip(-1)[:, flip_index]
        if self.config.flip_shift and not self.config.udp:
            heatmap = torch.cat([heatmap[..., :1], heatmap[..., :-1]], dim=-1)
        return {"heatmap": heatmap}

    def average(self, a: Outputs, b: Outputs) -> Outputs:
        """Mean of the maps."""
        return mean_of(a, b, ("heatmap",))


def _neighbour(heatmap: Tensor, cell: Tensor, dx: int, dy: int) -> Tensor:
    """Values (B, K) at the cells shifted by (dx, dy), indices clamped to the map."""
    height, width = heatmap.shape[-2:]
    x = (cell[..., 0] + dx).clamp(0, width - 1)
    y = (cell[..., 1] + dy).clamp(0, height - 1)
    return heatmap.flatten(2).gather(-1, (y * width + x)[..., None])[..., 0]


def _interior(heatmap: Tensor, cell: Tensor, before: int, behind: int) -> Tensor:
    """(B, K, 1) true where ``before`` cells lie left of and above the cell, and ``behind`` right of and below it."""
    height, width = heatmap.shape[-2:]
    x, y = cell.unbind(-1)
    return ((x >= before) & (y >= before) & (x < width - behind) & (y < height - behind))[..., None]


def _sign_of_slope(heatmap: Tensor, cell: Tensor) -> Tensor:
    """Per axis -1, 0 or 1: the side whose neighbour is higher.

    0 in the last row and column and in the first two, as in HRNet's decoder, whose condition is ``1 < x < width - 1``.
    """
    slope = torch.stack([_neighbour(heatmap, cell, 1, 0) - _neighbour(heatmap, cell, -1, 0),
                         _neighbour(heatmap, cell, 0, 1) - _neighbour(heatmap, cell, 0, -1)], dim=-1)
    return slope.sign() * _interior(heatmap, cell, 2, 1)


def _blurred(heatmap: Tensor, kernel: int) -> Tensor:
    """The Gaussian-blurred map, rescaled to its old maximum (DARK's modulation)."""
    sigma = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8  # OpenCV's rule for a kernel given without its sigma
    offsets = torch.arange(kernel, device=heatmap.device, dtype=heatmap.dtype) - kernel // 2
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    weights = weights / weights.sum()
    batch, keypoints, height, width = heatmap.shape
    maps = heatmap.reshape(batch * keypoints, 1, height, width)
    maps = F.conv2d(maps, weights.view(1, 1, 1, -1), padding=(0, kernel // 2))
    maps = F.conv2d(maps, weights.view(1, 1, -1, 1), padding=(kernel // 2, 0))
    blurred = maps.reshape(batch, keypoints, height, width)
    peak = heatmap.amax((2, 3), keepdim=True) / blurred.amax((2, 3), keepdim=True).clamp(min=1e-12)
    return blurred * peak


def _taylor_step(logmap: Tensor, cell: Tensor) -> Tensor:
    """Newton step -H^-1 g at the peak of the log map, per keypoint (B, K, 2); 0 within two cells of the border."""
    def at(dx: int, dy: int) -> Tensor:
        return _neighbour(logmap, cell, dx, dy)

    gx, gy = 0.5 * (at(1, 0) - at(-1, 0)), 0.5 * (at(0, 1) - at(0, -1))
    hxx = 0.25 * (at(2, 0) - 2 * at(0, 0) + at(-2, 0))
    hyy = 0.25 * (at(0, 2) - 2 * at(0, 0) + at(0, -2))
    hxy = 0.25 * (at(1, 1) - at(-1, 1) - at(1, -1) + at(-1, -1))
    determinant = hxx * hyy - hxy**2
    safe = torch.where(determinant == 0, torch.ones_like(determinant), determinant)
    step = -torch.stack([hyy * gx - hxy * gy, hxx * gy - hxy * gx], dim=-1) / safe[..., None]
    usable = _interior(logmap, cell, 2, 2) & (determinant != 0)[..., None]
    # A flat or noisy map can ask for a step of many cells; the peak cell is then the better answer.
    return torch.where(usable & (step.abs() <= 2.0), step, torch.zeros_like(step))


def _udp_step(logmap: Tensor, cell: Tensor) -> Tensor:
    """Newton step -(H + eps)^-1 g as UDP takes it, per keypoint (B, K, 2): the map goes on beyond its border."""
    def at(dx: int, dy: int) -> Tensor:
        return _neighbour(logmap, cell, dx, dy)

    tiny = torch.finfo(torch.float32).eps
    gx, gy = 0.5 * (at(1, 0) - at(-1, 0)), 0.5 * (at(0, 1) - at(0, -1))
    hxx = at(1, 0) - 2 * at(0, 0) + at(-1, 0) + tiny
    hyy = at(0, 1) - 2 * at(0, 0) + at(0, -1) + tiny
    hxy = 0.5 * (at(1, 1) + at(-1, -1) + 2 * at(0, 0) - at(1, 0) - at(-1, 0) - at(0, 1) - at(0, -1))
    determinant = hxx * hyy - hxy**2
    return -torch.stack([hyy * gx - hxy * gy, hxx * gy - hxy * gx], dim=-1) / determinant[..., None]
