"""Fig. 6: predicted poses of several systems beside the annotation, on persons that nobody picked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from flatpose.data.instances import Person, PoseData
from flatpose.figures.canvas import Canvas, annotation, show, skeleton
from flatpose.figures.sight import (
    Drawing,
    Line,
    Measure,
    Network,
    Sight,
    first_seed,
    look,
    measured_persons,
    shown_persons,
)
from flatpose.geometry import box_to_center_scale

MEASURES = (
    Measure("oks", "mean OKS", "", 3, "higher"),
    Measure("half", "persons with OKS ≥ 0.5", direction="higher"),
    Measure("good", "persons with OKS ≥ 0.75", direction="higher"),
    Measure("error", "median error", "px", 1, "lower"),
)


def draw(networks: Sequence[Network], data: PoseData, persons: int) -> Drawing:
    """One row of panels per network, every keypoint drawn whatever its score; the OKS stands in each panel."""
    shown, many, first = shown_persons(data, persons), measured_persons(data), first_seed(networks)
    sights = [look(network, shown, data) for network in first]
    canvas = Canvas(["annotation", *(network.label for network in first)],
                    [f"image {p.image_id}" for p in shown], sights[0].size)
    annotation(canvas, sights[0].crops, sights[0].keypoints, sights[0].labelled, data.keypoint_set)
    everything = np.ones(len(data.keypoint_set), bool)
    for panels, sight in zip(canvas.axes[1:], sights, strict=True):
        similarity = oks(sight, shown, data)
        for column, axes in enumerate(panels):
            show(axes, sight.crops[column])
            skeleton(axes, sight.decoded[column].numpy(), everything, data.keypoint_set)
            canvas.note(axes, f"{similarity[column]:.2f}")
    lines = [measure(network, look(network, many, data), many, data) for network in networks]
    return Drawing(canvas.png(), shown, MEASURES, lines, len(many))


def measure(network: Network, sight: Sight, persons: Sequence[Person], data: PoseData) -> Line:
    """Over persons: how similar the predicted pose is to the annotated one."""
    similarity = oks(sight, persons, data)
    error = (sight.decoded - sight.keypoints).norm(dim=-1)[sight.labelled]
    return Line(network.row, network.seed, "", {
        "oks": similarity.mean().item(), "half": 100 * (similarity >= 0.5).float().mean().item(),
        "good": 100 * (similarity >= 0.75).float().mean().item(), "error": error.median().item()})


def oks(sight: Sight, persons: Sequence[Person], data: PoseData) -> Tensor:
    """(N,) COCO's similarity of prediction and annotation, mean over the labelled keypoints, in crop pixels."""
    _, scale = box_to_center_scale(np.stack([p.bbox_xywh for p in persons]), sight.size)
    zoom = torch.from_numpy(sight.size[0] / scale[:, 0])
    area = torch.tensor([p.area for p in persons]).double() * zoom**2
    variance = (2 * torch.tensor(data.keypoint_set.sigmas).double()) ** 2
    distance = ((sight.decoded - sight.keypoints).double() ** 2).sum(-1)
    each = torch.exp(-distance / (2 * variance * area[:, None].clamp(min=1e-9)))
    return (each * sight.labelled).sum(1) / sight.labelled.sum(1).clamp(min=1)
