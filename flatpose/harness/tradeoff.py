"""Accuracy against cost, one point per row, with the Pareto front: as data (pure), and drawn as SVG.

Up to four panels: published AP against multiply-adds (every row counted in one convention) and against measured
latency; AP measured here against the multiply-adds of the networks that ran, and against latency where those are the
paper's networks. Published and measured points never share a panel.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from flatpose.harness import stopwatch
from flatpose.harness.collect import RecordSet, Setting, Stale, part_of, settings
from flatpose.harness.compare import measure
from flatpose.harness.plots import (
    CARD,
    COLOURS,
    GRID,
    INK,
    MARKERS,
    MUTED,
    PlotData,
    bars_hint,
    digest,
    percent,
    whiskers,
)
from flatpose.harness.spec import Experiment, Row, at_profile
from flatpose.harness.svg import adaptive
from flatpose.harness.tables import box_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS = "flatpose"
STYLE_VERSION = 5
"""Raise when the drawing changes, so that committed pictures count as outdated."""
GFLOPS = "multiply-adds (G), every matrix product"
TIME = "time of a forward pass, times FlatPose-B's (one image, eager)"
LETTER, BOLD, LINE = 0.56, 0.66, 1.15  # of a label's box, in font sizes
PLACES = ((7, 0, "left"), (-7, 0, "right"), (0, 10, "center"), (0, -10, "center"), (7, 8, "left"), (7, -8, "left"),
          (-7, 8, "right"), (-7, -8, "right"), (9, 16, "left"), (9, -16, "left"), (-9, 16, "right"), (-9, -16, "right"),
          (0, 22, "center"), (0, -22, "center"))
FONT = 8.0


def plot_data(experiment: Experiment, records: RecordSet, stale: Stale | None = None) -> PlotData:
    """The panels with their points; a row without one of its two numbers is left out of that panel."""
    counts = {c["row"]: c for c in records.costs}
    timed = {r["row"]: found["ratio_flatpose_b"] for r in records.latencies if (found := stopwatch.entry(r, 1, False))}
    panels = [_published(experiment, counts), _published_latency(experiment, timed, records.latencies)]
    setting = next((s for s in settings(experiment, records) if s.profile != "smoke" and s.done), None)
    if setting:
        panels += _measured(experiment, setting, timed, stale)
    families = list(dict.fromkeys(row.run.model.kind for row in experiment.rows))
    return {"style": STYLE_VERSION, "metric": experiment.metric, "families": families,
            "panels": [{**p, "front": front(p["points"])} for p in panels if len(p["points"]) > 1]}


def _point(row: Row, x: float, y: float, **more: Any) -> dict[str, Any]:
    size = " 384" if max(row.run.image_size) > 256 else ""
    return {"id": row.id, "name": row.label.split(" (")[0] + size, "family": row.run.model.kind, "x": round(x, 6),
            "y": round(y, 6), **more}


def _published(experiment: Experiment, counts: dict[str, Any]) -> dict[str, Any]:
    """Published accuracy over our count, and the printed count where it is another one."""
    points = []
    for row in experiment.rows:
        if row.published and experiment.metric in row.published.metrics:
            printed = row.published.gflops
            x = counts.get(row.id, {}).get("gflops") or printed
            if x:
                points.append(_point(row, x, row.published.metrics[experiment.metric], hollow=True, printed=printed))
    return {"title": "Published accuracy, multiply-adds counted alike", "x_label": GFLOPS, "points": points,
            "subtitle": "\n".join(filter(None, ("grey: as printed, in two conventions", boxes_note(experiment))))}


def _published_latency(experiment: Experiment, timed: dict[str, float], latencies: Sequence[Any]) -> dict[str, Any]:
    points = [_point(row, timed[row.id], row.published.metrics[experiment.metric], hollow=True)
              for row in experiment.rows
              if row.published and experiment.metric in row.published.metrics and row.id in timed]
    where = latencies[0] if latencies else None
    first = where["latency"][0] if where else {}
    machine = "" if not where else where["cpu"] if first["device"] == "CPU" else first["device"]
    return {"title": "Published accuracy, time measured here",
            "subtitle": f"{machine}, {first.get('threads')} threads\n{boxes_note(experiment)}" if where else "",
            "x_label": TIME, "points": points}


def boxes_note(experiment: Experiment) -> str:
    """Which rows' published accuracy may rest on other boxes than the rest of the panel."""
    names: dict[str, dict[str, None]] = {}
    for row in experiment.rows:
        if row.published and row.published.boxes and experiment.metric in row.published.metrics:
            names.setdefault(row.published.boxes, {})[row.label.split(" (")[0]] = None
    return "; ".join(f"boxes of {', '.join(rows)}: {boxes}" for boxes, rows in names.items())


