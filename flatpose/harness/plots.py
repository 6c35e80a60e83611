"""Plots of the pages as SVG: accuracy over a grid, against cost, codec ceilings, and the effect of the boxes.

Inputs are selections of the frame: metrics in 0..1, drawn x 100. Equal data give equal bytes with one version of
matplotlib, which is imported only when something is drawn. The title of a file is its caption (:func:`caption`).
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

Points = pd.DataFrame
CARD, INK, MUTED, GRID = "#FFFFFF", "#24292F", "#57606A", "#D8DEE4"
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""The palette of Okabe and Ito, which colour-blind readers can tell apart."""
MARKERS = ("o", "s", "^", "D", "v", "P")
OURS, OTHERS = COLOURS[0], COLOURS[1]
STYLE: dict[str, Any] = {
    "svg.hashsalt": "flatpose", "svg.fonttype": "none", "font.size": 10, "axes.titlesize": 10.5,
    "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.8, "axes.axisbelow": True, "axes.facecolor": CARD,
    "figure.facecolor": CARD, "savefig.facecolor": CARD, "lines.linewidth": 1.8, "lines.markersize": 6.5,
    "errorbar.capsize": 3, **dict.fromkeys(("axes.edgecolor", "text.color", "axes.labelcolor", "xtick.color",
                                            "ytick.color"), INK)}
WIDTH, HEIGHT = 8.6, 4.3
"""Inches of a picture and of one of its rows. At the 700 pixels of a page, 10 points are 11 pixels."""
DASHED = (0, (4, 3))
FLOOR = 0.01
"""Networks below 1 AP are not drawn against cost: their order means nothing."""
HIGH = 0.3
"""From this best value on, the measured curves have the whole axis from 0 to 100, like their ceilings."""
DARK = {"#ffffff": "#0d1117", "#24292f": "#e6edf3", "#57606a": "#9da5ae", "#d8dee4": "#30363d", "#d55e00": "#f0763a",
        "#0072b2": "#58a6ff", "#009e73": "#2fc391", "#cc79a7": "#d98cb8"}
"""Colours on a dark page; the other two serve both."""
LIGHT_TEXT = {"#d55e00": "#b04c00", "#009e73": "#00785a", "#cc79a7": "#a8467c", "#e69f00": "#8f6200",
              "#56b4e9": "#1a6fa8"}
"""Text needs more contrast on white than lines do."""
SHORT = {"heatmap as in HRNet": "heatmap (HRNet)", "heatmap, unrounded, quarter step": "heatmap, unrounded",
         "heatmap, DARK": "heatmap, DARK", "heatmap, UDP's own step": "heatmap, UDP",
         "SimCC, one bin per cell": "SimCC, bin per cell", "SimCC, 2 bins per pixel": "SimCC, 2 per pixel"}
"""The codecs of the picture by feature map, under names that fit beside it."""
PLACES = ((7, 0, "left"), (-7, 0, "right"), (0, 10, "center"), (0, -10, "center"), (7, 8, "left"), (7, -8, "left"),
          (-7, 8, "right"), (-7, -8, "right"), (9, 15, "left"), (9, -15, "left"), (-9, 15, "right"), (-9, -15, "right"))
"""Where a name may stand: points to the right of and above its marker, alignment."""


def files(frames: Frames, name: str) -> dict[str, bytes]:
    """The pictures of one experiment at its best evidence (``frame.settings``), by path below reports/."""
    experiment, made = frames.experiments[name], {}
    if experiment.figure:
        made[f"{name}.svg"] = _curves_of(frames, experiment)
    if experiment.tradeoff:
        made[f"{name}.tradeoff.svg"] = _tradeoff_of(frames, experiment)
    return {path: svg for path, svg in made.items() if svg}


def _best(frames: Frames, experiment: Experiment, kind: str = "trained") -> Points:
    """Finished evaluations of the best setting: not the raw weights, and ground-truth boxes where there are any."""
    found = frame.settings(frames.results, experiment, experiment.rows[0].run.data.task)
    rows = frames.of(experiment.id)
    rows = rows[(rows["kind"] == kind) & (rows["status"] == "done") & (rows["weights"] != "raw")]
    profile, data = found[0] if found else ("", "")
    rows = rows[(rows["profile"] == profile) & (rows["data_id"] == data)]
    return rows[rows["box_source"] == rows["box_source"].max()]  # "gt" sorts after "det:…"


