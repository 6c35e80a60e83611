"""Tables of the pages and the terminal: selections of the frame as strings, formatted at the last moment.

Every function returns a DataFrame of strings whose columns are the headings; :func:`markdown` shows one.
Metrics are printed x 100; an interval over seeds reads "43.4 ± 0.9", one over images (one seed) "15.2 [13.1, 17]".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from flatpose.harness import compare, frame, stats
from flatpose.harness.frame import Evidence, Frames, Setting
from flatpose.harness.spec import Experiment, Published, Row, at_profile

DASH = "–"
QUANTITIES = {"params_m": "parameters (M)", "gflops": "GFLOPs"}
CLOSENESS = ("mean_OKS", "PCK@0.1")
"""Shown beside AP (flatpose.metrics.oks.closeness)."""
TOOLS = {"hrnet_tool": ", HRNet's tool", "leaf": ", leaf modules"}


def document(title: str, *sections: str) -> str:
    """A page: its title and the sections that are not empty."""
    return "\n\n".join(part.strip() for part in (f"# {title}", *sections) if part) + "\n"


def folded(summary: str, body: str) -> str:
    """A section that the reader opens; the attribute lets Python-Markdown render tables inside."""
    return (f'<details markdown="1"><summary>{summary.replace("`", "")}</summary>\n\n'
            f"{body}\n\n</details>")


def markdown(table: pd.DataFrame) -> str:
    """A pipe table; columns of numbers are right-aligned."""
    if table.empty:
        return "None."
    numeric = [table[c].str.match(r"[-+–]?[\d–]").all() for c in table]
    cells = table.apply(lambda column: column.str.replace("|", "\\|").str.replace("\n", " "))
    return str(cells.to_markdown(index=False, tablefmt="pipe", disable_numparse=True,
                                 colalign=["right" if right else "left" for right in numeric]))


def csv(table: pd.DataFrame) -> bytes:
    """The file beside a page that has every number."""
    return table.to_csv(index=False, float_format="%.6g").encode()


def number(value: float | None, decimals: int = 1, sign: str = "") -> str:
    """Fixed decimals without a negative zero; a dash for None and NaN."""
    if value is None or pd.isna(value):
        return DASH
    text = f"{value:{sign}.{decimals}f}"
    return text if float(text) else f"{0:.{decimals}f}"


def metric(line: Mapping[str, Any]) -> str:
    """A line of :func:`flatpose.harness.frame.summary` with its interval."""
    text = number(100 * line["mean"])
    if line["n"] > 1:
        text += f" ± {number(50 * (line['high'] - line['low']))}"
    elif not pd.isna(line["low"]):
        text += f" [{number(100 * line['low'])}, {number(100 * line['high'])}]"
    return text + (" (stale)" if line["stale"] else "")


def difference(gap: stats.Difference) -> str:
    """A paired difference with the half-width of its interval; a dash where one seed decides nothing."""
    return DASH if gap.half is None else f"{number(100 * gap.mean, sign='+')} ± {number(100 * gap.half)}"


def label(row: Row) -> str:
    """A row's label, with its input size where its group is one."""
    return f"{row.label}, {row.group.replace('x', '×')}" if row.group[:1].isdigit() else row.label


def printed(row: Row) -> dict[str, float]:
    """The metrics that the paper prints for a row, in points."""
    return {str(name): value for name, value in row.published.metrics.items()} if row.published else {}


def boxes(source: str) -> str:
    """"gt" -> "GT boxes", "det:person.json" -> "detector boxes"."""
    return "GT boxes" if source == "gt" else "detector boxes"


