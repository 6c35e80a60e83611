"""``run``: make what is missing, print the numbers, render the page."""

from __future__ import annotations

import shlex
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from flatpose.errors import SpecError
from flatpose.harness import catalog, store
from flatpose.harness.cli.experiments import RerunOpt, estimate, planned, write_pages
from flatpose.harness.cli.options import ExperimentArg, JobsOpt, LauncherOpt, ProfileOpt, RootOpt, RowsOpt, SeedsOpt
from flatpose.harness.console import OPTIONS, Display, emit, err, minutes, note, say

if TYPE_CHECKING:
    from flatpose.harness.plan import Plan
    from flatpose.harness.runner import Outcome
    from flatpose.harness.spec import Experiment

app = typer.Typer()
CheckpointOpt = Annotated[Optional[Path], typer.Option(
    help="Train nothing: evaluate this .pth or .safetensors file as the one --row, at the paper's size by default.")]
SlurmOpt = Annotated[Optional[list[str]], typer.Option("--slurm", metavar="NAME=VALUE", help="A parameter of the jobs, "
                     "as in slurm_partition=gpu, timeout_min=600, gpus_per_node=1 (repeatable).")]
ReportOpt = Annotated[bool, typer.Option("--report/--no-report", help="Render the page afterwards.")]
HINTS = {"failed": "try again: --rerun failed", "stale": "made by older code, whose numbers differ: --rerun stale"}


@app.command()
def run(experiment: ExperimentArg, row: RowsOpt = None, profile: ProfileOpt = None, data_root: RootOpt = None,
        seeds: SeedsOpt = None, jobs: JobsOpt = None, rerun: RerunOpt = "missing", checkpoint: CheckpointOpt = None,
        launcher: LauncherOpt = "local", slurm: SlurmOpt = None, report_: ReportOpt = True) -> None:
    """Train and evaluate what is missing, resume what was killed, print the numbers, then render the page.

    There are no options for hyper-parameters: a changed number is a new row in a spec. A spec file given by its path
    is Python code and is executed.

    Example: flatpose-exp run fig1 --row simcc_s32 --seeds 0,1,2 --data-root /data
    """
    from flatpose.harness.plan import side_by_side

    if checkpoint is not None:
        _evaluate_checkpoint(experiment, row, profile, checkpoint, data_root)
        if report_:
            write_pages([experiment])
        return
    if store.rank():
        OPTIONS.quiet = True  # rank 0 prints and renders for all
    made = planned(experiment, row, profile, data_root, seeds, rerun, launcher)
    if experiment.endswith(".py") and not store.rank():
        store.remember_spec(store.runs_dir(), made.experiment.id, Path(experiment).resolve())
    at_once = side_by_side(made, jobs)
    note(f"{made.experiment.id} at profile {made.profile.name}: {estimate(made, at_once)}")
    with closing(Display()) as display:
        outcomes = (_on_slurm(made, data_root, slurm or [], display) if launcher == "slurm"
                    else _here(made, data_root, display, at_once))
    if store.rank():
        return  # with any other exit code torchrun would end rank 0 while it renders
    everything = _all_outcomes(made, outcomes)
    states = {o.status for o in everything}
    code = 1 if "failed" in states else 2 if "blocked" in states else 0
    _print_outcomes(made, everything)
    if made.experiment.picture is not None and not code:
        _draw(made, row, data_root, display)
    if report_ and code != 2:
        write_pages([experiment])
        note(f"page: {store.root() / 'reports' / made.experiment.id}.md")
    raise typer.Exit(code)


def _here(made: Plan, data_root: Path | None, display: Display, jobs: int) -> list[Outcome]:
    from flatpose.harness.sweep import run_plan

    try:
        return run_plan(made, store.runs_dir(), data_root, display, jobs)
    except KeyboardInterrupt:
        display.close()
        folders = [p.folder(store.runs_dir()) for p in made.due]
        unfinished = [folder for folder in folders if folder.record() is None]
        resumable = sum((folder.path / "checkpoint").is_dir() for folder in unfinished)
        say(f"stopped. Kept: {len(folders) - len(unfinished)} finished runs and {resumable} checkpoints. The same "
            "command continues:\n  " + shlex.join(["flatpose-exp", *sys.argv[1:]]))
        raise SystemExit(130) from None


