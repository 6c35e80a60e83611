"""Direct regression of coordinates, as fractions of the input size."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from flatpose.codecs.base import Codec, Outputs, overlaps


class RegressionCodec(Codec):
    """Targets and outputs ``coords`` (B, K, 2): pixel over input size. There is no confidence: every score is 1."""

    averaged: ClassVar[tuple[str, ...]] = ("coords",)

    def encode(self, keypoints: Tensor, weights: Tensor) -> Outputs:
        """Coordinates over the input size. Keypoints up to half the larger side outside the crop keep their weight."""
        margin = 0.5 * max(self.image_size)
        inside = overlaps(keypoints - margin, keypoints + margin, self.image_size)
        return {**self.perfect(keypoints), "weights": weights * inside}

    def perfect(self, keypoints: Tensor) -> Outputs:
        """The coordinates themselves."""
        return {"coords": keypoints / self._size(keypoints)}

    def decode(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Coordinates times the input size."""
        coords = outputs["coords"].float()
        return coords * self._size(coords), torch.ones_like(coords[..., 0])

    def flip(self, outputs: Outputs, flip_index: Tensor) -> Outputs:
        """Pixel x of the mirrored crop is pixel width - 1 - x of the original."""
        x, y = outputs["coords"][:, flip_index].unbind(-1)
        return {"coords": torch.stack([1 - 1 / self.image_size[0] - x, y], dim=-1)}

    def _size(self, like: Tensor) -> Tensor:
        return torch.tensor(self.image_size).to(like)
