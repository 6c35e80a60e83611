"""The commands that use trained networks: pack, predict, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from flatpose.errors import SpecError
from flatpose.harness import catalog, sites
from flatpose.harness.cli_tools import ProfileOpt
from flatpose.harness.console import OPTIONS, err, make_reporter, out, print_json

app = typer.Typer()
JsonOpt = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
CheckpointOpt = Annotated[Optional[Path], typer.Option(
    help="A checkpoint that `pack` wrote (file or folder); default: the small network that comes along.")]
RowOpt = Annotated[Optional[str], typer.Option(help="The row whose run or network it is.")]
NO_BOXES = ("no --boxes: each whole image is taken as one person; where there are several, give their boxes "
            "(docs/predict.md)")


@app.command()
def pack(run: Annotated[str, typer.Argument(metavar="RUN|ID", help="A run's folder, or an experiment id.")],
         out_dir: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
         row: RowOpt = None, profile: ProfileOpt = None,
         seed: Annotated[int, typer.Option(min=0, help="Of the run.")] = 0,
         real: Annotated[bool, typer.Option("--real", help="The run on a data root's data, not on embedded.")] = False,
         half: Annotated[bool, typer.Option("--half", help="Matrices and kernels in 16 bits.")] = False) -> None:
    """Make a checkpoint that explains itself from a finished run: weights, config.json and a model card.

    Example: flatpose-exp pack fig1 --row simcc_s8 --seed 0 -o my_checkpoint
    """
    from flatpose.harness.pack import find_run, is_run
    from flatpose.harness.pack import pack as write

    if is_run(run):
        folder = Path(run)
    else:
        found = catalog.load(run)
        if row is None:
            raise SpecError("a checkpoint is the network of one row", where=run, hint="add --row R")
        folder = find_run(found, catalog.find_row(found, row), catalog.find_profile(found, profile), seed,
                          sites.runs_dir(), real=real)
    for path in write(folder, out_dir, half=half):
        out.print(str(path), markup=False)


@app.command()
def predict(inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Images, folders, globs, videos.")],
            checkpoint: CheckpointOpt = None,
            boxes: Annotated[Optional[Path], typer.Option(help="Boxes of the persons: COCO annotations, a detector's "
                "results, or {name: [[left, top, width, height]]}; default: the whole image is one person.")] = None,
            min_box_score: Annotated[float, typer.Option(help="Leave out detections below this.")] = 0.3,
            max_overlap: Annotated[float, typer.Option(help="Leave out detections that overlap a better one by more "
                                                       "than this (intersection over union).")] = 0.6,
            min_score: Annotated[float, typer.Option(help="Draw no keypoint below this.")] = 0.0,
            flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored image.")] = False,
            batch_size: Annotated[int, typer.Option(min=1, help="Persons in one forward pass.")] = 32,
            out_dir: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")] = Path("poses"),
            json_: JsonOpt = False) -> None:
    """Draw poses into pictures and write them as COCO-format JSON (predictions.json, images.json).

    The network answers one person per box. Persons are scored and freed of duplicates (OKS-NMS) as in evaluation. Exit
    code 1 when some files were left out, 2 when none could be used.

    Examples: flatpose-exp predict photos/ --boxes detections.json --flip -o out · flatpose-exp predict person.jpg ·
    flatpose-exp predict clip.mp4 --boxes boxes.json --checkpoint my_checkpoint
    """
    from flatpose.predict import Pose
    from flatpose.predict_files import RESULTS, Boxes, find_inputs, predict_files

    files = find_inputs(inputs)
    taken = next((p for p in files if p.resolve().parent == out_dir.resolve()), None)
    if taken is not None:
        raise SpecError("would overwrite its own input", where=f"-o {out_dir}", hint="choose another folder")
    known = Boxes(boxes, min_box_score, max_overlap) if boxes else None
    if known is None and not OPTIONS.quiet:
        err.print(NO_BOXES, markup=False)
    made = predict_files(Pose.load(checkpoint), files, out_dir, make_reporter(), boxes=known, flip_test=flip,
                         batch_size=batch_size, threshold=min_score)
    for error in made.left_out:
        err.print(f"left out: {error.where}: {error.what}", markup=False)
    if json_:
        print_json({"pictures": made.pictures, "persons": made.persons, "predictions": str(out_dir / RESULTS),
                    "left_out": [f"{error.where}: {error.what}" for error in made.left_out]})
    elif not OPTIONS.quiet:
        err.print(f"{made.pictures} pictures, {made.persons} persons: {out_dir}/*.jpg and {out_dir / RESULTS}",
                  markup=False)
    if made.left_out:
        raise typer.Exit(1)


@app.command()
def export(source: Annotated[str, typer.Argument(metavar="CHECKPOINT|ID", help="A checkpoint, or an experiment id for "
                                                 "a row's network with untrained weights.")],
           out_file: Annotated[Path, typer.Option("--out", "-o", help="model.onnx, or model.pt2 for torch.export.")],
           row: RowOpt = None, profile: ProfileOpt = None,
           compiled: Annotated[bool, typer.Option("--compiled", help="A .pt2 of machine code for this kind of machine "
                                                  "(AOTInductor; needs a C++ compiler).")] = False,
           json_: JsonOpt = False) -> None:
    """Write a network with its decoder as ONNX (or .pt2) and compare its answers with PyTorch's.

    Crops in, keypoints in crop pixels and scores out, any batch size. The comparison stands beside the file as JSON.

    Examples: flatpose-exp export my_checkpoint -o pose.onnx · flatpose-exp export table2 --row hrnet_w48 -o hrnet.onnx
    """
    from flatpose.export import export as write
    from flatpose.pose_checkpoint import load_checkpoint

    checkpoint = Path(source).exists() and not source.endswith(".py")  # which is a spec of one's own
    loaded = load_checkpoint(source) if checkpoint else _untrained(source, row, profile)
    facts = write(loaded, out_file, compiled=compiled)
    if json_:
        print_json(facts)
        return
    same = facts["parity"]
    out.print(f"{out_file}: outputs differ from PyTorch's by at most {same['max_abs_difference']:.2g}, keypoints by at "
              f"most {same['max_keypoint_difference_px']:.2g} px (batches {same['batches']})", markup=False)


def _untrained(source: str, row: str | None, profile: str | None) -> Any:
    """A row's network as it is built, at the paper's size unless a profile says otherwise."""
    from flatpose import benchmarks
    from flatpose.harness.spec import at_profile
    from flatpose.models import build_model
    from flatpose.pose_checkpoint import Checkpoint

    found = catalog.load(source)
    if row is None:
        raise SpecError("an experiment has many networks", where=source, hint="add --row R")
    run = catalog.find_row(found, row).run
    run = run if profile is None else at_profile(run, catalog.find_profile(found, profile))
    keypoints = benchmarks.get(run.data.task).keypoints()
    network = build_model(run.model, run.codec, run.image_size, len(keypoints), pretrained=False)
    return Checkpoint(run, keypoints, network, {})
