"""One 2-D Gaussian map per keypoint: Tompson et al. 2014; HRNet's, DARK's and UDP's conventions by configuration."""

from __future__ import annotations

from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from flatpose.codecs.base import Codec, Outputs, mirror_shift, overlaps, shifted
from flatpose.codecs.refinement import blurred, dark_step, quarter_step, udp_step, window_at
from flatpose.config import HeatmapCodecConfig
from flatpose.errors import SpecError


class HeatmapCodec(Codec):
    """Targets and outputs ``heatmap`` (B, K, h, w), peak 1, sigma in cells.

    Plain geometry: cell i stands for crop pixel ``i * stride``. UDP: ``i * (size - 1) / (cells - 1)``.
    """

    averaged = ("heatmap",)
    config: HeatmapCodecConfig

    def __init__(self, config: HeatmapCodecConfig, image_size: tuple[int, int], num_keypoints: int) -> None:
        super().__init__(config, image_size, num_keypoints)
        if config.decode == "dark_udp" and not config.udp:
            raise SpecError('the step "dark_udp" is wrong at the border of plain geometry', where="codec.decode",
                            hint='set codec.udp=True, or codec.decode="dark"')
        self.cells = (image_size[0] // config.stride, image_size[1] // config.stride)
        width, cells = image_size[0], self.cells[0]
        cells_per_pixel = (cells - 1) / (width - 1) if config.udp else cells / width
        self.shift = mirror_shift(config.flip_shift, width, cells, cells_per_pixel)

    def pixels_per_cell(self, like: Tensor) -> Tensor:
        """(2,) crop pixels from one cell to the next, in x and y."""
        size, cells = torch.tensor(self.image_size), torch.tensor(self.cells)
        ratio = (size - 1) / (cells - 1).clamp(min=1) if self.config.udp else size / cells
        return ratio.to(like)

    def encode(self, keypoints: Tensor, weights: Tensor) -> Outputs:
        """Gaussians around each keypoint, not cut off at three sigma.

        As in HRNet and mmpose, the nearest cell is ``int(centre + 0.5)``, which truncates towards zero, and a keypoint
        has weight 0 when the patch of three sigma around that cell lies outside the map. ``centre`` (B, K, 2) is the
        keypoint in cells, for losses on coordinates.
        """
        centre = keypoints / self.pixels_per_cell(keypoints)
        rows, columns = self._factors(centre)
        peak, radius = torch.trunc(centre + 0.5), 3 * self.config.sigma
        inside = overlaps((peak - radius).trunc(), (peak + radius + 1).trunc(), self.cells)
        return {"heatmap": rows * columns, "centre": centre, "weights": weights * inside}

    def _factors(self, centre: Tensor) -> tuple[Tensor, Tensor]:
        """Gaussians over the rows (B, K, h, 1) and over the columns (B, K, 1, w), whose product is the map."""
        if self.config.encode == "rounded":
            centre = torch.trunc(centre + 0.5)
        columns, rows = (torch.arange(count, device=centre.device, dtype=centre.dtype) for count in self.cells)
        spread = -0.5 / self.config.sigma**2
        return (torch.exp(spread * (rows - centre[..., 1:]) ** 2)[..., :, None],
                torch.exp(spread * (columns - centre[..., :1]) ** 2)[..., None, :])

    def decode(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Position of the highest cell, moved within the cell as ``decode`` says; score is the height of the peak."""
        heatmap = self._enlarged(outputs)
        scores, flat = heatmap.flatten(2).max(-1)
        if self.config.decode == "expectation":
            return self.expected_position(outputs), scores
        width = heatmap.shape[-1]
        cell = torch.stack([flat % width, flat // width], dim=-1)
        return self._refined(cell, heatmap), scores

    def round_trip(self, keypoints: Tensor) -> Tensor:
        """Without building the map: its two factors have the same peak, and blurring acts on each of them alone.

        Far outside the crop, where a float32 map is 0 everywhere, this still finds the nearest cell of the border.
        """
        if self.config.decode == "expectation" or self.config.upsample > 1:
            return super().round_trip(keypoints)
        rows, columns = self._factors(keypoints / self.pixels_per_cell(keypoints))
        cell = torch.stack([columns.flatten(2).argmax(-1), rows.flatten(2).argmax(-1)], dim=-1)
        return self._refined(cell, rows, columns)

    def _refined(self, cell: Tensor, *factors: Tensor) -> Tensor:
        """Crop pixels of cells (B, K, 2), moved by the decoder's step on the map that is the product of ``factors``."""
        how, cells = self.config.decode, (self.config.upsample * self.cells[0], self.config.upsample * self.cells[1])
        if how in ("dark", "dark_udp"):
            factors = tuple(blurred(factor, self.config.dark_kernel) for factor in factors)
        window = reduce(torch.mul, (window_at(factor, cell) for factor in factors)).float()
        position = cell.to(window.dtype)
        if how == "quarter":
            position = position + quarter_step(window, cell, cells)
        elif how == "dark":
            position = position + dark_step(window, cell, cells)
        elif how == "dark_udp":
            position = position + udp_step(window)
        return self._pixels(position)

    def expected_position(self, outputs: Outputs) -> Tensor:
        """Soft-argmax: mean cell under the softmax of the map over ``temperature``, in crop pixels (B, K, 2)."""
        return self._pixels(soft_argmax(self._enlarged(outputs), self.config.temperature))

    def _enlarged(self, outputs: Outputs) -> Tensor:
        heatmap = outputs["heatmap"].float()
        factor = self.config.upsample
        return heatmap if factor == 1 else F.interpolate(heatmap, scale_factor=factor, mode="bilinear")

    def _pixels(self, position: Tensor) -> Tensor:
        """Cells of the enlarged map to crop pixels; its cell j lies at (j + 0.5) / upsample - 0.5 of the network's."""
        factor = self.config.upsample
        cell = position if factor == 1 else (position + 0.5) / factor - 0.5
        return cell * self.pixels_per_cell(cell)

    def flip(self, outputs: Outputs, flip_index: Tensor) -> Outputs:
        """Mirror the map back and move it by the mirror shift (right in plain geometry, not at all in UDP's)."""
        return {"heatmap": shifted(outputs["heatmap"].flip(-1)[:, flip_index], self.shift)}


def soft_argmax(heatmap: Tensor, temperature: float) -> Tensor:
    """Mean cell (B, K, 2), x first, under the softmax of maps (B, K, h, w) over ``temperature`` (Sun et al. 2018)."""
    height, width = heatmap.shape[-2:]
    share = torch.softmax(heatmap.flatten(2) / temperature, dim=-1).view(heatmap.shape)
    x = share.sum(-2) @ torch.arange(width, device=heatmap.device, dtype=heatmap.dtype)
    y = share.sum(-1) @ torch.arange(height, device=heatmap.device, dtype=heatmap.dtype)
    return torch.stack([x, y], dim=-1)
