"""``flatpose-exp``: parse, call, print. With --json one document on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

import flatpose
from flatpose.errors import FlatPoseError, SpecError
from flatpose.harness import catalog, console
from flatpose.harness.console import err, minutes, out

app = typer.Typer(name="flatpose-exp", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich",
                  context_settings={"help_option_names": ["-h", "--help"]},
                  help="Reproduce FlatPose's experiments: measure, train, evaluate, compare with the paper, report.")
data_app = typer.Typer(no_args_is_help=True, help="Make or check data sets.")
app.add_typer(data_app, name="data")


class Rerun(str, Enum):
    """Which runs start besides those that were never finished."""

    missing = "missing"
    failed = "failed"
    stale = "stale"
    all = "all"


ExperimentArg = Annotated[str, typer.Argument(metavar="ID", help="Experiment id, or the path of a spec file.")]
JsonOpt = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
RowOpt = Annotated[Optional[list[str]], typer.Option("--row", help="Only this row (repeatable).")]
ProfileOpt = Annotated[Optional[str], typer.Option(help="smoke, quick, synth or paper; default: the experiment's.")]
RootOpt = Annotated[Optional[Path], typer.Option(help="Folder holding coco/ (…); switches from embedded to this data.")]
SeedsOpt = Annotated[Optional[str], typer.Option(help="Comma-separated, as in 0,1,2; default: the experiment's.")]


def root() -> Path:
    """The folder with reports/: the current one or a parent of it, else the current one."""
    here = Path.cwd()
    return next((p for p in (here, *here.parents) if (p / "reports").is_dir()), here)


def runs_dir() -> Path:
    """$FLATPOSE_RUNS, else runs/ beside reports/."""
    return Path(os.environ["FLATPOSE_RUNS"]) if os.environ.get("FLATPOSE_RUNS") else root() / "runs"


def print_json(value: Any) -> None:
    """The one JSON document."""
    print(json.dumps(value, indent=1, ensure_ascii=False))


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A plain rich table on stdout."""
    from rich.box import SIMPLE
    from rich.table import Table

    shown = Table(*columns, title=title, box=SIMPLE, title_justify="left")
    for row in rows:
        shown.add_row(*row)
    out.print(shown)


@app.callback()
def _global(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version and stop.",
                                          callback=lambda v: _version() if v else None)] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options before the command."""


def _version() -> None:
    print(flatpose.__version__)
    raise typer.Exit


@app.command("list")
def list_experiments(json_: JsonOpt = False) -> None:
    """The experiments and how many rows each has."""
    found = [catalog.load(i) for i in catalog.ids()]
    if json_:
        print_json([{"id": e.id, "title": e.title, "source": e.source, "rows": len(e.rows),
                     "profiles": list(e.profiles)} for e in found])
        return
    table("", ["id", "rows", "source", "title"], [[e.id, str(len(e.rows)), e.source, e.title] for e in found])


@app.command()
def show(experiment: ExperimentArg, profile: ProfileOpt = None, json_: JsonOpt = False) -> None:
    """The question, rows and published numbers of an experiment; with --profile, each row's full configuration."""
    from flatpose.config import spec_hash, to_dict
    from flatpose.harness.spec import at_profile

    found = catalog.load(experiment)
    chosen = catalog.find_profile(found, profile)
    if json_:
        print_json({"id": found.id, "title": found.title, "question": found.question, "profile": chosen.name,
                    "rows": [{"id": r.id, "label": r.label, "published": r.published and dict(r.published.metrics),
                              "spec_hash": spec_hash(at_profile(r.run, chosen)),
                              "run": to_dict(at_profile(r.run, chosen))} for r in found.rows]})
        return
    out.print(f"[bold]{found.id}[/bold] {found.title} ({found.source})\n{found.question}\n")
    for name, item in found.profiles.items():
        out.print(f"  {name}: {item.description}", markup=False)
    rows = [[r.id, r.label, _published(r)] for r in found.rows]
    table("", ["row", "label", "published"], rows)
    for note in found.notes:
        out.print(f"- {note}", markup=False)


def _published(row: Any) -> str:
    if row.published is None:
        return "-"
    numbers = {**row.published.metrics, "params M": row.published.params_m, "GFLOPs": row.published.gflops}
    return ", ".join(f"{name} {value:g}" for name, value in numbers.items() if value is not None)


@app.command()
def validate(experiment: Annotated[Optional[str], typer.Argument(metavar="[ID|PATH]")] = None,
             json_: JsonOpt = False) -> None:
    """Check that specs are whole: every row exists at every profile and its parts fit together."""
    from flatpose.harness.validate import problems

    found = [catalog.load(i) for i in ([experiment] if experiment else catalog.ids())]
    wrong = [{"experiment": e.id, "problem": p} for e in found for p in problems(e)]
    if json_:
        print_json(wrong)
    for item in wrong:
        err.print(f"{item['experiment']}: {item['problem']}", markup=False)
    if wrong:
        raise typer.Exit(2)
    if not json_:
        out.print(f"{len(found)} experiments, {sum(len(e.rows) for e in found)} rows: valid")


