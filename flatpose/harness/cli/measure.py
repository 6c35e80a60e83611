"""The commands that train nothing: cost, ceilings, score, doctor, and ``data`` about data sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from flatpose.errors import SpecError
from flatpose.harness import catalog, store
from flatpose.harness.cli.options import JsonOpt, ProfileOpt, RootOpt, complete_ids, complete_rows, existing_root
from flatpose.harness.console import Display, emit, note, out, say

app = typer.Typer()
data_app = typer.Typer(no_args_is_help=True, help="""Make, check, cut or convert data sets.

Examples: flatpose-exp data make fig1 · flatpose-exp data check --data-root /data
""")


@app.command()
def cost(experiment: Annotated[str, typer.Argument(metavar="ID|all", help="Experiment id, spec file, or all.",
                                                    autocompletion=complete_ids)],
         row: Annotated[Optional[str], typer.Option(help="Only this row.", autocompletion=complete_rows)] = None,
         latency: Annotated[bool, typer.Option("--latency", help="Also time each row beside FlatPose-B.")] = False,
         json_: JsonOpt = False) -> None:
    """Parameters and multiply-adds of each row at the paper's size. Needs no weights, data or GPU.

    Example: flatpose-exp cost table2 --latency
    """
    from flatpose.harness.cost import cost_rows

    if experiment == "all" and row is not None:
        raise SpecError("a row belongs to one experiment", where="--row", hint=f"flatpose-exp cost ID --row {row}")
    found = [catalog.load(name) for name in (catalog.ids() if experiment == "all" else [experiment])]
    rows = cost_rows(found, row=row, latency=latency, runs_dir=store.runs_dir(), reporter=Display().reporter())
    names = ("params_m", "published_params_m", "gflops", "gflops_hrnet_tool", "published_gflops")
    emit(rows, json_, ("experiment", "row", "input", *names),
         [(r["experiment"], r["row"], "x".join(map(str, r["input_hw"])),
           *(None if r[n] is None else f"{r[n]:.2f}" for n in names)) for r in rows],
         title="multiply-adds / 1e9, one forward pass, batch 1, no flip")
    if latency and not json_:
        emit(None, False, ("row", "batch", "mode", "ms", "images/s", "x FlatPose-B", "x ResNet-50", "MiB"),
             [(r["row"], t["batch"], "compiled" if t["compiled"] else "eager", f"{t['ms']:.1f}",
               f"{1e3 * t['batch'] / t['ms']:.1f}", f"{t['ratio_flatpose_b']:.2f}", f"{t['ratio_reference']:.2f}",
               f"{t['peak_memory_mb']:.0f}") for r in rows for t in r["latency"]],
             title="time of a forward pass, and its ratio to that of FlatPose-B")


@app.command()
def score(task: Annotated[str, typer.Option(help="coco, crowdpose, mpii or custom.")],
          annotations: Annotated[Path, typer.Option(help="Ground truth: the annotation file of the split.")],
          predictions: Annotated[Path, typer.Option(help="Your results file, JSON.")],
          json_: Annotated[bool, typer.Option("--json", help="Accepted for symmetry: the output is JSON.")] = True
          ) -> None:
    """Score a results file from any program with the benchmark's reference evaluator; prints JSON, metrics in 0..1.

    \b
    coco       --annotations person_keypoints_val2017.json
               --predictions [{"image_id": 139, "category_id": 1, "score": 0.9,
                               "keypoints": [x, y, score, ... 17 times]}, ...]
               AP, AP50, AP75, AP_M, AP_L, AR, AR50, AR75, AR_M, AR_L (pycocotools).
    crowdpose  --annotations crowdpose_test.json (official: crowdIndex, no area needed)
               --predictions the same form with 14 keypoints
               AP, AP50, AP75, AR, AR50, AR75, AP_easy, AP_medium, AP_hard.
    mpii       --annotations valid.json (HRNet's form, gt_valid.mat beside it)
                             or mpii_val.json (mmpose's, mpii_gt_val.mat beside it)
               --predictions [{"id": 0, "keypoints": [x, y, score, ... 16 times]}, ...]
               id is the row of the annotation file, counted from 0; every row needs one.
               PCKh@0.5, PCKh@0.1, and PCKh@0.5 of head, shoulder, elbow, wrist, hip, knee, ankle.
    custom     --annotations your file in COCO's form, with keypoints.json beside it (docs/own-data.md)
               --predictions the same form as for coco, with your own keypoints; the metrics of coco.

    Coordinates are pixels of the original image, 0-based (also for MPII, whose own files are 1-based). The score of a
    person orders the results; only its rank matters. Image ids without results count as missed persons.

    Example: flatpose-exp score --task coco --annotations person_keypoints_val2017.json --predictions results.json
    """
    from flatpose import benchmarks

    emit(benchmarks.get(task).score(annotations, predictions, Display().reporter()), True)


@app.command()
def doctor(data_root: RootOpt = None, json_: JsonOpt = False) -> None:
    """Versions, data, disk, devices, and the command that fixes each problem; exit code 1 when something is missing.

    Example: flatpose-exp doctor --data-root /data
    """
    from flatpose.harness.doctor import Finding, examine

    print_findings([f._asdict() for f in examine(data_root)], Finding._fields, json_, code=1)


def print_findings(findings: Sequence[dict[str, Any]], columns: Sequence[str], json_: bool, code: int) -> None:
    """Print each finding with its place and, on the next line, its hint; exit with ``code`` when one is an error."""
    if json_:
        emit(findings, json_)
    found = [[finding[column] for column in columns] for finding in findings]
    for state, where, what, hint in [] if json_ else found:
        say(f"{state:8} {where}: {what}" + (f"\n         → {hint}" if hint else ""), out)
    if any(state == "error" for state, *_ in found):
        raise typer.Exit(code)


@app.command()
def ceilings(data_root: RootOpt = None) -> None:
    """What a perfect network would score through each codec: annotations are encoded, decoded and scored.

    Example: flatpose-exp ceilings --data-root /data
    """
    from flatpose.harness.report import measure_study

    measure_study("ceilings", existing_root(data_root), Display().reporter())


@data_app.command()
def make(experiment: Annotated[str, typer.Argument(metavar="[ID]", autocompletion=complete_ids)] = "fig1",
         profile: ProfileOpt = None) -> None:
    """Generate the embedded data of an experiment now instead of on its first run; prints where they are.

    Example: flatpose-exp data make fig1 --profile quick
    """
    from flatpose.data import load
    from flatpose.harness.spec import at_profile

    found = catalog.load(experiment)
    chosen, display = catalog.find_profile(found, profile), Display()
    for config in dict.fromkeys(at_profile(r.run, chosen, source="embedded").data for r in found.rows):
        print(load(config, None, reporter=display.reporter()).root)


@data_app.command()
def subset(target: Annotated[Path, typer.Argument(metavar="DIR", help="Where the subset goes; must not exist.")],
           data_root: RootOpt = None,
           train: Annotated[int, typer.Option(min=1, help="Training images with a usable person.")] = 2000,
           val: Annotated[int, typer.Option(min=1, help="Validation images.")] = 500) -> None:
    """Cut a smaller COCO tree out of a real one; equal numbers give equal images, larger ones contain smaller ones.

    Example: flatpose-exp data subset /data/mini --data-root /data --train 2000 --val 500
    """
    from flatpose.data.subset import make_subset

    print(make_subset(existing_root(data_root), target, {"train": train, "val": val}))


@data_app.command()
def check(data_root: RootOpt = None,
          task: Annotated[Optional[str], typer.Option(help="coco, crowdpose, mpii or custom; default: those found.")]
          = None,
          json_: JsonOpt = False) -> None:
    """Say what was found below a data root, what is missing or wrong, and how to repair it; exit code 2 for errors.

    Without --data-root: $FLATPOSE_DATA, else ./data.

    Example: flatpose-exp data check --data-root mine --task custom
    """
    from flatpose import benchmarks

    place = existing_root(data_root)
    tasks = [task] if task else benchmarks.found_in(place)
    findings = [{"task": t, **{name: getattr(f, name) for name in ("severity", "where", "what", "hint")}}
                for t in tasks for f in benchmarks.get(t).check(place)]
    wrong = {finding["task"] for finding in findings if finding["severity"] == "error"}
    if wrong and set(tasks) > wrong:
        note(f"{', '.join(sorted(wrong))} cannot be used; --task leaves it out: "
             + ", ".join(f"--task {t}" for t in tasks if t not in wrong))
    print_findings(findings, ("severity", "where", "what", "hint"), json_, code=2)


@data_app.command()
def convert(task: Annotated[str, typer.Option(help="mpii or crowdpose.")],
            source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Data root, one annotation file, or "
                                                                          "mpii_human_pose_v1_u12_1.mat.")],
            out_dir: Annotated[Path, typer.Option("--out", help="Folder to write to.")]) -> None:
    """Write the COCO-like form of MPII or CrowdPose from any of their official forms; prints the files written.

    \b
    crowdpose  crowdpose_*.json or mmpose_crowdpose_*.json: the same file with the area the evaluators assume
    mpii       HRNet's annot/*.json + gt_valid.mat, or mmpose's pair: mpii_*.json, 0-based, with head_box, head_size
    mpii       the official .mat: also annot/train.json, valid.json and gt_valid.mat, to train and test on. It has no
               validation part: every eighth image is held out, which is not the split that papers use.

    Example: flatpose-exp data convert --task crowdpose /data --out /data/coco-like
    """
    from flatpose import benchmarks

    for path in benchmarks.get(task).convert(source, out_dir):
        print(path)
