"""The pages of reports/ as markdown: of an experiment, the boxes, the studies, and the index.

Every page says what was run in one line, then comes its headline table at the best evidence, then the picture, then
notes; other settings are folded. Pure functions of the frames: equal records give equal bytes, and no clock is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from flatpose.harness import catalog, compare, frame, stats, tables
from flatpose.harness.frame import Frames
from flatpose.harness.spec import Experiment
from flatpose.harness.tables import number

FLOOR = 0.05
"""Below 5 AP a network finds next to nothing, and comparing rows says nothing."""
Setting = tuple[str, str]


def experiment_page(experiment: Experiment, frames: Frames, picture: str | None = None) -> str:
    """The page of one experiment.

    Args:
        experiment: Its question, rows and notes.
        frames: Holds its records.
        picture: File beside the page that shows the rows.
    """
    best, others = _settings(experiment, frames)
    found = finding(experiment, frames)
    source = f" ({experiment.source})" if experiment.id in catalog.ids() else ""
    shown = f"![{experiment.title}]({picture})\n\n*{found or experiment.title}*" if picture else ""
    return _page(f"{experiment.id}: {experiment.title}", f"{experiment.question}{source}",
                 f"**Found:** {found}" if found and not picture else "", what_was_run(experiment, frames, best),
                 _headline(experiment, frames, best), _not_run(experiment, frames, best), shown,
                 *(_folded(f"{_title(frames, experiment, s)}", _measured(experiment, frames, [s])) for s in others),
                 *_more(experiment, frames), _notes(experiment, frames), _reproduce(experiment, frames))


def finding(experiment: Experiment, frames: Frames) -> str:
    """What the records say, in one or two sentences with numbers; empty when they say nothing yet."""
    best, _ = _settings(experiment, frames)
    parts = [_costs(compare.against_paper(experiment, frames))]
    for setting in best:
        lines = frame.under(frames.of(experiment.id), *setting)
        lines = lines[lines["box_source"] == "gt"]
        name = main_metric(experiment, lines)
        if (lines[lines["kind"] == "trained"].get(name, pd.Series(dtype=float)) >= FLOOR).any():
            seeds = frame.by_seed(lines, name)
            parts.append(_curves(experiment, lines, seeds, name) if experiment.figure
                         else _from_reference(experiment, seeds, name))
    return " ".join(filter(None, parts))


def main_metric(experiment: Experiment, lines: pd.DataFrame) -> str:
    """The metric of a setting's benchmark."""
    return "PCKh@0.5" if len(lines) and lines["task"].iloc[0] == "mpii" else experiment.metric


def _costs(against: pd.DataFrame) -> str:
    costs = against[(against["convention"] != "") & against["measured"].notna()]
    if costs.empty:
        return ""
    within, wrong = ((costs["verdict"] == v).sum() for v in (compare.WITHIN, compare.MISPRINT))
    what = "hyper-parameters" if (costs["convention"] == compare.BUILT).all() else "parameter and GFLOP counts"
    more = f"; {wrong} printed number{'s are' if wrong > 1 else ' is'} known to be wrong" if wrong else ""
    return f"{within} of {len(costs)} printed {what} agree with the network built here{more}."


def _curves(experiment: Experiment, lines: pd.DataFrame, seeds: Mapping[str, Mapping[int, float]], name: str) -> str:
    """Both ends of every curve."""
    parts, assert_one = [], []
    for series in dict.fromkeys(r.series for r in experiment.rows if r.series):
        ends = sorted((r.x, r.id) for r in experiment.rows if r.series == series and r.x is not None and r.id in seeds)
        if len(ends) < 2:
            continue
        first, last = (seeds[ends[i][1]] for i in (0, -1))
        gap = stats.paired(last, first)
        levels = " to ".join(number(100 * pd.Series(end).mean()) for end in (first, last))
        word = {"higher": "rises", "lower": "falls"}.get(gap.verdict, "goes")
        change = f" ({tables.difference(gap)}{', undecided' if gap.verdict == 'undecided' else ''})" if gap.low else ""
        parts.append(f"{series} {word} from {levels}{change}")
        assert_one.append(gap.verdict)
    if not parts:
        return ""
    assert experiment.figure is not None
    axis = experiment.figure.x_label.split(" (")[0]
    xs = sorted(r.x for r in experiment.rows if r.x is not None)
    one = " One seed each: these are measurements, not differences." if "one seed" in assert_one else ""
    return f"From {axis} {xs[0]:g} to {xs[-1]:g}, {name}: {'; '.join(parts)}.{one}"


