"""Plots of the pages as SVG: accuracy over a grid, against cost, codec ceilings, and the effect of the boxes.

Metrics are 0..1 in the frame and drawn x 100. Equal data give equal bytes with one version of matplotlib, which is
imported only when something is drawn. The title of a file is its caption (:func:`caption`).
"""

from __future__ import annotations

import hashlib
import html
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from flatpose.harness import frame, stats
from flatpose.harness.frame import Frames
from flatpose.harness.spec import Experiment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CARD, INK, MUTED, GRID = "#FFFFFF", "#24292F", "#57606A", "#D8DEE4"
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""The palette of Okabe and Ito, which colour-blind readers can tell apart."""
MARKERS = ("o", "s", "^", "D", "v", "P")
OURS, OTHERS = COLOURS[:2]
STYLE: dict[str, Any] = {
    "svg.hashsalt": "flatpose", "svg.fonttype": "none", "font.size": 10, "axes.titlesize": 10.5,
    "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.8, "axes.axisbelow": True, "axes.facecolor": CARD,
    "savefig.facecolor": CARD, "lines.linewidth": 1.8, "lines.markersize": 6.5, "errorbar.capsize": 3,
    **dict.fromkeys(("axes.edgecolor", "text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK)}
WIDTH, HEIGHT = 8.6, 4.3
"""Inches of a picture and of one of its rows. At the 700 pixels of a page, 10 points are 11 pixels."""
DASHED = (0, (4, 3))
FLOOR, HIGH = 0.01, 0.3
"""Networks below 1 AP are not drawn against cost, because their order means nothing. From a best value of 30 AP on,
curves share the axis from 0 to 100 with their ceilings."""
DARK = {"#ffffff": "#0d1117", "#24292f": "#e6edf3", "#57606a": "#9da5ae", "#d8dee4": "#30363d", "#d55e00": "#f0763a",
        "#0072b2": "#58a6ff", "#009e73": "#2fc391", "#cc79a7": "#d98cb8"}
"""Colours on a dark page; the other two serve both."""
LIGHT_TEXT = {"#d55e00": "#b04c00", "#009e73": "#00785a", "#cc79a7": "#a8467c", "#e69f00": "#8f6200",
              "#56b4e9": "#1a6fa8"}
"""Text needs more contrast on white than lines do."""
CODECS = ("heatmap as in HRNet", "heatmap, unrounded, quarter step", "heatmap, DARK", "heatmap, UDP's own step",
          "SimCC, one bin per cell", "SimCC, 2 bins per pixel")
"""Those of the picture; the others have nearly the ceilings of one of them."""
PLACES = ((7, 0, "left"), (-7, 0, "right"), (0, 10, "center"), (0, -10, "center"), (7, 8, "left"), (7, -8, "left"),
          (-7, 8, "right"), (-7, -8, "right"), (9, 15, "left"), (9, -15, "left"), (-9, 15, "right"), (-9, -15, "right"),
          (0, 24, "center"), (0, -24, "center"))
"""Where a name may stand: points to the right of and above its marker, alignment."""


def files(frames: Frames, name: str) -> dict[str, bytes]:
    """The pictures of one experiment at its best evidence (``frame.settings``), by path below reports/."""
    experiment = frames.experiments[name]
    made = {f"{name}.svg": curves(frames, experiment) if experiment.figure else b"",
            f"{name}.tradeoff.svg": tradeoff(frames, experiment) if experiment.tradeoff else b""}
    return {path: svg for path, svg in made.items() if svg}


def curves(frames: Frames, experiment: Experiment) -> bytes:
    """The metric over x, one curve per series; beside it the codecs' ceilings (dashed) and the paper's values."""
    figure = experiment.figure
    assert figure is not None
    metric, over_maps = figure.y_metric, "stride" in figure.x_label
    rows, points = _best(frames, experiment, metric)
    limits = _best(frames, experiment, metric, "ceiling")[1][:None if figure.ceiling else 0]
    said = _published(frames, experiment, metric).dropna(subset=["mean"])
    said = said[said.series != ""]
    if over_maps:  # maps of one size compare whatever the input, strides do not
        points, limits, said = (some.assign(x=some.x * 256 / some.input_h) for some in (points, limits, said))
    style = _styles([*points.series, *limits.series, *said.series])
    best = points[["mean", "high"]].max(axis=None) if len(points) else 0.0
    notes = "; ".join(filter(None, (_bars(points), "dashed: codec ceiling" if len(limits) else "")))
    panels: list[tuple[pd.DataFrame, pd.DataFrame, str, str]] = [
        (points, said[:0], "Measured here", f"{_where(rows)}\n{notes}"),
        (limits, said, "Ceiling and paper", "dashed: codec ceiling\nhollow: published")]
    panels = [panel for panel in panels if len(panel[0]) + len(panel[1])]

    def paint(picture: Figure) -> None:
        grid = picture.add_gridspec(1, len(panels), width_ratios=[1.5, 1][:len(panels)], wspace=0.45, left=0.08,
                                    right=0.88, bottom=0.13, top=0.83)
        for i, (drawn, hollow, heading, note) in enumerate(panels):
            axes = picture.add_subplot(grid[i])
            _lines(axes, limits, style, dashed=True)
            if drawn is points:
                _lines(axes, points, style)
            for row in hollow.itertuples():
                axes.plot(row.x, 100 * row.mean, style[row.series][1], color=style[row.series][0], markersize=8,
                          markerfacecolor=CARD, markeredgewidth=1.8, zorder=4)
                axes.annotate(f"{100 * row.mean:.1f}", (row.x, 100 * row.mean), xytext=(8, 5), fontsize=9,
                              color=style[row.series][0], textcoords="offset points")
            top = max(112 * best, 1) if drawn is points and best < HIGH else 104
            _grid_axes(axes, pd.concat([drawn, hollow]), style, over_maps, figure.x_log2, top)
            axes.set(xlabel="feature map, cells" if over_maps else figure.x_label, ylabel=f"{metric} × 100")
            _heading(axes, heading, note)

    return _svg(1, paint, _change(rows, metric), [points, limits, said]) if panels else b""


def ceilings(found: pd.DataFrame, published: pd.DataFrame, metric: str = "AP") -> bytes:
    """What codecs allow at each size of the feature map, without any network.

    Args:
        found: Ceilings of one benchmark at an input of 256x192; columns part (only "map" is drawn), series, x (pixels
            per cell; NaN for a codec without cells, which is drawn as a level line), mean, data (label).
        published: The paper's trained heatmap; columns x, mean.
    """
    found = found[(found.part == "map") & found.series.isin(CODECS)]
    xs = pd.DataFrame({"x": sorted(found.x.dropna().unique())})
    level = found[found.x.isna()].drop(columns="x").merge(xs, how="cross")
    drawn, where = pd.concat([found.dropna(subset=["x"]), level]), str(found["data"].iloc[0])

    def paint(picture: Figure) -> None:
        axes, = _stacked(picture, 1, right=0.74)
        style = _styles(found.series)
        _lines(axes, drawn, style)
        axes.plot(published.x, 100 * published["mean"], "o", color=INK, markerfacecolor=CARD, markersize=9, zorder=5)
        _grid_axes(axes, drawn, style, over_maps=True)
        axes.set(xlabel="feature map, cells", ylabel=f"{metric} × 100")
        _heading(axes, "Ceiling of each codec", f"{where}\nhollow: the paper's trained heatmap")

    ends = drawn.sort_values("x").groupby("series", sort=False)["mean"].agg(["first", "last"]).mul(100)
    said = [f"{end.Index} {end.first:.1f} to {end.last:.1f}" for end in ends.itertuples()]
    return _svg(1, paint, f"{metric} × 100 that a perfect network would have, from the finest to the coarsest map: "
                f"{'; '.join(said)} ({where}).", [drawn, published])


def tradeoff(frames: Frames, experiment: Experiment) -> bytes:
    """Accuracy against cost, with the front of rows that no other beats on both; b"" where fewer than three have both.

    Published accuracy over our counts and over measured time; accuracy measured here over the networks as run.
    """
    metric = experiment.metric
    rows, points = _best(frames, experiment, metric)
    said = _published(frames, experiment, metric)
    counts, timed = (some[some["experiment"] == experiment.id] for some in (frames.costs, frames.latencies))
    timed = timed[(timed["batch"] == 1) & ~timed["compiled"].astype(bool)].rename(columns={"ratio_flatpose_b": "time"})
    machine = f"{timed.cpu.iloc[0] or timed.device.iloc[0]}, {timed.threads.iloc[0]} threads" if len(timed) else ""
    measured = points[points["mean"] >= FLOOR].drop(columns="label").merge(said[["row", "label", "ours"]], on="row")
    said = said.dropna(subset=["mean"]).merge(counts[["row", "gflops"]], how="left").merge(timed[["row", "time"]],
                                                                                           how="left")
    odd = said[said.boxes != ""].groupby("boxes")["label"].agg(", ".join)
    note = "".join(f"\nboxes of {names}: {boxes}" for boxes, names in odd.items())
    panels = [panel for panel in (
        (said.dropna(subset=["gflops"]), "gflops", "Published accuracy, cost counted alike",
         f"one forward pass, every matrix product{note}", "multiply-adds (G)"),
        (said.dropna(subset=["time"]), "time", "Published accuracy, time measured here",
         f"{machine}, one image, not compiled{note}", "time of a forward pass, in units of FlatPose-B's"),
        (measured, "gflops", "Accuracy measured here", f"{_where(rows)}; {_bars(points)}",
         "multiply-adds (G) of the networks as run")) if len(panel[0]) > 2]

    def paint(picture: Figure) -> None:
        for axes, (some, x, heading, text, x_label) in zip(_stacked(picture, len(panels)), panels, strict=True):
            _cost_axes(axes, some, x)
            axes.set(xlabel=x_label, ylabel=f"{metric} × 100")
            _heading(axes, heading, text)
            front = _front(some, x)
            line, = axes.plot(front[x], 100 * front["mean"], color=MUTED, linewidth=1.2, linestyle=DASHED, zorder=2)
            _names(axes, some.assign(x=some[x], y=100 * some["mean"]), line)

    fronts = "".join(f" {heading}: {', '.join(_front(some, x).label)}." for some, x, heading, *_ in panels)
    return _svg(len(panels), paint, f"Rows that no other row beats on both {metric} and cost.{fronts}",
                [said, measured]) if panels else b""


def _front(points: pd.DataFrame, x: str) -> pd.DataFrame:
    ordered = points.sort_values([x, "mean"], ascending=[True, False])
    return ordered[ordered["mean"] > ordered["mean"].cummax().shift(fill_value=-math.inf)]


def _cost_axes(axes: Axes, points: pd.DataFrame, x: str) -> None:
    """Points with their whiskers over a logarithmic cost axis labelled 1, 2, 5, 10, …"""
    low, high = points[x].min() / 1.5, points[x].max() * 1.6
    axes.set_xscale("log")
    axes.set_xticks([t for e in range(-4, 5) for m in (1, 2, 5) if low <= (t := m * 10.0**e) <= high])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.minorticks_off()
    axes.set_xlim(low, high)
    axes.margins(y=0.12)
    for ours, some in points.groupby(points.ours.astype(bool)):
        axes.errorbar(some[x], 100 * some["mean"], yerr=_whiskers(some), fmt="D" if ours else "o",
                      color=OURS if ours else OTHERS, elinewidth=1.2, zorder=4)


def boxes(pairs: pd.DataFrame, paper: pd.DataFrame, ours: pd.DataFrame) -> bytes:
    """AR − AP against AP: an arrow leads from each network's detector boxes to its ground-truth boxes.

    Args:
        pairs: Public networks; columns label, AP_det, AR_det, AP_gt, AR_gt.
        paper: Rows of Table 2; columns label, AP, AR. Those of FlatPose are marked.
        ours: As ``pairs``, of networks trained here (may be empty); in a panel of their own.
    """
    panels = [(some.dropna(subset=["AR_det", "AR_gt"]), rows, heading) for some, rows, heading in (
        (pairs, paper, "Public networks, and Table 2"), (ours, paper[:0], "Networks trained here")) if len(some)]

    def paint(picture: Figure) -> None:
        for axes, (arrows, rows, heading) in zip(_stacked(picture, len(panels)), panels, strict=True):
            det, gt = (_gap(arrows.label, arrows[f"AP_{s}"], arrows[f"AR_{s}"]) for s in ("det", "gt"))
            printed = _gap(rows.label, rows.AP, rows.AR)
            for start, end in zip(det.itertuples(), gt.itertuples(), strict=True):
                axes.annotate("", (end.x, end.y), xytext=(start.x, start.y),
                              arrowprops={"arrowstyle": "-|>", "color": OTHERS, "linewidth": 1.4, "shrinkB": 0})
            flat = printed[printed.ours]
            for some, look, colour in ((det, "o", OTHERS), (printed[~printed.ours], "s", MUTED), (flat, "D", OURS)):
                axes.plot(some.x, some.y, look, color=colour, markerfacecolor=CARD if look == "s" else colour)
            axes.update_datalim(gt[["x", "y"]])
            axes.margins(0.14, 0.16)
            axes.set(xlabel="AP × 100", ylabel="(AR − AP) × 100")
            _heading(axes, heading, "arrow: from detector to ground-truth boxes" + (
                "\ndiamond: FlatPose in Table 2; hollow: the table's other rows" if len(rows) else ""))
            _names(axes, pd.concat([gt, flat]))

    det, gt = (_gap(pairs.label, pairs[f"AP_{s}"], pairs[f"AR_{s}"]) for s in ("det", "gt"))
    flat = _gap(paper.label, paper.AP, paper.AR).query("ours")
    spans = [f"{values.min():.1f}–{values.max():.1f}" for values in (gt.x - det.x, det.y, gt.y, flat.y)]
    return _svg(len(panels), paint, "Ground-truth boxes raise AP by {} and bring AR − AP from {} to {}; FlatPose's "
                "rows of Table 2 have {}.".format(*spans), [pairs, paper, ours])


def _gap(label: pd.Series[Any], ap: pd.Series[Any], ar: pd.Series[Any]) -> pd.DataFrame:
    return pd.DataFrame({"label": label, "x": 100 * ap, "y": 100 * (ar - ap),
                         "ours": label.astype(str).str.startswith("FlatPose").astype(bool)})


def caption(svg: bytes) -> str:
    """The finding that the picture shows."""
    found = re.search(r"<dc:title>(.*?)</dc:title>", svg.decode(), re.DOTALL)
    return html.unescape(found[1]) if found else ""


def same_plot(committed: bytes, fresh: bytes) -> bool:
    """Equal bytes, or equal data where another version of matplotlib drew one of the two."""
    old, new = (re.search(rb"matplotlib (\S+), data (\w+)", svg) for svg in (committed, fresh))
    return committed == fresh or bool(old and new and old[1] != new[1] and old[2] == new[2])


def _svg(rows: float, paint: Callable[[Figure], None], title: str, data: Sequence[pd.DataFrame]) -> bytes:
    """The picture that ``paint`` draws. Its description names the version of matplotlib and a digest of the data."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    text = title + "".join(some.to_json(orient="split", double_precision=6) for some in data)
    stamp = f"matplotlib {matplotlib.__version__}, data {hashlib.sha256(text.encode()).hexdigest()[:16]}"
    defaults: Any = {**matplotlib.rcParamsDefault, **STYLE}  # a user's matplotlibrc must not change the bytes
    with matplotlib.rc_context(defaults):
        picture, buffer = Figure(figsize=(WIDTH, HEIGHT * rows)), io.BytesIO()
        FigureCanvasAgg(picture)
        paint(picture)
        picture.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "flatpose-exp", "Title": title,
                                                        "Description": stamp})
    rules = {"dark": [f'[style*="{what}: {old}"]{{{what}:{new}!important}}' for old, new in DARK.items()
                      for what in ("fill", "stroke")],
             "light": [f'text[style*="fill: {old}"]{{fill:{new}!important}}' for old, new in LIGHT_TEXT.items()]}
    sheet = "".join(f"@media (prefers-color-scheme:{scheme}){{{''.join(found)}}}" for scheme, found in rules.items())
    return buffer.getvalue().replace(b"</style>", f"</style>\n  <style>{sheet}</style>".encode(), 1)


