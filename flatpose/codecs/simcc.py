"""Coordinate classification: Li et al., SimCC, ECCV 2022. Each axis is a classification over sub-pixel bins."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flatpose.codecs.base import Outputs, inside, mean_of
from flatpose.config import SimCCCodecConfig

NAMES = ("simcc_x", "simcc_y")


def simcc_bins(image_size: tuple[int, int], split_ratio: float) -> tuple[int, int]:
    """Number of x and y bins (Wx, Wy)."""
    return round(image_size[0] * split_ratio), round(image_size[1] * split_ratio)


class SimCCCodec:
    """Targets and logits ``simcc_x`` (B, K, Wx), ``simcc_y`` (B, K, Wy); bin i stands for pixel ``i / split_ratio``."""

    def __init__(self, config: SimCCCodecConfig, image_size: tuple[int, int], num_keypoints: int) -> None:
        self.config, self.image_size, self.num_keypoints = config, image_size, num_keypoints
        self.bins = simcc_bins(image_size, config.split_ratio)
        self.sigmas = config.sigma if isinstance(config.sigma, tuple) else (config.sigma, config.sigma)

    def encode(self, keypoints: Tensor, weights: Tensor) -> Outputs:
        """Gaussian label vectors; keypoints outside the crop get weight 0."""
        centre = keypoints * self.config.split_ratio
        if self.config.centre == "rounded":
            centre = torch.round(centre)
        labels = {name: self._label(centre[..., axis], axis) for axis, name in enumerate(NAMES)}
        return {**labels, "weights": inside(keypoints, weights, self.image_size)}

    def _label(self, centre: Tensor, axis: int) -> Tensor:
        sigma = self.sigmas[axis]
        bins = torch.arange(self.bins[axis], device=centre.device, dtype=centre.dtype)
        label = torch.exp(-0.5 * ((bins - centre[..., None]) / sigma) ** 2)
        return label / (sigma * math.sqrt(2 * math.pi)) if self.config.label == "density" else label

    def decode(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Highest bin or expected bin of each axis, over split_ratio; the score joins both axes as ``score`` says."""
        decoded = [self._decode_axis(outputs[name].float()) for name in NAMES]
        position = torch.stack([d[0] for d in decoded], dim=-1) / self.config.split_ratio
        peaks = torch.stack([d[1] for d in decoded])
        return position, peaks.mean(0) if self.config.score == "mean_softmax" else peaks.amin(0)

    def _decode_axis(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        raw_peak, peak_bin = logits.max(-1)
        probability = torch.softmax(logits / self.config.temperature, dim=-1)
        position = peak_bin.to(logits.dtype)
        if self.config.decode == "expectation":
            position = probability @ torch.arange(logits.shape[-1], device=logits.device, dtype=logits.dtype)
        return position, raw_peak if self.config.score == "min_raw" else probability.amax(-1)

    def flip(self, outputs: Outputs, flip_index: Tensor) -> Outputs:
        """Reverse x and swap pairs, then move x left by ``flip_shift`` bins."""
        x = outputs["simcc_x"].flip(-1)[:, flip_index]
        shift = self.config.flip_shift
        if shift:
            x = torch.cat([x[..., shift:], x[..., -1:].expand(*x.shape[:-1], shift)], dim=-1)
        return {"simcc_x": x, "simcc_y": outputs["simcc_y"][:, flip_index]}

    def average(self, a: Outputs, b: Outputs) -> Outputs:
        """Mean of the logits."""
        return mean_of(a, b, NAMES)


def ideal_logits(targets: Outputs) -> Outputs:
    """Logits whose softmax is the label distribution: what a perfect network would answer."""
    return {name: targets[name].clamp(min=1e-30).log() for name in NAMES}