def summary(rows: Points, metric: str) -> Points:
    """Per row mean, n, low and high: the t-interval over seeds or, of one seed, the bootstrap over images."""
    lines = []
    for _, runs in rows.groupby("row", sort=False):
        first, ends = runs.iloc[0], stats.interval(runs[metric])
        low, high = ends or (first.get(f"{metric}_low", math.nan), first.get(f"{metric}_high", math.nan))
        lines.append({**first[["row", "label", "series", "x", "gflops", "input_h", "input_w"]], "low": low,
                      "high": high, "mean": runs[metric].mean(), "n": len(runs)})
    return pd.DataFrame(lines, columns=["row", "label", "series", "x", "gflops", "input_h", "input_w", "low", "high",
                                        "mean", "n"])


def _said(frames: Frames, experiment: Experiment, metric: str) -> Points:
    """What the paper prints for the rows, beside what the rows are."""
    of_row = pd.DataFrame([{"row": r.id, "series": r.series, "x": r.x, "input_h": r.run.image_size[1],
                            "boxes": r.published.boxes if r.published else "", "label": r.label.split(" (")[0] + (" 384" if max(r.run.image_size) > 256 else ""),
                            "ours": r.run.model.kind == "flatpose"} for r in experiment.rows])
    found = frames.published[frames.published["experiment"] == experiment.id]
    return of_row.merge(found.loc[found["metric"] == metric, ["row", "value"]], how="left")


def _curves_of(frames: Frames, experiment: Experiment) -> bytes:
    figure = experiment.figure
    assert figure is not None
    rows, metric = _best(frames, experiment), figure.y_metric
    points, said = summary(rows, metric), _said(frames, experiment, metric).dropna(subset=["value"])
    limits = summary(_best(frames, experiment, "ceiling") if figure.ceiling else rows[:0], metric)
    over_maps = "stride" in figure.x_label
    if over_maps:  # maps of one size compare whatever the input, strides do not
        points, limits, said = (some.assign(x=some.x * 256 / some.input_h) for some in (points, limits, said))
    return curves(points, limits, said, title=_where(rows), caption=_change(rows, metric), over_maps=over_maps,
                  x_label="feature map, cells" if over_maps else figure.x_label, metric=metric, log2=figure.x_log2)


def _where(rows: Points) -> str:
    """"quick · embedded v1 (2000/300 images), ground-truth boxes"."""
    if not len(rows):
        return ""
    first = rows.iloc[0]
    return f"{first.profile} · {first['data']}, {'ground-truth' if first.box_source == 'gt' else 'detector'} boxes"


def _change(rows: Points, metric: str) -> str:
    """How each series changes from its first to its last x, by the one rule of inference."""
    parts, counts = [], sorted(set(rows.groupby("row").size()))
    for series, some in rows.groupby("series", sort=False):
        first, last = (some[some.x == x].set_index("seed")[metric] for x in (some.x.min(), some.x.max()))
        verb = {"higher": "rises from ", "lower": "falls from "}.get(stats.paired(last, first).verdict, "")
        parts.append(f"{series} {verb}{100 * first.mean():.1f} to {100 * last.mean():.1f}")
    seeds = "one seed" if counts == [1] else f"{'–'.join(dict.fromkeys(map(str, counts[:1] + counts[-1:])))} seeds"
    return f"{metric} × 100: {'; '.join(parts)} ({_where(rows)}, {seeds})." if parts else f"Published {metric} × 100."


def _tradeoff_of(frames: Frames, experiment: Experiment) -> bytes:
    rows, metric, name = _best(frames, experiment), experiment.metric, experiment.id
    counts = frames.costs.loc[frames.costs["experiment"] == name, ["row", "gflops", "published_gflops"]]
    timed = frames.latencies[(frames.latencies["experiment"] == name) & (frames.latencies["batch"] == 1)]
    timed = timed[~timed["compiled"].astype(bool)].rename(columns={"ratio_flatpose_b": "time"})
    said = _said(frames, experiment, metric)
    paper = said.merge(counts, how="left").merge(timed[["row", "time"]], how="left")
    machine = f"{timed.cpu.iloc[0] or timed.device.iloc[0]}, {timed.threads.iloc[0]} threads" if len(timed) else ""
    measured = summary(rows, metric).drop(columns="label").merge(said[["row", "label", "ours"]])
    return tradeoff(paper, measured, machine=machine, title=_where(rows), metric=metric)


