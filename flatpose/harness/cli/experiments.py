"""The commands about experiments that train nothing: list, show, validate, plan, status, report, compare, claims."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from flatpose.harness import catalog, store
from flatpose.harness.cli.options import (
    ExperimentArg,
    JobsOpt,
    JsonOpt,
    Launcher,
    LauncherOpt,
    ProfileOpt,
    RootOpt,
    RowsOpt,
    SeedsOpt,
    complete_ids,
    parse_seeds,
)
from flatpose.harness.console import OPTIONS, emit, minutes, out, say

if TYPE_CHECKING:
    from flatpose.harness.plan import Plan
    from flatpose.harness.spec import Profile, Row

app = typer.Typer()
RerunOpt = Annotated[store.Rerun, typer.Option(help="Besides unfinished runs, also start failed, stale or all.")]


@app.command("list")
def list_experiments(json_: JsonOpt = False) -> None:
    """The experiments and how many rows each has.

    Example: flatpose-exp list --json
    """
    found = [catalog.load(i) for i in catalog.ids()]
    emit([{"id": e.id, "title": e.title, "source": e.source, "rows": len(e.rows), "profiles": list(e.profiles)}
          for e in found], json_, ("id", "rows", "source", "title"),
         [(e.id, len(e.rows), e.source, e.title) for e in found])


@app.command()
def show(experiment: ExperimentArg, profile: ProfileOpt = None, json_: JsonOpt = False) -> None:
    """The question, rows, profiles and published numbers; with --json each row's whole configuration at a profile.

    Example: flatpose-exp show fig1 --profile paper --json
    """
    found = catalog.load(experiment)
    chosen = catalog.find_profile(found, profile)
    if json_:
        emit({"id": found.id, "title": found.title, "question": found.question, "profile": chosen.name,
              "rows": [_row_json(row, chosen) for row in found.rows]}, json_)
        return
    say(f"{found.id}: {found.title} ({found.source})\n{found.question}\n", out)
    emit(None, False, ("profile", "what it is"), [(name, p.description) for name, p in found.profiles.items()])
    emit(None, False, ("row", "label", "published"), [(r.id, r.label, _published(r)) for r in found.rows])
    for note in found.notes:
        say(f"- {note}", out)


def _row_json(row: Row, profile: Profile) -> dict[str, Any]:
    from flatpose.config import spec_hash, to_dict
    from flatpose.harness.spec import at_profile

    run, said = at_profile(row.run, profile), row.published
    published = {"params_m": None, "gflops": None, **said.numbers, "source": said.source} if said else None
    return {"id": row.id, "label": row.label, "published": published, "spec_hash": spec_hash(run),
            "readings": list(row.readings), "run": to_dict(run)}


def _published(row: Row) -> str:
    numbers = row.published.numbers if row.published else {}
    return ", ".join(f"{name} {value:g}" for name, value in numbers.items()) or "-"


@app.command()
def validate(experiment: Annotated[Optional[str], typer.Argument(metavar="[ID|PATH]", autocompletion=complete_ids)]
             = None,
             json_: JsonOpt = False) -> None:
    """Check that every row exists at every profile and that its parts fit together.

    A spec that ends in .py is Python code and is executed. A spec from somebody else is better checked as data, in a
    file that ends in .json: what `show ID --json` prints, or one row's "run" of it.

    Example: flatpose-exp validate my_table.py
    """
    names = [experiment] if experiment else catalog.ids()
    wrong = [{"experiment": name, "problem": problem} for name in names for problem in catalog.problems(name)]
    if json_:
        emit(wrong, json_)
    for item in wrong:
        say(f"{item['experiment']}: {item['problem']}")
    if wrong:
        raise typer.Exit(2)
    if not json_:
        say(f"{len(names)} experiments: valid", out)


@app.command()
def plan(experiment: ExperimentArg, row: RowsOpt = None, profile: ProfileOpt = None, data_root: RootOpt = None,
         seeds: SeedsOpt = None, rerun: RerunOpt = "missing", jobs: JobsOpt = None, launcher: LauncherOpt = "local",
         json_: JsonOpt = False) -> None:
    """What `run` would do with the same options, and why. Exit code 2 when the data are not there.

    Example: flatpose-exp plan fig1 --profile paper --rerun stale
    """
    from flatpose.harness.plan import side_by_side

    made = planned(experiment, row, profile, data_root, seeds, rerun, launcher)
    if made.due and made.minutes_per_run is None and launcher == "local":
        from flatpose.pipeline import training_minutes

        made = replace(made, minutes_per_run=training_minutes(made.due[0].run, data_root), measured=True)
    emit({"experiment": made.experiment.id, "profile": made.profile.name, "due": len(made.due),
          "minutes_per_run": made.minutes_per_run, "measured": made.measured, "gpu_hours": made.gpu_hours,
          "runs": [r.to_dict() for r in made.runs]}, json_, ("row", "seed", "status", "starts", "because"),
         [(", ".join(r.rows), r.seed, r.status, "yes" if r.due else "no",
           "see below" if r.status == "blocked" else r.reason) for r in made.runs],
         title=f"{made.experiment.id} at profile {made.profile.name}")
    if not json_:
        reasons = Counter(run.reason for run in made.runs if run.status == "blocked")
        for reason, count in reasons.items():
            say(f"blocked, {count} of {len(made.runs)} runs: {reason}", out)
        say(estimate(made, side_by_side(made, jobs)), out)
    if made.lacks_data:
        raise typer.Exit(2)


def planned(experiment: str, rows: list[str] | None, profile: str | None, data_root: Path | None, seeds: str | None,
            rerun: store.Rerun, launcher: Launcher = "local") -> Plan:
    """The plan for the options of ``plan`` and ``run``."""
    from flatpose.harness.plan import make_plan

    found = catalog.load(experiment)
    return make_plan(found, catalog.find_profile(found, profile), store.runs_dir(),
                     rows=[catalog.find_row(found, name) for name in rows or ()], seeds=parse_seeds(seeds),
                     data_root=data_root, rerun=rerun, elsewhere=launcher == "slurm", reports=store.root() / "reports")


def estimate(made: Plan, jobs: int) -> str:
    """How many runs start, and how long they take."""
    starts = f"{len(made.due)} of {len(made.runs)} runs start"
    if not made.due:
        return starts
    if made.minutes_per_run is None:
        return starts if made.elsewhere else f"{starts}; `plan` says how long one takes"
    basis = "measured here" if made.measured else "the profile's estimate"
    if made.trainings < len(made.due):
        starts += f", {made.trainings} of them train"
    total = made.minutes_per_run * -(-made.trainings // jobs)
    side_by_side = f", {jobs} side by side" if jobs > 1 else ""
    hours = "" if made.gpu_hours is None else f"; {made.gpu_hours:.1f} GPU-hours"
    return f"{starts}; about {minutes(total)} ({basis}: {minutes(made.minutes_per_run)} each{side_by_side}){hours}"


@app.command()
def status(json_: JsonOpt = False) -> None:
    """How far each experiment is, in every setting (profile and data) that has runs; your own experiments first.

    Smoke runs are listed only where an experiment has no others.

    Example: flatpose-exp status --json
    """
    from flatpose.harness.plan import overview

    rows = overview(store.root(), store.runs_dir())
    counts = ("done", "failed", "stale", "running")
    emit(rows, json_, ("experiment", "setting", "rows done", *counts, "seeds"),
         [(r["experiment"], r["setting"], f"{r['rows_done']}/{r['rows']}", *(r[c] for c in counts),
           ", ".join(map(str, r["seeds"]))) for r in rows])


@app.command()
def report(experiment: Annotated[str, typer.Argument(metavar="[ID|all]", autocompletion=complete_ids)] = "all",
           check: Annotated[bool, typer.Option("--check", help="Only say whether the pages are current.")] = False
           ) -> None:
    """Render reports/ from the records, or check that the committed pages match them.

    Example: flatpose-exp report all --check
    """
    write_pages([experiment], check)


def write_pages(ids: list[str], check: bool = False) -> None:
    """Write or check the pages of these experiments (all of them for "all") and print which changed."""
    from flatpose.harness.report import write

    changed = write(ids, store.root(), check=check, runs_dir=store.runs_dir())
    for path in changed if check or not OPTIONS.quiet else ():
        say(f"{'outdated' if check else 'written'}: {path}")
    if check and changed:
        say("  → flatpose-exp report all")
        raise typer.Exit(1)
    if check:
        say("reports/ is current")


@app.command()
def compare(experiment: ExperimentArg,
            strict: Annotated[bool, typer.Option("--strict", help="Exit 1 when a number is out of tolerance.")] = False,
            against: Annotated[Optional[Path], typer.Option(help="A runs folder or a reports/data file.")] = None,
            json_: JsonOpt = False) -> None:
    """Measured numbers beside the paper's, or beside other records of the same data, boxes and score rule.

    Example: flatpose-exp compare fig1 --against old_runs/
    """
    from flatpose.harness import compare as comparing
    from flatpose.harness import tables

    found = comparing.compare(catalog.load(experiment), store.root(), store.runs_dir(), against=against)
    table = tables.comparison(found)
    emit(comparing.to_dicts(found), json_, table.columns, table.to_numpy(), title=experiment)
    if found.empty and not json_:
        say("nothing to compare: no published number, or no row that was measured on both sides at one profile", out)
    if strict and (found["verdict"] == comparing.OUTSIDE).any():
        raise typer.Exit(1)


@app.command()
def claims(json_: JsonOpt = False) -> None:
    """Judge every quantitative sentence of the paper: its own arithmetic, one FLOP convention, what was measured here.

    Example: flatpose-exp claims --json
    """
    from flatpose.harness import claims as judging
    from flatpose.harness import frame

    judged = judging.judged(frame.read(store.root(), store.runs_dir()))
    emit([j.to_dict() for j in judged], json_, judging.COLUMNS, [j.cells() for j in judged])
