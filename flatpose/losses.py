"""Training losses: each takes the network's outputs and the codec's targets, with keypoint weights (B, K) among them.

A loss is a sum of terms, each a sum over persons divided by a count that depends on the targets alone. Counts of
several batches add up, so that gradient accumulation and several processes give the gradient of the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flatpose.codecs.base import Outputs
from flatpose.codecs.heatmap import soft_argmax
from flatpose.codecs.simcc import NAMES, expected_bins
from flatpose.config import CodecConfig, LossConfig
from flatpose.errors import SpecError
from flatpose.keypoints import KeypointSet


@dataclass(frozen=True)
class Loss:
    """The terms of a loss over a batch, or over a part of one."""

    sums: Callable[[Outputs, Outputs], tuple[Tensor, ...]]
    """Outputs and targets to the sum of each term over the persons given."""
    counts: Callable[[Outputs], tuple[Tensor, ...]]
    """Targets to what each sum is divided by."""

    def __call__(self, outputs: Outputs, targets: Outputs, counts: Sequence[Tensor] | None = None) -> Tensor:
        """The loss of a batch; with ``counts`` of a larger batch, this part's share of that batch's loss."""
        divisors = self.counts(targets) if counts is None else counts
        terms = [s / n.clamp(min=1) for s, n in zip(self.sums(outputs, targets), divisors, strict=True)]
        return torch.stack(terms).sum()


def build_loss(loss: LossConfig, codec: CodecConfig, keypoints: KeypointSet) -> Loss:
    """The loss of a run on persons of that keypoint set; raises SpecError when it does not fit the codec."""
    kind = LOSSES[loss.kind]
    if codec.kind != kind.codec:
        fitting = next(name for name, other in LOSSES.items() if other.codec == codec.kind)
        raise SpecError(f"loss {loss.kind!r} needs codec {kind.codec!r}, not {codec.kind!r}", where="loss.kind",
                        hint=f"use loss {fitting!r}")
    return Loss(partial(kind.sums, **kind.options(loss, codec, keypoints)), kind.counts)


def all_keypoints(targets: Outputs) -> tuple[Tensor]:
    """B * K: the mean is over every keypoint, also those of weight 0."""
    weights = targets["weights"]
    return (weights.new_tensor(float(weights.numel())),)


def labelled_coordinates(targets: Outputs) -> tuple[Tensor]:
    """Coordinates x and y of keypoints with weight."""
    return (2 * targets["weights"].sum(),)


def joints_mse(outputs: Outputs, targets: Outputs) -> tuple[Tensor]:
    """0.5 * (w * (prediction - target))^2, mean over cells, summed over keypoints: HRNet's JointsMSELoss."""
    difference = (outputs["heatmap"] - targets["heatmap"]) * targets["weights"][..., None, None]
    return (0.5 * difference.square().mean((2, 3)).sum(),)


def simcc_kl(outputs: Outputs, targets: Outputs, *, beta: float = 1.0, target_softmax: bool = False,
             summed_persons: int = 1) -> tuple[Tensor]:
    """KL(label || softmax(beta * logits)), mean over bins, summed over axes and keypoints (SimCC, RTMPose).

    ``summed_persons``: mmpose sums over the persons of one GPU where SimCC's authors take the mean.
    """
    total = torch.zeros((), device=targets["weights"].device)
    for name in NAMES:
        log_probability = torch.log_softmax(beta * outputs[name].float(), dim=-1)
        label = torch.softmax(beta * targets[name], dim=-1) if target_softmax else targets[name]
        divergence = torch.xlogy(label, label) - label * log_probability
        total = total + (divergence.mean(-1) * targets["weights"]).sum()
    return (summed_persons * total,)


def coordinate_l1(outputs: Outputs, targets: Outputs) -> tuple[Tensor]:
    """|difference| of the coordinates (fractions of the input size) of keypoints with weight."""
    return (((outputs["coords"] - targets["coords"]).abs().sum(-1) * targets["weights"]).sum(),)


