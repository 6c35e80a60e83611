"""What every codec does: keypoints to targets, network outputs to keypoints, mirrored outputs back to the image."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from flatpose.errors import SpecError

Outputs = dict[str, Tensor]


class Encoder(Protocol):
    """The half that training needs. Keypoints are (B, K, 2) crop pixels; weights (B, K) are 0 for those not learned."""

    def encode(self, keypoints: Tensor, weights: Tensor) -> Outputs:
        """Training targets, with the final ``weights`` (B, K) among them."""


class Codec(ABC):
    """Encoding and decoding share one set of parameters. All tensors are batched; ``image_size`` is (width, height)."""

    averaged: ClassVar[tuple[str, ...]]
    """Outputs that the flip test averages."""

    def __init__(self, config: Any, image_size: tuple[int, int], num_keypoints: int) -> None:
        self.config, self.image_size, self.num_keypoints = config, image_size, num_keypoints

    @abstractmethod
    def encode(self, keypoints: Tensor, weights: Tensor) -> Outputs:
        """As an :class:`Encoder`."""

    @abstractmethod
    def decode(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Keypoints (B, K, 2) in crop pixels and their scores (B, K)."""

    @abstractmethod
    def flip(self, outputs: Outputs, flip_index: Tensor) -> Outputs:
        """Outputs for the mirrored image, brought back to the original one (``flip_index``: (K,) permutation)."""

    def predict(self, network: Callable[[Tensor], Outputs], images: Tensor, flip_index: Tensor | None
                ) -> tuple[Tensor, Tensor]:
        """Keypoints (B, K, 2) in crop pixels and scores (B, K) of normalised images (B, 3, H, W).

        With a ``flip_index`` the outputs are averaged with those on the mirrored images (flip test).
        """
        outputs = network(images)
        if flip_index is not None:
            outputs = self.average(outputs, self.flip(network(images.flip(-1)), flip_index))
        return self.decode(outputs)

    def average(self, a: Outputs, b: Outputs) -> Outputs:
        """Element-wise mean of two predictions of the same image."""
        return {name: 0.5 * (a[name] + b[name]) for name in self.averaged}

    def perfect(self, keypoints: Tensor) -> Outputs:
        """The outputs of a network that has learned its targets exactly."""
        return self.encode(keypoints, torch.ones_like(keypoints[..., 0]))

    def round_trip(self, keypoints: Tensor) -> Tensor:
        """Keypoints (B, K, 2) decoded from the perfect outputs."""
        return self.decode(self.perfect(keypoints))[0]

    def expected_position(self, outputs: Outputs) -> Tensor:
        """Mean position (B, K, 2) in crop pixels under the predicted distribution, differentiable for a loss.

        Raises SpecError where the codec predicts no distribution over positions.
        """
        raise SpecError(f"codec {self.config.kind!r} predicts no distribution over positions", where="codec.kind",
                        hint="use codec 'heatmap' or 'simcc'")


def overlaps(first: Tensor, last: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, K) whether the patch from ``first`` to ``last`` (B, K, 2) has a part in 0..size, as HRNet tests it."""
    return ((first < torch.tensor(size).to(first)) & (last >= 0)).all(-1)


def mirror_shift(prescribed: int | None, size: int, bins: int, bins_per_pixel: float) -> float:
    """Bins by which a mirrored and reversed axis lies left of the original one: as authors prescribe it, or exactly.

    Bin i stands for pixel ``i / bins_per_pixel``, and pixel x of the mirror image is pixel ``size - 1 - x``. Reversing
    the axis maps bin i to ``bins - 1 - i`` instead of ``(size - 1) * bins_per_pixel - i``. SpecError where the
    prescribed shift is more than a bin off: the averaged peak would be more than half a bin off.
    """
    exact = round((size - 1) * bins_per_pixel - (bins - 1), 9)
    if prescribed is None:
        return exact
    if abs(prescribed - exact) > 1:
        raise SpecError(f"the mirrored axis has to move right by {exact:g} bins at {bins_per_pixel:g} bins per pixel, "
                        f"not by {prescribed}", where="codec.flip_shift", hint="None derives the shift")
    return prescribed


def shifted(values: Tensor, bins: float) -> Tensor:
    """``values`` (..., n) moved right by ``bins``, interpolated linearly; the value at the border is repeated.

    On the logits of a Gaussian label, a parabola, the interpolation is exact up to a constant.
    """
    last, whole = values.shape[-1] - 1, math.floor(bins)
    part, index = bins - whole, torch.arange(last + 1, device=values.device) - whole
    moved = values[..., index.clamp(0, last)]
    return (1 - part) * moved + part * values[..., (index - 1).clamp(0, last)] if part else moved