def _from_reference(experiment: Experiment, seeds: Mapping[str, Mapping[int, float]], name: str) -> str:
    """Which rows differ from the reference row, and how many seeds smaller differences would need."""
    labels = {r.id: r.label for r in experiment.rows}
    base = seeds.get(experiment.reference or "")
    if not base:
        return ""
    gaps = {row: stats.paired(found, base) for row, found in seeds.items()
            if row != experiment.reference and found != base}
    parts = [f"{word}: {', '.join(labels[r] for r, g in gaps.items() if g.verdict == word)}"
             for word in ("higher", "lower") if any(g.verdict == word for g in gaps.values())]
    open_ = sum(g.verdict in ("undecided", "one seed") for g in gaps.values())
    return (f"{name} against {labels[str(experiment.reference)]}, paired by seed: "
            + "; ".join([*parts, *([f"undecided: {open_} of {len(gaps)} rows"] if open_ else [])]) + ".")


def what_was_run(experiment: Experiment, frames: Frames, settings: Sequence[Setting]) -> str:
    """Scale, data, rows, seeds and training of what the headline table shows, in one line."""
    if not settings:
        left = experiment.profiles[experiment.default_profile].left_out
        command = f"flatpose-exp run {_name(experiment)}"
        return ("**Run:** networks are counted, not trained." if {r.id for r in experiment.rows} <= set(left)
                else f"**Run:** nothing has been trained yet; `{command}` does.")
    parts = []
    for setting in settings:
        lines = frame.under(frames.of(experiment.id), *setting)
        first, note = lines.iloc[0], ""
        if first["profile"] == "smoke":
            note = "; a smoke run shows that every step works, its numbers mean nothing"
        elif experiment.id in catalog.ids() and compare.unlike_paper(first):
            note = "; a reduced scale, so rows compare with each other and not with the paper"
        parts.append(f"{_title(frames, experiment, setting)}, {_same(lines, 'epochs')} epochs on "
                     f"{_same(lines, 'train_persons')} persons at {first['input_h']}×{first['input_w']}, evaluated on "
                     f"{_same(lines, 'val_persons')} persons{note}")
    return f"**Run:** {'. '.join(parts)}. ± is a 95 % interval over seeds, [ ] over images."


def _same(lines: pd.DataFrame, column: str) -> str:
    values = sorted(lines[column].dropna().unique())
    return "–".join(f"{v:,.0f}" for v in dict.fromkeys([values[0], values[-1]])) if values else "?"


def _title(frames: Frames, experiment: Experiment, setting: Setting) -> str:
    """"`quick` on embedded v1 (2000/300 images), 12 of 12 rows, 3 seeds"."""
    lines = frame.under(frames.of(experiment.id), *setting)
    done = lines[(lines["status"] == "done") & (lines["kind"] == "trained")]
    seeds = done.groupby("row")["seed"].nunique()
    counts = "–".join(str(n) for n in dict.fromkeys([seeds.min(), seeds.max()])) if len(seeds) else "0"
    of = sum(r.run.data.task == lines["task"].iloc[0] for r in experiment.rows)
    return (f"`{setting[0]}` on {lines['data'].iloc[0]}, {len(seeds)} of {of} rows, "
            f"{counts} seed{'s' * (counts != '1')}")


def _settings(experiment: Experiment, frames: Frames) -> tuple[list[Setting], list[Setting]]:
    """The best evidence of every benchmark of the experiment, and all other settings."""
    each = [frame.settings(frames.results, experiment, task)
            for task in dict.fromkeys(r.run.data.task for r in experiment.rows)]
    return [found[0] for found in each if found], [s for found in each for s in found[1:]]


