"""The commands that use trained networks: pack, predict, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from flatpose.errors import SpecError
from flatpose.harness.cli_tools import ProfileOpt
from flatpose.harness.console import OPTIONS, err, make_reporter, out, print_json

app = typer.Typer()
JsonOpt = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
CheckpointOpt = Annotated[Optional[str], typer.Option(
    help="A packed folder, a run's folder, ID/ROW of a finished run, or with --system a published file; default: the "
         "bundled network.")]
RowOpt = Annotated[Optional[str], typer.Option(help="The row whose run or network it is.")]
SystemOpt = Annotated[Optional[str], typer.Option(
    "--system", help="Published system whose official file the checkpoint is (`flatpose-exp systems`).")]
DETECTOR = "fasterrcnn_mobilenet_v3_large_320_fpn"


@app.command()
def systems(json_: JsonOpt = False) -> None:
    """List the published systems: input, cost, published numbers with their boxes, and whose checkpoints fit.

    Example: flatpose-exp systems
    """
    from flatpose.harness.console import table
    from flatpose.harness.networks import systems as listing

    found = listing()
    if json_:
        print_json(found)
        return
    rows = [[s["name"], "x".join(map(str, s["input_hw"])), "" if s["params_m"] is None else f"{s['params_m']:.1f}",
             "" if s["gflops"] is None else f"{s['gflops']:.1f}",
             next((f"{name} {value:.1f}, {s['split']}, {s['boxes']}" for name, value in s["metrics"].items()), ""),
             s["files"]] for s in found]
    table("published systems", ["name", "input", "params M", "GFLOPs", "published", "checkpoints of"], rows)


@app.command()
def pack(source: Annotated[str, typer.Argument(metavar="RUN|ID|FILE", help="A run's folder, ID/ROW, or with --system a "
                                               "published file.")],
         out_dir: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
         system: SystemOpt = None, row: RowOpt = None, profile: ProfileOpt = None,
         seed: Annotated[int, typer.Option(min=0, help="Of the run.")] = 0,
         real: Annotated[bool, typer.Option("--real", help="The run on a data root's data, not on embedded.")] = False,
         half: Annotated[bool, typer.Option("--half", help="Matrices and kernels in 16 bits.")] = False) -> None:
    """Make a checkpoint that describes itself from a finished run or a published file: weights, config.json and card.

    Examples: flatpose-exp pack fig1/simcc_s8 -o my_checkpoint · flatpose-exp pack pose_hrnet_w32.pth --system hrnet_w32
    -o hrnet
    """
    from flatpose.checkpoints.described import save_checkpoint
    from flatpose.harness.networks import resolve_network

    found = resolve_network(source, system, row=row, profile=profile, seed=seed, real=real)
    for path in save_checkpoint(found, out_dir, half=half):
        out.print(str(path), markup=False)


@app.command()
def predict(inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Images, folders, globs, videos.")],
            checkpoint: CheckpointOpt = None, system: SystemOpt = None,
            boxes: Annotated[Optional[Path], typer.Option(help="Boxes of the persons: COCO annotations, a detector's "
                "results, or {name: [[left, top, width, height]]}; default: a detector finds them.")] = None,
            whole: Annotated[bool, typer.Option("--whole-image", help="Each image is one person.")] = False,
            detector: Annotated[str, typer.Option(help="A detection model of torchvision.")] = DETECTOR,
            detector_weights: Annotated[Optional[Path], typer.Option(help="Its weights; default: torchvision's, "
                                                                     "downloaded once.")] = None,
            min_box_score: Annotated[float, typer.Option(help="Leave out detections below this.")] = 0.3,
            max_overlap: Annotated[float, typer.Option(help="Leave out detections that overlap a better one by more "
                                                       "than this (intersection over union).")] = 0.6,
            min_score: Annotated[float, typer.Option(help="Draw no keypoint below this (scores are 0 to 1).")] = 0.3,
            flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored image.")] = False,
            every: Annotated[int, typer.Option(min=1, help="Use every so many frames of a video.")] = 1,
            batch_size: Annotated[int, typer.Option(min=1, help="Persons in one forward pass.")] = 32,
            device: Annotated[Optional[str], typer.Option(help="cpu, cuda or mps; default: a GPU if any.")] = None,
            out_dir: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")] = Path("poses"),
            json_: JsonOpt = False) -> None:
    """Draw poses into pictures and videos and write them as COCO-format JSON (predictions.json, images.json).

    The network predicts one person per box. Persons are scored and duplicates removed (OKS-NMS) as in evaluation. Exit
    code 1 when some files were left out, 2 when none could be used.

    Examples: flatpose-exp predict photos/ --boxes detections.json --flip -o out · flatpose-exp predict person.jpg
    --whole-image · flatpose-exp predict clip.mp4 --every 2 --checkpoint my_checkpoint
    """
    from flatpose.boxes import BoxFile, Detector
    from flatpose.harness.networks import resolve_network
    from flatpose.predict import Pose
    from flatpose.predict_files import RESULTS, Job, find_inputs, whole_image

    files = find_inputs(inputs)
    taken = next((p for p in files if p.resolve().parent == out_dir.resolve()), None)
    if taken is not None:
        raise SpecError("would overwrite its own input", where=f"-o {out_dir}", hint="choose another folder")
    pose = Pose(resolve_network(checkpoint, system), device=device)
    where = whole_image if whole else BoxFile(boxes, min_box_score, max_overlap) if boxes else Detector(
        detector, detector_weights, min_box_score, str(pose.device))
    made = Job(pose, out_dir, where, flip, batch_size, min_score, every).run(files, make_reporter())
    left_out = [f"{error.where}: {error.what}" for error in made.left_out]
    for text in left_out:
        err.print(f"left out: {text}", markup=False)
    if json_:
        print_json({"pictures": len(made.images), "persons": len(made.results),
                    "predictions": str(out_dir / RESULTS), "left_out": left_out})
    elif not OPTIONS.quiet:
        err.print(f"{len(made.images)} pictures, {len(made.results)} persons: {out_dir} and {out_dir / RESULTS}",
                  markup=False)
    if left_out:
        raise typer.Exit(1)


@app.command()
def export(source: Annotated[Optional[str], typer.Argument(metavar="[CHECKPOINT|ID]", help="A checkpoint, or an "
                             "experiment id for a row's network with untrained weights; default: the bundled network.")]
           = None,
           out_file: Annotated[Path, typer.Option("--out", "-o", help="model.onnx, or model.pt2 for torch.export.")]
           = Path("pose.onnx"),
           system: SystemOpt = None, row: RowOpt = None, profile: ProfileOpt = None, json_: JsonOpt = False) -> None:
    """Write a network with its decoder as ONNX (or .pt2) and compare its answers with PyTorch's.

    Crops in, keypoints in crop pixels and scores out, any batch size. The comparison is stored beside the file as JSON.

    Examples: flatpose-exp export my_checkpoint -o pose.onnx · flatpose-exp export table2 --row hrnet_w48 -o hrnet.onnx
    """
    from flatpose.export import export as write
    from flatpose.harness.networks import resolve_network, untrained

    if row is not None and source is not None:
        err.print("untrained weights: the row's network as it is built", markup=False)
        loaded = untrained(source, row, profile)
    else:
        loaded = resolve_network(source, system)
    facts = write(loaded, out_file)
    if json_:
        print_json(facts)
        return
    same = facts["parity"]
    out.print(f"{out_file}: outputs differ from PyTorch's by at most {same['max_abs_difference']:.2g}, keypoints by at "
              f"most {same['max_keypoint_difference_px']:.2g} px (batches {same['batches']})", markup=False)
