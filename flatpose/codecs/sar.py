"""Targets and answers of SAR: Wang and Zhang, Spatial-Aware Regression for Keypoint Localization, CVPR 2024."""

from __future__ import annotations

import torch
from torch import Tensor

from flatpose.codecs.base import Outputs
from flatpose.codecs.heatmap import HeatmapCodec
from flatpose.codecs.regression import RegressionCodec
from flatpose.config import HeatmapCodecConfig, SARCodecConfig


class SARCodec(RegressionCodec):
    """Every cell predicts the keypoint; the prediction of the cell with the largest weight is the answer.

    Network outputs ``logit`` (B, K, h, w) in 0..1 and ``keypoint`` (B, K, 2, h, w); targets and chosen answers
    ``coords`` (B, K, 2). All coordinates are pixels over the input size. A score is the chosen cell's share of the
    weight of all cells.
    """

    averaged = ("coords", "score")

    def __init__(self, config: SARCodecConfig, image_size: tuple[int, int], num_keypoints: int) -> None:
        super().__init__(config, image_size, num_keypoints)
        auxiliary = HeatmapCodecConfig(stride=config.stride, sigma=config.sigma)
        self.auxiliary = HeatmapCodec(auxiliary, image_size, num_keypoints)

    def encode(self, keypoints: Tensor, weights: Tensor) -> Outputs:
        """Coordinates, the auxiliary heatmap, and that heatmap's weights."""
        return {**super().encode(keypoints, weights), **self.auxiliary.encode(keypoints, weights)}

    def decode(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """The chosen coordinates in crop pixels, and their scores (1 where there are none, as in targets)."""
        chosen = self._choose(outputs)
        return super().decode(chosen)[0], chosen["score"]

    def flip(self, outputs: Outputs, flip_index: Tensor) -> Outputs:
        """The choice for the mirrored image, brought back."""
        chosen = self._choose(outputs)
        return {**super().flip(chosen, flip_index), "score": chosen["score"][:, flip_index]}

    def average(self, a: Outputs, b: Outputs) -> Outputs:
        """Mean of the chosen coordinates and scores (not of the maps), as the authors do."""
        return super().average(self._choose(a), self._choose(b))

    def _choose(self, outputs: Outputs) -> Outputs:
        if "coords" in outputs:
            coords = outputs["coords"].float()
            return {"coords": coords, "score": outputs.get("score", torch.ones_like(coords[..., 0]))}
        weight = outputs["logit"].float().flatten(2)
        peak, cell = weight.max(-1)
        candidates = outputs["keypoint"].float().flatten(3)
        coords = candidates.gather(-1, cell[..., None, None].expand(*cell.shape, 2, 1))[..., 0]
        return {"coords": coords, "score": peak / weight.sum(-1)}
