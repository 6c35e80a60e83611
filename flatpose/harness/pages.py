"""The pages of reports/ as markdown: of an experiment, the boxes, the studies, and the index.

Every page says what was run in one line, then comes its headline table at the best evidence, then the picture, then
notes; other settings are folded. Pure functions of the frames: equal records give equal bytes, and no clock is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

import flatpose
from flatpose.harness import catalog, compare, frame, stats, tables
from flatpose.harness.frame import Frames
from flatpose.harness.spec import Experiment
from flatpose.harness.tables import number

FLOOR = 0.05
"""Below 5 AP a network finds next to nothing, and comparing rows says nothing."""
SMALL = 0.3
"""In points: the size of most differences in the paper's ablations."""
FOLDED = 3
"""Further settings on a page; the CSV file has all."""
HEATMAP, PER_CELL, FINE = "heatmap as in HRNet", "SimCC, one bin per cell", "SimCC, 2 bins per pixel"
"""Codecs of the study of ceilings whose ends are told."""
Setting = tuple[str, str]


def experiment_page(experiment: Experiment, frames: Frames, pictures: Mapping[str, str]) -> str:
    """The page of one experiment; ``pictures``: files beside it, with their captions."""
    best, others = _settings(experiment, frames)
    found = finding(experiment, frames)
    source = f" ({experiment.source})" if experiment.id in catalog.ids() else ""
    shown = [f"![{experiment.title}]({file})\n\n*{caption}*" for file, caption in pictures.items()]
    return _page(f"{experiment.id}: {experiment.title}", f"{experiment.question}{source}",
                 f"**Found:** {found}" if found else "", what_was_run(experiment, frames, best),
                 _headline(experiment, frames, best), _not_run(experiment, frames, best), *shown,
                 *(_folded(_title(frames, experiment, s), _measured(experiment, frames, [s])) for s in others[:FOLDED]),
                 *_more(experiment, frames), _notes(experiment, frames), _reproduce(experiment, frames))


def finding(experiment: Experiment, frames: Frames) -> str:
    """What the records say of costs and of the reference row; a figure's caption says what its curves do."""
    parts = [costs_finding(compare.against_paper(experiment, frames))]
    for setting in _settings(experiment, frames)[0]:
        lines = frame.under(frames.of(experiment.id), *setting).query("box_source == 'gt' and kind == 'trained'")
        name = frame.main_metric(experiment, lines["task"].iloc[0]) if len(lines) else ""
        if name in lines and (lines[name] >= FLOOR).any():
            parts.append(_from_reference(experiment, frame.by_seed(lines, name), name))
    return " ".join(filter(None, parts))


def costs_finding(against: pd.DataFrame) -> str:
    """How many printed costs and hyper-parameters come out; ``against`` of :func:`compare.against_paper`."""
    costs = against[(against["convention"] != "") & against["measured"].notna()]
    if costs.empty:
        return ""
    within, wrong = ((costs["verdict"] == v).sum() for v in (compare.WITHIN, compare.MISPRINT))
    what = "hyper-parameters" if (costs["convention"] == compare.BUILT).all() else "parameter and GFLOP counts"
    more = f"; {wrong} printed number{'s are' if wrong > 1 else ' is'} known to be wrong" if wrong else ""
    return f"{within} of {len(costs)} printed {what} agree with the networks built here{more}."


def _from_reference(experiment: Experiment, seeds: Mapping[str, Mapping[int, float]], name: str) -> str:
    """Which rows differ from the reference row, and how many seeds a difference like the paper's would need."""
    labels, base = {r.id: r.label for r in experiment.rows}, seeds.get(experiment.reference or "")
    gaps = {row: stats.paired(found, base) for row, found in seeds.items() if found != base} if base else {}
    if all(gap.sd is None for gap in gaps.values()):
        return f"Rows have fewer than two seeds in common, so no difference in {name} is stated." if gaps else ""
    rows = {word: [labels[r] for r, gap in gaps.items() if gap.verdict == word] for word in ("higher", "lower")}
    parts = [f"{word}: {', '.join(found)}" for word, found in rows.items() if found]
    decided = sum(map(len, rows.values()))
    sd = pd.Series([gap.sd for gap in gaps.values() if gap.sd is not None]).pow(2).mean() ** 0.5
    return (f"{name} against {labels[str(experiment.reference)]}, paired by seed: "
            f"{'; '.join([*parts, f'undecided: {len(gaps) - decided} of {len(gaps)} rows'])}. At this scatter a "
            f"difference of {SMALL:g} needs {stats.seeds_needed(sd, SMALL / 100)} seeds.")


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
    """The table of one setting, only with what was measured."""
    if not experiment.figure:
        made = tables.rows(experiment, frames, settings, printed=False)
        return tables.markdown(made[(made.drop(columns="row") != tables.DASH).any(axis=1)])
    lines = frame.under(frames.of(experiment.id), *settings[0])
    return tables.markdown(tables.grid(experiment, lines, "gt"))


