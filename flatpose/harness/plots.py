"""Plots of the pages as SVG: accuracy over a grid, against cost, codec ceilings, and the effect of the boxes.

Metrics are 0..1 in the frame and drawn x 100. Equal data give equal bytes with one version of matplotlib. The title of
a file is its caption.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import pandas as pd

from flatpose.harness import drawing, frame, stats
from flatpose.harness.drawing import BARS, CARD, DASHED, INK, MUTED, OTHERS, OURS
from flatpose.harness.frame import Evidence, Frames
from flatpose.harness.tables import at_every_x, printed, x_names

CODECS = ("heatmap as in HRNet", "heatmap, unrounded, quarter step", "heatmap, DARK", "heatmap, UDP's own step",
          "SimCC, one bin per cell", "SimCC, 2 bins per pixel")
"""Those of the picture; the others have nearly the ceilings of one of them."""
Captioned = tuple[str, bytes]
"""The finding that a picture shows, and its SVG."""


def files(frames: Frames, name: str) -> dict[str, Captioned]:
    """The pictures of one experiment at its best evidence, by path below reports/."""
    evidence = frames.of(name)
    made = {f"{name}.svg": curves(evidence) if evidence.experiment.figure else None,
            f"{name}.tradeoff.svg": tradeoff(evidence) if evidence.experiment.tradeoff else None}
    return {path: picture for path, picture in made.items() if picture}


def curves(evidence: Evidence) -> Captioned | None:
    """The metric over x, one curve per series, with the codecs' ceilings (dashed) and the paper's values.

    None where nothing was measured: the paper's values alone are in the table.
    """
    experiment, figure = evidence.experiment, evidence.experiment.figure
    assert figure is not None
    metric = experiment.metric
    rows, points = _best(evidence, metric)
    if not len(points):
        return None
    names, theirs = x_names(experiment, rows["profile"].iloc[0]), x_names(experiment, "paper")
    limits = _best(evidence, metric, "ceiling")[1]
    said = _published(evidence, metric).query("mean.notna() and series != ''")
    said = said[said.x.map(names) == said.x.map(theirs)]  # a map of another size has another place
    style = drawing.styles([*points.series, *limits.series, *said.series])
    notes = [BARS, "dashed: codec ceiling" * bool(len(limits)), "hollow: printed in the paper" * bool(len(said))]
    caption = _change(rows, metric, names)
    with drawing.picture(1) as picture:
        axes, = drawing.stacked(picture, 1, right=0.86 if points.series.str.len().max() < 15 else 0.6)
        drawing.lines(axes, limits, style, dashed=True)
        drawing.lines(axes, points, style)
        drawing.hollow(axes, said, style)
        drawing.grid_axes(axes, points, style, names)
        drawing.describe(axes, experiment.title, f"{_where(rows)}\n{'; '.join(filter(None, notes))}",
                         "feature map, cells" if "×" in "".join(names.values()) else figure.x_label, f"{metric} × 100")
        return caption, drawing.svg(picture, caption, [points, limits, said])


def ceilings(found: pd.DataFrame, published: pd.DataFrame, caption: str) -> bytes:
    """What codecs allow at each size of the feature map, without any network.

    Args:
        found: Ceilings of one benchmark at an input of 256x192; columns part (only "map" is drawn), series, x (pixels
            per cell; NaN for a codec without cells, which is drawn as a level line), mean, data (label).
        published: The paper's trained heatmap; columns x, mean.
        caption: The finding.
    """
    drawn = at_every_x(found[(found.part == "map") & found.series.isin(CODECS)])
    where = drawn["data"].iloc[0]
    with drawing.picture(1) as picture:
        axes, = drawing.stacked(picture, 1, right=0.66)
        style = drawing.styles(drawn.series)
        drawing.lines(axes, drawn, style)
        axes.plot(published.x, 100 * published["mean"], "o", color=INK, markerfacecolor=CARD, markersize=9, zorder=5)
        drawing.grid_axes(axes, drawn, style, {x: f"{256 / x:g}×{192 / x:g}" for x in drawn.x})
        drawing.describe(axes, "Ceiling of each codec", f"{where}\nhollow: the paper's trained heatmap",
                         "feature map, cells", "AP × 100")
        return drawing.svg(picture, caption, [drawn, published])


def tradeoff(evidence: Evidence) -> Captioned | None:
    """Accuracy against cost; None where fewer than three rows have both.

    Published accuracy over our counts and over measured time; accuracy measured here over the networks as run. A line
    joins the rows that no other beats on both: published ones, and those measured at the paper's scale.
    """
    metric, timed = evidence.experiment.metric, evidence.latencies
    rows, points = _best(evidence, metric)
    timed = timed[(timed["batch"] == 1) & ~timed["compiled"].astype(bool)].set_index("row")
    machine = f"{timed.cpu.iloc[0] or timed.device.iloc[0]}, {timed.threads.iloc[0]} threads" if len(timed) else ""
    said = _published(evidence, metric)
    measured = points[points["mean"] >= frame.FLOOR].drop(columns="label")
    measured = measured.merge(said[["row", "label", "ours"]], on="row")
    said = said.dropna(subset=["mean"]).join(evidence.costs["gflops"], on="row")
    said = said.join(timed["ratio_flatpose_b"].rename("time"), on="row")
    odd = said[said.boxes != ""].groupby("boxes")["label"].agg(", ".join)
    note = "".join(f"\nboxes of {names}: {boxes}" for boxes, names in odd.items())
    panels = [panel for panel in (
        (said.dropna(subset=["gflops"]), "gflops", "Published accuracy, cost counted alike",
         f"one forward pass, every matrix product{note}", "multiply-adds (G)"),
        (said.dropna(subset=["time"]), "time", "Published accuracy, time measured here",
         f"{machine}, one image, not compiled{note}", "time of a forward pass, in units of FlatPose-B's"),
        (measured, "gflops", "Accuracy measured here", f"{_where(rows)}; {BARS}",
         "multiply-adds (G) of the networks as run")) if len(panel[0]) > 2]
    if not panels:
        return None
    ranked = rows["profile"].eq("paper").all()  # at reduced scales start weights change with the backbone
    fronts = [_front(some, x) if ranked or some is not measured else some.iloc[:0] for some, x, *_ in panels]
    listed = "".join(f" {heading}: {', '.join(front.label)}." for front, (_, _, heading, *_) in zip(
        fronts, panels, strict=True) if len(front))
    mixed = " Published rows mix box sources." if note else ""
    title = f"Rows that no other row beats on both {metric} and cost." if listed else f"{metric} against cost."
    caption = f"{title}{listed}{mixed}"
    with drawing.picture(len(panels)) as picture:
        stacked = drawing.stacked(picture, len(panels))
        for axes, front, (some, x, heading, text, x_label) in zip(stacked, fronts, panels, strict=True):
            drawing.cost_axes(axes, some, x)
            drawing.describe(axes, heading, text, x_label, f"{metric} × 100")
            lines = axes.plot(front[x], 100 * front["mean"], color=MUTED, linewidth=1.2, linestyle=DASHED, zorder=2)
            drawing.names(axes, some.assign(x=some[x], y=100 * some["mean"]), lines)
        return caption, drawing.svg(picture, caption, [said, measured])


def _front(points: pd.DataFrame, x: str) -> pd.DataFrame:
    ordered = points.sort_values([x, "mean"], ascending=[True, False])
    return ordered[ordered["mean"] > ordered["mean"].cummax().shift(fill_value=-math.inf)]


def boxes(pairs: pd.DataFrame, paper: pd.DataFrame, caption: str) -> bytes:
    """AR − AP against AP: an arrow leads from each network's detector boxes to its ground-truth boxes.

    Args:
        pairs: Public networks; columns label, AP_det, AR_det, AP_gt, AR_gt.
        paper: Rows of Table 2; columns label, AP, AR. Those of FlatPose are marked.
        caption: The finding.
    """
    arrows = pairs.dropna(subset=["AR_det", "AR_gt"])
    det, gt, rows = _gap(arrows, "_det"), _gap(arrows, "_gt"), _gap(paper)
    flat, others = rows[rows.ours], rows[~rows.ours]
    with drawing.picture(1) as picture:
        axes, = drawing.stacked(picture, 1)
        lines = axes.plot([det.x, gt.x], [det.y, gt.y], color=OTHERS, linewidth=1.4)
        for start, end in zip(det.itertuples(), gt.itertuples(), strict=True):
            axes.annotate("", (end.x, end.y), xytext=(start.x, start.y), arrowprops={
                "arrowstyle": "-|>", "color": OTHERS, "linewidth": 1.4, "shrinkB": 0})
        for some, look, colour in ((det, "o", OTHERS), (flat, "D", OURS)):
            axes.plot(some.x, some.y, look, color=colour)
        lines += [axes.plot(row.x, row.y, "s", color=MUTED, markerfacecolor=CARD)[0] for row in others.itertuples()]
        axes.margins(0.14, 0.24)
        drawing.describe(axes, "Public networks, and Table 2", "arrow: from detector to ground-truth boxes\n"
                         "diamond: FlatPose in Table 2; hollow: the table's other rows", "AP × 100", "(AR − AP) × 100")
        drawing.names(axes, pd.concat([det, flat]), lines)
        return drawing.svg(picture, caption, [pairs, paper])


def _gap(found: pd.DataFrame, boxes: str = "") -> pd.DataFrame:
    """label, x (AP), y (AR − AP), ours; ``boxes`` ends the names of the columns ("_gt")."""
    ap, ar = found[f"AP{boxes}"], found[f"AR{boxes}"]
    names = found.label.str.replace(r",? 256×192| \(mmpose\)", "", regex=True)
    return pd.DataFrame({"label": names, "x": 100 * ap, "y": 100 * (ar - ap),
                         "ours": found.label.astype(str).str.startswith("FlatPose").astype(bool)})


def same_plot(committed: bytes, fresh: bytes) -> bool:
    """Equal bytes, or equal data where another version of matplotlib drew one of the two."""
    old, new = (re.search(rb"matplotlib (\S+), data (\w+)", svg) for svg in (committed, fresh))
    return committed == fresh or bool(old and new and old[1] != new[1] and old[2] == new[2])


def _best(evidence: Evidence, metric: str, kind: str = "trained") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lines of the frame in the best setting, on ground-truth boxes where there are any, and their summary by row."""
    rows = evidence.under(*evidence.best[:1])
    rows = rows[(rows["kind"] == kind) & (rows["status"] == "done")]
    rows = rows[rows["box_source"] == rows["box_source"].max()]  # "gt" sorts after "det:…"
    figure = evidence.experiment.figure
    if figure is not None and figure.curves:
        rows = rows[rows["series"].isin(figure.curves)]
    return rows, frame.summary(rows, metric).merge(rows.drop_duplicates("row")[["row", "gflops"]], on="row")


