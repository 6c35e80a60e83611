"""Fig. 4: where a token looks in every coarse block, and the bias that ICA adds there (section 3.2, eqs. 9 and 10)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flatpose.data.instances import PoseData
from flatpose.figures.canvas import INK, MIDDLE, Canvas, annotation, cell, overlay, show
from flatpose.figures.sight import (
    Drawing,
    Line,
    Measure,
    Network,
    Sight,
    first_seed,
    look,
    measured_persons,
    needs,
    shown_persons,
)
from flatpose.models.flatpose import STRIDE

MEASURES = (
    Measure("focus", "attention on tokens that hold a keypoint", direction="higher"),
    Measure("chance", "such tokens"),
    Measure("effective", "tokens attended to, effectively", ""),
    Measure("adaptive", "variance between persons"),
    Measure("moved", "attention moved by the bias"),
    Measure("bias", "deviation of the bias", "", 3),
    Measure("content", "deviation of the content scores", "", 3),
    Measure("bias_adaptive", "variance of the bias between persons"),
)


def draw(networks: Sequence[Network], data: PoseData, persons: int) -> Drawing:
    """Rows: the annotation with the query token framed; per network and block its attention; the biases."""
    shown, many, first = shown_persons(data, persons), measured_persons(data), first_seed(networks)
    sights = [look(network, shown, data) for network in first]
    query = _query(sights[0])
    maps = [(name, values, diverging) for network, sight in zip(first, sights, strict=True)
            for name, values, diverging in _maps(network, sight, query)]
    canvas = Canvas(["annotation,\nquery token framed", *(name for name, _, _ in maps)],
                    [f"image {p.image_id}" for p in shown], sights[0].size)
    annotation(canvas, sights[0].crops, sights[0].keypoints, sights[0].labelled, data.keypoint_set)
    for column, axes in enumerate(canvas.axes[0]):
        cell(axes, int(query[column]), sights[0].grid, STRIDE, MIDDLE)
    columns, rows = sights[0].grid
    for panels, (_, values, diverging) in zip(canvas.axes[1:], maps, strict=True):
        limit = values.abs().max().item()
        for column, axes in enumerate(panels):
            show(axes, sights[0].crops[column], grey=True)
            overlay(axes, values[column].reshape(rows, columns).numpy(), sights[0].size, diverging=diverging,
                    low=-limit if diverging else 0, high=limit)
            cell(axes, int(query[column]), sights[0].grid, STRIDE, INK if diverging else MIDDLE)
    lines = [line for network in networks for line in measure(network, look(network, many, data))]
    return Drawing(canvas.png(), shown, MEASURES, lines, len(many))


def _query(sight: Sight) -> Tensor:
    """(N,) the token that holds each person's outermost keypoint."""
    columns, rows = sight.grid
    point = sight.keypoints[torch.arange(len(sight.keypoints)), sight.extremity()] / STRIDE
    x, y = point.floor().long().unbind(-1)
    return y.clamp(0, rows - 1) * columns + x.clamp(0, columns - 1)


def _maps(network: Network, sight: Sight, query: Tensor) -> list[tuple[str, Tensor, bool]]:
    """(row label, values (N, L), whether they have two signs): mean over heads of the query token's row."""
    person = torch.arange(len(query))
    found = []
    for number, attention in enumerate(needs(sight, "attention", network)):
        values = attention.mean(1)[person, query]
        found.append((f"{network.label}\nattention, block {number + 1}\n(0 to {values.max():.2f})", values, False))
    for number, bias in enumerate(sight.explained.get("attn_bias", ())):
        values = bias.mean(1)[person, query]
        values = values - values.mean(1, keepdim=True)  # a constant changes nothing in a softmax
        found.append((f"{network.label}\nICA bias, block {number + 1}\n(±{values.abs().max():.2g} around its mean)",
                      values, True))
    return found


def measure(network: Network, sight: Sight) -> list[Line]:
    """One line per coarse block: is attention on the body, does it depend on the person, and what does the bias do?"""
    occupied, lines = sight.occupied().float(), []
    for number, attention in enumerate(needs(sight, "attention", network)):
        on_body = (attention * occupied[:, None, None]).sum(-1).mean().item()
        entropy = -(attention * attention.clamp(min=1e-12).log()).sum(-1)
        values: dict[str, float | None] = {
            "focus": 100 * on_body, "chance": 100 * occupied.mean().item(),
            "effective": entropy.exp().mean().item(), "adaptive": 100 * between_persons(attention)}
        if "attn_bias" in sight.explained:
            values |= _of_bias(attention, sight.explained["attn_bias"][number])
        lines.append(Line(network.row, network.seed, f"block {number + 1}",
                          {m.key: values.get(m.key) for m in MEASURES}))
    return lines


def _of_bias(attention: Tensor, bias: Tensor) -> dict[str, float | None]:
    """Of one block, both (N, heads, L, L): attention is softmax(content + bias), so content is known up to a shift."""
    content = attention.clamp(min=1e-30).log() - bias
    moved = 0.5 * (attention - content.softmax(-1)).abs().sum(-1)
    return {"moved": 100 * moved.mean().item(), "bias": bias.std(-1, correction=0).mean().item(),
            "content": content.std(-1, correction=0).mean().item(), "bias_adaptive": 100 * between_persons(bias)}


def between_persons(maps: Tensor) -> float:
    """Share of the variance of maps (N, heads, L, L) over persons and keys that persons make; 0 when all are alike.

    Each query's map is taken around its mean over keys, which a softmax does not see.
    """
    maps = maps.double() - maps.double().mean(-1, keepdim=True)
    total = maps.var((0, 3), correction=0).mean().item()
    return maps.var(0, correction=0).mean().item() / total if total > 1e-12 else 0.0
