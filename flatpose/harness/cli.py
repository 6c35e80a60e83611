"""``flatpose-exp``: parse, call, print. With --json one document on stdout, everything else on stderr."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

import flatpose
from flatpose.errors import FlatPoseError, SpecError
from flatpose.harness import catalog, cli_claims, cli_predict, cli_site, cli_submit, cli_tools, sites
from flatpose.harness.console import OPTIONS, err, out, print_json, table

HELP = """Reproduce FlatPose's experiments: measure, train, evaluate, compare with the paper, report.

An experiment is an ID that `list` shows, or the path of a spec file of your own (Python code, which is executed).

Examples: flatpose-exp list · flatpose-exp plan fig1 · flatpose-exp run fig1 --seeds 0,1,2 · flatpose-exp run my.py

Exit codes: 0 done, 1 a run failed or a number fell outside its tolerance, 2 bad usage or bad input.
"""
ANYWHERE = ("--debug", "--quiet", "-q", "--verbose", "-v")  # options that may stand before or after the command

app = typer.Typer(name="flatpose-exp", no_args_is_help=True, pretty_exceptions_enable=False, help=HELP,
                  rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})


class Launcher(str, Enum):
    """Where runs are made."""

    local = "local"
    slurm = "slurm"


class Rerun(str, Enum):
    """Which runs start besides those that were never finished."""

    missing = "missing"
    failed = "failed"
    stale = "stale"
    all = "all"


ExperimentArg = cli_tools.ExperimentArg
JsonOpt = cli_tools.JsonOpt
ProfileOpt = cli_tools.ProfileOpt
RootOpt = cli_tools.RootOpt
RowOpt = Annotated[Optional[list[str]], typer.Option("--row", help="Only this row (repeatable).")]
SeedsOpt = Annotated[Optional[str], typer.Option(help="Comma-separated, as in 0,1,2; default: the experiment's.")]
LauncherOpt = Annotated[Launcher, typer.Option(help="slurm: one job per run, through submitit.")]
SlurmOpt = Annotated[Optional[list[str]], typer.Option("--slurm", metavar="NAME=VALUE", help="A parameter of the jobs, "
                     "as in slurm_partition=gpu, timeout_min=600, gpus_per_node=1 (repeatable).")]
RerunOpt = Annotated[Rerun, typer.Option(help="Besides unfinished runs, also start failed, stale or all.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(flatpose.__version__)
        raise typer.Exit


@app.callback()
def _global(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_version,
                                          help="Print the version and stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only what went wrong.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="More progress, and the libraries' "
                                          "messages.")] = False,
) -> None:
    OPTIONS.quiet, OPTIONS.verbose = quiet, verbose
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, stream=sys.stderr)
    if not verbose:
        warnings.simplefilter("ignore", FutureWarning)  # of libraries about each other


@app.command("list")
def list_experiments(json_: JsonOpt = False) -> None:
    """The experiments and how many rows each has.

    Example: flatpose-exp list --json
    """
    found = [catalog.load(i) for i in catalog.ids()]
    if json_:
        print_json([{"id": e.id, "title": e.title, "source": e.source, "rows": len(e.rows),
                     "profiles": list(e.profiles)} for e in found])
        return
    table("", ["id", "rows", "source", "title"], [[e.id, str(len(e.rows)), e.source, e.title] for e in found])


@app.command()
def show(experiment: ExperimentArg, profile: ProfileOpt = None, json_: JsonOpt = False) -> None:
    """The question, rows, profiles and published numbers; with --json each row's whole configuration at a profile.

    Examples: flatpose-exp show table2 · flatpose-exp show fig1 --profile paper --json
    """
    found = catalog.load(experiment)
    chosen = catalog.find_profile(found, profile)
    if json_:
        print_json({"id": found.id, "title": found.title, "question": found.question, "profile": chosen.name,
                    "rows": [_row_json(row, chosen) for row in found.rows]})
        return
    out.print(f"{found.id}: {found.title} ({found.source})\n{found.question}\n", markup=False)
    table("", ["profile", "what it is"], [[name, item.description] for name, item in found.profiles.items()])
    table("", ["row", "label", "published"], [[r.id, r.label, _published(r)] for r in found.rows])
    for note in found.notes:
        out.print(f"- {note}", markup=False)


def _row_json(row: Any, profile: Any) -> dict[str, Any]:
    from flatpose.config import spec_hash, to_dict
    from flatpose.harness.spec import at_profile

    run, said = at_profile(row.run, profile), row.published
    published = said and {**said.metrics, "params_m": said.params_m, "gflops": said.gflops, "source": said.source}
    return {"id": row.id, "label": row.label, "published": published, "spec_hash": spec_hash(run),
            "readings": list(row.readings), "run": to_dict(run)}


def _published(row: Any) -> str:
    if row.published is None:
        return "-"
    numbers = {**row.published.metrics, "params M": row.published.params_m, "GFLOPs": row.published.gflops}
    return ", ".join(f"{name} {value:g}" for name, value in numbers.items() if value is not None)


@app.command()
def validate(experiment: Annotated[Optional[str], typer.Argument(metavar="[ID|PATH]")] = None,
             json_spec: Annotated[Optional[Path], typer.Option(help="A spec that is JSON; never executed.")] = None,
             json_: JsonOpt = False) -> None:
    """Check that specs are whole: every row exists at every profile and its parts fit together.

    A spec file given by its path is Python code and is executed. A stranger's spec is better checked as data: what
    `show ID --json` prints, or one row's "run" of it, with --json-spec FILE.

    Examples: flatpose-exp validate · flatpose-exp validate my_table.py · flatpose-exp validate --json-spec theirs.json
    """
    from flatpose.harness.validate import examine, examine_json

    names = [experiment] if experiment else [] if json_spec else catalog.ids()
    wrong = [{"experiment": name, "problem": problem} for name in names for problem in examine(name)]
    if json_spec:
        names = [*names, str(json_spec)]
        wrong += [{"experiment": str(json_spec), "problem": problem} for problem in examine_json(json_spec)]
    if json_:
        print_json(wrong)
    for item in wrong:
        err.print(f"{item['experiment']}: {item['problem']}", markup=False)
    if wrong:
        raise typer.Exit(2)
    if not json_:
        out.print(f"{len(names)} experiments: valid")


@app.command()
def plan(experiment: ExperimentArg, row: RowOpt = None, profile: ProfileOpt = None, data_root: RootOpt = None,
         seeds: SeedsOpt = None, rerun: RerunOpt = Rerun.missing, json_: JsonOpt = False) -> None:
    """What `run` would do with the same options, and why. Exit code 2 when the data are not there.

    Examples: flatpose-exp plan fig1 · flatpose-exp plan fig1 --rerun stale · flatpose-exp plan fig1 --profile paper
    """
    from flatpose.harness import plan_view

    made = plan_view.with_committed(_plan(experiment, row, profile, data_root, seeds, rerun), sites.root() / "reports")
    if json_:
        print_json({"experiment": made.experiment.id, "profile": made.profile.name, "due": len(made.due),
                    "minutes_per_run": made.minutes_per_run, "measured": made.measured, "gpu_hours": made.gpu_hours,
                    "gpu_runs": made.gpu_runs,
                    "runs": [r.to_dict() for r in made.runs]})
    else:
        table(f"{made.experiment.id} at profile {made.profile.name}", ["row", "seed", "status", "starts", "because"],
              [[", ".join(r.rows), str(r.seed), r.status, "yes" if r.due else "no",
                "see below" if r.status == "blocked" else r.reason] for r in made.runs])
        for line in (*plan_view.blocked(made), plan_view.estimate(made)):
            out.print(line, markup=False, soft_wrap=True)
    if plan_view.lacks_data(made):
        raise typer.Exit(2)


def _plan(experiment: str, row: list[str] | None, profile: str | None, data_root: Path | None, seeds: str | None,
          rerun: Rerun, elsewhere: bool = False) -> Any:
    from flatpose.harness.plan import make_plan

    found = catalog.load(experiment)
    return make_plan(found, catalog.find_profile(found, profile), sites.runs_dir(),
                     rows=[catalog.find_row(found, name) for name in row or ()], seeds=_seeds(seeds),
                     data_root=data_root, rerun=rerun.value, elsewhere=elsewhere)


def _seeds(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise SpecError(f"{text!r} is not a list of seeds", where="--seeds", hint="write 0,1,2")
    return tuple(dict.fromkeys(map(int, parts)))


@app.command()
def run(experiment: ExperimentArg, row: RowOpt = None, profile: ProfileOpt = None, data_root: RootOpt = None,
        seeds: SeedsOpt = None, rerun: RerunOpt = Rerun.missing,
        checkpoint: Annotated[Optional[Path], typer.Option(
            help="Train nothing: evaluate this .pth or .safetensors file as the one --row (weights of the paper's "
                 "size, unless --profile says otherwise).")] = None,
        launcher: LauncherOpt = Launcher.local, slurm: SlurmOpt = None,
        report_: Annotated[bool, typer.Option("--report/--no-report", help="Render the page afterwards.")] = True
        ) -> None:
    """Train and evaluate what is missing, go on where a killed run stopped, then render the page.

    There are no options for hyper-parameters: a changed number is a new row in a spec. A spec file given by its path
    is Python code and is executed.

    Examples: flatpose-exp run fig1 --seeds 0,1,2 · flatpose-exp run fig1 --row simcc_s32 --data-root /data ·
    flatpose-exp run my_table.py --rerun failed ·
    flatpose-exp run table5 --launcher slurm --slurm slurm_partition=gpu --slurm gpus_per_node=1 ·
    flatpose-exp run table2 --row hrnet_w48 --checkpoint pose_hrnet_w48_256x192.pth --data-root /data
    """
    from flatpose.harness.plan_view import estimate
    from flatpose.harness.store import rank
    from flatpose.harness.sweep import slurm_sweep, sweep

    if rank():
        OPTIONS.quiet, report_ = True, False  # rank 0 speaks for all
    if checkpoint is not None:
        _evaluate_checkpoint(experiment, row, profile, checkpoint, data_root)
        if report_:
            _report([experiment], check=False)
        return

    made = _plan(experiment, row, profile, data_root, seeds, rerun, elsewhere=launcher is Launcher.slurm)
    if not OPTIONS.quiet:
        err.print(f"{made.experiment.id} at profile {made.profile.name}: {estimate(made)}", markup=False)
    if launcher is Launcher.slurm:
        code = slurm_sweep(made, sites.runs_dir(), data_root, slurm or [])
    else:
        code = sweep(made, sites.runs_dir(), data_root)
    if made.experiment.picture is not None and not code and not rank():
        _draw(made, row, data_root)
    if report_ and code != 2:
        _report([experiment], check=False)
    raise typer.Exit(code)


def _draw(made: Any, row: list[str] | None, data_root: Path | None) -> None:
    from flatpose.harness import pictures
    from flatpose.harness.console import make_reporter

    name = made.experiment.id
    if row is not None:
        err.print(f"nothing drawn: the picture shows every row; flatpose-exp run {name} draws it", markup=False)
        return
    path = pictures.draw(made, sites.runs_dir(), data_root, make_reporter())
    if not OPTIONS.quiet:
        err.print(f"drawn: {path}", markup=False)


def _evaluate_checkpoint(experiment: str, row: list[str] | None, profile: str | None, checkpoint: Path,
                         data_root: Path | None) -> None:
    from flatpose.harness.console import make_reporter
    from flatpose.harness.evaluate_checkpoint import evaluate_checkpoint
    from flatpose.harness.networks import locate

    found = catalog.load(experiment)
    if row is None or len(row) != 1:
        raise SpecError("a checkpoint is the network of one row", where="--checkpoint", hint="add --row R")
    chosen = None if profile is None else catalog.find_profile(found, profile)
    record, files = evaluate_checkpoint(found, catalog.find_row(found, row[0]), chosen, locate(str(checkpoint)),
                                        sites.runs_dir(), data_root, make_reporter())
    name, data = record.checkpoint, record.data
    assert name is not None and data is not None
    table(f"{row[0]} with the weights of {name.file} (sha256 {name.sha256[:12]}, {name.names}), {data.label}",
          ["boxes", "metric", "value"], [[e.box_source, metric, f"{100 * value:.1f}"] for e in record.results
                                         for metric, value in e.metrics.items()])
    for path in files:
        err.print(f"written: {path}", markup=False)


@app.command()
def report(experiment: Annotated[str, typer.Argument(metavar="[ID|all]")] = "all",
           check: Annotated[bool, typer.Option("--check", help="Only tell whether the pages are current.")] = False,
           html: Annotated[Optional[str], typer.Option("--html", metavar="[DIR]", help="Also the browsable site of all "
                           "pages, one folder of plain files in DIR (default: site/ beside reports/).")] = None
           ) -> None:
    """Render reports/ from the records, or prove that it is what the records say.

    Examples: flatpose-exp report fig1 · flatpose-exp report all --check · flatpose-exp report --html
    """
    folder = None if html is None else cli_site.folder_of(html)
    _report("all" if experiment == "all" else [experiment], check)
    if folder is not None:
        cli_site.site(folder, check)


def _report(chosen: Any, check: bool) -> None:
    from flatpose.harness.report import write

    changed = write(chosen, sites.root(), check=check, runs_dir=sites.runs_dir())
    for path in changed if check or not OPTIONS.quiet else ():
        err.print(f"{'outdated' if check else 'written'}: {path}", markup=False)
    if check and changed:
        err.print("  → flatpose-exp report all", markup=False)
        raise typer.Exit(1)
    if check:
        err.print("reports/ is current")


app.add_typer(cli_tools.app)
app.add_typer(cli_submit.app, name="submit")
app.add_typer(cli_predict.app)
app.add_typer(cli_claims.app)


def main() -> None:
    """Entry point: errors of the user's making are one message and exit code 2."""
    given = cli_site.whole(sys.argv[1:])
    try:
        app(args=[*(a for a in given if a in ANYWHERE), *(a for a in given if a not in ANYWHERE)])
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (FlatPoseError, OSError) as error:
        if "--debug" in given:
            raise
        err.print(f"error: {error}", markup=False, style="red")
        sys.exit(2)


if __name__ == "__main__":
    main()
