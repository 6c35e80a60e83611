"""Training losses. Each takes the network's outputs and the codec's targets, with keypoint weights among them."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from flatpose.codecs.base import Outputs
from flatpose.codecs.simcc import NAMES
from flatpose.config import CodecConfig, LossConfig
from flatpose.errors import SpecError
from flatpose.keypoints import KeypointSet
from flatpose.losses_sharpose import two_stage_mse

Loss = Callable[[Outputs, Outputs], Tensor]

FITS = {"mse": "heatmap", "kl": "simcc", "l1": "regression", "multi_mse": "heatmap", "sar": "sar",
        "two_stage_mse": "heatmap"}


def build_loss(loss: LossConfig, codec: CodecConfig, keypoints: KeypointSet) -> Loss:
    """The loss function of a run on persons of that keypoint set; raises SpecError when it does not fit the codec."""
    wanted = FITS[loss.kind]
    if codec.kind != wanted:
        raise SpecError(f"loss {loss.kind!r} needs codec {wanted!r}, not {codec.kind!r}",
                        hint=f"use loss {next(k for k, v in FITS.items() if v == codec.kind)!r}")
    if loss.kind == "mse":
        return joints_mse
    if loss.kind == "l1":
        return coordinate_l1
    if loss.kind == "multi_mse":
        return multi_level_mse
    if loss.kind == "sar":
        return spatial_aware
    if loss.kind == "two_stage_mse":
        return lambda outputs, targets: two_stage_mse(outputs, targets, keypoints.sigmas, loss.quality_weight,
                                                      loss.quality_start)
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


COARSE_HEATMAP_WEIGHT = 1e-4


def multi_level_mse(outputs: Outputs, targets: Outputs) -> Tensor:
    """SRPose: joints_mse of every heatmap against the target averaged to its size; the coarsest one counts 1e-4."""
    total = torch.zeros((), device=targets["weights"].device)
    pooled: dict[tuple[int, int], Tensor] = {}
    for name, heatmap in outputs.items():
        size = (heatmap.shape[2], heatmap.shape[3])
        if size not in pooled:
            pooled[size] = F.adaptive_avg_pool2d(targets["heatmap"], size)
        loss = joints_mse({"heatmap": heatmap}, {"heatmap": pooled[size], "weights": targets["weights"]})
        total = total + (COARSE_HEATMAP_WEIGHT if name == "heatmap_coarse" else 1.0) * loss
    return total


SPATIAL_SHARPNESS = 16.0
POSITIVE_CELL = 0.7


def spatial_aware(outputs: Outputs, targets: Outputs) -> Tensor:
    """SAR: -log of the weight that cells with a good answer hold, plus the auxiliary heatmap's quality focal loss.

    An answer at (dx, dy) from the truth (fractions of the input size) is good to exp(-16 (|dx| + |dy|)). The mean is
    over keypoints with weight; the focal loss is divided by the number of their cells whose target exceeds 0.7.
    """
    counted = (targets["weights"] > 0).float()
    weight = outputs["logit"].float().flatten(2)
    distance = (outputs["keypoint"].float() - targets["coords"][..., None, None]).abs().sum(2).flatten(2)
    hit = (weight / weight.sum(-1, keepdim=True) * torch.exp(-SPATIAL_SHARPNESS * distance)).sum(-1)
    regression = (-torch.log(hit + 1e-6) * counted).sum() / counted.sum().clamp(min=1)
    logit, label = outputs["heatmap"].float(), targets["heatmap"]
    cells = F.binary_cross_entropy_with_logits(logit, label, reduction="none") * (logit.sigmoid() - label).square()
    positive = ((label > POSITIVE_CELL).sum((2, 3)) * counted).sum().clamp(min=1)
    return regression + (cells.sum((2, 3)) * counted).sum() / positive
