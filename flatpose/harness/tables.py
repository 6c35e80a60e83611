"""Tables of the pages and the terminal: selections of the frame as strings, formatted at the last moment.

Every function returns a DataFrame of strings whose columns are the headings; :func:`markdown` shows one.
Metrics are printed x 100; an interval over seeds reads "43.4 ± 0.9", one over images (one seed) "15.2 [13.1, 17]".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from flatpose.harness import compare, frame, stats
from flatpose.harness.frame import Frames
from flatpose.harness.spec import Experiment, Row

DASH = "–"
QUANTITIES = {"params_m": "parameters (M)", "gflops": "GFLOPs"}
BOXES = {"gt": "GT boxes", "det": "detector boxes"}


def markdown(table: pd.DataFrame) -> str:
    """A pipe table; the first column is left-aligned, the others are too unless they hold numbers."""
    numeric = [table[c].str.match(r"[-+–]?[\d–]").all() for c in table]
    cells = table.apply(lambda column: column.str.replace("|", "\\|").str.replace("\n", " "))
    return str(cells.to_markdown(index=False, tablefmt="pipe", disable_numparse=True,
                                 colalign=["right" if right else "left" for right in numeric]))


def number(value: float | None, decimals: int = 1, sign: str = "") -> str:
    """Fixed decimals without a negative zero; a dash for None and NaN."""
    if value is None or pd.isna(value):
        return DASH
    text = f"{value:{sign}.{decimals}f}"
    return text if float(text) else f"{0:.{decimals}f}"


def metric(line: Mapping[str, Any] | None) -> str:
    """A line of :func:`flatpose.harness.frame.summary` with its interval."""
    if line is None:
        return DASH
    text = number(100 * line["mean"])
    if line["n"] > 1:
        text += f" ± {number(50 * (line['high'] - line['low']))}"
    elif not pd.isna(line["low"]):
        text += f" [{number(100 * line['low'])}, {number(100 * line['high'])}]"
    return text + (" (stale)" if line["stale"] else "")


def difference(gap: stats.Difference) -> str:
    """A paired difference with the half-width of its interval; a dash where one seed decides nothing."""
    if gap.low is None or gap.high is None:
        return DASH
    return f"{number(100 * gap.mean, sign='+')} ± {number(50 * (gap.high - gap.low))}"


def grid(experiment: Experiment, results: pd.DataFrame, box: str) -> pd.DataFrame:
    """Of a figure: x against series, with the codec ceiling of each series that has one of its own."""
    assert experiment.figure is not None
    means = frame.summary(results, experiment.figure.y_metric)
    trained = means[(means["kind"] == "trained") & (means["box_source"] == box)].to_dict("records")
    ceilings = means[means["kind"] == "ceiling"].to_dict("records") if experiment.figure.ceiling else []
    size = results[["input_h", "input_w"]].iloc[0]
    lines = []
    for x in sorted({row.x for row in experiment.rows if row.x is not None}):
        name = f"{size.input_h / x:g}×{size.input_w / x:g}" if "stride" in experiment.figure.x_label else f"{x:g}"
        line = {experiment.figure.x_label.split(" (")[0].replace("-map stride", " map"): name}
        line |= {row.series: DASH for row in experiment.rows}
        line |= {m["series"]: metric(m) for m in trained if m["x"] == x}
        line |= {f"ceiling, {m['series']}": number(100 * m["mean"]) for m in ceilings if m["x"] == x}
        lines.append(line)
    made = pd.DataFrame(lines).fillna(DASH)
    level = made.filter(like="ceiling, ")  # codecs of one kind have the same ceiling, which is shown once
    return made.drop(columns=level.columns[level.T.duplicated()])


def rows(experiment: Experiment, frames: Frames, settings: Sequence[tuple[str, str]], *, printed: bool = True
         ) -> pd.DataFrame:
    """One line per row: printed and measured metric, difference from the reference row, costs and verdict.

    Args:
        experiment: Its rows are the lines; columns without any entry are left out.
        frames: Holds its results and costs.
        settings: (profile, data_id) to show, one per benchmark of the experiment.
        printed: Also show what the paper prints and the counts of the paper-size networks.
    """
    results = frames.of(experiment.id)
    chosen = pd.concat([results.iloc[:0], *(frame.under(results, *s) for s in dict.fromkeys(settings))])
    against = compare.against_paper(experiment, frames)
    costs = frames.costs[frames.costs["experiment"] == experiment.id].set_index("row").to_dict("index")
    lines = []
    for row in experiment.rows:
        name = frame.main_metric(experiment, row.run.data.task)
        line: dict[str, str] = {"row": label(row)}
        said, cost = row.published if printed else None, costs.get(row.id, {}) if printed else {}
        line["printed"] = number(said.metrics.get(name)) if said else DASH  # type: ignore[call-overload]
        own = chosen[(chosen["row"] == row.id) & (chosen["kind"] == "trained")]
        for mean in frame.summary(own, name).to_dict("records"):
            line[f"measured, {_boxes(mean['box_source'])}"] = metric(mean)
        if (own["status"] == "failed").any() and (own["status"] == "failed").all():
            line["measured, GT boxes"] = "failed"
        line["difference"] = _from_reference(experiment, chosen, row.id, name)
        line["printed params (M)"] = number(said.params_m) if said else DASH
        line["params (M)"] = number(cost.get("params_leaf_m" if said and said.params_by == "leaf" else "params_m"), 2)
        line["printed GFLOPs"] = number(said.gflops) if said else DASH
        by_tool = said is not None and said.gflops_by == "hrnet_tool"
        line["GFLOPs, HRNet's tool"] = number(cost.get("gflops_hrnet_tool"), 2) if by_tool else DASH
        line["GFLOPs"] = number(cost.get("gflops"), 2)
        line["verdict"] = verdicts(against[against["row"] == row.id], name) if printed else DASH
        lines.append(line)
    made = pd.DataFrame(lines).fillna(DASH)
    order = [c for c in made if not c.startswith("measured")]
    order[2:2] = [c for c in made if c.startswith("measured")]
    return made[[c for c in order if c == "row" or (made[c] != DASH).any()]].rename(columns=_headings(experiment))


def label(row: Row) -> str:
    """A row's label, with its input size where its group is one."""
    return f"{row.label}, {row.group.replace('x', '×')}" if row.group[:1].isdigit() else row.label