def _not_run(experiment: Experiment, frames: Frames, settings: Sequence[Setting]) -> str:
    """Rows without a number, with the reason, one line per reason; and failures."""
    results = frames.of(experiment.id)
    shown = pd.concat([results.iloc[:0], *(frame.under(results, *s) for s in settings)])
    why: dict[str, list[str]] = {}
    for row in experiment.rows if settings else ():
        own, name = shown[shown["row"] == row.id], tables.label(row)
        if own.empty:
            left = experiment.profiles[settings[0][0]].left_out.get(row.id, "no record")
            why.setdefault(f"Not run ({left})", []).append(name)
        for failure in own[own["status"] == "failed"].itertuples():
            why.setdefault(f"Failed ({failure.reason or 'no reason recorded'})", []).append(
                f"{name}, seed {failure.seed}")
    return "\n\n".join(f"{reason.replace('|', '¦')}: {', '.join(names)}." for reason, names in why.items())


def _more(experiment: Experiment, frames: Frames) -> list[str]:
    """Folded: timings and evaluated checkpoints."""
    timed, evaluated = frames.latencies.query("experiment == @experiment.id"), frames.of(experiment.id)
    evaluated = evaluated[evaluated["kind"] == "checkpoint"]
    machine = ", ".join(sorted({str(t.cpu if t.device == "CPU" else t.device) for t in timed.itertuples()}))
    found = {f"Time of a forward pass on {machine}, as a multiple of FlatPose-B's": tables.latency(timed, experiment),
             "Weights of others, evaluated without training": tables.checkpoints(evaluated, experiment.metric)}
    return [_folded(title, tables.markdown(table)) for title, table in found.items() if len(table)]


def _notes(experiment: Experiment, frames: Frames) -> str:
    used = dict.fromkeys(reading for row in experiment.rows for reading in row.readings)
    lines = list(experiment.notes)
    if used and experiment.id in catalog.ids():
        lines.append(f"Open points of the paper behind these rows: {', '.join(used)} ([readings](readings.md)).")
    known = set(frames.of(experiment.id)["run_id"])
    orphans = sum(r.run_id not in known for r in frames.files[experiment.id].records)
    if orphans:
        lines.append(f"Committed records that belong to no row any more and are not shown: {orphans}.")
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
    own = own[own["AP_gt"] >= FLOOR]
    largest = own["profile"].map(frame.SCALES).fillna(1)
    folded = {f"{title} ({len(rows)})": tables.boxes(rows) for title, rows in (
        ("Networks trained here, largest scale", own[largest == largest.max()]),
        ("Simulated networks: median error, tail, knowledge", _simulated(simulated))) if len(rows)}
    sources = "\n".join(f"- {p.label}: {p.det_source}; with ground-truth boxes: {p.gt_source}"
                        for p in pairs.itertuples())
    return study_page(
        "boxes: ground-truth against detector boxes",
        "Which boxes do FlatPose's rows of Table 2 come from, and how much AP do ground-truth boxes give away?",
        [boxes_finding(pairs, paper)], "nothing; public results of one network with both kinds of boxes (COCO val2017, "
        "flip test) stand beside the paper's rows.", pd.concat([tables.boxes(pairs), tables.boxes(paper[paper["ours"]])]
                                                               ).fillna(tables.DASH),
        folded, f"## Sources\n\n{sources}")


def _simulated(found: pd.DataFrame) -> pd.DataFrame:
    names = found[["spread", "tail", "knowledge"]].map("{:g}".format).agg(", ".join, axis=1) if len(found) else ""
    return found.assign(label=names)


def boxes_finding(pairs: pd.DataFrame, paper: pd.DataFrame) -> str:
    """The signature of ground-truth boxes in numbers."""
    ours, others = paper[paper["ours"]], paper[~paper["ours"]]
    nearest = min((max(abs(row[n] - pair[f"{n}_gt"]) for n in ("AP", "AP50", "AP75", "AR")), row["label"],
                   pair["label"]) for row in ours.to_dict("records") for pair in pairs.dropna().to_dict("records"))
    gain, det, gt = pairs["AP_gt"] - pairs["AP_det"], pairs["AR_det"] - pairs["AP_det"], pairs["AR_gt"] - pairs["AP_gt"]
    return (f"With ground-truth boxes {len(pairs)} public networks gain {_span(gain)} AP, and AR − AP falls from "
            f"{_span(det)} to {_span(gt)}. FlatPose's rows of Table 2 have {_span(ours['AR'] - ours['AP'])}, the other "
            f"rows {_span(others['AR'] - others['AP'])}. {nearest[1]} equals {nearest[2]} with ground-truth boxes to "
            f"{number(100 * nearest[0])} in AP, AP50, AP75 and AR.")