def curves(points: Points, limits: Points, published: Points, *, title: str, caption: str, x_label: str,
           metric: str = "AP", over_maps: bool = False, log2: bool = True) -> bytes:
    """A metric over a grid, one curve per series; beside them the codecs' ceilings and the paper's values.

    Args:
        points: Measured here; columns series, x, mean, low, high, n.
        limits: Codec ceilings; columns series, x, mean. Dashed, in both panels.
        published: The paper's values; columns series, x, value.
        over_maps: x is the size of a cell at an input of 256x192; the axis shows the size of the map.
    """
    style = _styles([*points.series, *limits.series, *published.series])
    best = points[["mean", "high"]].max(axis=None) if len(points) else 0.0
    bars = "; ".join(filter(None, (_bars(points), "dashed: codec ceiling" if len(limits) else "")))

    def paint(figure: Figure) -> None:
        shown = [bool(len(points)), len(limits) + len(published) > 0]
        grid = iter(figure.add_gridspec(1, sum(shown), width_ratios=[1.5, 1][:sum(shown)], wspace=0.45, left=0.08,
                                        right=0.88, bottom=0.13, top=0.83))
        if shown[0]:
            axes = figure.add_subplot(next(grid))
            _lines(axes, limits, style, dashed=True)
            _lines(axes, points, style)
            _grid_axes(axes, points, style, over_maps, log2, top=104 if best > HIGH else max(112 * best, 1))
            axes.set(xlabel=x_label, ylabel=f"{metric} × 100")
            _heading(axes, "Measured here", f"{title}\n{bars}")
        if shown[1]:
            axes = figure.add_subplot(next(grid))
            _lines(axes, limits, style, dashed=True)
            for row in published.itertuples():
                axes.plot(row.x, 100 * row.value, style[row.series][1], color=style[row.series][0], markersize=8,
                          markerfacecolor=CARD, markeredgewidth=1.8, zorder=4)
                axes.annotate(f"{100 * row.value:.1f}", (row.x, 100 * row.value), xytext=(8, 5), fontsize=9,
                              color=style[row.series][0], textcoords="offset points")
            _grid_axes(axes, pd.concat([limits, published]), style, over_maps, log2)
            axes.set(xlabel=x_label)
            _heading(axes, "Ceiling and paper", "dashed: codec ceiling\nhollow: published")

    return _svg(1, paint, caption, [points, limits, published])


def ceilings(found: Points, published: Points, metric: str = "AP") -> bytes:
    """Codec ceilings over map size, bins per pixel and label width, without any network.

    Args:
        found: One benchmark at an input of 256x192; columns part (map | ratio | sigma), series, x, mean, data (label).
            A codec without cells has no x in the part "map" and is drawn as a level line.
        published: The paper's trained heatmap; columns x (pixels per cell), value.
    """
    where = str(found["data"].iloc[0])
    panels = {"map": ("Ceiling by feature map", f"{where}\nhollow: the paper's trained heatmap", "feature map, cells"),
              "ratio": ("SimCC by bins per pixel", "sigma: 3 pixels, at least half a bin", "bins per input pixel"),
              "sigma": ("SimCC by width of the label", "read-out, bins per pixel", "sigma, input pixels")}
    found = found.assign(series=found.series.map(SHORT).fillna(found.series.where(found.part != "map"))).dropna(
        subset=["series"])

    def paint(figure: Figure) -> None:
        grid = figure.add_gridspec(2, 2, left=0.08, right=0.8, bottom=0.07, top=0.92, hspace=0.4, wspace=0.62)
        for part, place in (("map", grid[0, :]), ("ratio", grid[1, 0]), ("sigma", grid[1, 1])):
            rows, axes = found[found.part == part], figure.add_subplot(place)
            xs = pd.DataFrame({"x": sorted(rows.x.dropna().unique())})
            level = rows[rows.x.isna()].drop(columns="x").merge(xs, how="cross")
            drawn, style = pd.concat([rows.dropna(subset=["x"]), level]), _styles(rows.series)
            _lines(axes, drawn, style)
            if part == "map":
                axes.plot(published.x, 100 * published.value, "o", color=INK, markerfacecolor=CARD, markersize=9, zorder=5)
            _grid_axes(axes, drawn, style, part == "map")
            _heading(axes, *panels[part][:2])
            axes.set(xlabel=panels[part][2], ylabel=f"{metric} × 100")

    by_map = found[found.part == "map"].dropna(subset=["x"]).sort_values("x").groupby("series", sort=False)["mean"]
    said = [f"{name} {100 * values.iloc[0]:.1f} to {100 * values.iloc[-1]:.1f}" for name, values in by_map]
    return _svg(1.8, paint, f"{metric} × 100 that each codec allows, from 64×48 to 8×6 cells: {'; '.join(said)} "
                f"({where}).", [found, published])


