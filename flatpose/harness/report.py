"""Writes or checks reports/: reads the frames once, renders every file, compares bytes.

The files depend on the specs and the records alone, so a clone without runs/ renders the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from flatpose.harness import catalog, compare, frame, pages, plots, tables
from flatpose.harness.frame import Frames
from flatpose.harness.spec import Experiment
from flatpose.io import read_json, write_bytes

OTHERS = {"boxes": "Which boxes do FlatPose's rows come from?",
          "ceilings": "What would a perfect network score through each codec?",
          "readings_search": "Which network do the printed parameters and GFLOPs mean?"}
"""Pages that belong to no experiment: name -> question."""


def write(ids: Sequence[str] | Literal["all"], root: Path, *, check: bool = False, runs_dir: Path | None = None
          ) -> list[Path]:
    """Brings reports/ below ``root`` up to date, or (``check``) only tells what is not.

    Args:
        ids: Experiment ids, paths of spec files, or "all".
        root: Pages go to root/reports; records come from there and from ``runs_dir`` (root/runs).
        check: Write nothing.
        runs_dir: Where finished runs are.

    Returns:
        Paths relative to ``root`` that were written, or that a check found missing, outdated or left over.
    """
    own = [] if ids == "all" else [i for i in ids if i not in catalog.ids()]
    experiments = [catalog.load(i) for i in (*own, *catalog.ids())]
    frames = frame.read(root, runs_dir or root / "runs", experiments=experiments)
    chosen = [e for e in experiments if ids == "all" or e.id in ids] or experiments[:len(own)]
    reports = root / "reports"
    files: dict[str, bytes] = {}
    for experiment in chosen:
        files |= experiment_files(experiment, frames, reports)
    if ids == "all" and _has_paper(frames):
        files |= study_files(frames, reports)
    files["index.md"] = index(frames, reports).encode()
    leftover = [p for e in chosen for p in (*reports.glob(f"{e.id}.svg"), *reports.glob(f"{e.id}.*.svg"))
                if p.name not in files]
    changed = [reports / name for name, content in files.items() if not _current(reports / name, content)]
    if not check:
        for path in changed:
            write_bytes(path, files[path.relative_to(reports).as_posix()])
        for path in leftover:
            path.unlink()
    return sorted(p.relative_to(root) for p in (*changed, *leftover))


def experiment_files(experiment: Experiment, frames: Frames, reports: Path) -> dict[str, bytes]:
    """Page, CSV twin, picture and records of one experiment, by path below reports/."""
    name, records = experiment.id, frames.files[experiment.id]
    pictures = {file: svg for file, svg in ((f"{name}.svg", _curves(experiment, frames)),
                                            (f"{name}.tradeoff.svg", _tradeoff(experiment, frames))) if svg}
    picture = next(iter(pictures), f"{name}.png" if (reports / f"{name}.png").exists() else None)
    files = {f"{name}.md": pages.experiment_page(experiment, frames, picture).encode(), **pictures,
             f"{name}.csv": _csv(pd.concat([
                 frames.of(name), frames.costs.query("experiment == @name").drop(columns="table6").assign(kind="cost"),
                 compare.against_paper(experiment, frames).assign(kind="published"),
                 frames.latencies.query("experiment == @name").assign(kind="latency")]).dropna(axis=1, how="all"))}
    if records.records or records.costs or records.latencies:
        files[f"data/{name}.json"] = records.dump().encode()
    return files


def study_files(frames: Frames, reports: Path) -> dict[str, bytes]:
    """The pages that need several experiments, or what studies stored."""
    found = ceilings(reports)
    pairs, simulated = public_pairs(), simulated_boxes(reports)
    paper, own = tables.paper_boxes(frames), tables.own_boxes(frames)
    drawn = own[own["AP_gt"] >= pages.FLOOR]
    files = {"boxes.md": pages.boxes_page(frames, pairs, simulated).encode(),
             "boxes.svg": plots.boxes(pairs, paper, drawn, pages.boxes_finding(pairs, paper)),
             "boxes.csv": _csv(pd.concat([pairs.assign(kind="public"), paper.assign(kind="paper"),
                                          own.assign(kind="trained"), simulated.assign(kind="simulated")]))}
    if len(found):
        printed = _printed(frames, "fig1", "heatmap")
        coco = found[(found["task"] == "coco") & (found["input"] == "256×192")].assign(label=found["series"])
        files |= {"ceilings.md": pages.ceilings_page(found, printed).encode(), "ceilings.csv": _csv(found),
                  "ceilings.svg": plots.ceilings(coco, printed, where=str(coco["data"].iloc[0]), caption=" ".join(
                      pages.ceilings_finding(coco[coco["part"] == "map"], printed)))}
    if (reports / "data" / "readings_search.json").exists():
        search: Any = read_json(reports / "data" / "readings_search.json")
        files |= {"readings_search.md": pages.readings_search_page(search).encode(),
                  "readings_search.csv": _csv(pd.DataFrame(search["cells"]))}
    return files


def index(frames: Frames, reports: Path) -> str:
    """The first page. In a folder of one's own it lists only what was done there."""
    if not _has_paper(frames):
        used = {name: e for name, e in frames.experiments.items()
                if frames.files[name].records or frames.files[name].costs}
        return pages.index_page(Frames(used or frames.experiments, frames.files), (), {})
    found, printed = ceilings(reports), _printed(frames, "fig1", "heatmap")
    coco = found[(found["task"] == "coco") & (found["input"] == "256×192") & (found["part"] == "map")] if len(found) else found
    answers = [*pages.ceilings_finding(coco, printed)[:1],
               pages.boxes_finding(public_pairs(), tables.paper_boxes(frames)),
               *(f"{name}: {text}" for name in ("why", "fig1", "table2", "table5") if name in frames.experiments
                 if (text := pages.finding(frames.experiments[name], frames)))]
    return pages.index_page(frames, answers, OTHERS)