def _headline(experiment: Experiment, frames: Frames, settings: Sequence[Setting]) -> str:
    shapes = tables.built(compare.against_paper(experiment, frames))
    if len(shapes):
        return tables.markdown(shapes)
    if experiment.figure:
        return _measured(experiment, frames, settings) if settings else ""
    return tables.markdown(tables.rows(experiment, frames, settings))


def _measured(experiment: Experiment, frames: Frames, settings: Sequence[Setting]) -> str:
    """The table of one setting without anything printed."""
    if not experiment.figure:
        return tables.markdown(tables.rows(experiment, frames, settings, printed=False))
    lines = frame.under(frames.of(experiment.id), *settings[0])
    return tables.markdown(tables.grid(experiment, lines, "gt"))


def _not_run(experiment: Experiment, frames: Frames, settings: Sequence[Setting]) -> str:
    """Rows without a number, with the reason, one line per reason; and failures."""
    results = frames.of(experiment.id)
    shown = pd.concat([results.iloc[:0], *(frame.under(results, *s) for s in settings)])
    why: dict[str, list[str]] = {}
    for row in experiment.rows if settings else ():
        own = shown[shown["row"] == row.id]
        if own.empty:
            left = experiment.profiles[settings[0][0]].left_out.get(row.id, "no record")
            why.setdefault(f"Not run ({left})", []).append(row.label)
        for failure in own[own["status"] == "failed"].itertuples():
            why.setdefault(f"Failed ({failure.reason or 'no reason recorded'})", []).append(
                f"{row.label}, seed {failure.seed}")
    return "\n\n".join(f"{reason.replace('|', '¦')}: {', '.join(names)}." for reason, names in why.items())


def _more(experiment: Experiment, frames: Frames) -> list[str]:
    """Folded: timings and evaluated checkpoints."""
    timed = frames.latencies[frames.latencies["experiment"] == experiment.id]
    evaluated = frames.of(experiment.id)
    evaluated = evaluated[evaluated["kind"] == "checkpoint"]
    machine = ", ".join(sorted({str(t.cpu if t.device == "CPU" else t.device) for t in timed.itertuples()}))
    return [_folded(f"Time of a forward pass on {machine}, and as a multiple of FlatPose-B's",
                    tables.markdown(tables.latency(timed, experiment))) if len(timed) else "",
            _folded("Weights of others, evaluated without training",
                    tables.markdown(tables.checkpoints(evaluated, experiment.metric))) if len(evaluated) else ""]


def _notes(experiment: Experiment, frames: Frames) -> str:
    used = dict.fromkeys(reading for row in experiment.rows for reading in row.readings)
    lines = list(experiment.notes)
    if used and experiment.id in catalog.ids():
        lines.append(f"Open points of the paper that these rows depend on: {', '.join(used)} ([readings](readings.md)).")
    known = set(frames.of(experiment.id)["run_id"])
    orphans = sum(r.run_id not in known for r in frames.files[experiment.id].records)
    if orphans:
        lines.append(f"{orphans} committed records belong to no row any more and are not shown.")
    return "\n".join(["## Notes", "", *(f"- {line}" for line in lines)]) if lines else ""


def _reproduce(experiment: Experiment, frames: Frames) -> str:
    results, name = frames.of(experiment.id), _name(experiment)
    trained = results[results["kind"] == "trained"].drop_duplicates(["profile", "source"])
    commands = [f"flatpose-exp run {name} --profile {r.profile}" + " --data-root DIR" * (r.source == "disk")
                for r in trained.itertuples()] or [f"flatpose-exp run {name}"]
    return "\n".join(["```bash", *commands, f"flatpose-exp report {name}", "```", "",
                      f"Every number with its run, code and machine: [{experiment.id}.csv]({experiment.id}.csv)."])


def _name(experiment: Experiment) -> str:
    return experiment.id if experiment.id in catalog.ids() else f"{experiment.id}.py"


