"""Fig. 3: the salience of every token and the K tokens that each refine iteration selects (section 3.3.1, eq. 11)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from matplotlib.axes import Axes
from torch import Tensor

from flatpose.data.instances import PoseData
from flatpose.figures.canvas import TRUTH, Canvas, annotation, cell, overlay, show
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
    Measure("hit", "selected tokens that hold a keypoint", direction="higher"),
    Measure("chance", "all tokens that hold one"),
    Measure("same", "persons with the commonest selection", direction="lower"),
    Measure("different", "different selections", "", 0, "higher"),
    Measure("gate", "mean gate of the selected tokens"),
)


def draw(networks: Sequence[Network], data: PoseData, persons: int) -> Drawing:
    """One row of panels per network and refine iteration; the first row shows the annotation."""
    shown, many, first = shown_persons(data, persons), measured_persons(data), first_seed(networks)
    sights = [look(network, shown, data) for network in first]
    rows = ["annotation"]
    for network, sight in zip(first, sights, strict=True):
        rows += [f"{network.label}\niteration {m + 1}" for m in range(len(needs(sight, "selected", network)))]
    canvas = Canvas(rows, [f"image {p.image_id}" for p in shown], sights[0].size)
    annotation(canvas, sights[0].crops, sights[0].keypoints, sights[0].labelled, data.keypoint_set)
    panels = iter(canvas.axes[1:])
    for sight in sights:
        for salience, selected in zip(sight.explained["salience"], sight.explained["selected"], strict=True):
            for column, axes in enumerate(next(panels)):
                _panel(axes, sight, column, salience[column], selected[column])
    lines = [line for network in networks for line in measure(network, look(network, many, data))]
    return Drawing(canvas.png(), shown, MEASURES, lines, len(many))


def _panel(axes: Axes, sight: Sight, person: int, salience: Tensor, selected: Tensor) -> None:
    """Every token coloured by its salience, the selected ones framed and numbered by rank."""
    columns, rows = sight.grid
    show(axes, sight.crops[person], grey=True)
    overlay(axes, salience.reshape(rows, columns).numpy(), sight.size)
    for rank, token in enumerate(selected.tolist()):
        cell(axes, token, sight.grid, STRIDE, TRUTH, str(rank + 1))


def measure(network: Network, sight: Sight) -> list[Line]:
    """One line per iteration: do selected tokens hold keypoints more often than any token, and do they depend on
    the person at all?"""
    occupied, lines = sight.occupied().float(), []
    gated = getattr(network.run.model, "salience", "none") != "none"
    for number, selected in enumerate(needs(sight, "selected", network)):
        selections = Counter(tuple(sorted(s)) for s in selected.tolist())
        scores = sight.explained["salience"][number].gather(1, selected)
        lines.append(Line(network.row, network.seed, f"iteration {number + 1}, {selected.shape[1]} of "
                          f"{occupied.shape[1]} tokens", {
            "hit": 100 * occupied.gather(1, selected).mean().item(), "chance": 100 * occupied.mean().item(),
            "same": 100 * selections.most_common(1)[0][1] / len(selected), "different": float(len(selections)),
            "gate": 100 * scores.sigmoid().mean().item() if gated else None}))
    return lines
