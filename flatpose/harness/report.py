"""Writes or checks reports/: collect, render, compare bytes. The pages depend on the specs and the records alone."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from flatpose.errors import SpecError
from flatpose.harness import (
    ceilings_page,
    claims_page,
    collect,
    cost_answer,
    index_page,
    page,
    pictures,
    plots,
    readings_index,
    record_form,
    render,
    stopwatch,
    tradeoff,
)
from flatpose.harness.collect import Record, RecordSet, Setting, Stale
from flatpose.harness.compare import Comparison, against_paper
from flatpose.harness.compare_records import against_records
from flatpose.harness.spec import Experiment
from flatpose.io import read_json, write_bytes

OTHERS = {"boxes_simulated": "what boxes alone do to AP, AP50 and AR at the accuracy of Table 2",
          "ceilings": "what a perfect network would score through each codec, on real annotations",
          "readings_search": "which network the paper's parameters and GFLOPs mean"}
"""Pages beside those of the experiments, made without training."""


def write(ids: Sequence[str] | Literal["all"], root: Path, *, check: bool = False, runs_dir: Path | None = None,
          catalog: Sequence[Experiment] | None = None, stale: Stale | None = None) -> list[Path]:
    """Brings reports/ below ``root`` up to date, or (``check``) only tells what is not.

    Args:
        ids: Experiment ids, paths of spec files, or "all".
        root: Repository root; pages go to root/reports, records are merged from ``runs_dir`` (default root/runs).
        catalog: The experiments that exist (for the index); by default those of flatpose.harness.catalog.
        stale: Whether a record is by older code; by default judged by flatpose.harness.identity.

    Returns:
        Paths relative to ``root`` that were written, or that a check found missing, outdated or left over.
    """
    known = list(_catalog() if catalog is None else catalog)
    chosen = known if ids == "all" else [_find(i, known) for i in ids]
    stale = stale or default_stale()
    reports, runs_dir = root / "reports", runs_dir or root / "runs"
    found = [*collect.scan(runs_dir), *_committed(known, reports)]
    files: dict[str, bytes] = {}
    fresh: dict[str, RecordSet] = {}
    for experiment in chosen:
        fresh[experiment.id] = _records(experiment, reports, runs_dir, found)
        files |= render_files(experiment, fresh[experiment.id], stale)
        files |= pictures.files(experiment, reports, runs_dir) if experiment.picture is not None else {}
    entries = [(e, fresh.get(e.id) or _records(e, reports, runs_dir, found)) for e in known]
    if ids == "all":
        files |= ceilings_page.files(reports)
    files |= overview(entries, reports, whole=catalog is None and any(
        records.costs or records.records for e, records in entries if e.id in claims_page.EXPERIMENTS), stale=stale)
    leftover = [p for e in chosen for p in _pictures(reports, e.id) if p.name not in files]
    changed = [reports / name for name, content in files.items() if not _current(reports / name, content)]
    if not check:
        for path in changed:
            write_bytes(path, files[path.relative_to(reports).as_posix()])
        for path in leftover:
            path.unlink()
    return sorted(p.relative_to(root) for p in (*changed, *leftover))


def overview(entries: Sequence[tuple[Experiment, RecordSet]], reports: Path, *, whole: bool,
             stale: Stale | None = None) -> dict[str, bytes]:
    """The index, and (``whole``: the experiments are the paper's) what needs all of them: the claims."""
    others = {name: text for name, text in OTHERS.items() if (reports / "data" / f"{name}.json").exists()}
    if not whole:  # a folder of one's own: only what was done in it
        own = [(e, r) for e, r in entries if r.records or r.costs or r.drawings] or entries
        return {"index.md": index_page.index(own, others, stale=stale).encode()}
    by_id = {experiment.id: (experiment, records) for experiment, records in entries}
    judged = claims_page.judge_all(by_id, reports)
    found = [s for s in collect.settings(*by_id["fig1"]) if s.profile != "smoke"]
    shrinks = index_page.finding(*by_id["fig1"], found)
    cost = cost_answer.answer(judged, by_id, claims_page.box_gain(reports))
    answers = {"Does FlatPose's cost claim hold, and under which condition?": cost,
               "Does its accuracy claim hold?": claims_page.accuracy_answer(judged),
               "Does the heatmap collapse as its map shrinks, and SimCC not?": shrinks}
    more = {"claims": "does each number that the paper states hold?",
            "readings": "what the paper leaves open, what we chose, and what the choice changes", **others}
    return {**claims_page.files(judged, by_id), **readings_index.files(by_id),
            "index.md": index_page.index(entries, more, answers, "table2.tradeoff.svg", stale).encode()}


def render_files(experiment: Experiment, records: RecordSet, stale: Stale | None = None) -> dict[str, bytes]:
    """Every file of one experiment, by path below reports/: page, CSV twin, pictures, records."""
    pictures: dict[str, bytes] = {}
    names: dict[str, str] = {}
    if experiment.picture is not None:
        return {}  # flatpose.harness.pictures.files
    for title, name, setting in _plots(experiment, records) if experiment.figure else ():
        data = plots.plot_data(experiment, setting, stale)
        if any(curve["points"] for key in ("curves", "ceilings", "published") for curve in data[key]):
            pictures[name], names[title] = plots.draw(data), name
    tradeoffs = tradeoff.plot_data(experiment, records, stale) if experiment.tradeoff else {"panels": []}
    if tradeoffs["panels"]:
        name = f"{experiment.id}.tradeoff.svg"
        pictures[name], names[page.TRADEOFF] = tradeoff.draw(tradeoffs), name
    files = {f"{experiment.id}.md": page.page(experiment, records, names, stale).encode(),
             f"{experiment.id}.csv": render.to_csv(page.tables(experiment, records, stale)).encode(), **pictures}
    if records.records or records.costs or records.checkpoints or records.latencies or records.drawings:
        files[f"data/{experiment.id}.json"] = records.dump().encode()
    return files


def picture_names(experiment: Experiment, records: RecordSet) -> dict[str, str]:
    """Setting title -> file name of every picture that the page may have."""
    names = {title: name for title, name, _ in _plots(experiment, records)} if experiment.figure else {}
    return {**names, page.TRADEOFF: f"{experiment.id}.tradeoff.svg"} if experiment.tradeoff else names


def comparisons(experiment: Experiment, root: Path, *, against: Path | None = None, revision: str | None = None,
                runs_dir: Path | None = None, stale: Stale | None = None) -> list[Comparison]:
    """The rows of ``compare ID``: against the paper, a runs directory, a reports/data file, or a commit's records."""
    runs_dir = runs_dir or root / "runs"
    ours = _records(experiment, root / "reports", runs_dir, collect.scan(runs_dir))
    if revision is not None:
        return against_records(experiment, ours, _at(root, revision, experiment.id), revision)
    if against is None:
        return against_paper(experiment, ours, stale or default_stale())
    empty = RecordSet(experiment.id)
    theirs = (collect.merge(experiment, empty, collect.scan(against)) if against.is_dir()
              else collect.load(_existing(against), experiment.id))
    return against_records(experiment, ours, theirs, str(against))


def _at(root: Path, revision: str, name: str) -> RecordSet:
    """The records of one experiment as a commit has them."""
    file = f"reports/data/{name}.json"
    shown = subprocess.run(["git", "-C", str(root), "show", "--end-of-options", f"{revision}:{file}"],
                           capture_output=True)
    if shown.returncode:
        said = shown.stderr.decode(errors="replace").strip().splitlines()[:1]
        raise SpecError(f"no records there ({''.join(said)})", where=f"--git {revision}",
                        hint=f"git log --oneline -- {file}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.json"
        write_bytes(path, shown.stdout)
        return collect.load(path, name)


def _existing(path: Path) -> Path:
    read_json(path)
    return path


def _records(experiment: Experiment, reports: Path, runs_dir: Path, found: Iterable[Record]) -> RecordSet:
    """Committed records, newer ones from runs/, and costs computed on this machine (runs/costs/<id>.json)."""
    if experiment.picture is not None:
        return RecordSet(experiment.id)
    committed = collect.load(reports / "data" / f"{experiment.id}.json", experiment.id)
    costs = runs_dir / "costs" / f"{experiment.id}.json"
    records = collect.merge(experiment, committed, found, _costs(costs))
    timed = stopwatch.merged(experiment, committed.latencies, stopwatch.load(experiment.id, runs_dir))
    return replace(records, latencies=tuple(timed))


def _committed(known: Iterable[Experiment], reports: Path) -> list[Record]:
    """Of every experiment: a clone without runs/ shows another's run (boxes, Table 3) as well as its own."""
    return [r for e in known if e.picture is None
            for r in collect.load(reports / "data" / f"{e.id}.json", e.id).records]


def _costs(path: Path) -> list[Record]:
    return record_form.checked("costs", read_json(path), path) if path.exists() else []


def _plots(experiment: Experiment, records: RecordSet) -> list[tuple[str, str, Setting | None]]:
    """(setting title, file name, setting): the first setting has the plain name, the others their own."""
    found = [s for s in collect.settings(experiment, records) if s.profile != "smoke"]
    if not found:
        return [("", f"{experiment.id}.svg", None)]
    names = ["", *(f".{_slug(s.title)}" for s in found[1:])]
    return [(s.title, f"{experiment.id}{name}.svg", s) for s, name in zip(found, names, strict=True)]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _pictures(reports: Path, experiment_id: str) -> list[Path]:
    names = (f"{experiment_id}.svg", f"{experiment_id}.png")
    return [p for p in (*map(reports.joinpath, names), *reports.glob(f"{experiment_id}.*.svg")) if p.exists()]


def _current(path: Path, content: bytes) -> bool:
    if not path.exists():
        return False
    old = path.read_bytes()
    return plots.same_plot(old, content) if path.suffix == ".svg" else old == content


def _find(name: str, known: Iterable[Experiment]) -> Experiment:
    from flatpose.harness import catalog

    return next((e for e in known if e.id == name), None) or catalog.load(name)


def _catalog() -> list[Experiment]:
    from flatpose.harness import catalog

    return [catalog.load(i) for i in catalog.ids()]


def default_stale() -> Stale:
    """A record is stale when flatpose.harness.identity says that it is not current."""
    from flatpose.harness import identity

    return collect.stale_check(identity.is_current)
