"""Curves of an experiment as data (pure), and their drawing as SVG (matplotlib, loaded only when something is drawn).

The picture carries a hash of its data, so that ``report --check`` can tell a changed number from another matplotlib.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flatpose.config.run import RunConfig
from flatpose.harness.collect import PAPER_DATA, Setting, Stale
from flatpose.harness.compare import measure
from flatpose.harness.spec import Experiment, Row, at_profile
from flatpose.harness.svg import adaptive
from flatpose.harness.tables import box_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PlotData = dict[str, Any]
STYLE_VERSION = 5
"""Raise when the drawing changes, so that committed pictures count as outdated."""
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito: told apart by all eyes
MARKERS = ("o", "s", "^", "D", "v", "P")
CARD, INK, MUTED, GRID = "#FFFFFF", "#24292F", "#57606A", "#D8DEE4"


def plot_data(experiment: Experiment, setting: Setting | None, stale: Stale | None = None) -> PlotData:
    """What the figure shows: curves measured in one setting (if any), and the paper's points, never on one axis.

    Metrics are x 100. A point without a number is left out here and explained in the table.
    """
    figure = experiment.figure
    assert figure is not None
    names = list(dict.fromkeys(row.series for row in experiment.rows if row.series and row.x is not None))
    box = setting.box_sources[0] if setting and setting.box_sources else None
    data: PlotData = {
        "style": STYLE_VERSION, "metric": figure.y_metric, "x_label": figure.x_label, "log2": figure.x_log2,
        "title": setting.title if setting else "", "boxes": box_name(box) if setting else "",
        "paper": PAPER_DATA[experiment.rows[0].run.data.task].removesuffix(" 2017"),
        "ticks": _ticks(experiment, setting), "curves": [], "ceilings": [], "published": []}
    for index, name in enumerate(names):
        rows = sorted((r for r in experiment.rows if r.series == name and r.x is not None), key=lambda r: r.x or 0.0)
        base = {"name": name, "style": index}
        points = [_point(setting, row, figure.y_metric, box, stale) for row in rows] if setting else []
        ceiling = [_point(setting, row, figure.y_metric, None, None, "ceiling") for row in rows] if setting else []
        data["curves"].append({**base, "points": [p for p in points if p]})
        if figure.ceiling:
            data["ceilings"].append({**base, "points": [{"x": p["x"], "y": p["y"]} for p in ceiling if p]})
        data["published"].append({**base, "points": [
            {"x": r.x, "y": r.published.metrics[figure.y_metric]} for r in rows
            if r.published and figure.y_metric in r.published.metrics]})
    return data


def _point(setting: Setting, row: Row, metric: str, box: str | None, stale: Stale | None,
           kind: str = "trained") -> dict[str, Any] | None:
    found = measure(setting, row, metric, box, kind=kind, stale=stale)
    if found.status != "done":
        return None
    estimate = found.estimate
    return {"x": row.x, "y": percent(estimate.mean), "n": estimate.n, "stale": found.stale,
            "interval": found.interval and [*map(percent, found.interval)], "seeds": [*map(percent, found.values)]}


def percent(value: float) -> float:
    """Rounded far below what can be seen, so that the last bit of a sum does not change the picture."""
    return round(100 * value, 6)


def _ticks(experiment: Experiment, setting: Setting | None) -> list[dict[str, Any]]:
    """One tick per x; where x is a feature-map stride the label also gives the map (h x w) at this input size."""
    ticks = []
    for x in sorted({row.x for row in experiment.rows if row.x is not None}):
        label = f"{x:g}"
        if setting and experiment.figure and "stride" in experiment.figure.x_label.lower():
            row = next(r for r in experiment.rows if r.x == x)
            width, height = _run(experiment, setting, row).image_size
            label += f"\n{height / x:g}×{width / x:g}"
        ticks.append({"x": x, "label": label})
    return ticks


def _run(experiment: Experiment, setting: Setting, row: Row) -> RunConfig:
    return at_profile(row.run, experiment.profiles[setting.profile])


def digest(data: PlotData) -> str:
    """Identity of what is plotted."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def same_plot(committed: bytes, fresh: bytes) -> bool:
    """Equal bytes, or equal data when another matplotlib drew one of them."""
    if committed == fresh:
        return True
    (old_version, old_data), (new_version, new_data) = _stamp(committed), _stamp(fresh)
    return old_version != new_version and old_data == new_data != ""


def _stamp(svg: bytes) -> tuple[str, str]:
    found = re.search(rb"matplotlib (\S+), data (\w+)", svg)
    return (found[1].decode(), found[2].decode()) if found else ("", "")