@app.command()
def plan(experiment: ExperimentArg, row: RowOpt = None, profile: ProfileOpt = None, data_root: RootOpt = None,
         seeds: SeedsOpt = None, rerun: Rerun = Rerun.missing, json_: JsonOpt = False) -> None:
    """What `run` would do with the same options, and why."""
    made = _plan(experiment, row, profile, data_root, seeds, rerun)
    if json_:
        print_json({"experiment": made.experiment.id, "profile": made.profile.name, "due": len(made.due),
                    "minutes_per_run": made.minutes_per_run, "measured": made.measured,
                    "runs": [r.to_dict() for r in made.runs]})
        return
    table(f"{made.experiment.id} at profile {made.profile.name}", ["row", "seed", "status", "starts", "because"],
          [[", ".join(r.rows), str(r.seed), r.status, "yes" if r.due else "no", r.reason] for r in made.runs])
    out.print(_estimate(made))


def _estimate(made: Any) -> str:
    each, basis = made.minutes_per_run, "measured here" if made.measured else "the profile's estimate"
    total = None if each is None else each * len(made.due)
    return f"{len(made.due)} of {len(made.runs)} runs start; about {minutes(total)} ({basis}: {minutes(each)} each)"


def _plan(experiment: str, row: list[str] | None, profile: str | None, data_root: Path | None, seeds: str | None,
          rerun: Rerun) -> Any:
    from flatpose.harness.plan import make_plan

    found = catalog.load(experiment)
    return make_plan(found, catalog.find_profile(found, profile), runs_dir(),
                     rows=[catalog.find_row(found, name) for name in row or ()], seeds=_seeds(seeds),
                     data_root=data_root, rerun=rerun.value)


