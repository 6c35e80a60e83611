"""``flatpose-exp data``: make, check, cut and convert data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from flatpose.harness import catalog
from flatpose.harness.cli.measure import print_findings
from flatpose.harness.cli.options import JsonOpt, ProfileOpt, RootOpt, existing_root
from flatpose.harness.console import Display, emit

app = typer.Typer(no_args_is_help=True, help="""Make, check, cut or convert data sets.

Examples: flatpose-exp data make fig1 · flatpose-exp data check --data-root /data
""")


@app.command()
def make(experiment: Annotated[str, typer.Argument(metavar="[ID]")] = "fig1", profile: ProfileOpt = None) -> None:
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
    """Cut a smaller COCO tree out of a real one. Equal numbers give equal images, larger ones contain smaller ones.

    Images are linked where the file system can, else copied.

    Example: flatpose-exp data subset /data/mini --data-root /data --train 2000 --val 500
    """
    from flatpose.data.subset import make_subset

    print(make_subset(existing_root(data_root), target, {"train": train, "val": val}))


@app.command()
def check(data_root: RootOpt = None,
          task: Annotated[Optional[str], typer.Option(help="coco, crowdpose, mpii or custom; default: all that have a "
                                                           "folder below the root, custom where keypoints.json is "
                                                           "there, else coco.")] = None,
          json_: JsonOpt = False) -> None:
    """Say what was found below a data root, what is missing or wrong, and where it was looked for.

    Without --data-root: $FLATPOSE_DATA, else ./data. Each broken rule is one line: how often, the first places, and
    what to do. Exit code 2 when the data cannot be used as they are.

    Examples: flatpose-exp data check --data-root /data · flatpose-exp data check --data-root mine --task custom
    """
    from flatpose import benchmarks

    place = existing_root(data_root)
    findings = [{"task": t, **{name: getattr(f, name) for name in ("severity", "where", "what", "hint")}}
                for t in ([task] if task else benchmarks.found_in(place)) for f in benchmarks.get(t).check(place)]
    if json_:
        emit(findings, json_)
    else:
        print_findings([(f["severity"], f["where"], f["what"], f["hint"]) for f in findings])
    if any(f["severity"] == "error" for f in findings):
        raise typer.Exit(2)


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

    Examples: flatpose-exp data convert --task crowdpose /data --out /data/coco-like ·
    flatpose-exp data convert --task mpii mpii_human_pose_v1_u12_1.mat --out /data/mpii
    """
    from flatpose import benchmarks

    for path in benchmarks.get(task).convert(source, out_dir):
        print(path)