def draw(data: PlotData, format: str = "svg") -> bytes:
    """The figure as SVG (or PNG, to look at); the same bytes for the same data and matplotlib."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style: Any = {  # the defaults first: a user's own matplotlibrc must not change the bytes
        **matplotlib.rcParamsDefault, "svg.hashsalt": "flatpose", "svg.fonttype": "none", "font.size": 10,
        "axes.edgecolor": INK, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK}
    # Measured values have their own scale: beside ceilings near 100 a short run's curves would all lie on the floor.
    every = (("curves", 2.0, _draw_measured), ("ceilings", 1.35, _draw_ceilings), ("published", 1.0, _draw_published))
    panels = [(width, paint) for name, width, paint in every if any(c["points"] for c in data[name])]
    widths = [width for width, _ in panels]
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(1.6 + 2.6 * sum(widths), 4.6), facecolor=CARD)
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(1, len(panels), width_ratios=widths, wspace=0.62, top=0.85, bottom=0.18,
                                   left=0.9 / (1.6 + 2.6 * sum(widths)), right=0.93 if len(panels) > 1 else 0.8)
        for position, (_, paint) in enumerate(panels):
            paint(figure.add_subplot(grid[position]), data)
        buffer = io.BytesIO()
        metadata = {"Date": None, "Creator": "flatpose-exp", "Title": data["title"] or "published values",
                    "Description": f"matplotlib {matplotlib.__version__}, data {digest(data)}"}
        figure.savefig(buffer, format=format, facecolor=CARD, metadata=metadata if format == "svg" else None)
    return adaptive(buffer.getvalue()) if format == "svg" else buffer.getvalue()


def _draw_measured(axes: Axes, data: PlotData) -> None:
    labels: list[tuple[float, str, str]] = []
    place = _spread(data)
    for curve in data["curves"]:
        if curve["points"]:
            _draw_curve(axes, curve, place)
            labels.append((curve["points"][-1]["y"], curve["name"], COLOURS[curve["style"] % len(COLOURS)]))
    counts = sorted({p["n"] for c in data["curves"] for p in c["points"]})
    seeds = "" if not counts else f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]}–{counts[-1]}"
    highest = max((p["interval"] or [p["y"]])[-1] for c in data["curves"] for p in c["points"])
    profile, _, where = str(data["title"]).partition(" · ")
    _frame(axes, data, f"Measured here: {profile}", ", ".join(t for t in (where, data["boxes"], seeds) if t), highest)
    _direct_labels(axes, labels)
    hints = [bars_hint(p for c in data["curves"] for p in c["points"])]
    hints += ["dots: seeds"] if counts and counts[-1] > 1 else []
    hints += ["hollow: older code †"] if any(p["stale"] for c in data["curves"] for p in c["points"]) else []
    axes.annotate(" · ".join(filter(None, hints)), (0, 0), xytext=(0, -56), xycoords="axes fraction",
                  textcoords="offset points", fontsize=8, color=MUTED)


def bars_hint(points: Iterable[PlotData]) -> str:
    """What the whiskers of these points are; empty where there are none."""
    counts = {p["n"] > 1 for p in points if p.get("interval")}
    return {frozenset({True}): "bars: 95 % t-interval over seeds", frozenset(): "",
            frozenset({False}): "bars: 95 % bootstrap over images, one seed"}.get(
        frozenset(counts), "bars: 95 %, over seeds (one seed: over images)")


def whiskers(point: PlotData) -> list[list[float]] | None:
    """Distances from a point to the ends of its interval, for matplotlib's errorbar."""
    if not point.get("interval"):
        return None
    low, high = point["interval"]
    return [[max(0.0, point["y"] - low)], [max(0.0, high - point["y"])]]


def _draw_ceilings(axes: Axes, data: PlotData) -> None:
    """What each codec would score with a perfect network."""
    labels, place = [], _spread(data)
    for curve in data["ceilings"]:
        if curve["points"]:
            colour = COLOURS[curve["style"] % len(COLOURS)]
            axes.plot([place(p["x"], curve["style"]) for p in curve["points"]], [p["y"] for p in curve["points"]],
                      color=colour, linestyle=(0, (4, 3)), linewidth=1.4, marker=".", zorder=2)
            labels.append((curve["points"][-1]["y"], curve["name"], colour))
    _frame(axes, data, "Codec ceiling, no training", "ground truth encoded and decoded")
    _direct_labels(axes, _merged(labels))


def _merged(labels: list[tuple[float, str, str]]) -> list[tuple[float, str, str]]:
    """Ceilings that end at the same height share one label ("SimCC, FlatPose")."""
    groups: dict[float, list[tuple[str, str]]] = {}
    for y, name, colour in labels:
        groups.setdefault(round(y, 1), []).append((name, colour))
    return [(y, same[0][0], same[0][1]) if len(same) == 1 else
            (y, ",\n".join(name for name, _ in same), MUTED) for y, same in groups.items()]


