"""Fig. 3: the salience of every token and the K tokens that each refine iteration selects (section 3.3.1, eq. 11)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from torch import Tensor

from flatpose.data.instances import PoseData
from flatpose.figures.canvas import TRUTH, Canvas, cell, overlay, show, skeleton
from flatpose.figures.sight import Drawing, Network, Sight, look, measured_persons, needs, shown_persons
from flatpose.models.flatpose import STRIDE

COLUMNS = ["network", "iteration", "selected tokens", "of them on a labelled keypoint",
           "all tokens on a labelled keypoint", "persons with the commonest selection"]


def draw(networks: Sequence[Network], data: PoseData, persons: int) -> Drawing:
    """One row of panels per network and refine iteration; the first row shows the annotation."""
    shown, many = shown_persons(data, persons), measured_persons(data)
    sights = [look(network, shown, data) for network in networks]
    rows = ["annotation"]
    for network, sight in zip(networks, sights, strict=True):
        rows += [f"{network.label}\niteration {m + 1}" for m in range(len(needs(sight, "selected", network)))]
    aspect = sights[0].size[1] / sights[0].size[0]
    canvas = Canvas([_wrapped(r) for r in rows], [f"image {p.image_id}" for p in shown], (1.15, 1.15 * aspect))
    _annotation(canvas, sights[0], data)
    row = 1
    for sight in sights:
        for salience, selected in zip(sight.explained["salience"], sight.explained["selected"], strict=True):
            for column, axes in enumerate(canvas.axes[row]):
                _panel(axes, sight, column, salience[column], selected[column])
            row += 1
    lines = [line for network in networks for line in _measure(network, look(network, many, data))]
    return Drawing(canvas.png(), shown, COLUMNS, lines, len(many), [_finding(line) for line in lines])


def _wrapped(text: str, width: int = 22) -> str:
    import textwrap

    return "\n".join(line for part in text.split("\n") for line in textwrap.wrap(part, width))


def _annotation(canvas: Canvas, sight: Sight, data: PoseData) -> None:
    for column, axes in enumerate(canvas.axes[0]):
        show(axes, sight.crops[column])
        skeleton(axes, sight.keypoints[column].numpy(), sight.labelled[column].numpy(), data.keypoint_set)


def _panel(axes: Axes, sight: Sight, person: int, salience: Tensor, selected: Tensor) -> None:
    columns, rows = sight.grid
    show(axes, sight.crops[person], grey=True)
    overlay(axes, salience.reshape(rows, columns).numpy(), sight.size)
    for rank, token in enumerate(selected.tolist()):
        cell(axes, token, sight.grid, STRIDE, TRUTH, str(rank + 1))


def _measure(network: Network, sight: Sight) -> list[list[object]]:
    """One line per iteration: do selected tokens hold keypoints more often than any token, and do they depend on
    the person at all?"""
    occupied, lines = sight.occupied().float(), []
    for number, selected in enumerate(needs(sight, "selected", network)):
        commonest = Counter(tuple(sorted(s)) for s in selected.tolist()).most_common(1)[0][1]
        lines.append([network.label, number + 1, f"{selected.shape[1]} of {occupied.shape[1]}",
                      round(occupied.gather(1, selected).mean().item(), 4), round(occupied.mean().item(), 4),
                      round(commonest / len(selected), 4)])
    return lines


def _finding(line: list) -> str:
    hit, chance, same = line[3:]
    verdict = "more often than a random token would" if hit > chance + 0.02 else \
        "less often than a random token would" if hit < chance - 0.02 else "no more often than a random token would"
    fixed = " The selection hardly depends on the person." if same > 0.9 else ""
    return (f"{line[0]}, iteration {line[1]}: a selected token holds a labelled keypoint in {hit:.0%} of cases, "
            f"{verdict} ({chance:.0%}); {same:.0%} of persons get the same {line[2].split()[0]} tokens.{fixed}")


def distinct(selected: Tensor) -> int:
    """How many different selections there are among persons (N, K)."""
    return len(torch.unique(selected.sort(-1).values, dim=0))