def public_pairs() -> pd.DataFrame:
    """Published results of one network with both kinds of boxes, metrics in 0..1."""
    pairs = pd.DataFrame(catalog.public_pairs())
    metrics = pairs.columns[pairs.columns.str.startswith("A")]
    return pairs.assign(**{m: pairs[m].astype(float) / 100 for m in metrics})


def simulated_boxes(reports: Path) -> pd.DataFrame:
    """What the study of simulated boxes stored."""
    path = reports / "data" / "boxes_simulated.json"
    rows: Any = read_json(path)["rows"] if path.exists() else []
    return pd.DataFrame([{"label": f"median error {r['spread']:g}, tail {r['tail']:g}, knowledge {r['knowledge']:g}",
                          **{f"{m}_{box}": v for box in ("det", "gt") for m, v in r[box].items()}} for r in rows])


def ceilings(reports: Path) -> pd.DataFrame:
    """What the study of codec ceilings stored: task, data, input, part, series, x, value, low, high, outside."""
    path = reports / "data" / "ceilings.json"
    entries: Any = read_json(path)["ceilings"] if path.exists() else []
    lines = []
    for e in entries:
        name = "PCKh@0.5" if e["task"] == "mpii" else "AP"
        low, high = e["bootstrap"].get(name, (None, None))
        lines.append({**{k: e[k] for k in ("task", "data", "part", "series", "x", "outside", "error_px")},
                      "input": "{1}×{0}".format(*e["image_size"]), "value": e["metrics"][name], "low": low, "high": high})
    return pd.DataFrame(lines)


def _has_paper(frames: Frames) -> bool:
    """Whether these are the reports on the paper, not a folder of one's own."""
    return any(frames.files[name].costs or frames.files[name].records for name in ("table1", "table2"))