def tradeoff(published: Points, measured: Points, *, machine: str, title: str, metric: str = "AP") -> bytes:
    """Accuracy against cost, with the front of rows that no other beats on both; b"" where fewer than three have both.

    Args:
        published: The paper's accuracy and our counts; columns label, ours, value, boxes, gflops, published_gflops,
            time (in units of FlatPose-B's).
        measured: Networks trained here, in one setting; columns label, ours, mean, low, high, n, gflops (as run).
        machine: What the times were measured on.
    """
    said = published.dropna(subset=["value"]).rename(columns={"value": "mean"})
    odd = said[said.boxes != ""].groupby("boxes")["label"].agg(", ".join)
    note = "".join(f"\nboxes of {names}: {boxes}" for boxes, names in odd.items())
    panels = [part for part in (
        (said.dropna(subset=["gflops"]), "gflops", "Published accuracy, cost counted alike",
         f"grey bars lead to the printed GFLOPs{note}", "multiply-adds (G), every matrix product"),
        (said.dropna(subset=["time"]), "time", "Published accuracy, time measured here",
         f"{machine}, one image, not compiled{note}", "time of a forward pass, in units of FlatPose-B's"),
        (measured[measured["mean"] >= FLOOR], "gflops", "Accuracy measured here", f"{title}; {_bars(measured)}",
         "multiply-adds (G) of the networks as run")) if len(part[0]) > 2]

    def paint(figure: Figure) -> None:
        for axes, (points, x, heading, note, x_label) in zip(_stacked(figure, len(panels)), panels, strict=True):
            _cost_axes(axes, points, x)
            axes.set(xlabel=x_label, ylabel=f"{metric} × 100")
            _heading(axes, heading, note)
            front = _front(points, x)
            line, = axes.plot(front[x], 100 * front["mean"], color=MUTED, linewidth=1.2, linestyle=DASHED, zorder=2)
            _names(axes, points.assign(x=points[x], y=100 * points["mean"]), line)

    fronts = [f"{heading[0].lower()}{heading[1:]}: {', '.join(_front(points, x).label)}"
              for points, x, heading, *_ in panels]
    caption = f"Rows that no other row beats on both {metric} and cost: {'; '.join(fronts)}."
    return _svg(len(panels), paint, caption, [published, measured]) if panels else b""


def _front(points: Points, x: str) -> Points:
    """The rows that no other beats, from cheap to expensive."""
    ordered = points.sort_values([x, "mean"], ascending=[True, False])
    return ordered[ordered["mean"] > ordered["mean"].cummax().shift(fill_value=-math.inf)]


def _cost_axes(axes: Axes, points: Points, x: str) -> None:
    """Points with their whiskers over a logarithmic cost axis labelled 1, 2, 5, 10, …"""
    costs = points[[x, *(["published_gflops"] if x == "gflops" and "published_gflops" in points else [])]]
    low, high = costs.min(axis=None) / 1.5, costs.max(axis=None) * 1.6
    axes.set_xscale("log")
    axes.set_xticks([t for e in range(-4, 5) for m in (1, 2, 5) if low <= (t := m * 10.0**e) <= high])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.minorticks_off()
    axes.set_xlim(low, high)
    axes.margins(y=0.12)
    if "published_gflops" in costs:
        axes.hlines(100 * points["mean"], points[x], points.published_gflops, color=GRID, linewidth=4, zorder=1)
    for ours, some in points.groupby(points.ours.astype(bool)):
        axes.errorbar(some[x], 100 * some["mean"], yerr=_whiskers(some), fmt="D" if ours else "o",
                      color=OURS if ours else OTHERS, elinewidth=1.2, zorder=4)


