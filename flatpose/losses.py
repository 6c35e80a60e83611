"""Training losses. Each takes the network's outputs and the codec's targets, with keypoint weights among them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from flatpose.codecs.base import Outputs
from flatpose.codecs.simcc import NAMES
from flatpose.config import CodecConfig, LossConfig
from flatpose.errors import SpecError

Loss = Callable[[Outputs, Outputs], Tensor]

FITS = {"mse": "heatmap", "kl": "simcc", "l1": "regression"}


def build_loss(loss: LossConfig, codec: CodecConfig) -> Loss:
    """The loss function of a run; raises SpecError when it does not fit the codec."""
    wanted = FITS[loss.kind]
    if codec.kind != wanted:
        raise SpecError(f"loss {loss.kind!r} needs codec {wanted!r}, not {codec.kind!r}",
                        hint=f"use loss {next(k for k, v in FITS.items() if v == codec.kind)!r}")
    if loss.kind == "mse":
        return joints_mse
    if loss.kind == "l1":
        return coordinate_l1
    return lambda outputs, targets: simcc_kl(outputs, targets, loss.beta, loss.target_softmax)


def joints_mse(outputs: Outputs, targets: Outputs) -> Tensor:
    """0.5 * mean over batch, keypoints and cells of (w * (prediction - target))^2, HRNet's JointsMSELoss."""
    difference = (outputs["heatmap"] - targets["heatmap"]) * targets["weights"][..., None, None]
    return 0.5 * difference.square().mean()


def simcc_kl(outputs: Outputs, targets: Outputs, beta: float = 1.0, target_softmax: bool = False) -> Tensor:
    """KL(label || softmax(beta * logits)), mean over bins and batch and keypoints, summed over the two axes (SimCC)."""
    total = torch.zeros((), device=targets["weights"].device)
    for name in NAMES:
        log_probability = torch.log_softmax(beta * outputs[name].float(), dim=-1)
        label = torch.softmax(beta * targets[name], dim=-1) if target_softmax else targets[name]
        divergence = torch.xlogy(label, label) - label * log_probability
        total = total + (divergence.mean(-1) * targets["weights"]).mean()
    return total


def coordinate_l1(outputs: Outputs, targets: Outputs) -> Tensor:
    """Mean absolute difference of the coordinates (fractions of the input size) over weighted keypoints."""
    difference = (outputs["coords"] - targets["coords"]).abs().sum(-1) * targets["weights"]
    return difference.sum() / (2 * targets["weights"].sum().clamp(min=1))