def _best(frames: Frames, experiment: Experiment, metric: str, kind: str = "trained"
          ) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lines of the frame in the best setting, on ground-truth boxes where there are any, and their summary by row."""
    rows, found = frames.of(experiment.id), frame.settings(frames.results, experiment, experiment.rows[0].run.data.task)
    rows = frame.under(rows, *found[0]) if found else rows[:0]
    rows = rows[(rows["kind"] == kind) & (rows["status"] == "done")]
    rows = rows[rows["box_source"] == rows["box_source"].max()]  # "gt" sorts after "det:…"
    return rows, frame.summary(rows, metric).merge(rows.drop_duplicates("row")[["row", "gflops", "input_h"]], on="row")


def _published(frames: Frames, experiment: Experiment, metric: str) -> pd.DataFrame:
    """What the paper prints for each row (NaN where nothing), beside what the row is."""
    of_row = pd.DataFrame([{"row": r.id, "series": r.series, "x": r.x, "input_h": r.run.image_size[1],
                            "boxes": r.published.boxes if r.published else "", "ours": r.run.model.kind == "flatpose",
                            "label": r.label.split(" (")[0] + (" 384" if max(r.run.image_size) > 256 else "")}
                           for r in experiment.rows])
    found = frames.published[frames.published["experiment"] == experiment.id]
    found = found[found["metric"] == metric].rename(columns={"value": "mean"})
    return of_row.merge(found[["row", "mean"]], how="left")


def _where(rows: pd.DataFrame) -> str:
    """"quick · embedded v1 (2000/300 images), ground-truth boxes"."""
    return "".join(f"{r.profile} · {r.data}, {'ground-truth' if r.box_source == 'gt' else 'detector'} boxes"
                   for r in rows[:1].itertuples())


def _change(rows: pd.DataFrame, metric: str) -> str:
    """How each series changes from its first to its last x, by the one rule of inference."""
    parts, counts = [], sorted(set(rows.groupby("row")["seed"].nunique()))
    for series, some in rows.groupby("series", sort=False):
        first, last = (frame.by_seed(some[some.x == x], metric) for x in (some.x.min(), some.x.max()))
        (a,), (b,) = first.values(), last.values()
        verb = {"higher": "rises from ", "lower": "falls from "}.get(stats.paired(b, a).verdict, "")
        parts.append(f"{series} {verb}{100 * sum(a.values()) / len(a):.1f} to {100 * sum(b.values()) / len(b):.1f}")
    seeds = "one seed" if counts == [1] else f"{'–'.join(dict.fromkeys(map(str, counts[:1] + counts[-1:])))} seeds"
    return f"{metric} × 100: {'; '.join(parts)} ({_where(rows)}, {seeds})." if parts else f"Published {metric} × 100."


def _stacked(picture: Figure, count: int, right: float = 0.98) -> Sequence[Axes]:
    """One panel below the other, with room for headings of two lines."""
    height = HEIGHT * count
    picture.subplots_adjust(left=0.08, right=right, top=1 - 0.7 / height, bottom=0.55 / height, hspace=0.45)
    return list(picture.subplots(count, 1, squeeze=False)[:, 0])


def _heading(axes: Axes, title: str, note: str) -> None:
    axes.set_title(title, pad=20 + 12 * note.count("\n"))
    axes.annotate(note, (0, 1), xytext=(0, 7), xycoords="axes fraction", textcoords="offset points", fontsize=9,
                  color=MUTED)


def _styles(series: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each series."""
    return {s: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, s in enumerate(dict.fromkeys(series))}