def boxes_page(frames: Frames, pairs: pd.DataFrame, simulated: pd.DataFrame) -> str:
    """Ground-truth against detector boxes: public pairs, the paper's rows, our networks, the simulation."""
    paper, own = tables.paper_boxes(frames), tables.own_boxes(frames)
    folded = {f"{title} ({len(rows)})": tables.boxes(rows) for title, rows in (
        ("Networks trained here", own), ("Simulated networks", simulated)) if len(rows)}
    sources = "\n".join(f"- {p.label}: {p.det_source}; with ground-truth boxes: {p.gt_source}"
                        for p in pairs.itertuples())
    return study_page(
        "boxes", "Which boxes do FlatPose's rows of Table 2 come from, and how much AP do ground-truth boxes give away?",
        [boxes_finding(pairs, paper)], "nothing; public results of one network with both kinds of boxes (COCO val2017, "
        "flip test) stand beside the paper's rows.", pd.concat([tables.boxes(pairs), tables.boxes(paper[paper["ours"]])]
                                                               ).fillna(tables.DASH),
        folded, f"## Sources\n\n{sources}")


def boxes_finding(pairs: pd.DataFrame, paper: pd.DataFrame) -> str:
    """The signature of ground-truth boxes in numbers."""
    ours, others = paper[paper["ours"]], paper[~paper["ours"]]
    nearest = min(((max(abs(row[n] - pair[f"{n}_gt"]) for n in ("AP", "AP50", "AP75", "AR")), row["label"],
                    pair["label"]) for row in ours.to_dict("records") for pair in pairs.dropna().to_dict("records")))
    gain, det, gt = pairs["AP_gt"] - pairs["AP_det"], pairs["AR_det"] - pairs["AP_det"], pairs["AR_gt"] - pairs["AP_gt"]
    return (f"With ground-truth boxes {len(pairs)} public networks gain {_span(gain)} AP, and AR − AP falls from "
            f"{_span(det)} to {_span(gt)}. FlatPose's rows of Table 2 have {_span(ours['AR'] - ours['AP'])}, the other "
            f"rows {_span(others['AR'] - others['AP'])}. {nearest[1]} differs by at most {number(100 * nearest[0])} in "
            f"every column from {nearest[2]} with ground-truth boxes.")


def _span(values: pd.Series[float]) -> str:
    return f"{100 * values.min():.1f} to {100 * values.max():.1f}"


def ceilings_page(found: pd.DataFrame, printed: pd.DataFrame) -> str:
    """What a perfect network would score through each codec. ``printed``: the paper's heatmap; columns x, value."""
    coco = found[(found["task"] == "coco") & (found["input"] == "256×192") & (found["part"] == "map")]
    folded = {f"{task}, {size}, {data}: by feature map": tables.ceilings(lines) for (task, size, data), lines in
              found[found["part"] == "map"].groupby(["task", "input", "data"], sort=False) if lines is not coco
              and (task, size) != ("coco", "256×192")}
    folded |= {f"SimCC by {name}": tables.ceilings(found[found["part"] == part])
               for part, name in (("ratio", "bins per pixel"), ("sigma", "label width in pixels"))}
    return study_page(
        "ceilings", "How much of the heatmap's collapse on small maps, and of SimCC's robustness, is encoding and "
        "decoding alone?", ceilings_finding(coco, printed), "ground truth is encoded, decoded and scored; no network. "
        f"{coco['data'].iloc[0]}, ground-truth boxes.", tables.ceilings(coco), folded)


def ceilings_finding(coco: pd.DataFrame, printed: pd.DataFrame) -> list[str]:
    """The ends of the curves that the paper argues from."""
    lines = []
    for name, curve in coco.dropna(subset=["x"]).groupby("series", sort=False):
        first, last = (curve.sort_values("x").iloc[i] for i in (0, -1))
        if name in ("heatmap as in HRNet", "SimCC, one bin per cell"):
            text = f"{name}: {number(100 * first['value'])} AP at 64×48, {number(100 * last['value'])} at 8×6"
            if name.startswith("heatmap") and len(printed):
                said = printed.sort_values("x")["value"]
                text += (f"; the paper prints {number(100 * said.iloc[0])} and {number(100 * said.iloc[-1])} for its "
                         f"trained network, which is {'not ' * bool(said.iloc[-1] >= last['value'])}below the ceiling")
            lines.append(text + ".")
    fine = coco[coco["series"] == "SimCC, 2 bins per pixel"]["value"]
    return [*lines, *([f"SimCC with 2 bins per pixel: {number(100 * fine.iloc[0])} AP at every map."] if len(fine)
                      else [])]


