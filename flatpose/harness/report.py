"""Write or check reports/: read the frames once, render every file, compare bytes.

The files depend on the specs and the records alone, so a clone without runs/ renders the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from flatpose import studies
from flatpose.harness import catalog, claims, compare, findings, frame, pages, pictures, plots, readings, store, tables
from flatpose.harness.frame import Frames
from flatpose.harness.spec import Experiment
from flatpose.io import write_bytes
from flatpose.progress import Reporter

OTHERS = {"claims": "Each number that the paper states",
          "readings": "What the paper leaves open",
          "boxes": "Ground-truth or detector boxes",
          "ceilings": "What a codec alone costs",
          "readings_search": "Which network the printed costs mean"}
"""Pages that belong to no experiment: name -> what they are about."""
ANSWERS = {"ceilings": ("Is the collapse of heatmaps more than quantisation?", 0),
           "why": ("Do heatmaps collapse on coarse maps, and classifiers with as few bins?", 1),
           "controls": ("Does that depend on the start weights?", 1),
           "fig1": ("Does FlatPose gain over SimCC?", 1),
           "table5": ("Do the head, upsampling layers and ICA make a difference?", 1),
           "controlled": ("Which network leads on one backbone, under one recipe?", 2),
           "boxes": ("Which boxes do FlatPose's rows of Table 2 have?", 0),
           "claims": ("Do the paper's numbers hold?", 0)}
"""Page -> the question that it answers on the first page, and how many sentences of an experiment's finding do so."""


def write(ids: Sequence[str], root: Path, *, check: bool = False, runs_dir: Path | None = None) -> list[Path]:
    """Bring reports/ below ``root`` up to date, or (``check``) only report what is not.

    Args:
        ids: Experiment ids or paths of spec files; "all" stands for every experiment and study.
        root: Pages go to root/reports; records come from there and from ``runs_dir`` (root/runs).
        check: Write nothing.
        runs_dir: Where finished runs are.

    Returns:
        Paths relative to ``root`` that were written, or that a check found missing, outdated or left over.
    """
    runs_dir, known = runs_dir or root / "runs", catalog.ids()
    asked = [catalog.load(i) for i in dict.fromkeys(ids) if i not in ("all", *known)]
    own = {e.id: e for e in (*asked, *catalog.own(runs_dir))}
    frames = frame.read(root, runs_dir, experiments=[*own.values(), *map(catalog.load, known)])
    chosen = [e for e in frames.experiments.values() if "all" in ids or e.id in ids or e in asked]
    reports = root / "reports"
    files: dict[str, bytes] = {}
    for experiment in chosen:
        files |= (experiment_files(experiment, frames) if experiment.picture is None
                  else pictures.files(experiment, reports, runs_dir))
    if "all" in ids:
        files |= study_files(frames, reports)
    files["index.md"] = index(frames, reports, files).encode()
    leftover = [p for e in chosen for p in (*reports.glob(f"{e.id}.svg"), *reports.glob(f"{e.id}.*.svg"))
                if p.name not in files]
    changed = [reports / name for name, content in files.items() if not _current(reports / name, content)]
    if not check:
        for path in changed:
            write_bytes(path, files[path.relative_to(reports).as_posix()])
        for path in leftover:
            path.unlink()
    return sorted(p.relative_to(root) for p in (*changed, *leftover))


def experiment_files(experiment: Experiment, frames: Frames) -> dict[str, bytes]:
    """Page, CSV file, plots and records of one experiment, by path below reports/."""
    name, evidence, records = experiment.id, frames.of(experiment.id), frames.files[experiment.id]
    drawn = plots.files(frames, name)
    captions = {file: caption for file, (caption, _) in drawn.items()}
    numbers = pd.concat([evidence.results, evidence.costs.drop(columns="table6").reset_index().assign(kind="cost"),
                         compare.against_paper(experiment, frames).assign(kind="published"),
                         evidence.latencies.assign(kind="latency")])
    files = {f"{name}.md": pages.experiment_page(experiment, frames, captions).encode(),
             f"{name}.csv": tables.csv(numbers.dropna(axis=1, how="all")),
             **{file: svg for file, (_, svg) in drawn.items()}}
    if records.records or records.costs or records.latencies:
        files[f"data/{name}.json"] = records.dump().encode()
    return files


