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


def boxes_page(frames: Frames, pairs: pd.DataFrame, simulated: pd.DataFrame | None, picture: str) -> str:
    """Ground-truth against detector boxes: public pairs, the paper's rows, our networks, the simulation."""
    public, paper, own = box_rows(pairs), paper_boxes(frames), box_rows(own_boxes(frames))
    found = boxes_finding(public, paper, pairs)
    parts = [_folded(f"{title} ({len(rows)} networks)", tables.markdown(_box_table(rows)))
             for title, rows in (("Networks trained here", own), ("Simulated networks", box_rows(simulated)))
             if len(rows)]
    sources = "\n".join(f"- {p.label}: {p.det_source}; with ground-truth boxes: {p.gt_source}" for p in
                        pairs.itertuples())
    return _page("boxes: ground-truth against detector boxes", "Which boxes do FlatPose's rows of Table 2 come from, and "
                 "how much AP do ground-truth boxes give away?", f"**Found:** {found}",
                 "**Run:** nothing; public results of one network with both kinds of boxes (COCO val2017, flip test) "
                 "beside the paper's rows.", tables.markdown(pd.concat([_box_table(public), _box_table(
                     paper[paper["ours"]])]).fillna(tables.DASH)), f"![AR − AP against AP]({picture})", *parts,
                 f"## Sources\n\n{sources}", "Every number: [boxes.csv](boxes.csv).")


def box_rows(pairs: pd.DataFrame | None) -> pd.DataFrame:
    """Adds the gain in AP, and AR − AP with both kinds of boxes; metrics in 0..1."""
    if pairs is None or pairs.empty:
        return pd.DataFrame()
    return pairs.assign(gain=pairs["AP_gt"] - pairs["AP_det"], gap_det=pairs["AR_det"] - pairs["AP_det"],
                        gap_gt=pairs["AR_gt"] - pairs["AP_gt"])


def paper_boxes(frames: Frames) -> pd.DataFrame:
    """Rows of Table 2 with a printed AP and AR: label, AP, AP50, AP75, AR, AR − AP, and whether it is FlatPose's."""
    said = frames.published[frames.published["experiment"] == "table2"]
    made = said.pivot(index="row", columns="metric", values="value").reindex(said["row"].unique()).dropna(
        subset=["AP", "AR"])
    names = {r.id: f"{r.label} {r.group.replace('x', '×')}" for r in frames.experiments["table2"].rows}
    return made.assign(label=made.index.map(names), gap=made["AR"] - made["AP"],
                       ours=made.index.str.startswith("flatpose")).reset_index(drop=True)


def own_boxes(frames: Frames) -> pd.DataFrame:
    """Networks trained here with both box sources, best evidence of each experiment, each run once."""
    trained = frames.results[(frames.results["kind"] == "trained") & (frames.results["status"] == "done")]
    found = trained.dropna(subset=["AR"]).assign(boxes=trained["box_source"].str[:3].str.rstrip(":"))
    found = found.drop_duplicates(["run_id", "weights", "boxes"])  # EMA lines come first
    wide = found.drop_duplicates(["run_id", "boxes"]).pivot_table(
        index=["label", "profile", "data", "spec_hash"], columns="boxes", values=["AP", "AP50", "AR"], sort=False)
    if "det" not in wide.columns.get_level_values("boxes"):
        return pd.DataFrame()
    wide.columns = [f"{metric}_{box}" for metric, box in wide.columns]
    wide = wide.reset_index()
    return wide[wide["AP_gt"] >= FLOOR].dropna()


def boxes_finding(public: pd.DataFrame, paper: pd.DataFrame, pairs: pd.DataFrame) -> str:
    """The two signatures in numbers."""
    ours, others = paper[paper["ours"]], paper[~paper["ours"]]
    names = ["AP", "AP50", "AP75", "AR"]
    nearest = min(((max(abs(row[n] - pair[f"{n}_gt"]) for n in names), row["label"], pair["label"])
                   for row in ours.to_dict("records") for pair in pairs.dropna().to_dict("records")))
    return (f"with ground-truth boxes {len(public)} public networks gain {_span(public['gain'])} AP, and AR − AP falls "
            f"from {_span(public['gap_det'])} to {_span(public['gap_gt'])}. FlatPose's rows of Table 2 have "
            f"{_span(ours['gap'])}, the other rows {_span(others['gap'])}. In no column does {nearest[1]} differ by "
            f"more than {number(100 * nearest[0])} from {nearest[2]} with ground-truth boxes.")


def _span(values: Iterable[float]) -> str:
    found = [100 * v for v in values if pd.notna(v)]
    return f"{min(found):.1f} to {max(found):.1f}"


def _box_table(rows: pd.DataFrame) -> pd.DataFrame:
    columns = {"AP_det": "AP, detector boxes", "AP_gt": "AP, GT boxes", "gain": "gain", "AP": "AP, printed",
               "gap_det": "AR − AP, detector boxes", "gap_gt": "AR − AP, GT boxes", "gap": "AR − AP, printed"}
    return pd.DataFrame({"network": rows["label"], **{
        name: (100 * rows[c].astype(float)).map(number) for c, name in columns.items() if c in rows}})


def study_page(title: str, question: str, found: Sequence[str], run: str, headline: pd.DataFrame, *,
               picture: str | None = None, folded: Mapping[str, pd.DataFrame] | None = None, csv: str = "") -> str:
    """The page of a study that trains nothing."""
    return _page(title, question, "\n".join(f"- {line}" for line in found), f"**Run:** {run}",
                 tables.markdown(headline), f"![{title}]({picture})" if picture else "",
                 *(_folded(name, tables.markdown(table)) for name, table in (folded or {}).items()),
                 f"Every number: [{csv}]({csv})." if csv else "")


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