def x_names(experiment: Experiment, profile: str) -> dict[float, str]:
    """x -> the number, or where x is a stride the heatmap's height and width in cells at that profile ("64×48")."""
    rows = sorted((r for r in experiment.rows if r.x is not None), key=lambda r: r.x or 0)
    names = {row.x or 0.0: f"{row.x:g}" for row in rows}
    for row in rows if experiment.figure and "stride" in experiment.figure.x_label else []:
        run = at_profile(row.run, experiment.profiles[profile]) if profile in experiment.profiles else row.run
        if run.codec.kind == "heatmap":
            names[row.x or 0.0] = "×".join(str(side // run.codec.stride) for side in reversed(run.image_size))
    return names


def grid(evidence: Evidence, setting: Setting) -> pd.DataFrame:
    """For a figure: one line per trained series, with its metric at every x and beside them its codec's ceilings."""
    experiment, figure = evidence.experiment, evidence.experiment.figure
    assert figure is not None
    means = frame.summary(evidence.under(setting), experiment.metric)
    trained, names = means["kind"] == "trained", x_names(experiment, setting[0])
    at_x = means["x"].map(names).astype(str)
    means = means.assign(column=at_x.where(trained, "ceiling " + at_x), text=[
        metric(m) if m["kind"] == "trained" else number(100 * m["mean"]) for m in means.to_dict("records")])
    shown = means[trained & (means["box_source"] == "gt") | (means["kind"] == "ceiling")]
    series = set(means.loc[trained, "series"])
    wide = shown.pivot_table(index="series", columns="column", values="text", aggfunc="first").reindex(
        index=[name for name in dict.fromkeys(row.series for row in experiment.rows) if name in series],
        columns=[*names.values(), *(f"ceiling {name}" for name in names.values())])
    heading = "method, by " + figure.x_label.split(" (")[0].replace("-map stride", " map")
    return wide.dropna(axis=1, how="all").fillna(DASH).rename_axis(heading).rename_axis(columns=None).reset_index()


def rows(evidence: Evidence, settings: list[Setting], against: pd.DataFrame | None = None) -> pd.DataFrame:
    """One line per row: metric as printed and as measured, difference from the reference row, costs and verdict.

    Args:
        evidence: Of the experiment whose rows are the lines; empty columns are left out.
        settings: Those to show, one per benchmark of the experiment.
        against: From :func:`compare.against_paper`; None shows only what was measured.
    """
    experiment, chosen = evidence.experiment, evidence.under(*settings)
    costs = evidence.costs.to_dict("index")
    names = {row.id: frame.main_metric(experiment, row.run.data.task) for row in experiment.rows}
    name = " or ".join(dict.fromkeys(names[row.id] for row in sorted(experiment.rows, key=lambda r: r.run.data.task)))
    reference = next((r.label.split(" (")[0] for r in experiment.rows if r.id == experiment.reference), "")
    trained = chosen[chosen["kind"] == "trained"]
    means = {name: frame.summary(trained, name) for name in {*names.values(), *CLOSENESS}}
    gaps = {row: gap for name in set(names.values())
            for row, gap in frame.gaps(experiment, chosen[chosen["box_source"] == "gt"], name).items()
            if names[row] == name}
    lines = []
    for row in experiment.rows:
        own = means[names[row.id]]
        measured = {boxes(m["box_source"]): metric(m) for m in own[own["row"] == row.id].to_dict("records")}
        statuses = trained.loc[trained["row"] == row.id, "status"]
        failed = len(statuses) and (statuses == "failed").all()
        said = row.published or Published(source="")
        line = {"row": label(row),
                f"printed {name}": number(printed(row).get(names[row.id])),
                f"{name} here, GT boxes": measured.get("GT boxes", "failed" if failed else DASH),
                f"{name} here, detector boxes": measured.get("detector boxes", DASH),
                f"difference from {reference}": difference(gaps[row.id]) if row.id in gaps else DASH,
                **{name.replace("_", " "): _mean(means[name], row.id) for name in CLOSENESS}}
        if against is not None:
            line |= _costs(said, costs.get(row.id, {}))
            line["verdict"] = verdicts(against[against["row"] == row.id], names[row.id])
        lines.append(line)
    made = pd.DataFrame(lines)
    made = made if against is not None else made.drop(columns=f"printed {name}")
    return made.loc[:, (made != DASH).any()]


def measured(evidence: Evidence, settings: list[Setting]) -> pd.DataFrame:
    """:func:`rows` without those that were not trained."""
    done = evidence.under(*settings).query("kind == 'trained'")["row"]
    names = [label(row) for row in evidence.experiment.rows if row.id in set(done)]
    made = rows(evidence, settings)
    return made[made["row"].isin(names)]


def _mean(means: pd.DataFrame, row: str) -> str:
    """The row's mean over seeds with ground-truth boxes."""
    found = means[(means["row"] == row) & (means["box_source"] == "gt")]
    return number(100 * found["mean"].iloc[0]) if len(found) else DASH


def _costs(said: Published, counted: Mapping[str, Any]) -> dict[str, str]:
    """Printed beside counted, each in the convention of the print, and GFLOPs also with every matrix product."""
    params, by_tool = "params_leaf_m" if said.params_by == "leaf" else "params_m", said.gflops_by == "hrnet_tool"
    return {"printed params (M)": number(said.params_m), "params (M)": number(counted.get(params), 2),
            "printed GFLOPs": number(said.gflops),
            "GFLOPs, HRNet's tool": number(counted.get("gflops_hrnet_tool"), 2) if by_tool else DASH,
            "GFLOPs": number(counted.get("gflops"), 2)}


def verdicts(found: pd.DataFrame, name: str) -> str:
    """The verdicts on one row's costs and main metric, in a few words; those on other metrics are in the CSV file."""
    costs = found[found["quantity"].isin(list(QUANTITIES)) & (found["verdict"] != compare.NOT_RUN)]
    parts = [f"{QUANTITIES[c.quantity].split(' (')[0]}: {c.verdict}" for c in costs.itertuples()
             if c.verdict != compare.WITHIN] or [f"costs {compare.WITHIN}"] * bool(len(costs))
    metrics = found[(found["quantity"] == name) & found["measured"].notna()]
    return "; ".join([*parts, *(f"{name}, {boxes(m.box_source)}: {m.verdict}" for m in metrics.itertuples())]) or DASH


def built(found: pd.DataFrame) -> pd.DataFrame:
    """Printed hyper-parameters beside those of the built network; ``found``: from :func:`compare.against_paper`."""
    shapes = found[found["convention"] == compare.BUILT]
    return pd.DataFrame({"hyper-parameter": shapes["quantity"], "printed": shapes["reference"].map("{:g}".format),
                         "built": shapes["measured"].map(lambda v: DASH if pd.isna(v) else f"{v:g}"),
                         "verdict": shapes["verdict"]})


def latency(evidence: Evidence) -> pd.DataFrame:
    """Time of a forward pass as a multiple of FlatPose-B's, timed in turn, by mode."""
    labels, timed = {row.id: label(row) for row in evidence.experiment.rows}, evidence.latencies
    mode = "batch " + timed["batch"].astype(str) + timed["compiled"].map({True: ", compiled", False: ", eager"})
    made = timed.assign(mode=mode).pivot(index="row", columns="mode", values="ratio_flatpose_b")
    made = made.reindex([r for r in labels if r in made.index]).map(lambda r: number(r, 2))
    return made.rename(index=labels).rename_axis(columns=None).reset_index()


def checkpoints(evidence: Evidence) -> pd.DataFrame:
    """Evaluated files of weights, one line per file, data and box source."""
    found = evidence.results[evidence.results["kind"] == "checkpoint"]
    names = [m for m in (evidence.experiment.metric, "AP50", "AP75", "AR") if m in found and found[m].notna().any()]
    made = pd.DataFrame({"row": found["label"], "weights": found["file"], "data": found["data"],
                         "boxes": found["box_source"].map(frame.box_name, na_action="ignore")})
    return made.assign(**{m: (100 * found[m]).map(number) for m in names}).fillna(DASH)


def paper_boxes(frames: Frames) -> pd.DataFrame:
    """Rows of Table 2 with a printed AP and AR: label, AP, AP50, AP75, AR (0..1), and whether it is FlatPose's."""
    rows = [row for row in frames.experiments["table2"].rows if {"AP", "AR"} <= printed(row).keys()]
    found = pd.DataFrame([printed(row) for row in rows])[["AP", "AP50", "AP75", "AR"]] / 100
    return found.assign(label=[label(row) for row in rows], ours=[row.run.model.kind == "flatpose" for row in rows])


def own_boxes(frames: Frames) -> pd.DataFrame:
    """Networks trained here with both box sources, mean over seeds: label, profile, data, AP_det, AP_gt, …"""
    columns = [f"{m}_{b}" for b in ("det", "gt") for m in ("AP", "AP50", "AR")]
    trained = frames.results[frames.results["kind"] == "trained"]
    found = trained.dropna(subset=["AR"]) if "AR" in trained else trained.iloc[:0]
    if found.empty:
        return pd.DataFrame(columns=["label", "profile", "data", *columns])
    found = found.assign(boxes=found["box_source"].str.split(":").str[0],
                         label=found["experiment"] + ": " + found["label"]).drop_duplicates(
        ["run_id", "profile", "boxes"])  # EMA lines come first; rows share runs
    wide = found.pivot_table(index=["label", "profile", "data", "spec_hash"], columns="boxes", sort=False,
                             values=["AP", "AP50", "AR"])
    wide.columns = [f"{metric}_{box}" for metric, box in wide.columns]
    return wide.reindex(columns=columns).dropna().reset_index()


def own_box_effect(found: pd.DataFrame) -> pd.DataFrame:
    """Lines of :func:`own_boxes` by profile and experiment: how many, and the range of AP and of its gain."""
    named = found.assign(experiment=found["label"].str.split(":").str[0], gain=found["AP_gt"] - found["AP_det"])
    lines = [{"profile": profile, "experiment": experiment, "read-outs": str(len(some)),
              **{name: f"{number(100 * some[column].min())} to {number(100 * some[column].max())}"
                 for name, column in (("AP, GT boxes", "AP_gt"), ("gain in AP", "gain"))}}
             for (profile, experiment), some in named.groupby(["profile", "experiment"])]
    return pd.DataFrame(lines)


def box_effect(found: pd.DataFrame) -> pd.DataFrame:
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


def at_every_x(found: pd.DataFrame) -> pd.DataFrame:
    """Ceilings, where a codec without cells (x is NaN) has its one value at every x."""
    level = found[found["x"].isna()].drop(columns="x")
    return pd.concat([found.dropna(subset=["x"]), level.merge(found[["x"]].dropna().drop_duplicates(), how="cross")])


def ceilings(found: pd.DataFrame) -> pd.DataFrame:
    """One line per codec and one column per map size, number of bins or label width."""
    wide = at_every_x(found).pivot(index="series", columns="x", values="mean").loc[found["series"].unique()]
    height, width = (int(n) for n in found["input"].iloc[0].split("×"))
    is_map = found["part"].iloc[0] == "map"
    wide.columns = [f"{height / x:g}×{width / x:g}" if is_map else f"{x:g}" for x in wide.columns]
    return (100 * wide).map(number).rename_axis("codec").reset_index()


def comparison(found: pd.DataFrame) -> pd.DataFrame:
    """For ``compare``: a line per number, with the setting and boxes in which it was measured."""
    table = []
    for line in found.to_dict("records"):
        scale, decimals = (1, 2) if line["convention"] else (100, 1)
        shown = {c: number(None if line[c] is None else scale * line[c], decimals, "+" if c == "difference" else "")
                 for c in ("reference", "measured", "difference", "tolerance")}
        what = "measured" if line["against"] == "paper" else "difference"  # whose interval it is
        if pd.notna(line["half_width"]):
            shown[what] += f" ± {100 * line['half_width']:.1f} (n = {line['n']})"
        elif line["bootstrap"]:
            shown[what] += " [{:.1f}, {:.1f}]".format(*(100 * end for end in line["bootstrap"]))
        quantity = QUANTITIES.get(line["quantity"], line["quantity"]) + TOOLS.get(line["convention"], "")
        verdict = f"{line['verdict']} ({line['reason']})" if line["reason"] else line["verdict"]
        place = f"{line['setting']}, {boxes(line['box_source'])}" if pd.notna(line["setting"]) else DASH
        table.append({"row": line["label"], "quantity": quantity, "measured at": place, **shown, "verdict": verdict})
    return pd.DataFrame(table)