def study_files(frames: Frames, reports: Path) -> dict[str, bytes]:
    """The pages of what studies stored, and in the reports on the paper those that need all of its experiments."""
    simulated, search = (studies.load(reports / "data" / f"{name}.json")
                         for name in ("simulated_boxes", "readings_search"))
    found = ceilings(reports)
    files: dict[str, bytes] = {}
    if len(found) and found["x"].notna().any():  # the page is about codecs with cells
        files |= pages.ceilings(found, _printed(frames))
    if len(search):
        files |= pages.readings_search(search)
    if _has_paper(frames):
        files |= claims.files(frames) | readings.files(frames, search)
        files |= pages.boxes(frames, public_pairs(), simulated)
    return files


def measure_study(name: str, data_root: Path, reporter: Reporter) -> None:
    """Measure the codec ceilings on the annotations below ``data_root`` and store them; run again it continues."""
    from flatpose.studies import ceilings as study

    path = store.root() / "reports" / "data" / f"{name}.json"
    study.measure(catalog.entries("ceilings"), data_root, known=studies.load(path), reporter=reporter,
                  save=lambda found: studies.store(found, path))
    write(["all"], store.root(), runs_dir=store.runs_dir())


def index(frames: Frames, reports: Path, files: Mapping[str, bytes]) -> str:
    """The first page. In a folder of one's own it lists only what was done there. ``files``: already rendered."""
    others = {n: about for n, about in OTHERS.items() if f"{n}.md" in files or (reports / f"{n}.md").exists()}
    if not _has_paper(frames):
        used = {n: e for n, e in frames.experiments.items() if frames.files[n].records or frames.files[n].costs}
        return pages.index_page(Frames(used or frames.experiments, frames.files), (), others)
    tables_of_paper = [e for e in frames.experiments.values() if e.id.startswith("table")]
    costs = findings.costs(pd.concat([compare.against_paper(e, frames) for e in tables_of_paper]))
    agreement, *_, test_dev = pages.boxes_finding(public_pairs(), frames)
    claimed = claims.finding(claims.judged(frames))
    answers = {"ceilings": " ".join(pages.ceilings_finding(ceilings(reports), _printed(frames))),
               "boxes": f"{agreement} {test_dev}", "claims": f"{claimed} {costs}"}
    answers |= {name: _answer(frames, name, count) for name, (_, count) in ANSWERS.items() if name not in answers}
    return pages.index_page(frames, [f"**{question}** {answers[name]} ([{name}]({name}.md))"
                                     for name, (question, _) in ANSWERS.items() if answers[name]], others)


def _answer(frames: Frames, name: str, count: int) -> str:
    """The first sentences of a finding, at the best evidence and at larger scales that have their numbers."""
    evidence, experiment = frames.of(name), frames.experiments[name]
    first = replace(experiment, finding=experiment.finding[:count])
    best = evidence.best[:1]
    larger = [setting for setting in evidence.settings(experiment.rows[0].run.data.task)
              if best and frame.scale(setting[0]) > frame.scale(best[0][0])]
    said = {setting[0]: findings.sentences(first, frames, setting)[:count] for setting in (*best, *larger)}
    return " ".join(f"At `{profile}`: {' '.join(found)}" for profile, found in said.items() if found)


def public_pairs() -> pd.DataFrame:
    """Published results of one network with both kinds of boxes, metrics in 0..1."""
    pairs = pd.DataFrame(catalog.entries("box_pairs"))
    metrics = pairs.columns[pairs.columns.str.startswith("A")]
    return pairs.assign(**(pairs[metrics].astype(float) / 100))


def ceilings(reports: Path) -> pd.DataFrame:
    """What the study of codec ceilings stored, with ``input`` ("256×192") and ``mean`` (of the main metric)."""
    found = studies.load(reports / "data" / "ceilings.json")
    if found.empty:
        return found
    found = found.reindex(columns=[*dict.fromkeys([*found.columns, "AP", "PCKh@0.5"])])
    return found.assign(input=[f"{height}×{width}" for width, height in found["image_size"]],
                        mean=found["PCKh@0.5"].where(found["task"] == "mpii", found["AP"]))


def _has_paper(frames: Frames) -> bool:
    """Whether these are the reports on the paper, not a folder of one's own."""
    return any(frames.files[name].costs for name in ("table1", "table2"))


def _printed(frames: Frames) -> pd.DataFrame:
    """The paper's heatmap baseline over the grid: x (pixels per cell), mean in 0..1."""
    said = [(row.x, value / 100) for row in frames.experiments["fig1"].rows if row.series == "heatmap"
            for value in tables.printed(row).values()]
    return pd.DataFrame(said, columns=["x", "mean"])


def _current(path: Path, content: bytes) -> bool:
    if not path.exists():
        return False
    old = path.read_bytes()
    return plots.same_plot(old, content) if path.suffix == ".svg" else old == content
