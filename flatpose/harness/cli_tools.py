"""The commands of ``flatpose-exp`` beside the loop of experiments: status, compare, cost, ceilings, score, data, …"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from flatpose.errors import SpecError
from flatpose.harness import catalog, sites
from flatpose.harness.console import make_reporter, out, print_json, table

app = typer.Typer()
data_app = typer.Typer(no_args_is_help=True, help="""Make, check, cut or convert data sets.

Examples: flatpose-exp data make fig1 · flatpose-exp data check --data-root /data
""")

ExperimentArg = Annotated[str, typer.Argument(metavar="ID", help="Experiment id, or the path of a spec file.")]
JsonOpt = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
ProfileOpt = Annotated[Optional[str], typer.Option(help="smoke, quick, synth, paper, or what else `show ID` "
                        "lists (fig1: mini); default: the experiment's.")]
RootOpt = Annotated[Optional[Path], typer.Option(help="Folder holding coco/ (…); switches from embedded to this data.")]
TaskOpt = Annotated[str, typer.Option(help="coco, crowdpose, mpii, or custom (own keypoints).")]


@app.command()
def status(json_: JsonOpt = False) -> None:
    """How far each experiment is, in every setting (profile and data) that has runs.

    Example: flatpose-exp status --json
    """
    from flatpose.harness.status import overview

    rows = overview(sites.root(), sites.runs_dir())
    if json_:
        print_json(rows)
        return
    counts = ("done", "failed", "stale", "running")
    table("", ["experiment", "setting", "rows done", *counts, "seeds"],
          [[r["experiment"], r["setting"], f"{r['rows_done']}/{r['rows']}", *(str(r[c]) for c in counts),
            ", ".join(map(str, r["seeds"]))] for r in rows])


@app.command()
def compare(experiment: ExperimentArg,
            strict: Annotated[bool, typer.Option("--strict", help="Exit 1 when a number is out of tolerance.")] = False,
            against: Annotated[Optional[Path], typer.Option(help="A runs folder or a reports/data file.")] = None,
            git: Annotated[Optional[str], typer.Option(metavar="REV", help="The records of an earlier commit.")] = None,
            json_: JsonOpt = False) -> None:
    """Published and measured numbers side by side, with difference and verdict.

    A table per setting and box source, one of costs, and in short what cannot be compared. Against other records a
    difference is judged only where data, boxes, score rule and code are the same: by the interval over seeds or, with
    one seed each, by their bootstrap intervals over images.

    Examples: flatpose-exp compare table5 · flatpose-exp compare fig1 --git HEAD~5 · flatpose-exp compare fig1 --against
    ../other/runs
    """
    from flatpose.harness import compare as comparing
    from flatpose.harness import comparison_tables, render
    from flatpose.harness.report import comparisons

    found = catalog.load(experiment)
    if against and git:
        raise SpecError("two things to compare with", where="--against and --git", hint="give one of them")
    rows = comparisons(found, sites.root(), against=against, revision=git, runs_dir=sites.runs_dir())
    if json_:
        print_json([r.to_dict() for r in rows])
    elif rows:
        for made in comparison_tables.by_setting(found, rows, str(against) if against else git or "paper"):
            out.print(render.to_rich(made) if made.rows else f"{made.title}: {'; '.join(made.notes)}")
    elif against or git:
        out.print("No row was measured on both sides at one profile.")
    else:
        out.print(f"The paper prints nothing that {found.id} could be compared with; --git REV and --against PATH "
                  "compare with other records.", markup=False)
    if strict and any(r.verdict == comparing.OUTSIDE for r in rows):
        raise typer.Exit(1)


@app.command()
def verify(experiment: ExperimentArg, seed: Annotated[int, typer.Option(help="Of the recorded runs.")] = 0,
           all_: Annotated[bool, typer.Option("--all", help="Every record, not one per way through the code.")] = False,
           profile: ProfileOpt = None, data_root: RootOpt = None, json_: JsonOpt = False) -> None:
    """Run committed records again and compare to the bit; exit 1 where a number differs.

    Where all are equal, the records stay current although the code was edited since (reports/data/verified.json).

    Examples: flatpose-exp verify fig1 · flatpose-exp verify table5 --seed 2 --all
    """
    from flatpose.harness import collect
    from flatpose.harness.verify import accept, representatives, verify

    found, reports = catalog.load(experiment), sites.root() / "reports"
    known = collect.load(reports / "data" / f"{found.id}.json", found.id)
    chosen = [r for r in collect.merge(found, known, collect.scan(sites.runs_dir())).records
              if r["status"] == "done" and r["seed"] == seed and r["profile"] == (profile or found.default_profile)
              and (r["data"]["source"] == "disk") == (data_root is not None)]
    if not chosen:
        raise SpecError(f"{found.id} has no finished records of seed {seed} here", hint=f"flatpose-exp run {found.id}")
    verdicts = list(verify(chosen if all_ else representatives(chosen), data_root, make_reporter()))
    if json_:
        print_json([v.to_dict() for v in verdicts])
    else:
        table("recorded runs, made again", ["run", "model", "result"],
              [[v.run_id, v.kind, "; ".join(f"{n}: {a} → {b}" for n, (a, b) in v.differences.items()) or "equal"]
               for v in verdicts])
        for note in accept(verdicts, reports):
            out.print(note, markup=False)
    if any(v.differences for v in verdicts):
        raise typer.Exit(1)


@app.command()
def cost(experiment: ExperimentArg, row: Annotated[Optional[str], typer.Option(help="Only this row.")] = None,
         latency: Annotated[bool, typer.Option("--latency", help="Also time each row against FlatPose-B: eager and "
                                                            "compiled, one image and a batch.")] = False,
         json_: JsonOpt = False) -> None:
    """Parameters and multiply-adds of each row at the paper's size. Needs no weights, data or GPU.

    Examples: flatpose-exp cost table5 · flatpose-exp cost table2 --latency
    """
    from flatpose.harness.cost import cost_rows

    rows = cost_rows(catalog.load(experiment), row=row, latency=latency, runs_dir=sites.runs_dir(),
                     reporter=make_reporter())
    if json_:
        print_json(rows)
        return
    names = ["params_m", "published_params_m", "gflops", "gflops_hrnet_tool", "published_gflops"]
    table("multiply-adds / 1e9, one forward pass, batch 1, no flip", ["row", "input", *names],
          [[r["row"], "x".join(map(str, r["input_hw"])), *(_number(r.get(n)) for n in names)] for r in rows])
    if latency:
        table("time of a forward pass, and times the cost of FlatPose-B",
              ["row", "batch", "mode", "ms", "images/s", "x FlatPose-B", "x ResNet-50", "MiB"],
              [[r["row"], str(e["batch"]), "compiled" if e["compiled"] else "eager", f"{e['ms']:.1f}",
                f"{1e3 * e['batch'] / e['ms']:.1f}", f"{e['ratio_flatpose_b']:.2f}", f"{e['ratio_reference']:.2f}",
                f"{e['peak_memory_mb']:.0f}"] for r in rows for e in r["latency"]])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


@app.command()
def ceilings(data_root: RootOpt = None, verify: Annotated[bool, typer.Option("--verify", help="After an edit of the "
                                        "code: measure a few again; equal ones stay current.")] = False) -> None:
    """What a perfect network would score through each codec, on the annotations below a data root.

    Ground truth is encoded, decoded and scored; no images, no network; up to half an hour on one core (COCO's and
    CrowdPose's own sets: longer). Writes reports/ceilings.md, .csv, .svg and data/ceilings.json; stopped and started
    again it goes on.

    Example: flatpose-exp ceilings --data-root /data
    """
    from flatpose.harness import ceilings as measuring
    from flatpose.harness import ceilings_page
    from flatpose.io import write_bytes

    todo, data, missing = measuring.jobs(existing_root(data_root))
    reporter, reports = make_reporter(), sites.root() / "reports"
    if not todo:
        raise SpecError("nothing to measure", where="--data-root", hint="\n    ".join(missing))
    for text in missing:
        reporter.message(f"left out: {text}")
    if verify:
        for note in _verified(measuring.verify(todo, data, reports, reporter), reports):
            reporter.message(note)
    measuring.measure(todo, data, reports, reporter)
    for name, content in ceilings_page.files(reports).items():
        write_bytes(reports / name, content)
        reporter.message(f"written: reports/{name}")


def _verified(verdicts: list[Any], reports: Path) -> list[str]:
    """What was found: the codes that are equal, and the ceilings that are not."""
    from flatpose.harness.verify import accept

    return [*accept(verdicts, reports), *(f"differs: {v.run_id}: {v.differences}" for v in verdicts if v.differences)]


def existing_root(data_root: Path | None) -> Path:
    """The data root that a command cannot do without; raises SpecError when there is none."""
    from flatpose.data import find_root

    place = find_root(data_root)
    if place is None:
        raise SpecError("no data root", where="--data-root", hint="give --data-root DIR or set FLATPOSE_DATA")
    return place


@app.command()
def score(task: TaskOpt,
          annotations: Annotated[Path, typer.Option(help="Ground truth: the annotation file of the split.")],
          predictions: Annotated[Path, typer.Option(help="Your results file, JSON; its form is shown above.")],
          json_: Annotated[bool, typer.Option("--json", help="Accepted for symmetry: the answer is JSON.")] = True
          ) -> None:
    """Score a results file from any program with the benchmark's reference evaluator; prints JSON.

    Nothing is trained, rescored or suppressed: the numbers are those of the file, in 0..1. A malformed file gives one
    message that names file, item and field, and exit code 2.

    \b
    coco       --annotations person_keypoints_val2017.json
               --predictions [{"image_id": 139, "category_id": 1, "score": 0.9,
                               "keypoints": [x, y, score, ... 17 times]}, ...]
               Evaluator pycocotools. AP, AP50, AP75, AP_M, AP_L, AR, AR50, AR75, AR_M, AR_L;
               AP_M and AP_L: persons from 32² to 96² square pixels, and larger.
    crowdpose  --annotations crowdpose_test.json (official: crowdIndex, no area needed)
               --predictions the same form with 14 keypoints
               Evaluator xtcocotools, or faster-coco-eval where that is not installed: equal numbers.
               AP, AP50, AP75, AR, AR50, AR75, AP_easy, AP_medium, AP_hard.
    mpii       --annotations valid.json (HRNet's form, gt_valid.mat beside it)
                             or mpii_val.json (mmpose's, mpii_gt_val.mat beside it)
               --predictions [{"id": 0, "keypoints": [x, y, score, ... 16 times]}, ...]
               id is the row of the annotation file, counted from 0; every row needs one.
               PCKh@0.5, PCKh@0.1, and PCKh@0.5 of head, shoulder, elbow, wrist, hip, knee, ankle.

    Coordinates are pixels of the original image, 0-based (also for MPII, whose own files are 1-based). The score of a
    person orders the results; only its rank matters. Image ids without results count as missed persons.

    \b
    Examples:
      flatpose-exp score --task coco --annotations person_keypoints_val2017.json --predictions results.json
      flatpose-exp score --task mpii --annotations annot/valid.json --predictions results.json
    """
    from flatpose import benchmarks

    print_json(benchmarks.get(task).score(annotations, predictions, make_reporter()))


@data_app.command("make")
def data_make(experiment: Annotated[str, typer.Argument(metavar="[ID]")] = "fig1", profile: ProfileOpt = None) -> None:
    """Generate the embedded data of an experiment now instead of on its first run; prints where it is.

    Example: flatpose-exp data make fig1 --profile quick
    """
    from flatpose.data import synthetic
    from flatpose.harness.spec import at_profile

    found = catalog.load(experiment)
    chosen = catalog.find_profile(found, profile)
    for config in dict.fromkeys(at_profile(r.run, chosen, source="embedded").data for r in found.rows):
        print(synthetic.ensure(config.embedded, reporter=make_reporter()))


@data_app.command("subset")
def data_subset(target: Annotated[Path, typer.Argument(metavar="DIR", help="Where the subset goes; must not exist.")],
                data_root: RootOpt = None,
                train: Annotated[int, typer.Option(min=1, help="Training images with a usable person.")] = 2000,
                val: Annotated[int, typer.Option(min=1, help="Validation images.")] = 500) -> None:
    """Cut a smaller COCO tree out of a real one: always the same images for the same numbers, larger ones containing
    the smaller ones. Images are linked where the file system can, else copied.

    Example: flatpose-exp data subset /data/mini --data-root /data --train 2000 --val 500
    """
    from flatpose.data.subset import make_subset

    print(make_subset(existing_root(data_root), target, {"train": train, "val": val}))


@data_app.command("check")
def data_check(data_root: RootOpt = None,
               task: Annotated[Optional[str], typer.Option(help="coco, crowdpose, mpii or custom; default: all that "
                                                                "have a folder below the root, custom where "
                                                                "keypoints.json is there, else coco.")] = None,
               json_: JsonOpt = False) -> None:
    """Say what was found below a data root, what is missing or wrong, and where it was looked for.

    Without --data-root: $FLATPOSE_DATA, else ./data. Each broken rule is one line: how often, the first places, and
    what to do. Exit code 2 when the data cannot be used as they are.

    Examples: flatpose-exp data check --data-root /data · flatpose-exp data check --data-root mine --task custom
    """
    from flatpose import benchmarks

    place = existing_root(data_root)
    tasks = [task] if task else benchmarks.found_in(place)
    findings = [{"task": t, **{name: getattr(f, name) for name in ("severity", "where", "what", "hint")}}
                for t in tasks for f in benchmarks.get(t).check(place)]
    if json_:
        print_json(findings)
    else:
        _print_findings([(f["severity"], f["where"], f["what"], f["hint"]) for f in findings])
    if any(f["severity"] == "error" for f in findings):
        raise typer.Exit(2)


@data_app.command("convert")
def data_convert(task: Annotated[str, typer.Option(help="mpii or crowdpose.")],
                 source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Data root, one annotation file, or "
                                                                               "mpii_human_pose_v1_u12_1.mat.")],
                 out_dir: Annotated[Path, typer.Option("--out", help="Folder to write to.")]) -> None:
    """Write the COCO-like form of MPII or CrowdPose from any of their official forms; prints the files written.

    \b
    crowdpose  crowdpose_*.json or mmpose_crowdpose_*.json: the same file with the area the evaluators assume
    mpii       HRNet's annot/*.json + gt_valid.mat, or mmpose's pair: mpii_*.json, 0-based, with head_box, head_size
    mpii       the official .mat: also annot/train.json, valid.json and gt_valid.mat, to train and test on. It has no
               validation part: every eighth image is held out, which is not the split that papers use.

    Examples: flatpose-exp data convert --task crowdpose /data --out /data/coco-like ·
    flatpose-exp data convert --task mpii mpii_human_pose_v1_u12_1.mat --out /data/mpii
    """
    from flatpose import benchmarks

    for path in benchmarks.get(task).convert(source, out_dir):
        print(path)


@app.command()
def doctor(data_root: RootOpt = None, json_: JsonOpt = False) -> None:
    """Versions, optional parts, data, disk, devices, and the command that mends each complaint.

    Exit code 0 when everything that is needed is there, else 1.

    Example: flatpose-exp doctor --data-root /data
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
