"""The pages of reports/ as markdown: of an experiment, of the studies, and the index.

Every page says what was run in one line, then comes its headline table at the best evidence, then the picture, then
notes; other settings are folded. Pure functions of the frames: equal records give equal bytes, and no clock is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

import flatpose
from flatpose.config import training_hash
from flatpose.harness import catalog, compare, findings, frame, plots, tables
from flatpose.harness.frame import Evidence, Frames, Setting
from flatpose.harness.spec import Experiment, at_profile
from flatpose.harness.tables import document, folded, markdown, number

FOLDED = 3
"""Further settings on a page; the CSV file has all."""
SIMULATION = (
    "Of a simulated network *error* is the median error of a person's keypoints in units of the OKS scale, *spread* "
    "the standard deviation of its logarithm over persons, and *known* the share of it that the scores reflect. All "
    "images of this subset show a person, so that false alarms cost a detector little.")
WEAK = ("The networks trained here say little about networks of 70 AP on COCO: those of `coco_mini` are far weaker, "
        "and the detections of embedded people are simulated.")
HEATMAP, PER_CELL, FINE = "heatmap as in HRNet", "SimCC, one bin per cell", "SimCC, 2 bins per pixel"
"""Codecs of the study of ceilings that the finding names."""


def experiment_page(experiment: Experiment, frames: Frames, pictures: Mapping[str, str]) -> str:
    """The page of one experiment; ``pictures``: files beside it, with their captions."""
    evidence, against = frames.of(experiment.id), compare.against_paper(experiment, frames)
    best, ours = evidence.best, experiment.id in catalog.ids()
    tasks = dict.fromkeys(row.run.data.task for row in experiment.rows)
    others = [setting for task in tasks for setting in evidence.settings(task)[1:]][:FOLDED]
    found = findings.of(experiment, frames)
    also = {setting: findings.sentences(experiment, frames, setting) for setting in others}
    timed = evidence.latencies
    machine = ", ".join(sorted({str(t.cpu if t.device == "CPU" else t.device) for t in timed.itertuples()}))
    more = {f"Time of a forward pass on {machine}, as a multiple of FlatPose-B's": tables.latency(evidence),
            "Weights of others, evaluated without training": tables.checkpoints(evidence)}
    return document(
        f"{experiment.id}: {experiment.title}", experiment.question + (f" ({experiment.source})" if ours else ""),
        f"**Found:** {found}" if found else "",
        *(f"**Found with {_title(evidence, setting)}:** {' '.join(said)}" for setting, said in also.items() if said),
        what_was_run(evidence), _headline(evidence, against),
        _not_run(evidence) if best else "",
        *(f"![{experiment.title}]({file})\n\n*{caption}*" for file, caption in pictures.items()),
        *(folded(_title(evidence, setting), _measured(evidence, setting)) for setting in others),
        *(folded(title, markdown(table)) for title, table in more.items() if len(table)),
        _notes(evidence, frames), _reproduce(evidence))


def what_was_run(evidence: Evidence) -> str:
    """Scale, data, rows, seeds and training of what the headline table shows, in one line."""
    experiment, parts = evidence.experiment, []
    if any(row.published and row.published.built for row in experiment.rows):
        return "**Run:** the network of the paper's size is built and its hyper-parameters are read; none is trained."
    if not evidence.best:
        left = experiment.profiles[experiment.default_profile].left_out
        return ("**Run:** networks are counted, not trained." if {r.id for r in experiment.rows} <= set(left) else
                f"**Run:** nothing has been trained yet; `flatpose-exp run {_name(experiment)}` does.")
    for setting in evidence.best:
        lines = evidence.under(setting)
        first, note = lines.iloc[0], ""
        if first["profile"] == "smoke":
            note = "; a smoke run shows that every step works, its numbers mean nothing"
        elif experiment.id in catalog.ids() and compare.unlike_paper(first):
            note = ("; a reduced scale, so rows compare with each other and not with the paper: "
                    + _networks(evidence, lines))
        epochs, trained, judged = (_range(lines[c]) for c in ("epochs", "train_persons", "val_persons"))
        flips = set(lines.query("kind == 'trained' and status == 'done'")["flip_test"])
        flip = {True: " with flip test", False: " without flip test"}[flips.pop()] if len(flips) == 1 else ""
        parts.append(f"{_title(evidence, setting)}, {epochs} epochs on {trained} persons at "
                     f"{first['input_h']}×{first['input_w']}, evaluated on {judged} persons{flip}{note}")
    shown = evidence.under(*evidence.best).query("kind == 'trained' and status == 'done'")
    seeds = shown.groupby("row")["seed"].nunique()
    legend = ["± is a 95 % interval over seeds"] * bool((seeds > 1).any()) + [
        "[ ] is one over images, of one seed"] * bool(shown["AP_low"].notna().any() and (seeds == 1).any())
    return f"**Run:** {'. '.join(parts)}. {'; '.join(legend) or 'One seed, no interval'}."


def _networks(evidence: Evidence, lines: pd.DataFrame) -> str:
    """The size of the networks that were trained, which is not that of the cost columns."""
    small = lines.loc[lines["status"] == "done", "params_m"].dropna()
    no_costs = evidence.experiment.figure or evidence.costs.empty
    counted = "" if no_costs else ", where the columns of costs count the full-size ones"
    return f"AP is that of networks of {_range(small, 1)} M parameters{counted}"


def _range(values: pd.Series[float], decimals: int = 0) -> str:
    ends = dict.fromkeys(f"{v:,.{decimals}f}" for v in (values.min(), values.max()))
    return "–".join(ends) if values.notna().any() else "?"


def _title(evidence: Evidence, setting: Setting) -> str:
    """"`quick` on embedded v1 (2000/300 images), 12 of 12 rows, 3 seeds"."""
    lines = evidence.under(setting)
    done = lines[(lines["status"] == "done") & (lines["kind"] == "trained")]
    seeds = done.groupby("row")["seed"].nunique()
    of = sum(r.run.data.task == lines["task"].iloc[0] for r in evidence.experiment.rows)
    profile = evidence.experiment.profiles[setting[0]]
    networks = len({training_hash(at_profile(row.run, profile)) for row in evidence.experiment.rows if row.id in seeds})
    shared = f" ({networks} trained networks)" if networks < len(seeds) else ""
    return (f"`{setting[0]}` on {lines['data'].iloc[0]}, {len(seeds)} of {of} rows{shared}, "
            f"{_range(seeds) if len(seeds) else 0} seed{'' if set(seeds) == {1} else 's'}")


def _headline(evidence: Evidence, against: pd.DataFrame) -> str:
    if len(shapes := tables.built(against)):
        return markdown(shapes)
    if evidence.experiment.figure:
        return _measured(evidence, evidence.best[0]) if evidence.best else ""
    shown = tables.rows(evidence, evidence.best, against)
    if evidence.best and not any(row.published for row in evidence.experiment.rows):
        left_out = evidence.experiment.profiles[evidence.best[0][0]].left_out
        shown = shown[~shown["row"].isin([tables.label(r) for r in evidence.experiment.rows if r.id in left_out])]
    return markdown(shown)


def _measured(evidence: Evidence, setting: Setting) -> str:
    """The table of one setting, only with what was measured."""
    if evidence.experiment.figure:
        return markdown(tables.grid(evidence, setting))
    return markdown(tables.measured(evidence, [setting]))


def _not_run(evidence: Evidence) -> str:
    """Rows without a number, with the reason, one line per reason; and failures."""
    shown, profile = evidence.under(*evidence.best), evidence.experiment.profiles[evidence.best[0][0]]
    why: dict[str, list[str]] = {}
    for row in evidence.experiment.rows:
        own, name = shown[shown["row"] == row.id], tables.label(row)
        if own.empty:
            why.setdefault(f"Not run ({profile.left_out.get(row.id, 'no record')})", []).append(name)
        failures = own[own["status"] == "failed"].fillna({"reason": "no reason recorded"})
        for reason, failed in failures.groupby("reason"):
            seeds = ", ".join(map(str, failed["seed"]))
            why.setdefault(f"Failed ({reason})", []).append(f"{name} (seed {seeds})")
    return "\n\n".join(f"{reason.replace('|', '¦')}: {findings.listed(names, len(evidence.experiment.rows))}."
                       for reason, names in why.items())


def _notes(evidence: Evidence, frames: Frames) -> str:
    experiment, lines = evidence.experiment, [*evidence.experiment.notes]
    used = sorted({reading for row in experiment.rows for reading in row.readings}, key=lambda id: (len(id), id))
    if used and experiment.id in catalog.ids():
        lines.append(f"Open points of the paper behind these rows: {', '.join(used)} ([readings](readings.md)).")
    known = set(evidence.results["run_id"])
    orphans = sum(r.run_id not in known for r in frames.files[experiment.id].records)
    if orphans:
        lines.append(f"Committed records that belong to no row any more and are not shown: {orphans}.")
    lines += [f"{tables.label(row)}: {row.published.note}" for row in experiment.rows
              if row.published and row.published.note]
    lines += filter(None, [findings.robustness(experiment, frames)])
    return "\n".join(["## Notes", "", *(f"- {line}" for line in lines)]) if lines else ""


def _reproduce(evidence: Evidence) -> str:
    name, results = _name(evidence.experiment), evidence.results
    trained = results[results["kind"] == "trained"].drop_duplicates(["profile", "source"])
    commands = [f"flatpose-exp run {name} --profile {r.profile}" + " --data-root DIR" * (r.source == "disk")
                + _seeds(evidence, (r.profile, r.data_id)) for r in trained.itertuples()]
    commands = commands or [f"flatpose-exp run {name}"]
    file = f"{evidence.experiment.id}.csv"
    return "\n".join(["```bash", *commands, f"flatpose-exp report {name}", "```", "",
                      f"Every number with its boxes, flip test, score rule, code and machine: [{file}]({file})."])


def _seeds(evidence: Evidence, setting: Setting) -> str:
    """The option for the seeds that at least half of the rows have, where they are not the experiment's own."""
    done = evidence.under(setting).query("kind == 'trained' and status == 'done'")
    rows = done.groupby("seed")["row"].nunique()
    seeds = tuple(int(seed) for seed in rows.index[rows >= rows.max() / 2])
    return f" --seeds {','.join(map(str, seeds))}" if seeds and seeds != evidence.experiment.seeds else ""


