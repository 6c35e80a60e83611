"""SHaRPose's loss: both heatmaps, and late in training how good the coarse one is (An et al., AAAI 2024)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from flatpose.codecs.base import Outputs


def two_stage_mse(outputs: Outputs, targets: Outputs, sigmas: Sequence[float], quality_weight: float,
                  quality_start: float) -> Tensor:
    """MSE(coarse) + MSE(fine) + weight * MSE(quality, OKS of the coarse answer), the last one once training is late.

    The heatmap terms are means over batch, keypoints and cells without HRNet's factor 0.5.

    Args:
        outputs: ``heatmap``, ``heatmap_coarse`` (B, K, h, w) and ``quality`` (B,).
        targets: ``heatmap``, ``weights`` (B, K) and ``progress``, the share of training that is done.
        sigmas: OKS fall-off of the K keypoints (KeypointSet.sigmas).
        quality_weight: Factor on the quality term (0.03).
        quality_start: Progress after which that term counts.
    """
    weights = targets["weights"][..., None, None]
    label = targets["heatmap"] * weights
    maps = sum(F.mse_loss(outputs[name] * weights, label) for name in ("heatmap_coarse", "heatmap"))
    # Before its time the term counts nothing but stays in the graph, as distributed training wants it.
    factor = quality_weight if targets["progress"] > quality_start else 0.0
    similarity = heatmap_oks(outputs["heatmap_coarse"].detach(), targets["heatmap"], targets["weights"], sigmas)
    labelled = (targets["weights"] > 0).any(dim=1)
    error = ((outputs["quality"] - similarity).square() * labelled).sum() / labelled.sum().clamp(min=1)
    return maps + factor * error


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
