"""What every codec does: keypoints to targets, outputs to keypoints, mirrored outputs back."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

Outputs = dict[str, Tensor]


class Encoder(Protocol):
    """The half that training needs. Keypoints are (B, K, 2) crop pixels; weights (B, K) are 0 for those not learned."""

    def encode(self, keypoints: Tensor, weights: Tensor) -> Outputs:
        """Training targets, with the final ``weights`` (B, K) among them."""


class Codec(Encoder, Protocol):
    """Encode and decode in one place, so that their parameters exist once. All tensors are batched."""

    def decode(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Keypoints (B, K, 2) in crop pixels and their scores (B, K)."""

    def flip(self, outputs: Outputs, flip_index: Tensor) -> Outputs:
        """Outputs for the mirrored image, brought back to the original one (``flip_index``: (K,) permutation)."""

    def average(self, a: Outputs, b: Outputs) -> Outputs:
        """Mean of two predictions of the same image."""


def mean_of(a: Outputs, b: Outputs, names: tuple[str, ...]) -> Outputs:
    """Element-wise mean of the named outputs."""
    return {name: 0.5 * (a[name] + b[name]) for name in names}


def inside(keypoints: Tensor, weights: Tensor, image_size: tuple[int, int], margin: float = 0.0) -> Tensor:
    """Weights with those keypoints set to 0 that lie outside the crop by more than ``margin`` pixels."""
    x, y = keypoints.unbind(-1)
    width, height = image_size
    ok = (x >= -margin) & (y >= -margin) & (x <= width - 1 + margin) & (y <= height - 1 + margin)
    return weights * ok