def _name(experiment: Experiment) -> str:
    return experiment.id if experiment.id in catalog.ids() else f"{experiment.id}.py"


def _study(title: str, question: str, found: Sequence[str], run: str, headline: pd.DataFrame, numbers: pd.DataFrame,
           folds: Mapping[str, pd.DataFrame], picture: bytes = b"", more: str = "") -> dict[str, bytes]:
    """Page, CSV file and picture of measurements that train nothing; ``title`` starts with the name of the files."""
    name = title.partition(":")[0]
    page = document(
        title, question, f"**Found:** {' '.join(found)}", f"**Run:** {run}", markdown(headline),
        f"![{title}]({name}.svg)" if picture else "",
        *(folded(summary, markdown(table)) for summary, table in folds.items() if len(table)), more,
        f"Every number: [{name}.csv]({name}.csv).")
    files = {f"{name}.md": page.encode(), f"{name}.csv": tables.csv(numbers), f"{name}.svg": picture}
    return {path: content for path, content in files.items() if content}


def boxes(frames: Frames, pairs: pd.DataFrame, simulated: pd.DataFrame) -> dict[str, bytes]:
    """Ground-truth against detector boxes: public pairs, the paper's rows, our networks, the simulation."""
    paper, own = tables.paper_boxes(frames), tables.own_boxes(frames)
    found = " ".join(boxes_finding(pairs, frames))
    trained = tables.own_box_effect(own[own["AP_gt"] >= frame.FLOOR])
    labels = [f"error {s.spread:g}, spread {s.tail:g}, known {s.knowledge:g}" for s in simulated.itertuples()]
    folds = {"Networks trained here, by experiment, counted once for each read-out": trained,
             f"Simulated networks ({len(simulated)})": tables.box_effect(simulated.assign(label=labels))
             if len(simulated) else simulated}
    sources = [f"- {p.label}: {p.det_source}; with ground-truth boxes: {p.gt_source}" for p in pairs.itertuples()]
    apart = (~pairs["gt_source"].str.startswith("the same page")).sum()
    numbers = {"public": pairs, "paper": paper, "trained": own, "simulated": simulated}
    return _study(
        "boxes: ground-truth against detector boxes",
        "Which boxes do FlatPose's rows of Table 2 come from, and how much AP do ground-truth boxes add?",
        [found], "no training for this page; public results of one network with both kinds of boxes (COCO val2017, "
        f"flip test; of {apart} pairs the two come from different pages, see Sources) stand beside the paper's rows.",
        pd.concat(map(tables.box_effect, (pairs, paper[paper["ours"]]))).fillna(tables.DASH),
        pd.concat([some.assign(kind=kind) for kind, some in numbers.items()]),
        folds,
        plots.boxes(pairs, paper, found), "\n".join([WEAK, "", SIMULATION, "", "## Sources", "", *sources]))


