"""Coordinate classification: Li et al., SimCC, ECCV 2022. Each axis is a classification over sub-pixel bins."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flatpose.codecs.base import Codec, Outputs, mirror_shift, overlaps, shifted
from flatpose.config import SimCCCodecConfig

NAMES = ("simcc_x", "simcc_y")


def simcc_bins(image_size: tuple[int, int], split_ratio: float) -> tuple[int, int]:
    """Number of x and y bins (Wx, Wy)."""
    return round(image_size[0] * split_ratio), round(image_size[1] * split_ratio)


class SimCCCodec(Codec):
    """Targets and logits ``simcc_x`` (B, K, Wx), ``simcc_y`` (B, K, Wy); bin i stands for pixel ``i / split_ratio``."""

    averaged = NAMES
    config: SimCCCodecConfig

    def __init__(self, config: SimCCCodecConfig, image_size: tuple[int, int], num_keypoints: int) -> None:
        super().__init__(config, image_size, num_keypoints)
        self.bins = simcc_bins(image_size, config.split_ratio)
        self.sigmas = config.sigma if isinstance(config.sigma, tuple) else (config.sigma, config.sigma)
        right = None if config.flip_shift is None else -config.flip_shift
        self.shift = mirror_shift(right, image_size[0], self.bins[0], config.split_ratio)

    def encode(self, keypoints: Tensor, weights: Tensor) -> Outputs:
        """Gaussian label vectors, not cut off at three sigma; the weights follow ``border``.

        ``simcc_centre`` (B, K, 2) is the keypoint in bins, for losses on coordinates.
        """
        labels = {name: logits.exp() for name, logits in self.perfect(keypoints).items()}
        centre = keypoints * self.config.split_ratio
        return {**labels, "simcc_centre": centre, "weights": weights * self._inside(keypoints)}

    def perfect(self, keypoints: Tensor) -> Outputs:
        """Logits whose softmax is the label: its logarithm, exact where the label itself underflows."""
        centre, logits = self._centre(keypoints), {}
        for axis, (name, count, sigma) in enumerate(zip(NAMES, self.bins, self.sigmas, strict=True)):
            bins = torch.arange(count, device=centre.device, dtype=centre.dtype)
            norm = math.log(sigma * math.sqrt(2 * math.pi)) if self.config.label == "density" else 0.0
            logits[name] = -0.5 * ((bins - centre[..., axis, None]) / sigma) ** 2 - norm
        return logits

    def _centre(self, keypoints: Tensor) -> Tensor:
        centre = keypoints * self.config.split_ratio
        return torch.round(centre) if self.config.centre == "rounded" else centre

    def _inside(self, keypoints: Tensor) -> Tensor:
        """(B, K) whether a keypoint is learned, by the rule of the system's authors."""
        radius = 3 * torch.tensor(self.sigmas).to(keypoints)
        if self.config.border == "crop":
            return overlaps(keypoints, keypoints, self.image_size)
        if self.config.border == "three_sigma_bins":
            centre = self._centre(keypoints)
            return overlaps(centre - radius, centre + radius + 1, self.bins)
        return overlaps((keypoints - radius).trunc(), (keypoints + radius + 1).trunc(), self.image_size)

    def decode(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Highest bin or expected bin of each axis, over split_ratio; the score joins both axes as ``score`` says."""
        logits = [outputs[name].float() for name in NAMES]
        if self.config.decode == "expectation":
            position = self.expected_position(outputs)
        else:
            position = torch.stack([axis.argmax(-1) for axis in logits], dim=-1).float() / self.config.split_ratio
        if self.config.score == "min_raw":
            return position, torch.stack([axis.amax(-1) for axis in logits]).amin(0)
        peaks = torch.stack([self._probability(axis).amax(-1) for axis in logits])
        return position, peaks.mean(0) if self.config.score == "mean_softmax" else peaks.amin(0)

    def expected_position(self, outputs: Outputs) -> Tensor:
        """Expected bin of each axis over split_ratio: (B, K, 2) crop pixels, differentiable."""
        return expected_bins(outputs, self.config.temperature) / self.config.split_ratio

    def _probability(self, logits: Tensor) -> Tensor:
        return torch.softmax(logits / self.config.temperature, dim=-1)

    def flip(self, outputs: Outputs, flip_index: Tensor) -> Outputs:
        """Reverse x, swap left and right keypoints, and move x by the mirror shift (left above one bin per pixel)."""
        x = shifted(outputs["simcc_x"].flip(-1)[:, flip_index], self.shift)
        return {"simcc_x": x, "simcc_y": outputs["simcc_y"][:, flip_index]}


def expected_bins(outputs: Outputs, temperature: float) -> Tensor:
    """Mean bin (B, K, 2), x first, under the softmax of the logits over ``temperature``."""
    found = [torch.softmax(logits / temperature, dim=-1)
             @ torch.arange(logits.shape[-1], device=logits.device, dtype=logits.dtype)
             for logits in (outputs[name].float() for name in NAMES)]
    return torch.stack(found, dim=-1)
