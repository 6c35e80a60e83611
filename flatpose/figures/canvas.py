"""A grid of small pictures with titles, as PNG: the same bytes for the same arrays and matplotlib."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from flatpose.drawing import draw_poses
from flatpose.keypoints import KeypointSet

MIDDLE, TRUTH, DECODED, CARD, INK = "#F0E442", "#FFFFFF", "#56B4E9", "#FFFFFF", "#24292F"
LABEL, TITLE, PANEL, DPI = 1.85, 0.42, 1.15, 100  # inches; dots per inch
CHARACTERS = 28  # letters on a line of a row's label
ZOOM = 3  # skeletons are drawn on enlarged pixels, so that their lines are thin


def grid(rows: Sequence[str], columns: Sequence[str], size: tuple[int, int]) -> tuple[Figure, np.ndarray]:
    """A figure and its axes (rows, columns) for images of ``size`` (width, height), with row and column texts."""
    total = LABEL + len(columns) * PANEL, TITLE + len(rows) * PANEL * size[1] / size[0]
    figure = Figure(figsize=total, facecolor=CARD, dpi=DPI)
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(rows), len(columns), squeeze=False, gridspec_kw={
        "left": LABEL / total[0], "right": 1, "bottom": 0, "top": 1 - TITLE / total[1], "wspace": 0.05, "hspace": 0.05})
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, text in zip(panels[0], columns, strict=True):
        axes.set_title(text, fontsize=8, color=INK)
    for axes, text in zip(panels[:, 0], rows, strict=True):
        lines = [line for part in text.split("\n") for line in textwrap.wrap(part, CHARACTERS)]
        axes.text(0.05 - LABEL / PANEL, 0.5, "\n".join(lines), transform=axes.transAxes, va="center", fontsize=8,
                  color=INK)
    return figure, panels


def png(figure: Any) -> bytes:
    """The picture, without date and version; 32 levels per channel halve the file."""
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    buffer = io.BytesIO()
    levels = pixels & 0xF8  # the upper five bits; the upper three also fill the lower three, so that white stays white
    Image.fromarray(levels | pixels >> 5).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def show(axes: Any, pixels: np.ndarray, *, grey: bool = False) -> None:
    """An image (h, w, 3) uint8 in its own pixel coordinates; ``grey``: pale, for something to be drawn over it."""
    if grey:
        pixels = np.repeat((0.5 * pixels.mean(-1, keepdims=True) + 90).astype(np.uint8), 3, axis=-1)
    axes.imshow(pixels, interpolation="nearest")
    axes.autoscale(False)


def show_pose(axes: Any, pixels: np.ndarray, keypoints: np.ndarray, visible: np.ndarray, keypoint_set: KeypointSet,
              note: str = "") -> None:
    """An image with the skeleton of a person's keypoints (K, 2), and ``note`` in the corner."""
    height, width = pixels.shape[:2]
    enlarged = cv2.resize(pixels, None, fx=ZOOM, fy=ZOOM).astype(np.uint8)
    points, scores = (keypoints + 0.5) * ZOOM - 0.5, visible.astype(float)
    picture = draw_poses(enlarged, points[None], scores[None], keypoint_set, threshold=0.5)
    axes.imshow(picture, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    axes.autoscale(False)
    if note:
        axes.text(0.03, 0.03, note, transform=axes.transAxes, fontsize=7, color=INK,
                  bbox={"facecolor": CARD, "alpha": 0.8, "linewidth": 0, "pad": 1.0})


def overlay(axes: Any, values: np.ndarray, pitch: tuple[float, float], *, centred: bool = False, **colours: Any
            ) -> None:
    """A map (h, w) over an image, one cell every ``pitch`` (x, y) pixels.

    The first cell begins at the image's corner; ``centred``: it lies around pixel (0, 0). ``colours`` are imshow's.
    """
    (rows, columns), (x, y) = values.shape, pitch
    left, top = (-0.5 * x, -0.5 * y) if centred else (-0.5, -0.5)
    axes.imshow(values, extent=(left, left + columns * x, top + rows * y, top), alpha=0.65, interpolation="nearest",
                **{"cmap": "inferno", **colours})


def marks(axes: Any, truth: Sequence[float], decoded: Sequence[float]) -> None:
    """A white ring where the keypoint is annotated and a blue cross where it was decoded."""
    axes.plot(*truth, marker="o", markersize=7, markerfacecolor="none", markeredgecolor=TRUTH)
    axes.plot(*decoded, marker="x", markersize=5, markeredgecolor=DECODED, markeredgewidth=1.6)


def cell(axes: Any, token: int, columns: int, stride: int, colour: str, text: str = "") -> None:
    """A frame around one token's cell, with a text in its corner."""
    x, y = token % columns * stride, token // columns * stride
    axes.add_patch(Rectangle((x + 0.5, y + 0.5), stride - 2, stride - 2, fill=False, edgecolor=colour, linewidth=1.6))
    axes.text(x + 3, y + 3, text, color=colour, fontsize=7, fontweight="bold", va="top")