def _published(evidence: Evidence, metric: str) -> pd.DataFrame:
    """What the paper prints for each row (NaN where nothing), beside what the row is."""
    lines = []
    for row in evidence.experiment.rows:
        size = " 384" if max(row.run.image_size) > 256 else ""
        lines.append({"row": row.id, "series": row.series, "x": row.x,
                      "boxes": row.published.boxes if row.published else "",
                      "ours": row.run.model.kind == "flatpose", "label": row.label.split(" (")[0] + size,
                      "mean": printed(row).get(metric, math.nan) / 100})
    return pd.DataFrame(lines)


def _where(rows: pd.DataFrame) -> str:
    """"quick · embedded v1 (2000/300 images), ground-truth boxes"."""
    return "".join(f"{r.profile} · {r.data}, {frame.box_name(r.box_source)}" for r in rows[:1].itertuples())


def _change(rows: pd.DataFrame, metric: str, names: Mapping[float, str]) -> str:
    """How each series changes from the first to the last x (``names``: of each x), by the one rule of inference."""
    parts, counts = [], sorted(set(rows.groupby("row")["seed"].nunique()))
    for series, some in rows.groupby("series", sort=False):
        first, last = (pd.Series(next(iter(frame.by_seed(some[some.x == x], metric).values()), {}), dtype=float)
                       for x in (rows.x.min(), rows.x.max()))
        change = f"{100 * first.mean():.1f} → {100 * last.mean():.1f}".replace("nan", "–")
        undecided = stats.paired(last, first).verdict == "undecided"
        parts.append(f"{series} {change}{' (undecided)' if undecided else ''}")
    seeds = "one seed" if counts == [1] else f"{'–'.join(dict.fromkeys(map(str, counts[:1] + counts[-1:])))} seeds"
    ends = " → ".join(dict.fromkeys(names[x] for x in (rows.x.min(), rows.x.max())))
    return f"{metric} × 100, {ends}: {'; '.join(parts)} ({_where(rows)}, {seeds})."