def _span(values: pd.Series[float]) -> str:
    return f"{100 * values.min():.1f}–{100 * values.max():.1f}"


def ceilings_page(found: pd.DataFrame, printed: pd.DataFrame) -> str:
    """What a perfect network would score through each codec. ``printed``: the paper's heatmap; columns x, value."""
    main = tables.main_ceilings(found)
    crowd = found.query("task == 'crowdpose' and part == 'map'")
    folded = {crowd["data"].iloc[0]: tables.ceilings(crowd)} if len(crowd) else {}
    folded |= {f"SimCC by {name}": tables.ceilings(found[found["part"] == part])
               for part, name in (("ratio", "bins per pixel"), ("sigma", "label width in pixels"))
               if (found["part"] == part).any()}
    return study_page(
        "ceilings: what the codec alone costs", "How much of the heatmap's collapse on small maps, and of SimCC's "
        "robustness, is encoding and decoding alone?", ceilings_finding(found, printed),
        f"ground truth is encoded, decoded and scored; no network. {main['data'].iloc[0]}, ground-truth boxes."
        f"{_stale(found)}", tables.ceilings(main), folded)


def ceilings_finding(found: pd.DataFrame, printed: pd.DataFrame) -> list[str]:
    """The ends of the curves that the paper argues from; none where they were not measured."""
    maps = tables.main_ceilings(found).sort_values("x") if len(found) else found
    ends = {name: maps[maps["series"] == name]["mean"].tolist() for name in (HEATMAP, PER_CELL, FINE) if len(maps)}
    if not ends or not all(ends.values()):
        return []
    said = printed.sort_values("x")["mean"].tolist()
    first, last = ([number(100 * values[i]) for values in (ends[HEATMAP], said, ends[PER_CELL])] for i in (0, -1))
    below = "below" if said[-1] < ends[HEATMAP][-1] else "not below"
    return [f"The ceiling of HRNet's heatmap falls from {first[0]} AP at 64×48 cells to {last[0]} at 8×6; the paper's "
            f"trained heatmap falls from {first[1]} to {last[1]}, which is {below} it.",
            f"SimCC with one bin per cell has a ceiling of {first[2]} and {last[2]}; with 2 bins per pixel it is "
            f"{number(100 * ends[FINE][0])} at every map."]


def _stale(found: pd.DataFrame) -> str:
    return " Stale: measured with older numerics." if (found["numerics"] != flatpose.NUMERICS).any() else ""


def readings_search_page(found: pd.DataFrame) -> str:
    """Which network the paper's parameter and GFLOP counts mean; ``found``: lines of kind cell, single and sets."""
    cells, sets = found[found["kind"] == "cell"], found[found["kind"] == "sets"]
    default = cells["default"].round(1) == cells["published"]
    table = pd.DataFrame({
        "row": cells["row"], "quantity": cells["quantity"].map(tables.QUANTITIES),
        "printed": cells["published"].map(number), "literal": cells["literal"].map(lambda v: number(v, 3)),
        "default": cells["default"].map(lambda v: number(v, 3)),
        "explained by": cells["explained_by"].fillna("no set tried").replace("", "the literal text")})
    counted = sets[["departures", "tried", "hits", "ties"]].astype(int)
    return study_page(
        "readings_search: which network the printed counts mean",
        "Which departures from the text explain the parameters and GFLOPs of Tables 1 and 5?",
        [f"The default reading explains {default.sum()} of {len(cells)} printed cells, the literal text "
         f"{(cells['literal'].round(1) == cells['published']).sum()}; the best of {counted['tried'].sum()} sets of up "
         f"to {counted['departures'].max()} departures explains {counted['hits'].max()}."],
        f"every set of departures was counted; no network was trained.{_stale(found)}", table,
        {"Best sets by number of departures": counted.astype(str)})


def study_page(title: str, question: str, found: Sequence[str], run: str, headline: pd.DataFrame,
               folded: Mapping[str, pd.DataFrame], *more: str) -> str:
    """The page of measurements that train nothing; its picture, if any, lies beside it under the same name."""
    name = title.partition(":")[0]
    return _page(title, question, f"**Found:** {' '.join(found)}", f"**Run:** {run}", tables.markdown(headline),
                 f"![{title}]({name}.svg)" if name != "readings_search" else "",
                 *(_folded(summary, tables.markdown(table)) for summary, table in folded.items()), *more,
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
