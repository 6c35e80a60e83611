"""A grid of small pictures with titles, as PNG: the same bytes for the same arrays and matplotlib."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from flatpose.keypoints import KeypointSet

LEFT, RIGHT, MIDDLE = "#0072B2", "#D55E00", "#F0E442"  # Okabe and Ito: distinct for colour-blind readers
TRUTH, DECODED = "#FFFFFF", "#56B4E9"
CARD, INK = "#FFFFFF", "#24292F"
LABEL, TITLE, GAP, DPI = 1.85, 0.42, 0.05, 100  # inches; dots per inch
PANEL, CHARACTERS = 1.1, 29  # width of a panel in inches; letters on a line of a row's label


class Canvas:
    """Panels of one size, rows x columns, with a text left of each row and above each column.

    ``size`` is the width and height of the images, which set the aspect of the panels.
    """

    def __init__(self, rows: Sequence[str], columns: Sequence[str], size: tuple[int, int]) -> None:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        width, height = panel = PANEL, PANEL * size[1] / size[0]
        total = LABEL + len(columns) * (width + GAP), TITLE + len(rows) * (height + GAP)
        self.style: Any = {**matplotlib.rcParamsDefault, "font.size": 8, "text.color": INK}
        with matplotlib.rc_context(self.style):
            self.figure = Figure(figsize=total, facecolor=CARD, dpi=DPI)
            FigureCanvasAgg(self.figure)
            self.axes = [[self._panel(r, c, panel, total) for c in range(len(columns))] for r in range(len(rows))]
            for r, text in enumerate(rows):
                y = 1 - (TITLE + r * (height + GAP) + height / 2) / total[1]
                self.figure.text(0.04 / total[0], y, _wrapped(text), va="center", ha="left", linespacing=1.3)
            for c, text in enumerate(columns):
                x = (LABEL + c * (width + GAP) + width / 2) / total[0]
                self.figure.text(x, 1 - TITLE / 2 / total[1], text, va="center", ha="center", linespacing=1.2)

    def _panel(self, row: int, column: int, panel: tuple[float, float], total: tuple[float, float]) -> Any:
        width, height = panel
        left, bottom = LABEL + column * (width + GAP), total[1] - TITLE - row * (height + GAP) - height
        axes = self.figure.add_axes((left / total[0], bottom / total[1], width / total[0], height / total[1]))
        axes.set_axis_off()
        return axes

    def png(self) -> bytes:
        """The picture, without date and version; 32 levels per channel halve the file."""
        import matplotlib
        from PIL import Image

        with matplotlib.rc_context(self.style):
            self.figure.canvas.draw()
        pixels = np.asarray(self.figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
        pixels = pixels & 0xF8 | pixels >> 5
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="png", optimize=True)
        return buffer.getvalue()


def _wrapped(text: str) -> str:
    return "\n".join(line for part in text.split("\n") for line in textwrap.wrap(part, CHARACTERS))


def show(axes: Any, pixels: np.ndarray, *, grey: bool = False) -> None:
    """An image (h, w, 3) uint8 in its own pixel coordinates; ``grey``: pale, for something to be drawn over it."""
    if grey:
        pixels = np.repeat((0.5 * pixels.mean(-1, keepdims=True) + 90).astype(np.uint8), 3, axis=-1)
    axes.imshow(pixels, interpolation="nearest")
    _frame(axes, (pixels.shape[1], pixels.shape[0]))
    axes.set_aspect("equal")


def _frame(axes: Any, size: tuple[int, int]) -> None:
    axes.set_xlim(-0.5, size[0] - 0.5)
    axes.set_ylim(size[1] - 0.5, -0.5)


def overlay(axes: Any, values: np.ndarray, size: tuple[int, int], *, pitch: tuple[float, float] | None = None,
            low: float | None = None, high: float | None = None, diverging: bool = False) -> None:
    """A map (h, w) over an image of ``size`` (width, height): stretched, or with cell i around pixel i * ``pitch``."""
    left, right, bottom, top = -0.5, size[0] - 0.5, size[1] - 0.5, -0.5
    if pitch is not None:
        (rows, columns), (x, y) = values.shape, pitch
        left, right, bottom, top = -0.5 * x, (columns - 0.5) * x, (rows - 0.5) * y, -0.5 * y
    axes.imshow(values, extent=(left, right, bottom, top), cmap="RdBu_r" if diverging else "inferno", vmin=low,
                vmax=high, alpha=0.65, interpolation="nearest", zorder=2)
    _frame(axes, size)


def marks(axes: Any, truth: Sequence[float], decoded: Sequence[float]) -> None:
    """A white ring where the keypoint is annotated and a blue cross where it was decoded."""
    axes.plot(*truth, marker="o", markersize=7, markerfacecolor="none", markeredgecolor=TRUTH, zorder=4)
    axes.plot(*decoded, marker="x", markersize=5, markeredgecolor=DECODED, markeredgewidth=1.6, zorder=5)


def cell(axes: Any, token: int, grid: tuple[int, int], stride: int, colour: str, text: str = "") -> None:
    """A frame around one token's cell, with a text in its corner."""
    from matplotlib.patches import Rectangle

    x, y = token % grid[0] * stride, token // grid[0] * stride
    axes.add_patch(Rectangle((x + 0.5, y + 0.5), stride - 2, stride - 2, fill=False, edgecolor=colour, linewidth=1.6,
                             zorder=4))
    axes.text(x + 3, y + 3, text, color=colour, fontsize=7, fontweight="bold", va="top", zorder=5)


def skeleton(axes: Any, keypoints: np.ndarray, visible: np.ndarray, keypoint_set: KeypointSet, note: str = "") -> None:
    """Limbs and keypoints (K, 2) of a person: left blue, right orange, the rest yellow; ``note`` in the corner."""
    names = keypoint_set.names

    def colour(*indices: int) -> str:
        sides = {names[i].split("_")[0] for i in indices}
        return LEFT if sides == {"left"} else RIGHT if sides == {"right"} else MIDDLE

    for a, b in keypoint_set.skeleton:
        if visible[a] and visible[b]:
            axes.plot(*keypoints[[a, b]].T, color=colour(a, b), linewidth=1.3, zorder=3, solid_capstyle="round")
    for i in np.flatnonzero(visible):
        axes.plot(*keypoints[i], marker="o", markersize=2, color=colour(int(i)), markeredgewidth=0, zorder=4)
    if note:
        axes.text(0.03, 0.03, note, transform=axes.transAxes, fontsize=7, color=INK, zorder=6,
                  bbox={"facecolor": CARD, "alpha": 0.8, "linewidth": 0, "pad": 1.0})