def _lines(axes: Axes, points: pd.DataFrame, style: Mapping[str, tuple[str, str]], dashed: bool = False) -> None:
    for name, curve in points.sort_values("x").groupby("series", sort=False):
        colour, marker = style[str(name)]
        look: dict[str, Any] = {"linestyle": DASHED, "linewidth": 1.3} if dashed else {"marker": marker, "zorder": 4}
        axes.errorbar(curve.x, 100 * curve["mean"], yerr=None if dashed else _whiskers(curve), color=colour,
                      elinewidth=1.2, **look)


def _grid_axes(axes: Axes, points: pd.DataFrame, style: Mapping[str, tuple[str, str]], over_maps: bool,
               log2: bool = True, top: float = 104) -> None:
    """One tick per x, and the names of the curves at their right ends; curves that end alike share a label."""
    xs = sorted(set(points.x))
    if log2:
        axes.set_xscale("log", base=2)
    axes.set_xticks(xs, [f"{256 / x:g}×{192 / x:g}" if over_maps else f"{x:g}" for x in xs])
    axes.minorticks_off()
    axes.set_ylim(-0.03 * top, top)
    ends = points[points.x == xs[-1]].groupby("series", sort=False)["mean"].last().mul(100).round(1)
    low = -math.inf
    for y, names in sorted(ends[ends <= top].groupby(ends).groups.items()):
        low = max(float(y), low + 0.06 * top)
        axes.annotate(",\n".join(names), (1, low), xytext=(6, 0), xycoords=("axes fraction", "data"), va="center",
                      color=style[names[0]][0] if len(names) == 1 else MUTED, textcoords="offset points", fontsize=9)
        low += 0.06 * top * (len(names) - 1)