def boxes(pairs: Points, paper: Points, ours: Points) -> bytes:
    """AR − AP against AP: an arrow leads from each network's detector boxes to its ground-truth boxes.

    Args:
        pairs: Public networks; columns label, AP_det, AR_det, AP_gt, AR_gt.
        paper: Rows of Table 2; columns label, AP, AR. Those of FlatPose are marked.
        ours: As ``pairs``, of networks trained here; in a panel of their own.
    """
    parts = [(pairs, paper, "Public networks, and Table 2"), (ours[ours.AP_gt >= FLOOR], paper[:0], "Networks trained here")]
    parts = [part for part in parts if len(part[0])]

    def paint(figure: Figure) -> None:
        for axes, (arrows, rows, heading) in zip(_stacked(figure, len(parts)), parts, strict=True):
            det, gt = (_gap(arrows.label, arrows[f"AP_{s}"], arrows[f"AR_{s}"]) for s in ("det", "gt"))
            printed = _gap(rows.label, rows.AP, rows.AR)
            axes.update_datalim(gt[["x", "y"]])
            for start, end in zip(det.itertuples(), gt.itertuples(), strict=True):
                axes.annotate("", (end.x, end.y), xytext=(start.x, start.y),
                              arrowprops={"arrowstyle": "-|>", "color": OTHERS, "linewidth": 1.4, "shrinkB": 0})
            flat = printed[printed.ours]
            for some, look, colour in ((det, "o", OTHERS), (printed[~printed.ours], "s", MUTED), (flat, "D", OURS)):
                axes.plot(some.x, some.y, look, color=colour, markerfacecolor=CARD if look == "s" else colour)
            axes.margins(0.14, 0.16)
            axes.set(xlabel="AP × 100", ylabel="(AR − AP) × 100")
            _heading(axes, heading, "arrow: from detector to ground-truth boxes" + (
                "\ndiamond: FlatPose in Table 2; hollow: the table's other rows" if len(rows) else ""))
            _names(axes, pd.concat([gt, flat]))

    det, gt = (_gap(pairs.label, pairs[f"AP_{s}"], pairs[f"AR_{s}"]) for s in ("det", "gt"))
    flat = _gap(paper.label, paper.AP, paper.AR).query("ours")
    spans = [f"{values.min():.1f}–{values.max():.1f}" for values in (gt.x - det.x, det.y, gt.y, flat.y)]
    return _svg(len(parts), paint, "Ground-truth boxes raise AP by {} and bring AR − AP from {} to {}; FlatPose's rows "
                "of Table 2 have {}.".format(*spans), [pairs, paper, ours])


def _gap(label: pd.Series[Any], ap: pd.Series[Any], ar: pd.Series[Any]) -> Points:
    return pd.DataFrame({"label": label, "x": 100 * ap, "y": 100 * (ar - ap),
                         "ours": label.astype(str).str.startswith("FlatPose").astype(bool)})


def caption(svg: bytes) -> str:
    """The finding that the picture shows."""
    found = re.search(r"<dc:title>(.*?)</dc:title>", svg.decode(), re.DOTALL)
    return html.unescape(found[1]) if found else ""


def same_plot(committed: bytes, fresh: bytes) -> bool:
    """Equal bytes, or equal data where another version of matplotlib drew one of the two."""
    stamps = [re.search(rb"matplotlib (\S+), data (\w+)", svg) for svg in (committed, fresh)]
    if committed == fresh or not (stamps[0] and stamps[1]):
        return committed == fresh
    return stamps[0][1] != stamps[1][1] and stamps[0][2] == stamps[1][2]