def boxes_finding(pairs: pd.DataFrame, frames: Frames) -> list[str]:
    """The row that looks like ground-truth boxes; their effect; the other rows; test-dev, whose truth is not public."""
    paper = tables.paper_boxes(frames)
    ours, others = paper[paper["ours"]], paper[~paper["ours"]]
    names, full = ["AP", "AP50", "AP75", "AR"], pairs.dropna()
    known = full[[f"{n}_gt" for n in names]].set_axis(names, axis=1)
    closeness = {i: (known - row[names].astype(float)).abs().max(axis=1) for i, row in ours.iterrows()}
    row, pair = min(((i, gaps.idxmin()) for i, gaps in closeness.items()), key=lambda p: closeness[p[0]][p[1]])
    said, theirs = (" / ".join(number(100 * v) for v in line) for line in (ours.loc[row, names], known.loc[pair]))
    gain, det, gt = pairs["AP_gt"] - pairs["AP_det"], full["AR_det"] - full["AP_det"], full["AR_gt"] - full["AP_gt"]
    ap50 = [_span(values) for values in (full["AP50_det"], full["AP50_gt"], ours["AP50"], others["AP50"])]
    return [f"{ours.label[row]} ({said} in AP, AP50, AP75, AR) agrees with {pairs.label[pair]} on ground-truth boxes "
            f"({theirs}) to {number(100 * closeness[row][pair])}.",
            f"With such boxes {len(pairs)} public networks gain {_span(gain)} AP; AR − AP of the {len(full)} that "
            f"print it falls from {_span(det)} to {_span(gt)}, their AP50 rises from {ap50[0]} to {ap50[1]}.",
            f"FlatPose's rows of Table 2 have an AR − AP of {_span(ours['AR'] - ours['AP'])} and an AP50 of {ap50[2]}, "
            f"the other rows {_span(others['AR'] - others['AP'])} and {ap50[3]}.",
            findings.test_dev(frames)]


