"""Targets and answers of SAR: Wang and Zhang, Spatial-Aware Regression for Keypoint Localization, CVPR 2024."""

from __future__ import annotations

import torch
from torch import Tensor

from flatpose.codecs.base import Codec, Outputs
from flatpose.codecs.heatmap import HeatmapCodec
from flatpose.config import HeatmapCodecConfig, SARCodecConfig


class SARCodec(Codec):
    """Every cell predicts the keypoint; the prediction of the cell with the largest weight is the answer.

    Network outputs ``logit`` (B, K, h, w) in 0..1 and ``keypoint`` (B, K, 2, h, w); targets and chosen answers
    ``coords`` (B, K, 2). All coordinates are pixels over the input size. A score is the chosen cell's share of the
    weight of all cells.
    """

    averaged = ("coords", "score")

    def __init__(self, config: SARCodecConfig, image_size: tuple[int, int], num_keypoints: int) -> None:
        super().__init__(config, image_size, num_keypoints)
        self.auxiliary = HeatmapCodec(HeatmapCodecConfig(stride=config.stride, sigma=config.sigma), image_size,
                                      num_keypoints)

    def encode(self, keypoints: Tensor, weights: Tensor) -> Outputs:
        """Coordinates, the auxiliary heatmap, and that heatmap's weights."""
        return {**self.auxiliary.encode(keypoints, weights), "coords": keypoints / self._size(keypoints)}

    def decode(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """The chosen coordinates in crop pixels, and their scores (1 where there are none, as in targets)."""
        chosen = self._choose(outputs)
        return chosen["coords"] * self._size(chosen["coords"]), chosen["score"]

    def flip(self, outputs: Outputs, flip_index: Tensor) -> Outputs:
        """The choice for the mirrored image: pixel x there is pixel width - 1 - x here."""
        chosen = {name: value[:, flip_index] for name, value in self._choose(outputs).items()}
        x, y = chosen["coords"].unbind(-1)
        return {**chosen, "coords": torch.stack([1 - 1 / self.image_size[0] - x, y], dim=-1)}

    def average(self, a: Outputs, b: Outputs) -> Outputs:
        """Mean of the chosen coordinates and scores (not of the maps), as the authors do."""
        return super().average(self._choose(a), self._choose(b))

    def round_trip(self, keypoints: Tensor) -> Tensor:
        """The coordinates as they are; the auxiliary heatmap plays no part in decoding."""
        return self.decode({"coords": keypoints / self._size(keypoints)})[0]

    def _choose(self, outputs: Outputs) -> Outputs:
        if "coords" in outputs:
            coords = outputs["coords"].float()
            return {"coords": coords, "score": outputs.get("score", torch.ones_like(coords[..., 0]))}
        weight = outputs["logit"].float().flatten(2)
        peak, cell = weight.max(-1)
        candidates = outputs["keypoint"].float().flatten(3)
        coords = candidates.gather(-1, cell[..., None, None].expand(*cell.shape, 2, 1))[..., 0]
        return {"coords": coords, "score": peak / weight.sum(-1)}
