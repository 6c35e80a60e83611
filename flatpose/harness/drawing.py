"""How the pictures of the pages look: one style, stable SVG bytes, colours for light and dark, axes and labels."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CARD, INK, MUTED, GRID = "#FFFFFF", "#24292F", "#57606A", "#D8DEE4"
COLOURS = ("#B04C00", "#0072B2", "#00785A", "#A8467C", "#8F6200", "#6F4FA1")
"""Hues that colour-blind readers can tell apart, dark enough for text on white; markers differ too."""
DARK = dict(zip((CARD, INK, MUTED, GRID, *COLOURS), (
    "#0D1117", "#E6EDF3", "#9DA5AE", "#30363D", "#F0763A", "#58A6FF", "#2FC391", "#D98CB8", "#E3B341", "#B794F4"),
    strict=True))
"""The same on a dark page."""
MARKERS = ("o", "s", "^", "D", "v", "P")
OURS, OTHERS = COLOURS[:2]
STYLE: dict[str, Any] = {
    "svg.hashsalt": "flatpose", "svg.fonttype": "none", "font.size": 10, "axes.titlesize": 10.5,
    "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.8, "axes.axisbelow": True, "axes.facecolor": CARD,
    "savefig.facecolor": CARD, "lines.linewidth": 1.8, "lines.markersize": 6.5, "errorbar.capsize": 3,
    "xtick.labelsize": 9, "ytick.labelsize": 9,
    **dict.fromkeys(("axes.edgecolor", "text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK)}
WIDTH, HEIGHT = 8.6, 4.3
"""Inches of a picture and of one of its rows. At the 700 pixels of a page, 10 points are 11 pixels."""
DASHED = (0, (4, 3))
BARS = "bars: 95 % over seeds, or over images for one seed"
PLACES = ((7, 0, "left"), (-7, 0, "right"), (0, 10, "center"), (0, -10, "center"), (7, 8, "left"), (7, -8, "left"),
          (-7, 8, "right"), (-7, -8, "right"), (9, 15, "left"), (9, -15, "left"), (-9, 15, "right"), (-9, -15, "right"),
          *((dx, dy, align) for dy in (24, -24, 36, -36)
            for dx, align in ((0, "center"), (14, "left"), (-14, "right"))))
"""Where a name may stand: points to the right of and above its marker, alignment."""
FAR = 17.0
"""Points from its marker at which a name gets a line that leads to it."""


def cost_axes(axes: Axes, points: pd.DataFrame, x: str) -> None:
    """Points with their whiskers over a logarithmic cost axis labelled 1, 2, 5, 10, …"""
    low, high = points[x].min() / 1.5, points[x].max() * 1.6
    axes.set_xscale("log")
    axes.set_xticks([t for e in range(-4, 5) for m in (1, 2, 5) if low <= (t := m * 10.0**e) <= high])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.minorticks_off()
    axes.set_xlim(low, high)
    axes.margins(y=0.12)
    for ours, some in points.groupby(points.ours.astype(bool)):
        axes.errorbar(some[x], 100 * some["mean"], yerr=whiskers(some), fmt="D" if ours else "o",
                      color=OURS if ours else OTHERS, elinewidth=1.2, zorder=4)


@contextmanager
def picture(rows: int) -> Iterator[Figure]:
    """An empty picture of that many rows; it is drawn and written (:func:`svg`) inside the ``with`` block."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    defaults: Any = {**matplotlib.rcParamsDefault, **STYLE}  # a user's matplotlibrc must not change the bytes
    with matplotlib.rc_context(defaults):
        made = Figure(figsize=(WIDTH, HEIGHT * rows))
        FigureCanvasAgg(made)
        yield made


def svg(drawn: Figure, title: str, data: Sequence[pd.DataFrame]) -> bytes:
    """The picture's bytes. Its description names the version of matplotlib and a digest of the data."""
    import matplotlib

    text = title + "".join(some.to_json(orient="split", double_precision=6) for some in data)
    stamp = f"matplotlib {matplotlib.__version__}, data {hashlib.sha256(text.encode()).hexdigest()[:16]}"
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "flatpose-exp", "Title": title,
                                                  "Description": stamp})
    rules = (f'[style*="{what}: {light.lower()}"]{{{what}:{dark}!important}}' for light, dark in DARK.items()
             for what in ("fill", "stroke"))
    sheet = f"<style>@media (prefers-color-scheme:dark){{{''.join(rules)}}}</style>"
    return buffer.getvalue().replace(b"</style>", f"</style>\n  {sheet}".encode(), 1)


def stacked(picture: Figure, count: int, right: float = 0.98) -> Sequence[Axes]:
    """One panel below the other, with room for headings of two lines."""
    height = HEIGHT * count
    picture.subplots_adjust(left=0.08, right=right, top=1 - 0.7 / height, bottom=0.55 / height, hspace=0.45)
    return list(picture.subplots(count, 1, squeeze=False)[:, 0])


