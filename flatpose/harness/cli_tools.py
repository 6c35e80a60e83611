"""The commands of ``flatpose-exp`` beside the loop of experiments: compare, cost, score, data, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from flatpose.errors import SpecError
from flatpose.harness import catalog, sites
from flatpose.harness.console import make_reporter, out, print_json, table

app = typer.Typer()
data_app = typer.Typer(no_args_is_help=True, help="Make or check data sets.")

ExperimentArg = Annotated[str, typer.Argument(metavar="ID", help="Experiment id, or the path of a spec file.")]
JsonOpt = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
ProfileOpt = Annotated[Optional[str], typer.Option(help="smoke, quick, synth or paper; default: the experiment's.")]
RootOpt = Annotated[Optional[Path], typer.Option(help="Folder holding coco/ (…); switches from embedded to this data.")]
TaskOpt = Annotated[str, typer.Option(help="coco, crowdpose or mpii.")]


@app.command()
def compare(experiment: ExperimentArg,
            strict: Annotated[bool, typer.Option("--strict", help="Exit 1 when a number is out of tolerance.")] = False,
            against: Annotated[Optional[Path], typer.Option(help="A runs folder or a reports/data file.")] = None,
            json_: JsonOpt = False) -> None:
    """Published and measured numbers side by side, with difference and verdict."""
    from flatpose.harness import compare as comparing
    from flatpose.harness import render, tables
    from flatpose.harness.report import comparisons

    found = catalog.load(experiment)
    rows = comparisons(found, sites.root(), against=against, runs_dir=sites.runs_dir())
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

    rows = cost_rows(catalog.load(experiment), row=row, latency=latency, runs_dir=sites.runs_dir())
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
def score(task: TaskOpt,
          annotations: Annotated[Path, typer.Option(help="Ground truth of the split.")],
          predictions: Annotated[Path, typer.Option(help="Results file: [{image_id, category_id, keypoints, score}].")],
          json_: Annotated[bool, typer.Option("--json", help="Accepted for symmetry: the answer is JSON.")] = True
          ) -> None:
    """Score a results file from any program with the reference evaluator; prints JSON with values in 0..1.

    Example: flatpose-exp score --task coco --annotations person_keypoints_val2017.json --predictions results.json
    """
    from flatpose.metrics.score import score_file

    print_json(score_file(task, annotations, predictions))


@data_app.command("make")
def data_make(experiment: Annotated[str, typer.Argument(metavar="[ID]")] = "fig1", profile: ProfileOpt = None) -> None:
    """Generate the embedded data of an experiment now instead of on its first run; prints where it is."""
    from flatpose.data import synthetic
    from flatpose.harness.spec import at_profile

    found = catalog.load(experiment)
    chosen = catalog.find_profile(found, profile)
    for config in dict.fromkeys(at_profile(r.run, chosen, source="embedded").data for r in found.rows):
        print(synthetic.ensure(config.embedded, reporter=make_reporter()))


@data_app.command("check")
def data_check(data_root: RootOpt = None, task: TaskOpt = "coco", json_: JsonOpt = False) -> None:
    """Say what was found below a data root, what is missing or wrong, and where it was looked for.

    Without --data-root: $FLATPOSE_DATA, else ./data.
    """
    from flatpose.data import find_root

    place = find_root(data_root)
    if place is None:
        raise SpecError("no data root", where="--data-root", hint="give --data-root DIR or set FLATPOSE_DATA")
    from flatpose.data.check import check

    findings = [{name: getattr(f, name) for name in ("severity", "where", "what", "hint")} for f in check(place, task)]
    if json_:
        print_json(findings)
    else:
        _print_findings([(f["severity"], f["where"], f["what"], f["hint"]) for f in findings])
    if any(f["severity"] == "error" for f in findings):
        raise typer.Exit(2)


@app.command()
def doctor(data_root: RootOpt = None, json_: JsonOpt = False) -> None:
    """Versions, optional parts, data, disk, devices, and the command that mends each complaint.

    Exit code 0 when everything that is needed is there, else 1.
    """
    from flatpose.harness.doctor import examine

    findings = examine(data_root)
    if json_:
        print_json([f.to_dict() for f in findings])
    else:
        _print_findings([(f.state, f.name, f.detail, f.mend) for f in findings])
    if any(f.state == "error" for f in findings):
        raise typer.Exit(1)


def _print_findings(findings: list[tuple[Any, ...]]) -> None:
    """State, where, what, and the way out on a line of its own."""
    for state, where, what, hint in findings:
        out.print(f"{state:8} {where}: {what}" + (f"\n         → {hint}" if hint else ""), markup=False, soft_wrap=True)


app.add_typer(data_app, name="data")
