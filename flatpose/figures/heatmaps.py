"""Fig. 5: a keypoint's heatmap, or the outer product of its SimCC vectors, at every feature-map resolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flatpose.codecs import build_codec
from flatpose.codecs.simcc import simcc_bins
from flatpose.config import HeatmapCodecConfig, SimCCCodecConfig
from flatpose.data.instances import PoseData
from flatpose.errors import SpecError
from flatpose.figures.canvas import Canvas, annotation, marks, overlay, show
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

NEAR = 16
"""A keypoint is near when it lies within this part of the crop's height: 1/16 is 8 pixels of 128."""
CHUNK = 2
"""Persons whose SimCC maps are unfolded at a time: few enough for the processor's cache."""
MEASURES = (
    Measure("error", "median error", "px", 1, "lower"),
    Measure("near", f"decoded within 1/{NEAR} of the height", direction="higher"),
    Measure("mass", f"mass of the map within 1/{NEAR}", direction="higher"),
    Measure("area", "area above half the peak", direction="lower"),
    Measure("target", "the same of the training target"),
)


def draw(networks: Sequence[Network], data: PoseData, persons: int) -> Drawing:
    """One row of panels per network: the map of each person's outermost keypoint over its crop."""
    shown, many, first = shown_persons(data, persons), measured_persons(data), first_seed(networks)
    sights = [look(network, shown, data) for network in first]
    chosen, person = sights[0].extremity(), torch.arange(len(shown))
    names = [data.keypoint_set.names[k].replace("_", " ") for k in chosen.tolist()]
    canvas = Canvas(["annotation", *(network.label for network in first)],
                    [f"image {p.image_id}\n{name}" for p, name in zip(shown, names, strict=True)], sights[0].size)
    annotation(canvas, sights[0].crops, sights[0].keypoints, sights[0].labelled, data.keypoint_set)
    for panels, network, sight in zip(canvas.axes[1:], first, sights, strict=True):
        maps = map_of(sight.outputs, network, slice(None))[person, chosen]
        points, truth = sight.decoded[person, chosen], sight.keypoints[person, chosen]
        for column, axes in enumerate(panels):
            show(axes, sight.crops[column], grey=True)
            overlay(axes, maps[column].numpy(), sight.size, pitch=pitch(network), low=0)
            marks(axes, truth[column].tolist(), points[column].tolist())
    lines = [measure(network, look(network, many, data)) for network in networks]
    return Drawing(canvas.png(), shown, MEASURES, lines, len(many))


def map_of(outputs: dict[str, Tensor], network: Network, persons: slice) -> Tensor:
    """(n, K, rows, columns), each of sum 1: the heatmap's positive part, or softmax(y) x softmax(x).

    Raises:
        SpecError: The network answers with neither.
    """
    if isinstance(network.run.codec, HeatmapCodecConfig):
        maps = outputs["heatmap"][persons].float().clamp(min=0)
        return maps / maps.sum((2, 3), keepdim=True).clamp(min=1e-12)
    if not isinstance(network.run.codec, SimCCCodecConfig):
        raise SpecError(f"a {network.run.codec.kind} has no map to draw", where=f"row {network.row}")
    x, y = (torch.softmax(outputs[name][persons].float() / network.run.codec.temperature, -1)
            for name in ("simcc_x", "simcc_y"))
    return y[..., :, None] * x[..., None, :]


def pitch(network: Network) -> tuple[float, float]:
    """Crop pixels per column and row of the map; cell i stands for pixel i * pitch."""
    codec, (width, height) = network.run.codec, network.run.image_size
    if isinstance(codec, SimCCCodecConfig):
        bins = simcc_bins((width, height), codec.split_ratio)
        return width / bins[0], height / bins[1]
    assert isinstance(codec, HeatmapCodecConfig)
    cells = width // codec.stride, height // codec.stride
    if codec.udp:
        return (width - 1) / max(cells[0] - 1, 1), (height - 1) / max(cells[1] - 1, 1)
    return width / cells[0], height / cells[1]


def measure(network: Network, sight: Sight) -> Line:
    """Over the labelled keypoints inside their crops: how far off, and how sharp and well placed the map is.

    A map cannot be sharper than what it was trained to be, so the target's own area stands beside it.
    """
    radius = sight.size[1] / NEAR
    inside = sight.labelled & (sight.keypoints >= 0).all(-1) & (sight.keypoints < torch.tensor(sight.size)).all(-1)
    error = (sight.decoded - sight.keypoints).norm(dim=-1)[inside]
    mass, area, target = [], [], []
    codec = build_codec(network.run.codec, sight.size, inside.shape[1])
    for start in range(0, len(inside), CHUNK):
        part = slice(start, start + CHUNK)
        maps, kept = map_of(sight.outputs, network, part), inside[part]
        mass.append(mass_near(maps, sight.keypoints[part], pitch(network), radius)[kept])
        area.append(half_peak(maps)[kept])
        target.append(half_peak(map_of(codec.perfect(sight.keypoints[part]), network, slice(None)))[kept])
    return Line(network.row, network.seed, "", {
        "error": error.median().item(), "near": 100 * (error <= radius).float().mean().item(),
        "mass": 100 * torch.cat(mass).mean().item(), "area": 100 * torch.cat(area).mean().item(),
        "target": 100 * torch.cat(target).mean().item()})


def half_peak(maps: Tensor) -> Tensor:
    """(n, K): share of the cells of maps (n, K, rows, columns) that reach half the highest one."""
    return (maps >= 0.5 * maps.amax((2, 3), keepdim=True)).float().mean((2, 3))


def mass_near(maps: Tensor, points: Tensor, pitch: tuple[float, float], radius: float) -> Tensor:
    """(n, K): part of maps of sum 1 in the cells whose place is within ``radius`` pixels of points (n, K, 2)."""
    rows, columns = maps.shape[-2:]
    dx = torch.arange(columns) * pitch[0] - points[..., :1]
    dy = torch.arange(rows) * pitch[1] - points[..., 1:]
    near = dy[..., :, None] ** 2 + dx[..., None, :] ** 2 <= radius**2
    return (maps * near).sum((2, 3))