def _seeds(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise SpecError(f"{text!r} is not a list of seeds", where="--seeds", hint="write 0,1,2") from None


@app.command()
def status(json_: JsonOpt = False) -> None:
    """How far each experiment is, at every setting that has records."""
    from flatpose.harness.status import overview

    rows = overview(root(), runs_dir())
    if json_:
        print_json(rows)
        return
    table("", ["experiment", "setting", "rows done", "runs", "failed", "stale", "running"],
          [[r["experiment"], r["setting"], f"{r['rows_done']}/{r['rows']}", str(r["runs"]), str(r["failed"]),
            str(r["stale"]), str(r["running"])] for r in rows])


@app.command()
def run(experiment: ExperimentArg, row: RowOpt = None, profile: ProfileOpt = None, data_root: RootOpt = None,
        seeds: SeedsOpt = None,
        rerun: Annotated[Rerun, typer.Option(help="Besides unfinished runs, also start failed, stale or all.")]
        = Rerun.missing,
        report_: Annotated[bool, typer.Option("--report/--no-report", help="Render the page afterwards.")] = True,
        quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False) -> None:
    """Train and evaluate what is missing, go on where a killed run stopped, then render the page.

    A spec file given by path is Python code and is executed. There are no options for hyper-parameters: a changed
    number is a new row in a spec.

    Examples: flatpose-exp run fig1 --seeds 0,1,2 · flatpose-exp run fig1 --row simcc_s32 --data-root /data
    """
    from flatpose.harness.sweep import sweep

    made = _plan(experiment, row, profile, data_root, seeds, rerun)
    if not quiet:
        err.print(f"{made.experiment.id} at profile {made.profile.name}: {_estimate(made)}", markup=False)
    failed = sweep(made, runs_dir(), data_root, quiet)
    if report_:
        _report([experiment], check=False)
    if failed:
        raise typer.Exit(1)


@app.command()
def report(experiment: Annotated[str, typer.Argument(metavar="[ID|all]")] = "all",
           check: Annotated[bool, typer.Option("--check", help="Only tell whether the pages are current.")] = False
           ) -> None:
    """Render reports/ from the records, or prove that it is what the records say."""
    _report("all" if experiment == "all" else [experiment], check)


def _report(chosen: Any, check: bool) -> None:
    from flatpose.harness.report import write

    changed = write(chosen, root(), check=check, runs_dir=runs_dir())
    for path in changed:
        err.print(f"{'outdated' if check else 'written'}: {path}", markup=False)
    if check and changed:
        err.print("  → flatpose-exp report all", markup=False)
        raise typer.Exit(1)
    if check:
        err.print("reports/ is current")


@app.command()
def compare(experiment: ExperimentArg, strict: Annotated[bool, typer.Option(help="Exit 1 outside tolerance.")] = False,
            against: Annotated[Optional[Path], typer.Option(help="A runs folder or a reports/data file.")] = None,
            json_: JsonOpt = False) -> None:
    """Published and measured numbers side by side, with difference and verdict."""
    from flatpose.harness import compare as comparing
    from flatpose.harness import render, tables
    from flatpose.harness.report import comparisons

    found = catalog.load(experiment)
    rows = comparisons(found, root(), against=against, runs_dir=runs_dir())
    if json_:
        print_json([r.to_dict() for r in rows])
    else:
        reference = str(against) if against else "the paper"
        out.print(render.to_rich(tables.comparison_table(rows, f"{found.id} against {reference}", reference)))
    if strict and any(r.verdict == comparing.OUTSIDE for r in rows):
        raise typer.Exit(1)


@app.command()
def cost(experiment: ExperimentArg, row: Annotated[Optional[str], typer.Option(help="Only this row.")] = None,
         latency: Annotated[bool, typer.Option("--latency", help="Also measure time and memory.")] = False,
         json_: JsonOpt = False) -> None:
    """Parameters and multiply-adds of each row at the paper's size. Needs no weights, data or GPU."""
    from flatpose.harness.cost import cost_rows

    rows = cost_rows(catalog.load(experiment), row=row, latency=latency, runs_dir=runs_dir())
    if json_:
        print_json(rows)
        return
    names = ["params_m", "published_params_m", "gflops", "gflops_hrnet_tool", "published_gflops"]
    table("multiply-adds / 1e9, one forward pass, batch 1, no flip", ["row", "input", *names],
          [[r["row"], "x".join(map(str, r["input_hw"])), *(_number(r.get(n)) for n in names)] for r in rows])
    for found in rows:
        if found.get("latency"):
            out.print(f"{found['row']}: {found['latency']}", markup=False)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


@app.command()
def score(task: Annotated[str, typer.Option(help="coco, crowdpose or mpii.")],
          annotations: Annotated[Path, typer.Option(help="Ground truth of the split.")],
          predictions: Annotated[Path, typer.Option(help="Results file: [{image_id, category_id, keypoints, score}].")],
          json_: JsonOpt = True) -> None:
    """Score a results file from any program with the reference evaluator; prints JSON with values in 0..1."""
    from flatpose.metrics.score import score_file

    print_json(score_file(task, annotations, predictions))


@data_app.command("make")
def data_make(experiment: Annotated[str, typer.Argument(metavar="ID")] = "fig1", profile: ProfileOpt = None) -> None:
    """Generate the embedded data of an experiment now instead of on its first run."""
    from flatpose.data import synthetic
    from flatpose.harness.spec import at_profile

    found = catalog.load(experiment)
    chosen = catalog.find_profile(found, profile)
    for config in dict.fromkeys(at_profile(r.run, chosen, source="embedded").data for r in found.rows):
        out.print(str(synthetic.ensure(config.embedded, reporter=console.make_reporter())), markup=False, soft_wrap=True)


@data_app.command("check")
def data_check(data_root: RootOpt = None, task: Annotated[str, typer.Option(help="coco, crowdpose or mpii.")] = "coco",
               json_: JsonOpt = False) -> None:
    """Say what was found below a data root, what is missing or wrong, and where it was looked for."""
    from flatpose.data import find_root
    from flatpose.data.check import check

    place = find_root(data_root)
    if place is None:
        raise SpecError("no data root", where="--data-root", hint="give --data-root DIR or set FLATPOSE_DATA")
    findings = check(place, task)
    if json_:
        print_json([vars(f) if hasattr(f, "__dict__") else f._asdict() for f in findings])
    else:
        for finding in findings:
            out.print(f"{finding.severity}: {finding.where}: {finding.what}"
                      + (f"\n  → {finding.hint}" if finding.hint else ""), markup=False, soft_wrap=True)
    if any(f.severity == "error" for f in findings):
        raise typer.Exit(2)


@app.command()
def doctor(data_root: RootOpt = None, json_: JsonOpt = False) -> None:
    """Versions, optional parts, data, disk, devices, and the command that mends each complaint."""
    from flatpose.harness.doctor import examine

    findings = examine(data_root)
    if json_:
        print_json([f.to_dict() for f in findings])
    else:
        for finding in findings:
            out.print(f"{finding.state:8} {finding.name}: {finding.detail}"
                      + (f"\n         → {finding.mend}" if finding.mend else ""), markup=False, soft_wrap=True)
    if any(f.state == "error" for f in findings):
        raise typer.Exit(1)


def main() -> None:
    """Entry point: errors of the user's making are one message and exit code 2."""
    debug = "--debug" in sys.argv[1:]
    try:
        app()
    except FlatPoseError as error:
        if debug:
            raise
        err.print(f"error: {error}", markup=False, style="red")
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