def _svg(rows: float, paint: Callable[[Figure], None], title: str, data: Sequence[Points]) -> bytes:
    """The figure that ``paint`` draws. Its description names the version of matplotlib and a digest of the data."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    text = title + "".join(some.to_json(orient="split", double_precision=6) for some in data)
    stamp = f"matplotlib {matplotlib.__version__}, data {hashlib.sha256(text.encode()).hexdigest()[:16]}"
    defaults: Any = {**matplotlib.rcParamsDefault, **STYLE}  # a user's matplotlibrc must not change the bytes
    with matplotlib.rc_context(defaults):
        figure, buffer = Figure(figsize=(WIDTH, HEIGHT * rows)), io.BytesIO()
        FigureCanvasAgg(figure)
        paint(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "flatpose-exp", "Title": title,
                                                       "Description": stamp})
    rules = {"dark": [f'[style*="{what}: {old}"]{{{what}:{new}!important}}' for old, new in DARK.items()
                      for what in ("fill", "stroke")],
             "light": [f'text[style*="fill: {old}"]{{fill:{new}!important}}' for old, new in LIGHT_TEXT.items()]}
    sheet = "".join(f"@media (prefers-color-scheme:{scheme}){{{''.join(found)}}}" for scheme, found in rules.items())
    return buffer.getvalue().replace(b"</style>", f"</style>\n  <style>{sheet}</style>".encode(), 1)


def _stacked(figure: Figure, count: int) -> Sequence[Axes]:
    """One panel below the other, with room for headings of two lines."""
    height = HEIGHT * count
    figure.subplots_adjust(left=0.08, right=0.98, top=1 - 0.7 / height, bottom=0.55 / height, hspace=0.45)
    return list(figure.subplots(count, 1, squeeze=False)[:, 0])


def _heading(axes: Axes, title: str, note: str) -> None:
    axes.set_title(title, pad=20 + 12 * note.count("\n"))
    axes.annotate(note, (0, 1), xytext=(0, 7), xycoords="axes fraction", textcoords="offset points", fontsize=9,
                  color=MUTED)


def _styles(series: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each series."""
    return {name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(dict.fromkeys(series))}


def _lines(axes: Axes, points: Points, style: Mapping[str, tuple[str, str]], dashed: bool = False) -> None:
    for name, curve in points.sort_values("x").groupby("series", sort=False):
        colour, marker = style[str(name)]
        look: dict[str, Any] = {"linestyle": DASHED, "linewidth": 1.3} if dashed else {"marker": marker, "zorder": 4}
        axes.errorbar(curve.x, 100 * curve["mean"], yerr=None if dashed else _whiskers(curve), color=colour,
                      elinewidth=1.2, **look)


def _grid_axes(axes: Axes, points: Points, style: Mapping[str, tuple[str, str]], over_maps: bool, log2: bool = True,
               top: float = 104) -> None:
    """One tick per x (of many, those that are even powers of two), and the names of the curves at their right ends."""
    xs = sorted(set(points.x))
    xs = xs if len(xs) < 7 else [x for x in xs if math.log2(x) % 2 == 0]
    if log2:
        axes.set_xscale("log", base=2)
    axes.set_xticks(xs, [f"{256 / x:g}×{192 / x:g}" if over_maps else f"1/{1 / x:g}" if x < 1 else f"{x:g}" for x in xs])
    axes.minorticks_off()
    axes.set_ylim(-0.03 * top, top)
    low, ends = -math.inf, points[points.x == points.x.max()].groupby("series", sort=False)["mean"].last().mul(100).round(1)
    for y, names in sorted(ends[ends <= top].groupby(ends).groups.items()):
        low = max(float(y), low + 0.06 * top)
        axes.annotate(",\n".join(names), (1, low), xytext=(6, 0), xycoords=("axes fraction", "data"), va="center",
                      color=style[names[0]][0] if len(names) == 1 else MUTED, textcoords="offset points", fontsize=9)
        low += 0.06 * top * (len(names) - 1)


def _whiskers(points: Points) -> Any:
    """Distances from the points to the ends of their intervals, for errorbar; None where there are none."""
    if "low" not in points or points.low.isna().all():
        return None
    return [(100 * (points["mean"] - points.low)).clip(lower=0).fillna(0),
            (100 * (points.high - points["mean"])).clip(lower=0).fillna(0)]


def _bars(points: Points) -> str:
    """What the whiskers are."""
    kinds = {n > 1 for n in points.n[points.low.notna()]}
    return {frozenset(): "", frozenset({True}): "bars: 95 % over seeds", frozenset({False}): (
        "bars: 95 % over images, one seed")}.get(frozenset(kinds), "bars: 95 % over seeds, or images for one seed")


def _names(axes: Axes, points: Points, line: Any = None) -> None:
    """Names beside the points (x, y, label, ours), each where it covers least of points, line and other names."""
    from matplotlib.transforms import Bbox

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
        places = {Bbox.from_bounds(x + scale * dx - shift[align], y + scale * dy - height / 2, width, height):
                  (dx, dy, align) for dx, dy, align in PLACES}
        box = min(places, key=covered)
        taken.append(box)
        text.set(position=places[box][:2], horizontalalignment=places[box][2])