def _from_reference(experiment: Experiment, results: pd.DataFrame, row: str, name: str) -> str:
    """The row's paired difference, under its first box source."""
    if experiment.reference is None or row == experiment.reference or name not in results:
        return DASH
    seeds = frame.by_seed(results[results["box_source"] == "gt"], name)
    return difference(stats.paired(seeds.get(row, {}), seeds.get(experiment.reference, {})))


def _headings(experiment: Experiment) -> dict[str, str]:
    tasks = sorted({row.run.data.task for row in experiment.rows})
    name = " or ".join(dict.fromkeys(frame.main_metric(experiment, task) for task in tasks))
    reference = next((r.label.split(" (")[0] for r in experiment.rows if r.id == experiment.reference), "")
    return {"printed": f"printed {name}", "measured, GT boxes": f"{name}, GT boxes",
            "measured, detector boxes": f"{name}, detector boxes", "difference": f"difference from {reference}"}


def verdicts(found: pd.DataFrame, name: str) -> str:
    """The verdicts on one row's costs and main metric, in a few words; those on other metrics are in the CSV file."""
    costs = found[found["quantity"].isin(list(QUANTITIES)) & (found["verdict"] != compare.NOT_RUN)]
    parts = [f"{QUANTITIES[c.quantity].split(' (')[0]}: {c.verdict}" for c in costs.itertuples()
             if c.verdict != compare.WITHIN] or [f"costs {compare.WITHIN}"] * bool(len(costs))
    metrics = found[(found["quantity"] == name) & found["measured"].notna()]
    return "; ".join([*parts, *(f"{name}, {_boxes(m.box_source)}: {m.verdict}" for m in metrics.itertuples())]) or DASH


def _boxes(source: str) -> str:
    return BOXES[source.partition(":")[0]]


def built(found: pd.DataFrame) -> pd.DataFrame:
    """Printed hyper-parameters beside those of the built network; ``found`` of :func:`compare.against_paper`."""
    shapes = found[found["convention"] == compare.BUILT]
    return pd.DataFrame({"hyper-parameter": shapes["quantity"], "printed": shapes["reference"].map("{:g}".format),
                         "built": shapes["measured"].map(lambda v: DASH if pd.isna(v) else f"{v:g}"),
                         "verdict": shapes["verdict"]})


def latency(timed: pd.DataFrame, experiment: Experiment) -> pd.DataFrame:
    """Time of a forward pass as a multiple of FlatPose-B's, timed in turn, by mode."""
    labels = {row.id: label(row) for row in experiment.rows}
    found = timed[timed["row"].isin(labels)]
    mode = "batch " + found["batch"].astype(str) + found["compiled"].map({True: ", compiled", False: ", eager"})
    made = found.assign(mode=mode).pivot(index="row", columns="mode", values="ratio_flatpose_b")
    made = made.reindex([r for r in labels if r in made.index]).map(lambda r: number(r, 2))
    return made.rename(index=labels).rename_axis(columns=None).reset_index()


def checkpoints(results: pd.DataFrame, metric_name: str) -> pd.DataFrame:
    """Evaluated files of weights, one line per file, data and box source."""
    found = results[results["kind"] == "checkpoint"]
    names = [m for m in (metric_name, "AP50", "AP75", "AR") if m in found and found[m].notna().any()]
    made = pd.DataFrame({"row": found["label"], "weights": found["file"], "data": found["data"],
                         "boxes": found["box_source"].map(frame.box_name, na_action="ignore")})
    return made.assign(**{m: (100 * found[m]).map(number) for m in names}).fillna(DASH)


