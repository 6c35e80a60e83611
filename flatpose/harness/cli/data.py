"""``flatpose-exp data``: make, check, cut and convert data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from flatpose.harness import catalog
from flatpose.harness.cli.measure import print_findings
from flatpose.harness.cli.options import JsonOpt, ProfileOpt, RootOpt, complete_ids, existing_root
from flatpose.harness.console import Display, note

app = typer.Typer(no_args_is_help=True, help="""Make, check, cut or convert data sets.

Examples: flatpose-exp data make fig1 · flatpose-exp data check --data-root /data
""")


@app.command()
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


@app.command()
def subset(target: Annotated[Path, typer.Argument(metavar="DIR", help="Where the subset goes; must not exist.")],
           data_root: RootOpt = None,
           train: Annotated[int, typer.Option(min=1, help="Training images with a usable person.")] = 2000,
           val: Annotated[int, typer.Option(min=1, help="Validation images.")] = 500) -> None:
    """Cut a smaller COCO tree out of a real one; equal numbers give equal images, larger ones contain smaller ones.

    Example: flatpose-exp data subset /data/mini --data-root /data --train 2000 --val 500
    """
    from flatpose.data.subset import make_subset

    print(make_subset(existing_root(data_root), target, {"train": train, "val": val}))


@app.command()
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


@app.command()
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