def heatmap_and_coordinate(outputs: Outputs, targets: Outputs, *, temperature: float) -> tuple[Tensor, Tensor]:
    """joints_mse, and |difference| of the soft-argmax as a share of the map (integral regression, Sun et al. 2018)."""
    heatmap = outputs["heatmap"].float()
    size = heatmap.new_tensor([heatmap.shape[-1], heatmap.shape[-2]])
    difference = (soft_argmax(heatmap, temperature) - targets["centre"]).abs() / size
    return *joints_mse(outputs, targets), (difference.sum(-1) * targets["weights"]).sum()


def simcc_and_coordinate(outputs: Outputs, targets: Outputs, *, temperature: float, **options: Any
                         ) -> tuple[Tensor, Tensor]:
    """simcc_kl with its ``options``, and |difference| of the expected bin as a share of the bins of its axis."""
    size = targets["simcc_centre"].new_tensor([outputs[name].shape[-1] for name in NAMES])
    difference = (expected_bins(outputs, temperature) - targets["simcc_centre"]).abs() / size
    return *simcc_kl(outputs, targets, **options), (difference.sum(-1) * targets["weights"]).sum()


def keypoints_and_coordinates(targets: Outputs) -> tuple[Tensor, Tensor]:
    """Every keypoint, and the coordinates of those with weight."""
    return *all_keypoints(targets), *labelled_coordinates(targets)


COARSE_HEATMAP_WEIGHT = 1e-4


def multi_level_mse(outputs: Outputs, targets: Outputs) -> tuple[Tensor]:
    """SRPose: joints_mse of every heatmap against the target averaged to its size; the coarsest one counts 1e-4."""
    total = torch.zeros((), device=targets["weights"].device)
    pooled: dict[tuple[int, int], Tensor] = {}
    for name, heatmap in outputs.items():
        size = (heatmap.shape[2], heatmap.shape[3])
        if size not in pooled:
            pooled[size] = F.adaptive_avg_pool2d(targets["heatmap"], size)
        (level,) = joints_mse({"heatmap": heatmap}, {"heatmap": pooled[size], "weights": targets["weights"]})
        total = total + (COARSE_HEATMAP_WEIGHT if name == "heatmap_coarse" else 1.0) * level
    return (total,)


SPATIAL_SHARPNESS = 16.0
POSITIVE_CELL = 0.7


def spatial_aware(outputs: Outputs, targets: Outputs) -> tuple[Tensor, Tensor]:
    """SAR: -log of the weight of the cells whose answer is good, and the auxiliary heatmap's quality focal loss.

    An answer at (dx, dy) from the truth (fractions of the input size) is good to exp(-16 (|dx| + |dy|)).
    """
    counted = (targets["weights"] > 0).float()
    weight = outputs["logit"].float().flatten(2)
    distance = (outputs["keypoint"].float() - targets["coords"][..., None, None]).abs().sum(2).flatten(2)
    hit = (weight / weight.sum(-1, keepdim=True) * torch.exp(-SPATIAL_SHARPNESS * distance)).sum(-1)
    logit, label = outputs["heatmap"].float(), targets["heatmap"]
    cells = F.binary_cross_entropy_with_logits(logit, label, reduction="none") * (logit.sigmoid() - label).square()
    return (-torch.log(hit + 1e-6) * counted).sum(), (cells.sum((2, 3)) * counted).sum()


def spatial_aware_counts(targets: Outputs) -> tuple[Tensor, Tensor]:
    """Keypoints with weight, and those of their cells whose target exceeds 0.7."""
    counted = (targets["weights"] > 0).float()
    return counted.sum(), ((targets["heatmap"] > POSITIVE_CELL).sum((2, 3)) * counted).sum()