def paper_boxes(frames: Frames) -> pd.DataFrame:
    """Rows of Table 2 with a printed AP and AR: label, AP, AP50, AP75, AR (0..1), and whether it is FlatPose's."""
    said = frames.published[frames.published["experiment"] == "table2"]
    made = said.pivot(index="row", columns="metric", values="value").reindex(said["row"].unique()).dropna(
        subset=["AP", "AR"])
    names = {r.id: label(r) for r in frames.experiments["table2"].rows}
    return made.assign(label=made.index.map(names), ours=made.index.str.startswith("flatpose")).reset_index(drop=True)


def own_boxes(frames: Frames) -> pd.DataFrame:
    """Networks trained here with both box sources, mean over seeds: label, profile, data, AP_det, AP_gt, …"""
    columns = [f"{m}_{b}" for b in ("det", "gt") for m in ("AP", "AP50", "AR")]
    trained = frames.results[frames.results["kind"] == "trained"]
    found = trained.dropna(subset=["AR"]) if "AR" in trained else trained.iloc[:0]
    if found.empty:
        return pd.DataFrame(columns=["label", "profile", "data", *columns])
    found = found.assign(boxes=found["box_source"].str.split(":").str[0]).drop_duplicates(
        ["run_id", "profile", "boxes"])  # EMA lines come first; rows share runs
    wide = found.pivot_table(index=["label", "profile", "data", "spec_hash"], columns="boxes", sort=False,
                             values=["AP", "AP50", "AR"])
    wide.columns = [f"{metric}_{box}" for metric, box in wide.columns]
    return wide.reindex(columns=columns).dropna().reset_index()


def boxes(found: pd.DataFrame) -> pd.DataFrame:
    """AP and AR − AP with each kind of boxes, or as printed."""
    made = {"network": found["label"]}
    for box, name in {"_det": "detector boxes", "_gt": "GT boxes", "": "printed"}.items():
        if f"AP{box}" in found:
            made[f"AP, {name}"] = (100 * found[f"AP{box}"]).map(number)
            made[f"AR − AP, {name}"] = (100 * (found[f"AR{box}"] - found[f"AP{box}"])).map(number)
    if "AP_gt" in found:
        made["gain in AP"] = (100 * (found["AP_gt"] - found["AP_det"])).map(number)
    return pd.DataFrame(made)


def main_ceilings(found: pd.DataFrame) -> pd.DataFrame:
    """Ceilings by feature map on COCO at 256×192, or where these were not measured on the first benchmark there is."""
    maps = found[found["part"] == "map"]
    first = maps[(maps["task"] == "coco") & (maps["input"] == "256×192")]
    return first if len(first) else maps[(maps[["task", "input"]] == maps[["task", "input"]].iloc[0]).all(axis=1)]


def ceilings(found: pd.DataFrame) -> pd.DataFrame:
    """Codec against what is varied; a codec without cells has one value everywhere."""
    level = found[found["x"].isna()].drop(columns="x").merge(found[["x"]].dropna().drop_duplicates(), "cross")
    wide = pd.concat([found.dropna(subset=["x"]), level]).pivot_table(
        index="series", columns="x", values="mean", sort=False).sort_index(axis=1)
    height, width = (int(n) for n in found["input"].iloc[0].split("×"))
    is_map = found["part"].iloc[0] == "map"
    wide.columns = [f"{height / x:g}×{width / x:g}" if is_map else f"{x:g}" for x in wide.columns]
    return (100 * wide).map(number).rename_axis("codec").reset_index()


def comparison(found: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """For ``compare``: a table per condition and box source, one of costs, and one of what cannot be compared."""
    alone = found["measured"].isna() & (found["verdict"] != compare.FAILED)
    title = found["setting"] + ", " + found["box_source"].map(frame.box_name, na_action="ignore")
    title = title.where(found["convention"] == "", "costs and hyper-parameters of the paper-size networks")
    title = title.fillna("failed").mask(alone, "not compared")
    order = sorted(set(title), key=lambda t: (t == "not compared", t))
    return [(name, _compared(found[title == name])) for name in order]


def _compared(lines: pd.DataFrame) -> pd.DataFrame:
    scale, decimals = ([v if plain else w for plain in lines["convention"] != ""] for v, w in ((1, 100), (2, 1)))
    shown = {name: [number(s * v, d, sign) for s, v, d in zip(scale, lines[name].astype(float), decimals, strict=True)]
             for name, sign in (("reference", ""), ("measured", ""), ("difference", "+"), ("tolerance", ""))}
    spread = [f" ± {100 * h:.1f} (n = {n})" if pd.notna(h) else f" [{100 * b[0]:.1f}, {100 * b[1]:.1f}]" if b else ""
              for h, n, b in zip(lines["half_width"].astype(float), lines["n"], lines["bootstrap"], strict=True)]
    what = "measured" if (lines["against"] == "paper").all() else "difference"  # whose interval it is
    shown[what] = [m + s for m, s in zip(shown[what], spread, strict=True)]
    shown["verdict"] = [f"{v} ({r})" if r else v for v, r in zip(lines["verdict"], lines["reason"], strict=True)]
    tool = lines["convention"].map({"hrnet_tool": ", HRNet's tool", "leaf": ", leaf modules"}).fillna("")
    return pd.DataFrame({"row": lines["label"], "quantity": lines["quantity"].replace(QUANTITIES) + tool, **shown})