def _curves(experiment: Experiment, frames: Frames) -> bytes | None:
    """The figure at the best evidence; None where nothing is known."""
    figure = experiment.figure
    if figure is None:
        return None
    settings = frame.settings(frames.results, experiment, experiment.rows[0].run.data.task)
    lines = frame.under(frames.of(experiment.id), *settings[0]) if settings else frames.of(experiment.id).iloc[:0]
    means = frame.summary(lines, figure.y_metric).dropna(subset=["x"])
    ceiling = means[(means["kind"] == "ceiling") & figure.ceiling]
    printed = pd.concat([_printed(frames, experiment.id, s).assign(series=s)
                         for s in dict.fromkeys(r.series for r in experiment.rows)])
    if means.empty and printed.empty:
        return None
    ticks = None
    if len(lines) and "stride" in figure.x_label:
        height, width = lines[["input_h", "input_w"]].iloc[0]
        ticks = {x: f"{height / x:g}×{width / x:g}" for x in means["x"]}
    title = f"{lines['profile'].iloc[0]} on {lines['data'].iloc[0]}" if len(lines) else ""
    return plots.curves(means[(means["kind"] == "trained") & (means["box_source"] == "gt")], ceiling, printed,
                        title=title, caption=pages.finding(experiment, frames), x_label=figure.x_label,
                        metric=figure.y_metric, ticks=ticks, log2=figure.x_log2)


def _printed(frames: Frames, name: str, series: str) -> pd.DataFrame:
    """Published points of a curve: x, value in 0..1."""
    return pd.DataFrame([{"x": r.x, "value": r.published.metrics["AP"] / 100} for r in frames.experiments[name].rows
                         if r.series == series and r.published and "AP" in r.published.metrics],
                        columns=["x", "value"])


def _tradeoff(experiment: Experiment, frames: Frames) -> bytes | None:
    """Accuracy against cost; None for experiments that do not ask for it, and where nothing was counted."""
    costs = frames.costs[frames.costs["experiment"] == experiment.id].set_index("row")
    if not experiment.tradeoff or costs.empty:
        return None
    timed = frames.latencies[frames.latencies["experiment"] == experiment.id]
    eager = timed[(timed["batch"] == 1) & ~timed["compiled"].astype(bool)].set_index("row")["ratio_flatpose_b"]
    labels = {r.id: f"{r.label} {r.group}".strip() for r in experiment.rows}
    said = frames.published[(frames.published["experiment"] == experiment.id)
                            & (frames.published["metric"] == "AP")].set_index("row")["value"]
    printed = pd.DataFrame({"label": labels, "value": said, "gflops": costs["gflops"], "time": eager,
                            "printed_gflops": costs["published_gflops"]}).reindex(labels)
    measured = pd.DataFrame(columns=["label", "ours", "mean", "low", "high", "n", "gflops"])
    title, settings = "", frame.settings(frames.results, experiment, "coco")
    if settings:
        lines = frame.under(frames.of(experiment.id), *settings[0])
        means = frame.summary(lines[(lines["kind"] == "trained") & (lines["box_source"] == "gt")]).set_index("row")
        measured = means.assign(gflops=lines.groupby("row")["gflops"].first(), label=means.index.map(labels),
                                ours=means.index.str.startswith("flatpose"))
        title = f"{settings[0][0]} on {lines['data'].iloc[0]}"
    machine = ", ".join(sorted({str(t.cpu if t.device == "CPU" else t.device) for t in timed.itertuples()}))
    return plots.tradeoff(printed.assign(ours=printed.index.str.startswith("flatpose")), measured, machine=machine,
                          title=title, caption=pages.finding(experiment, frames) or experiment.question)


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, float_format="%.6g").encode()


def _current(path: Path, content: bytes) -> bool:
    if not path.exists():
        return False
    old = path.read_bytes()
    return plots.same_plot(old, content) if path.suffix == ".svg" else old == content
