"""The four kinds of picture: a column per person, the annotation above, and rows of panels per network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
import torch
from torch import Tensor

from flatpose.codecs import HeatmapCodec
from flatpose.config import HeatmapCodecConfig, SimCCCodecConfig
from flatpose.data.instances import Person, PoseData
from flatpose.errors import SpecError
from flatpose.figures.canvas import INK, MIDDLE, TRUTH, cell, grid, marks, overlay, png, show, show_pose
from flatpose.figures.sight import Network, Sight, look, shown_persons
from flatpose.geometry import box_to_center_scale

Kind = Literal["tokens", "attention", "heatmaps", "poses"]
Row = tuple[str, Callable[[Any, int], None]]
"""Label of a row, and what fills the panel of one person (axes, number of the person)."""


def draw(kind: Kind, networks: Sequence[Network], data: PoseData, persons: int) -> tuple[bytes, list[Person]]:
    """A PNG of ``persons`` validation persons as the networks see them, and those persons.

    Raises:
        SpecError: A network has nothing of the kind to show (attention of a network without tokens).
        DataError: No person is labelled, or weights are of another network.
    """
    shown = shown_persons(data, persons)
    sights = [look(network, shown, data) for network in networks]
    first = sights[0]
    names = [f"image {p.image_id}" for p in shown]
    if kind == "heatmaps":
        chosen = [data.keypoint_set.names[k].replace("_", " ") for k in first.extremity().tolist()]
        names = [f"{name}\n{keypoint}" for name, keypoint in zip(names, chosen, strict=True)]
    rows = _rows(kind, sights, shown, data)  # before anything is drawn: a network may have nothing of the kind
    head = "annotation,\nquery token framed" if kind == "attention" else "annotation"
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        figure, panels = grid([head, *(label for label, _ in rows)], names, first.size)
        for person, axes in enumerate(panels[0]):
            show_pose(axes, first.crops[person], first.keypoints[person].numpy(), first.labelled[person].numpy(),
                      data.keypoint_set)
            if kind == "attention":
                cell(axes, int(_query(first)[person]), first.grid[0], first.stride, MIDDLE)
        for line, (_, fill) in zip(panels[1:], rows, strict=True):
            for person, axes in enumerate(line):
                fill(axes, person)
        return png(figure), shown


def _rows(kind: Kind, sights: Sequence[Sight], persons: list[Person], data: PoseData) -> list[Row]:
    if kind == "poses":
        return [_poses(sight, persons, data) for sight in sights]
    if kind == "heatmaps":
        return [_heatmaps(sight, sights[0].extremity()) for sight in sights]
    make = _tokens if kind == "tokens" else _attention
    return [row for sight in sights for row in make(sight)]


def _token_row(label: str, sight: Sight, values: Tensor, framed: Tensor, colour: str, texts: Sequence[str] = ("",),
               **colours: Any) -> Row:
    """Values (N, L) of the tokens over the pale crops, with ``framed`` (N, tokens) in frames of one colour."""

    def fill(axes: Any, person: int) -> None:
        show(axes, sight.crops[person], grey=True)
        overlay(axes, values[person].reshape(sight.grid[::-1]).numpy(), (sight.stride, sight.stride), **colours)
        for token, text in zip(framed[person].tolist(), texts, strict=True):
            cell(axes, token, sight.grid[0], sight.stride, colour, text)

    return label, fill


def _tokens(sight: Sight) -> list[Row]:
    """Fig. 3: every token coloured by its salience, the selected ones framed and numbered by rank (eq. 11)."""
    blocks = zip(sight.blocks("salience"), sight.blocks("selected"), strict=True)
    return [_token_row(f"{sight.network.label}\niteration {m + 1}", sight, salience, selected, TRUTH,
                       [str(rank + 1) for rank in range(selected.shape[1])])
            for m, (salience, selected) in enumerate(blocks)]


def _query(sight: Sight) -> Tensor:
    """(N,) the token that holds each person's outermost keypoint."""
    columns, rows = sight.grid
    point = sight.keypoints[torch.arange(len(sight.keypoints)), sight.extremity()] / sight.stride
    x, y = point.floor().long().unbind(-1)
    return y.clamp(0, rows - 1) * columns + x.clamp(0, columns - 1)