def _on_slurm(made: Plan, data_root: Path | None, options: list[str], display: Display) -> list[Outcome]:
    from flatpose.harness import slurm

    jobs = slurm.submit(made, store.runs_dir(), data_root, slurm.parse_options(options))
    for job, submitted in jobs.items():
        note(f"{submitted.title}: job {job}")
    try:
        return slurm.follow(jobs, store.runs_dir(), display)
    except KeyboardInterrupt:
        say("stopped following. The jobs go on: squeue --me lists them")
        raise SystemExit(130) from None


def _all_outcomes(made: Plan, outcomes: list[Outcome]) -> list[Outcome]:
    """The outcome of every run of the plan; a run of another process may have ended meanwhile."""
    from flatpose.harness.runner import Outcome

    found = {(o.planned.rows, o.planned.seed): o for o in outcomes}
    everything = []
    for p in made.runs:
        outcome = found.get((p.rows, p.seed)) or Outcome(p, p.status, p.reason)
        record = outcome.record or p.folder(store.runs_dir()).record()
        if record is not None and outcome.status == "running":
            outcome = replace(outcome, status=record.status, reason="another process made it meanwhile")
        everything.append(replace(outcome, record=record))
    return everything


def _print_outcomes(made: Plan, outcomes: list[Outcome]) -> None:
    """Print the numbers, then each problem once, with its runs and what to do."""
    if not OPTIONS.quiet:
        _print_metrics(made.experiment, outcomes)
    troubles: dict[tuple[str, str], list[str]] = {}
    for o in (o for o in outcomes if o.status not in ("done", "not run")):
        troubles.setdefault((o.status, o.reason), []).append(o.planned.title)
    for (status, reason), titles in troubles.items():
        which = f"{len(titles)} of {len(outcomes)} runs" if status == "blocked" else ", ".join(titles)
        say(f"{status}, {which}: {reason}" + (f"\n  → {HINTS[status]}" if status in HINTS else ""))
    note(f"{sum(o.status == 'done' for o in outcomes)} of {len(outcomes)} runs are done")


def _print_metrics(experiment: Experiment, outcomes: list[Outcome]) -> None:
    """The table of the experiment's page, of these runs only, and the time that they took."""
    from flatpose.harness import tables
    from flatpose.harness.frame import Frames
    from flatpose.harness.record import RecordFile

    records = {o.record.key: o.record for o in outcomes if o.record is not None}
    if not records:
        return
    file = RecordFile(experiment=experiment.id, records=tuple(records.values()))
    evidence = Frames({experiment.id: experiment}, {experiment.id: file}).of(experiment.id)
    table = tables.measured(evidence, [(r.profile, r.data_id) for r in records.values()])
    spent = {tables.label(catalog.find_row(experiment, row)): minutes(sum(
        o.record.provenance.seconds for o in outcomes if o.record is not None and row in o.planned.rows) / 60)
        for row in {row for o in outcomes for row in o.planned.rows}}
    table = table[table["row"].isin(list(spent))]  # without rows that share a run and were not asked for
    emit(None, False, [*table.columns, "time"], table.assign(time=table["row"].map(spent)).to_numpy(), console=err)


def _draw(made: Plan, row: list[str] | None, data_root: Path | None, display: Display) -> None:
    from flatpose.harness import pictures

    if row is not None:
        note(f"no picture: it shows every row; flatpose-exp run {made.experiment.id} draws it")
        return
    note(f"picture: {pictures.draw(made, store.runs_dir(), data_root, display.reporter())}")


def _evaluate_checkpoint(experiment: str, row: list[str] | None, profile: str | None, checkpoint: Path,
                         data_root: Path | None) -> None:
    from flatpose.harness.networks import evaluate_checkpoint, locate

    found = catalog.load(experiment)
    if row is None or len(row) != 1:
        raise SpecError("an experiment has several networks", where="--checkpoint", hint="add --row R")
    chosen = None if profile is None else catalog.find_profile(found, profile)
    record = evaluate_checkpoint(found, catalog.find_row(found, row[0]), chosen, locate(str(checkpoint)),
                                 store.runs_dir(), data_root, Display().reporter())
    made, data = record.checkpoint, record.data
    assert made is not None and data is not None
    emit(None, False, ("boxes", "metric", "value"), [(result.box_source, metric, f"{100 * value:.1f}")
                                                     for result in record.results
                                                     for metric, value in result.metrics.items()],
         title=f"{row[0]} with the weights of {made.file} (sha256 {made.sha256[:12]}, {made.names}), {data.label}")
    say(f"written: {store.runs_dir() / record.run_id / store.RECORD}")