def _measured(experiment: Experiment, setting: Setting, timed: dict[str, float], stale: Stale | None
              ) -> list[dict[str, Any]]:
    """Accuracy measured in one setting over the cost of the networks that ran."""
    part = part_of(experiment, setting)
    box = setting.box_sources[0] if setting.box_sources else None
    by_count, by_time = [], []
    for row in part.rows:
        found = measure(setting, row, part.metric, box, stale=stale)
        if found.status == "done":
            more = {"n": found.estimate.n, "hollow": found.stale,
                    "interval": found.interval and [*map(percent, found.interval)]}
            cost = next(r["cost"] for r in setting.rows[row.id] if r["status"] == "done")
            by_count.append(_point(row, cost["gflops"], 100 * found.estimate.mean, **more))
            run = at_profile(row.run, experiment.profiles[setting.profile])
            if row.id in timed and (run.image_size, _shape(run.model)) == (row.run.image_size, _shape(row.run.model)):
                by_time.append(_point(row, timed[row.id], 100 * found.estimate.mean, **more))
    head = {"title": f"Measured here: {setting.title}",
            "subtitle": " · ".join(filter(None, (box_name(box), bars_hint(by_count))))}
    return [{**head, "x_label": "multiply-adds (G) of the networks as run", "points": by_count},
            {**head, "x_label": TIME, "points": by_time}]


def _shape(model: Any) -> tuple[Any, ...]:
    """What decides a network's cost: everything but where its weights start."""
    return tuple((name, value) for name, value in sorted(vars(model).items()) if name != "pretrained")


def front(points: Iterable[dict[str, Any]]) -> list[str]:
    """Ids of the points that no other beats: none has at least this accuracy at lower cost. From cheap to dear."""
    kept: list[dict[str, Any]] = []
    for point in sorted(points, key=lambda p: (p["x"], -p["y"])):
        if not kept or point["y"] > kept[-1]["y"]:
            kept.append(point)
    return [p["id"] for p in kept]


def draw(data: PlotData, format: str = "svg") -> bytes:
    """The figure as SVG (or PNG, to look at); the same bytes for the same data and matplotlib."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style: Any = {**matplotlib.rcParamsDefault, "svg.hashsalt": "flatpose", "svg.fonttype": "none", "font.size": 10,
                  "axes.edgecolor": INK, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK,
                  "ytick.color": INK}
    panels = data["panels"]
    cells = places(len(panels))
    columns, rows = max(stop for _, (_, stop) in cells), 1 + cells[-1][0]
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(0.8 + 5.6 * columns, 4.7 * rows), facecolor=CARD)
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(rows, columns, wspace=0.2, hspace=0.45, left=0.75 / (0.8 + 5.6 * columns),
                                   right=0.98, top=1 - 0.85 / (4.7 * rows), bottom=0.6 / (4.7 * rows))
        for (row, (first, stop)), panel in zip(cells, panels, strict=True):
            _draw_panel(figure.add_subplot(grid[row, first:stop]), panel, data)
        buffer = io.BytesIO()
        metadata = {"Date": None, "Creator": "flatpose-exp", "Title": "accuracy against cost",
                    "Description": f"matplotlib {matplotlib.__version__}, data {digest(data)}"}
        figure.savefig(buffer, format=format, facecolor=CARD, metadata=metadata if format == "svg" else None)
    return adaptive(buffer.getvalue()) if format == "svg" else buffer.getvalue()


def places(count: int) -> list[tuple[int, tuple[int, int]]]:
    """Row, and first and end column, of each panel: two a row, an odd last one as wide as both."""
    cells = [(i // 2, (i % 2, i % 2 + 1)) for i in range(count)]
    return [*cells[:-1], (cells[-1][0], (0, 2))] if count > 1 and count % 2 else cells


def _draw_panel(axes: Axes, panel: dict[str, Any], data: PlotData) -> None:
    points = panel["points"]
    _frame(axes, panel, data["metric"])
    best = [next(p for p in points if p["id"] == name) for name in panel["front"]]
    axes.plot([p["x"] for p in best], [p["y"] for p in best], color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)),
              zorder=2)
    for p in points:
        style = data["families"].index(p["family"])
        colour = _colour(p["family"], data["families"])
        if p.get("printed") and abs(p["printed"] / p["x"] - 1) > 0.03:
            axes.plot([p["printed"], p["x"]], [p["y"]] * 2, color=GRID, linewidth=1.5, zorder=1)
            axes.plot([p["printed"]], [p["y"]], marker="|", color=MUTED, markersize=6, zorder=1)
        axes.errorbar([p["x"]], [p["y"]], yerr=whiskers(p), color=colour, capsize=3, linewidth=1.2, zorder=3)
        axes.plot([p["x"]], [p["y"]], marker=_marker(style), color=colour, markersize=7, linestyle="", zorder=4,
                  markerfacecolor=CARD if p["hollow"] else colour, markeredgewidth=1.6)
    _label(axes, points, data["families"], best)


def _colour(family: str, families: Sequence[str]) -> str:
    """FlatPose in ink, the others in colours that all eyes tell apart."""
    return INK if family == OURS else COLOURS[families.index(family) % len(COLOURS)]


def _marker(style: int) -> str:
    """Families beyond the number of colours repeat a colour with another marker."""
    return MARKERS[(style + style // len(COLOURS)) % len(MARKERS)]


def y_range(points: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Ends of the axis: markers and whiskers are whole, also those at 0, where the axis reaches a little below."""
    ys = [y for p in points for y in (p["y"], *(p.get("interval") or ()))]
    margin = 0.12 * (max(ys) - min(ys) or 1.0)
    return min(ys) - margin, max(ys) + margin