def _whiskers(points: pd.DataFrame) -> Any:
    """Distances from the points to the ends of their intervals, for errorbar; None where there are none."""
    if "low" not in points or points.low.isna().all():
        return None
    return [(100 * gap).clip(lower=0).fillna(0) for gap in (points["mean"] - points.low, points.high - points["mean"])]


def _bars(points: pd.DataFrame) -> str:
    """What the whiskers are."""
    kinds = frozenset(points.n[points.low.notna()] > 1)
    return {frozenset(): "", frozenset({True}): "bars: 95 % over seeds", frozenset({False}): (
        "bars: 95 % over images, one seed")}.get(kinds, "bars: 95 % over seeds, or images for one seed")


def _names(axes: Axes, points: pd.DataFrame, line: Any = None) -> None:
    """Names beside the points (x, y, label, ours), each where it covers least of points, line and other names."""
    from matplotlib.transforms import Bbox

    axes.autoscale_view()
    spots = axes.transData.transform(points[["x", "y"]].astype(float).to_numpy())
    taken = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in spots]
    if line is not None:
        along = line.get_transform().transform_path(line.get_path()).interpolated(60).vertices
        taken += [Bbox.from_bounds(x - 2, y - 2, 4, 4) for x, y in along]
    wall, scale = axes.get_window_extent(), axes.figure.dpi / 72

    def covered(box: Bbox) -> float:
        areas = [both.width * both.height for other in (wall, *taken) if (both := Bbox.intersection(box, other))]
        return sum(areas[1:]) + 100 * (box.width * box.height - sum(areas[:1]))  # leaving the panel is worst

    for (x, y), row in sorted(zip(spots, points.itertuples(), strict=True), key=lambda pair: tuple(pair[0])):
        text = axes.annotate(row.label, (row.x, row.y), xytext=(0, 0), textcoords="offset points", va="center",
                             fontsize=9, color=OURS if row.ours else INK, fontweight="bold" if row.ours else "normal")
        width, height = text.get_window_extent().size
        shift = {"left": 0.0, "center": width / 2, "right": width}
        places = [(Bbox.from_bounds(x + scale * dx - shift[align], y + scale * dy - height / 2, width, height),
                   (dx, dy), align) for dx, dy, align in PLACES]
        box, position, align = min(places, key=lambda place: covered(place[0]))
        taken.append(box)
        text.set(position=position, horizontalalignment=align)