def _attention(sight: Sight) -> list[Row]:
    """Fig. 4: the query token's attention in every coarse block, and ICA's bias around its mean (eqs. 9 and 10)."""
    query, rows = _query(sight), []
    person = torch.arange(len(query))
    for i, maps in enumerate(sight.blocks("attention")):
        values = maps.mean(1)[person, query]  # mean over heads
        limit = values.max().item()
        rows.append(_token_row(f"{sight.network.label}\nattention, block {i + 1}\n(0 to {limit:.2f})", sight, values,
                               query[:, None], MIDDLE, vmin=0, vmax=limit))
    for i, maps in enumerate(sight.inner["attn_bias"]):
        values = maps.mean(1)[person, query]
        values = values - values.mean(1, keepdim=True)  # softmax ignores a constant
        limit = values.abs().max().item()
        rows.append(_token_row(f"{sight.network.label}\nICA bias, block {i + 1}\n(±{limit:.2g} around its mean)", sight,
                               values, query[:, None], INK, cmap="RdBu_r", vmin=-limit, vmax=limit))
    return rows


def _heatmaps(sight: Sight, chosen: Tensor) -> Row:
    """Fig. 5: the map of each person's outermost keypoint, with its annotated and its decoded place."""
    person = torch.arange(len(chosen))
    maps = map_of(sight)[person, chosen]
    points, truth = sight.decoded[person, chosen], sight.keypoints[person, chosen]

    def fill(axes: Any, number: int) -> None:
        show(axes, sight.crops[number], grey=True)
        overlay(axes, maps[number].numpy(), pitch(sight.network), centred=True, vmin=0)
        marks(axes, truth[number].tolist(), points[number].tolist())

    return sight.network.label, fill


def map_of(sight: Sight) -> Tensor:
    """(N, K, rows, columns), each of sum 1: the heatmap's positive part, or softmax(y) x softmax(x).

    Raises:
        SpecError: The network predicts neither.
    """
    codec, outputs = sight.network.run.codec, sight.outputs
    if isinstance(codec, HeatmapCodecConfig):
        maps = outputs["heatmap"].float().clamp(min=0)
        return maps / maps.sum((2, 3), keepdim=True).clamp(min=1e-12)
    if not isinstance(codec, SimCCCodecConfig):
        raise SpecError(f"a {codec.kind} has no map to draw", where=f"row {sight.network.row}")
    x, y = (torch.softmax(outputs[name].float() / codec.temperature, -1) for name in ("simcc_x", "simcc_y"))
    return y[..., :, None] * x[..., None, :]


def pitch(network: Network) -> tuple[float, float]:
    """Crop pixels per column and row of the map; cell i stands for pixel i * pitch."""
    codec = network.run.codec
    if isinstance(codec, SimCCCodecConfig):
        return 1 / codec.split_ratio, 1 / codec.split_ratio
    assert isinstance(codec, HeatmapCodecConfig)
    x, y = HeatmapCodec(codec, network.run.image_size, 1).pixels_per_cell(torch.zeros(())).tolist()
    return x, y


def _poses(sight: Sight, persons: list[Person], data: PoseData) -> Row:
    """Fig. 6: every predicted keypoint whatever its score, with the person's OKS in the corner."""
    similarity = oks(sight, persons, data)

    def fill(axes: Any, person: int) -> None:
        points = sight.decoded[person].numpy()
        show_pose(axes, sight.crops[person], points, np.ones(len(points)), data.keypoint_set,
                  note=f"{similarity[person]:.2f}")

    return sight.network.label, fill


def oks(sight: Sight, persons: list[Person], data: PoseData) -> Tensor:
    """(N,) COCO's similarity of prediction and annotation, mean over the labelled keypoints, in crop pixels."""
    _, scale = box_to_center_scale(np.stack([p.bbox_xywh for p in persons]), sight.size)
    zoom = torch.from_numpy((sight.size[0] - sight.network.run.codec.udp) / scale[:, 0])
    area = torch.tensor([p.area for p in persons]).double() * zoom**2
    variance = (2 * torch.tensor(data.keypoint_set.sigmas).double()) ** 2
    distance = ((sight.decoded - sight.keypoints).double() ** 2).sum(-1)
    each = torch.exp(-distance / (2 * variance * area[:, None].clamp(min=1e-9)))
    return (each * sight.labelled).sum(1) / sight.labelled.sum(1).clamp(min=1)