def readings_search_page(found: Mapping[str, Any]) -> str:
    """Which network the paper's parameter and GFLOP counts mean."""
    cells, best = pd.DataFrame(found["cells"]), max(found["best"], key=lambda b: b["hits"])
    table = pd.DataFrame({
        "row": cells["row"], "quantity": cells["quantity"].map(lambda q: tables.QUANTITIES.get(q, q)),
        "printed": cells["printed"].map(number), "literal": cells["literal"].map(lambda v: number(v, 3)),
        "default": cells["default"].map(lambda v: number(v, 3)),
        "explained by": [" + ".join(names) or "the literal text" for names in cells["explained_by"]]})
    sets = pd.DataFrame([{"departures": str(b["departures"]), "sets tried": str(b["tried"]), "cells explained":
                          str(b["hits"]), "sets as good": str(b["ties"])} for b in found["best"]])
    return study_page(
        "readings_search", "Which network do the parameters and GFLOPs of Tables 1 and 5 mean?",
        [f"The default reading explains {found['default']} of {len(cells)} printed cells; the best of "
         f"{found['sets_tried']} sets of departures from the text explains {best['hits']}."],
        f"{found['sets_tried']} sets of up to three departures were counted; no network was trained.", table,
        {"Best sets by number of departures": sets})


def study_page(name: str, question: str, found: Sequence[str], run: str, headline: pd.DataFrame,
               folded: Mapping[str, pd.DataFrame], *more: str) -> str:
    """The page of measurements that train nothing."""
    picture = "" if name == "readings_search" else f"![{found[0]}]({name}.svg)"
    return _page(f"{name}: {question}", "**Found:**\n\n" + "\n".join(f"- {line}" for line in found), f"**Run:** {run}",
                 tables.markdown(headline), picture,
                 *(_folded(title, tables.markdown(table)) for title, table in folded.items()), *more,
                 f"Every number: [{name}.csv]({name}.csv).")


def index_page(frames: Frames, answers: Sequence[str], others: Mapping[str, str]) -> str:
    """What was found, then one line per experiment; a user's own experiments come first.

    Args:
        answers: Findings, one sentence or two each.
        others: Further pages by name, with what they are about.
    """
    own = [e for e in frames.experiments.values() if e.id not in catalog.ids()]
    listed = [*own, *(e for e in frames.experiments.values() if e not in own)]
    lines: list[dict[str, Any]] = [
        {"experiment": f"[{e.id}]({e.id}.md)", "question": e.question, "rows done": _done(e, frames)} for e in listed]
    lines += [{"experiment": f"[{name}]({name}.md)", "question": about, "rows done": tables.DASH}
              for name, about in others.items()]
    return _page("Reports", *(["## What was found", "\n".join(f"- {a}" for a in answers)] if answers else []),
                 "## Experiments", tables.markdown(pd.DataFrame(lines)))


def _done(experiment: Experiment, frames: Frames) -> str:
    """Rows with a finished run at the best evidence."""
    results = frames.of(experiment.id)
    best, _ = _settings(experiment, frames)
    done = {row for s in best for row in frame.under(results, *s).query("status == 'done'")["row"]}
    scale = ", ".join(dict.fromkeys(f"`{profile}`" for profile, _ in best))
    if not best and (frames.costs["experiment"] == experiment.id).any():
        return "costs only"
    return f"{len(done)} of {len(experiment.rows)}" + (f", {scale}" if scale else "")


def _folded(summary: str, body: str) -> str:
    return f"<details><summary>{summary.replace('`', '')}</summary>\n\n{body}\n\n</details>"


def _page(title: str, *sections: str) -> str:
    return "\n\n".join(part.strip() for part in (f"# {title}", *sections) if part) + "\n"
