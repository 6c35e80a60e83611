"""Direct regression of coordinates, as fractions of the input size."""

from __future__ import annotations

import torch
from torch import Tensor

from flatpose.codecs.base import Outputs, inside, mean_of
from flatpose.config import RegressionCodecConfig


class RegressionCodec:
    """Targets and outputs ``coords`` (B, K, 2): pixel over input size. There is no confidence: every score is 1."""

    def __init__(self, config: RegressionCodecConfig, image_size: tuple[int, int], num_keypoints: int) -> None:
        self.config, self.image_size, self.num_keypoints = config, image_size, num_keypoints

    def encode(self, keypoints: Tensor, weights: Tensor) -> Outputs:
        """Coordinates over the input size; keypoints outside the crop keep their weight: there is no map to leave."""
        far = 0.5 * max(self.image_size)
        return {"coords": keypoints / self._size(keypoints),
                "weights": inside(keypoints, weights, self.image_size, margin=far)}

    def decode(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Coordinates times the input size."""
        coords = outputs["coords"].float()
        return coords * self._size(coords), torch.ones_like(coords[..., 0])

    def flip(self, outputs: Outputs, flip_index: Tensor) -> Outputs:
        """Pixel x of the mirrored crop is pixel width - 1 - x of the original."""
        coords = outputs["coords"][:, flip_index]
        last = 1 - 1 / self.image_size[0]
        return {"coords": torch.stack([last - coords[..., 0], coords[..., 1]], dim=-1)}

    def average(self, a: Outputs, b: Outputs) -> Outputs:
        """Mean of the coordinates."""
        return mean_of(a, b, ("coords",))

    def _size(self, like: Tensor) -> Tensor:
        return torch.tensor(self.image_size).to(like)