def _span(values: pd.Series[float]) -> str:
    return f"{100 * values.min():.1f}–{100 * values.max():.1f}"


def ceilings(found: pd.DataFrame, printed: pd.DataFrame) -> dict[str, bytes]:
    """What a perfect network would score through each codec. ``printed``: the paper's heatmap; columns x, mean."""
    main, findings = tables.main_ceilings(found), ceilings_finding(found, printed)
    others = found[found["part"] == "map"].drop(main.index)
    folds = {**{f"{data}, {size}": part for (data, size), part in others.groupby(["data", "input"], sort=False)},
             "SimCC by bins per pixel": found.query("part == 'ratio'"),
             "SimCC by label width in pixels": found.query("part == 'sigma'")}
    return _study(
        "ceilings: what the codec alone costs", "How much of the heatmap's collapse on small maps, and of SimCC's "
        "robustness, is encoding and decoding alone?", findings,
        "ground truth is encoded, decoded and scored; no network (a trained heatmap can pass the ceiling of rounded "
        f"ones, [fig1](fig1.md)). {main['data'].iloc[0]}, ground-truth boxes."
        f"{_stale(found)}", tables.ceilings(main), found,
        {title: tables.ceilings(part) for title, part in folds.items() if len(part)},
        plots.ceilings(main, printed, " ".join(findings)), _about_ceilings(main))