def two_stage_mse(outputs: Outputs, targets: Outputs, *, sigmas: Sequence[float], quality_weight: float,
                  quality_start: float) -> tuple[Tensor, Tensor]:
    """SHaRPose: MSE of coarse and fine heatmap, and late in training that of the predicted quality.

    The quality's target is the OKS of the coarse answer. The heatmap terms have no factor 0.5.

    Args:
        outputs: ``heatmap``, ``heatmap_coarse`` (B, K, h, w) and ``quality`` (B,).
        targets: ``heatmap``, ``weights`` (B, K) and ``progress``, the share of training that is done.
        sigmas: OKS fall-off of the K keypoints (KeypointSet.sigmas).
        quality_weight: Factor on the quality term (0.03).
        quality_start: Progress after which that term counts.
    """
    weights = targets["weights"][..., None, None]
    label = targets["heatmap"] * weights
    maps = [(outputs[name] * weights - label).square().mean((2, 3)).sum() for name in ("heatmap_coarse", "heatmap")]
    # Until then the factor is 0 and the term stays in the graph: DDP reports parameters without a gradient.
    factor = quality_weight if targets["progress"] > quality_start else 0.0
    similarity = heatmap_oks(outputs["heatmap_coarse"].detach(), targets["heatmap"], targets["weights"], sigmas)
    error = (outputs["quality"] - similarity).square() * (targets["weights"] > 0).any(dim=1)
    return maps[0] + maps[1], factor * error.sum()


def two_stage_counts(targets: Outputs) -> tuple[Tensor, Tensor]:
    """Every keypoint, and the persons with any labelled one."""
    return *all_keypoints(targets), (targets["weights"] > 0).any(dim=1).float().sum()


def heatmap_oks(heatmap: Tensor, label: Tensor, weights: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Object keypoint similarity (B,) between the highest cells of two maps, the crop taken as the person's area.

    In crop space this depends on nothing but distances in cells and the number of cells. (The official code divides x
    by the map's height and y by its width; here each is divided by its own.)
    """
    height, width = heatmap.shape[-2:]
    found, true = (torch.stack([m.flatten(2).argmax(-1) % width, m.flatten(2).argmax(-1) // width], dim=-1)
                   for m in (heatmap, label))
    spread = (2 * torch.tensor(sigmas, device=heatmap.device)) ** 2
    squared = (found - true).float().square().sum(-1)
    counted = (weights > 0).float()
    similar = torch.exp(-squared / (2 * spread * height * width)) * counted
    return similar.sum(-1) / counted.sum(-1).clamp(min=1)


@dataclass(frozen=True)
class _Kind:
    """The terms of a kind of loss, the kind of codec whose targets it needs, and the options of its terms."""

    codec: str
    sums: Callable[..., tuple[Tensor, ...]]
    counts: Callable[[Outputs], tuple[Tensor, ...]] = all_keypoints
    options: Callable[[LossConfig, Any, KeypointSet], dict[str, Any]] = lambda *_: {}


def _kl_options(loss: LossConfig, *_: Any) -> dict[str, Any]:
    return {"beta": loss.beta, "target_softmax": loss.target_softmax, "summed_persons": loss.summed_persons}


LOSSES = {
    "mse": _Kind("heatmap", joints_mse),
    "mse_coordinate": _Kind("heatmap", heatmap_and_coordinate, keypoints_and_coordinates,
                            lambda loss, codec, keypoints: {"temperature": codec.temperature}),
    "kl": _Kind("simcc", simcc_kl, options=_kl_options),
    "kl_coordinate": _Kind("simcc", simcc_and_coordinate, keypoints_and_coordinates, lambda loss, codec, keypoints: {
        "temperature": codec.temperature, **_kl_options(loss)}),
    "l1": _Kind("regression", coordinate_l1, labelled_coordinates),
    "multi_mse": _Kind("heatmap", multi_level_mse),
    "sar": _Kind("sar", spatial_aware, spatial_aware_counts),
    "two_stage_mse": _Kind("heatmap", two_stage_mse, two_stage_counts, lambda loss, codec, keypoints: {
        "sigmas": keypoints.sigmas, "quality_weight": loss.quality_weight, "quality_start": loss.quality_start}),
}