def describe(axes: Axes, title: str, note: str, x_label: str, y_label: str) -> None:
    """Heading, a note of one or two lines below it, and the names of the axes."""
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.set_title(title, pad=20 + 12 * note.count("\n"))
    axes.annotate(note, (0, 1), xytext=(0, 7), xycoords="axes fraction", textcoords="offset points", fontsize=9,
                  color=MUTED)


def styles(series: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each series."""
    return {s: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, s in enumerate(dict.fromkeys(series))}


def lines(axes: Axes, points: pd.DataFrame, style: Mapping[str, tuple[str, str]], dashed: bool = False) -> None:
    for name, curve in points.sort_values("x").groupby("series", sort=False):
        colour, marker = style[str(name)]
        look: dict[str, Any] = {"linestyle": DASHED, "linewidth": 1.3} if dashed else {"marker": marker, "zorder": 4}
        axes.errorbar(curve.x, 100 * curve["mean"], yerr=None if dashed else whiskers(curve), color=colour,
                      elinewidth=1.2, **look)


def hollow(axes: Axes, points: pd.DataFrame, style: Mapping[str, tuple[str, str]]) -> None:
    """Published values, each with its number."""
    for row in points.itertuples():
        colour, marker = style[row.series]
        axes.plot(row.x, 100 * row.mean, marker, color=colour, markersize=8, markerfacecolor=CARD, markeredgewidth=1.8,
                  zorder=4)
        axes.annotate(f"{100 * row.mean:.1f}", (row.x, 100 * row.mean), xytext=(7, 0), fontsize=9, color=colour,
                      textcoords="offset points", va="center")


def grid_axes(axes: Axes, points: pd.DataFrame, style: Mapping[str, tuple[str, str]],
              x_names: Mapping[float, str]) -> None:
    """One tick per x, and the names of the curves at their right ends; curves that end alike share a label."""
    xs = sorted(set(points.x))
    axes.set_xscale("log", base=2)
    axes.set_xticks(xs, [x_names[x] for x in xs])
    axes.minorticks_off()
    axes.set_ylim(-3, 104)
    ends = points[points.x == xs[-1]].groupby("series", sort=False)["mean"].last().mul(100).round(1)
    low = -math.inf
    for y, names in sorted(ends.groupby(ends).groups.items()):
        low = max(float(y), low + 6)
        axes.annotate(",\n".join(names), (1, low), xytext=(6, 0), xycoords=("axes fraction", "data"), va="center",
                      color=style[names[0]][0] if len(names) == 1 else MUTED, textcoords="offset points", fontsize=9)
        low += 6 * (len(names) - 1)


def whiskers(points: pd.DataFrame) -> Any:
    """Distances from the points to the ends of their intervals, for errorbar; None where there are none."""
    if "low" not in points or points.low.isna().all():
        return None
    return [(100 * gap).clip(lower=0).fillna(0) for gap in (points["mean"] - points.low, points.high - points["mean"])]


def names(axes: Axes, points: pd.DataFrame, lines: Sequence[Any] = ()) -> None:
    """Names beside the points (x, y, label, ours), each where it covers least of points, lines and other names."""
    from matplotlib.transforms import Bbox

    axes.autoscale_view()
    spots = axes.transData.transform(points[["x", "y"]].astype(float).to_numpy())
    taken = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in spots]
    for line in lines:
        along = line.get_transform().transform_path(line.get_path()).interpolated(60).vertices
        reach = 6 if len(along) == 1 else 2  # a marker, or a thin line
        taken += [Bbox.from_bounds(x - reach, y - reach, 2 * reach, 2 * reach) for x, y in along]
    wall, scale = axes.get_window_extent(), axes.figure.dpi / 72

    def shared(a: Bbox, b: Bbox) -> float:
        both = Bbox.intersection(a, b)
        return both.width * both.height if both else 0.0

    def covered(place: tuple[Bbox, Any, str]) -> float:
        outside = place[0].width * place[0].height - shared(place[0], wall)  # leaving the panel is worst
        return 100 * outside + sum(shared(place[0], other) for other in taken)

    for (x, y), row in sorted(zip(spots, points.itertuples(), strict=True), key=lambda pair: tuple(pair[0])):
        text = axes.annotate(row.label, (row.x, row.y), xytext=(0, 0), textcoords="offset points", va="center",
                             fontsize=9, color=OURS if row.ours else INK, fontweight="bold" if row.ours else "normal",
                             arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.8, "shrinkA": 0})
        width, height = text.get_window_extent().size
        shift = {"left": 0.0, "center": width / 2, "right": width}
        places = [(Bbox.from_bounds(x + scale * dx - shift[align], y + scale * dy - height / 2, width, height),
                   (dx, dy), align) for dx, dy, align in PLACES]
        box, position, align = min(places, key=covered)
        taken.append(box)
        text.set(position=position, horizontalalignment=align)
        assert text.arrow_patch is not None
        text.arrow_patch.set_visible(math.hypot(*position) >= FAR)