def _about_ceilings(main: pd.DataFrame) -> str:
    """What limits the codecs that are not limited by cells, and why other keypoint sets have higher ceilings."""
    return (f"{100 * main['outside'].max():.2g} % of the labelled keypoints lie outside the crop, where regression and "
            "SAR can answer and the other codecs cannot. CrowdPose has no eyes, ears and nose, for which OKS is "
            "strictest: the same error costs less there.")


def ceilings_finding(found: pd.DataFrame, printed: pd.DataFrame) -> list[str]:
    """First and last value of the curves that the paper's argument uses; none where they were not measured."""
    maps = tables.main_ceilings(found).sort_values("x") if len(found) else found
    ends = {name: maps[maps["series"] == name]["mean"].tolist() for name in (HEATMAP, PER_CELL, FINE) if len(maps)}
    if not ends or not all(ends.values()):
        return []
    said = printed.sort_values("x")["mean"].tolist()
    first, last = ([number(100 * values[i]) for values in (ends[HEATMAP], said, ends[PER_CELL])] for i in (0, -1))
    return [f"Encoding and decoding alone, as in HRNet, keeps {first[0]} AP of real annotations on 64×48 cells and "
            f"{last[0]} on 8×6; the paper's trained heatmaps have {first[1]} and {last[1]}.",
            f"SimCC with one bin per cell keeps {first[2]} and {last[2]}, with 2 bins per pixel "
            f"{number(100 * ends[FINE][0])} on every map."]


def _stale(found: pd.DataFrame) -> str:
    return " Stale: measured with older numerics." if (found["numerics"] != flatpose.NUMERICS).any() else ""


def readings_search(found: pd.DataFrame) -> dict[str, bytes]:
    """Which network the paper's parameter and GFLOP counts mean; ``found``: lines of kind cell, single and sets."""
    cells, sets = found[found["kind"] == "cell"], found[found["kind"] == "sets"]
    default, literal = ((cells[c].round(1) == cells["published"]).sum() for c in ("default", "literal"))
    table = pd.DataFrame({
        "row": cells["row"], "quantity": cells["quantity"].map(tables.QUANTITIES),
        "printed": cells["published"].map(number),
        **{c: cells[c].map(lambda v: number(v, 3)) for c in ("literal", "default")},
        "explained by": cells["explained_by"].fillna("no set tried").replace("", "the literal text")})
    counted = sets[["departures", "tried", "hits", "ties"]].astype(int)
    return _study(
        "readings_search: which network the printed counts mean",
        "Which departures from the text explain the parameters and GFLOPs of Tables 1 and 5?",
        [f"The default reading explains {default} of {len(cells)} printed cells, the literal text {literal}; the best "
         f"of {counted['tried'].sum()} sets of up to {counted['departures'].max()} departures explains "
         f"{counted['hits'].max()}."],
        f"every set of departures was counted; no network was trained.{_stale(found)}", table, found,
        {"What each departure means": found.query("kind == 'single'")[["name", "meaning"]],
         "Best sets by number of departures": counted.astype(str)})


def index_page(frames: Frames, answers: Sequence[str], others: Mapping[str, str]) -> str:
    """What was found (``answers``), then one line per experiment, a user's own first, and per page of ``others``."""
    listed = sorted(frames.experiments.values(), key=lambda e: e.id in catalog.ids())
    lines = [(e.id, e.title, _done(frames.of(e.id))) for e in listed]
    lines += [(name, about, tables.DASH) for name, about in others.items()]
    table = pd.DataFrame([(f"[{name}]({name}.md)", *rest) for name, *rest in lines],
                         columns=["page", "about", "rows done"])
    return document("Reports", "\n".join(["## What was found", "", *(f"- {a}" for a in answers)]) if answers else "",
                    "## Experiments", markdown(table))


def _done(evidence: Evidence) -> str:
    """Rows with a finished run at the best evidence."""
    if not evidence.best and len(evidence.costs):
        return "costs only"
    done = evidence.under(*evidence.best).query("status == 'done'")["row"].nunique()
    scales = dict.fromkeys(f"`{profile}`" for profile, _ in evidence.best)
    return ", ".join([f"{done}/{len(evidence.experiment.rows)}", *scales])