def _draw_curve(axes: Axes, curve: PlotData, place: Callable[[float, int], float]) -> None:
    from matplotlib.transforms import ScaledTranslation

    colour, marker = COLOURS[curve["style"] % len(COLOURS)], MARKERS[curve["style"] % len(MARKERS)]
    points = curve["points"]
    xs = [place(p["x"], curve["style"]) for p in points]
    axes.plot(xs, [p["y"] for p in points], color=colour, linewidth=1.8, zorder=3)
    for x, point in zip(xs, points, strict=True):
        axes.errorbar([x], [point["y"]], yerr=whiskers(point), fmt=marker, color=colour,
                      markerfacecolor=CARD if point["stale"] else colour, markersize=6.5, capsize=3, linewidth=1.2,
                      zorder=4)
        if len(point["seeds"]) > 1:  # beside the mean, which would hide them
            axes.plot([x], [point["seeds"]], linestyle="", marker=".", markersize=4.5, color=colour, zorder=5,
                      transform=axes.transData + ScaledTranslation(7 / 72, 0, axes.figure.dpi_scale_trans))


def _draw_published(axes: Axes, data: PlotData) -> None:
    for curve in data["published"]:
        for point in curve["points"]:
            colour, marker = COLOURS[curve["style"] % len(COLOURS)], MARKERS[curve["style"] % len(MARKERS)]
            axes.plot([point["x"]], [point["y"]], marker=marker, color=colour, markerfacecolor=CARD, markersize=8,
                      markeredgewidth=1.8, linestyle="", zorder=3)
            axes.annotate(f"{point['y']:.1f}", (point["x"], point["y"]), xytext=(0, 9), textcoords="offset points",
                          ha="center", fontsize=9, color=colour)
    names = [c["name"] for c in data["published"] if c["points"]]
    plain = {"x_label": data["x_label"].split(" (")[0],
             "ticks": [{**t, "label": t["label"].split("\n")[0]} for t in data["ticks"]]}
    subtitle = f"{', '.join(names)}; others unknown" if len(names) < len(data["published"]) else ""
    _frame(axes, {**data, **plain}, f"Paper ({data['paper']}), published", subtitle)
    if len(names) > 1:
        _direct_labels(axes, [(c["points"][-1]["y"], c["name"], COLOURS[c["style"] % len(COLOURS)])
                              for c in data["published"] if c["points"]])


def _frame(axes: Axes, data: PlotData, title: str, subtitle: str, highest: float = 100.0) -> None:
    """Scales, ticks, grid and headings shared by the panels; the y axis starts at 0, less half a marker."""
    xs = [t["x"] for t in data["ticks"]]
    if data["log2"]:
        axes.set_xscale("log", base=2)
    axes.set_xticks(xs, [t["label"] for t in data["ticks"]])
    axes.minorticks_off()
    if data["log2"]:
        axes.set_xlim(xs[0] / 2**0.3, xs[-1] * 2**0.3)
    else:
        margin = 0.08 * (xs[-1] - xs[0] or 1.0)
        axes.set_xlim(xs[0] - margin, xs[-1] + margin)
    top = 104.0 if highest > 50 else max(1.12 * highest, 1.0)
    axes.set_ylim(-0.03 * top, top)
    axes.set_yticks(range(0, 101, 20) if top == 104.0 else [y for y in axes.get_yticks() if 0 <= y <= top])
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(data["x_label"])
    axes.set_ylabel(f"{data['metric']} × 100")
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", pad=20, wrap=True)
    axes.annotate(subtitle, (0, 1), xytext=(0, 7), xycoords="axes fraction", textcoords="offset points", fontsize=9,
                  color=MUTED)


def _spread(data: PlotData) -> Callable[[float, int], float]:
    """Moves the curves a little apart along x, so that equal values do not hide each other."""
    count, xs = len(data["curves"]), [t["x"] for t in data["ticks"]]
    step = 0.16 if data["log2"] else 0.012 * (xs[-1] - xs[0])

    def place(x: float, style: int) -> float:
        offset = step * (style - (count - 1) / 2)
        return x * 2**offset if data["log2"] else x + offset

    return place


def _direct_labels(axes: Axes, labels: list[tuple[float, str, str]], gap: float = 5.0) -> None:
    """Names at the right end of their curves, pushed apart to at least ``gap`` percent of the y axis."""
    low, gap = -100.0, gap * axes.get_ylim()[1] / 100
    for y, name, colour in sorted(labels):
        low = max(y, low + gap)
        axes.annotate(name, (1, low), xytext=(6, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                      va="center", fontsize=9, color=colour, annotation_clip=False)