def _frame(axes: Axes, panel: dict[str, Any], metric: str) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    xs = [p["x"] for p in panel["points"]]
    xs += [p["printed"] for p in panel["points"] if p.get("printed")]
    low, high = min(xs) / 1.8, max(xs) * 1.8
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = [m * 10.0**e for e in range(-4, 5) for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    bottom, top = y_range(panel["points"])
    axes.set_ylim(bottom, top)
    axes.set_yticks([y for y in axes.get_yticks() if max(0.0, bottom) <= y <= top])
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(panel["x_label"])
    axes.set_ylabel(f"{metric} × 100")
    lines = panel["subtitle"].count("\n")
    axes.set_title(panel["title"], loc="left", fontsize=10, fontweight="bold", pad=20 + 12 * lines)
    axes.annotate(panel["subtitle"], (0, 1), xytext=(0, 7), xycoords="axes fraction", textcoords="offset points",
                  fontsize=9, color=MUTED)


def _label(axes: Axes, points: Sequence[dict[str, Any]], families: Sequence[str], best: Sequence[dict[str, Any]]
           ) -> None:
    """Names beside their points, each at the place that covers least of what is there already."""
    scale = 72 / axes.figure.dpi
    centres = {p["id"]: axes.transData.transform((p["x"], p["y"])) * scale for p in points}
    frame = axes.get_window_extent()
    walls = (frame.x0 * scale, frame.y0 * scale, frame.x1 * scale, frame.y1 * scale)
    lines = [axes.transData.transform(spot) * scale for spot in _lines(points, best)]
    taken = [*((x - 5, y - 5, x + 5, y + 5) for x, y in centres.values()),
             *((x - 2, y - 2, x + 2, y + 2) for x, y in lines)]
    for p in sorted(points, key=lambda p: (p["x"], p["y"])):
        letter = BOLD if p["family"] == OURS else LETTER
        boxes = [(_box(letter * len(p["name"]), centres[p["id"]], place), place) for place in PLACES]
        box, (dx, dy, align) = min(boxes, key=lambda b: sum(_overlap(b[0], t) for t in taken) + _outside(b[0], walls))
        taken.append(box)
        colour, ours = _colour(p["family"], families), p["family"] == OURS
        axes.annotate(p["name"], (p["x"], p["y"]), xytext=(dx, dy), textcoords="offset points", fontsize=FONT,
                      ha=align, va="center", color=colour, zorder=5, fontweight="bold" if ours else "normal")


def _lines(points: Iterable[dict[str, Any]], best: Sequence[dict[str, Any]]) -> list[tuple[float, float]]:
    """Spots along the front (straight on the logarithmic axis) and at printed costs, for labels to keep off."""
    spots = [(p["printed"], p["y"]) for p in points if p.get("printed")]
    for a, b in pairwise(best):
        spots += [(a["x"] ** (1 - t) * b["x"] ** t, (1 - t) * a["y"] + t * b["y"]) for t in (n / 40 for n in range(41))]
    return spots


Box = tuple[float, float, float, float]


def _box(length: float, centre: Any, place: tuple[int, int, str]) -> Box:
    """Where a label of this length (in font sizes) lies."""
    dx, dy, align = place
    width, height = FONT * length, LINE * FONT
    left = centre[0] + dx - {"left": 0.0, "center": width / 2, "right": width}[align]
    return left, centre[1] + dy - height / 2, left + width, centre[1] + dy + height / 2


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _outside(box: Box, walls: Box) -> float:
    """A label must not leave its panel: weighted more than any overlap."""
    return 100 * (max(0.0, walls[0] - box[0]) + max(0.0, box[2] - walls[2]) + max(0.0, walls[1] - box[1])
                  + max(0.0, box[3] - walls[3]))
