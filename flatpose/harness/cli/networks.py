"""The commands that use networks: systems, pack, predict, export, submit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from flatpose.errors import SpecError
from flatpose.harness.cli.options import JsonOpt, ProfileOpt, RootOpt, existing_root
from flatpose.harness.console import Display, emit, note, out, say

app = typer.Typer()
submit_app = typer.Typer(no_args_is_help=True, help="""Write the file that a benchmark's server accepts.

Example: flatpose-exp submit coco-test-dev --name a --predictions results.json --image-info image_info_test-dev2017.json
""")
CheckpointOpt = Annotated[Optional[str], typer.Option(
    help="A packed folder, a run's folder, ID/ROW of a finished run, or with --system a published file; default: the "
         "bundled network.")]
RowOpt = Annotated[Optional[str], typer.Option(help="The row whose run or network it is.")]
SystemOpt = Annotated[Optional[str], typer.Option(help="The published system whose official file the checkpoint is "
                                                       "(`flatpose-exp systems`).")]
DETECTOR = "fasterrcnn_mobilenet_v3_large_320_fpn"


@app.command()
def systems(json_: JsonOpt = False) -> None:
    """List the published systems: input, cost, published numbers with their boxes, and whose checkpoints fit.

    Example: flatpose-exp systems
    """
    from flatpose.harness.networks import systems as listing

    found = listing()
    emit(found, json_, ("name", "input", "params M", "GFLOPs", "published", "checkpoints of"),
         [(s["name"], "x".join(map(str, s["input_hw"])), s["params_m"],
           s["gflops"] if s["cost"] == "counted" or s["gflops"] is None else f"{s['gflops']} (printed)",
           next((f"{name} {value:.1f}, {s['split']}, {s['boxes']}" for name, value in s["metrics"].items()), ""),
           s["files"]) for s in found])


@app.command()
def pack(source: Annotated[str, typer.Argument(metavar="RUN|ID|FILE", help="A run's folder, ID/ROW, or with --system a "
                                               "published file.")],
         out_dir: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
         system: SystemOpt = None, row: RowOpt = None, profile: ProfileOpt = None,
         seed: Annotated[int, typer.Option(min=0, help="Of the run.")] = 0,
         real: Annotated[bool, typer.Option("--real", help="The run on a data root's data, not on embedded.")] = False,
         half: Annotated[bool, typer.Option("--half", help="Matrices and kernels in 16 bits.")] = False) -> None:
    """Make a checkpoint that describes itself from a finished run or a published file: weights, config.json and card.

    Examples: flatpose-exp pack fig1/simcc_s8 -o my_checkpoint ·
    flatpose-exp pack pose_hrnet_w32.pth --system hrnet_w32 -o hrnet
    """
    from flatpose.checkpoints.described import save_checkpoint
    from flatpose.harness.networks import resolve_network

    found = resolve_network(source, system, row=row, profile=profile, seed=seed, real=real)
    for path in save_checkpoint(found, out_dir, half=half):
        say(str(path), out)


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

    Examples: flatpose-exp predict photos/ --boxes detections.json --flip -o out ·
    flatpose-exp predict person.jpg --whole-image · flatpose-exp predict clip.mp4 --every 2 --checkpoint my_checkpoint
    """
    from flatpose.boxes import BoxFile, Detector
    from flatpose.harness.networks import resolve_network
    from flatpose.predict import Pose
    from flatpose.predict_files import RESULTS, Job, find_inputs, whole_image

    files = find_inputs(inputs)
    if any(p.resolve().parent == out_dir.resolve() for p in files):
        raise SpecError("would overwrite its own input", where=f"-o {out_dir}", hint="choose another folder")
    pose = Pose(resolve_network(checkpoint, system), device=device)
    where = whole_image if whole else BoxFile(boxes, min_box_score, max_overlap) if boxes else Detector(
        detector, detector_weights, min_box_score, str(pose.device))
    made = Job(pose, out_dir, where, flip, batch_size, min_score, every).run(files, Display().reporter())
    left_out = [f"{error.where}: {error.what}" for error in made.left_out]
    for text in left_out:
        say(f"left out: {text}")
    if json_:
        emit({"pictures": len(made.images), "persons": len(made.results), "predictions": str(out_dir / RESULTS),
              "left_out": left_out}, json_)
    else:
        note(f"{len(made.images)} pictures, {len(made.results)} persons: {out_dir} and {out_dir / RESULTS}")
    if left_out:
        raise typer.Exit(1)


@app.command()
def export(source: Annotated[Optional[str], typer.Argument(metavar="[CHECKPOINT|ID]", help="A checkpoint, or an "
                             "experiment id for a row's network with untrained weights; default: the bundled network.")]
           = None,
           out_file: Annotated[Path, typer.Option("--out", "-o", help="model.onnx, or model.pt2 for torch.export.")]
           = Path("pose.onnx"),
           system: SystemOpt = None, row: RowOpt = None, profile: ProfileOpt = None, json_: JsonOpt = False) -> None:
    """Write a network with its decoder as ONNX (or .pt2) and compare its outputs with PyTorch's.

    Crops in, keypoints in crop pixels and scores out, any batch size. The comparison is stored beside the file as JSON.

    Examples: flatpose-exp export my_checkpoint -o pose.onnx · flatpose-exp export table2 --row hrnet_w48 -o hrnet.onnx
    """
    from flatpose.export import export as write
    from flatpose.harness.networks import resolve_network, untrained

    if row is not None and source is not None:
        say("untrained weights: the row's network as it is built")
        facts = write(untrained(source, row, profile), out_file)
    else:
        facts = write(resolve_network(source, system), out_file)
    if json_:
        emit(facts, json_)
        return
    same = facts["parity"]
    say(f"{out_file}: outputs differ from PyTorch's by at most {same['max_abs_difference']:.2g}, keypoints by at "
        f"most {same['max_keypoint_difference_px']:.2g} px (batches {same['batches']})", out)


@submit_app.command("coco-test-dev")
def submit_coco_test_dev(
    name: Annotated[str, typer.Option(help="Name of the method on the server: letters, digits, - and _.")],
    predictions: Annotated[Optional[Path], typer.Option(help="COCO results format, as for `score --task coco`; "
                                                             "needs --image-info.")] = None,
    image_info: Annotated[Optional[Path], typer.Option(help="image_info_test-dev2017.json: test-dev's images.")] = None,
    run_dir: Annotated[Optional[Path], typer.Option("--run", help="Instead: runs/HASH/seedN/DATA of a finished run, "
                                                                  "whose network then predicts.")] = None,
    data_root: RootOpt = None,
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of the zip; made when it is not there.")] = Path("."),
    any_list: Annotated[bool, typer.Option("--any-list", help="Accept an image list that has not test-dev's 20,288 "
                                           "images, to try things out; the server would refuse the zip.")] = False,
) -> None:
    """Zip results for COCO's test-dev server, after checking every entry against the image list.

    The zip holds one file at its root, person_keypoints_test-dev2017_NAME_results.json, as the server wants it, with
    the four fields it reads and coordinates rounded to 1/100 pixel. Prints the zip's path.

    With --run the network of a finished run predicts on the boxes of
    COCO_test-dev2017_detections_AP_H_609_person.json below the data root, with the run's own flip test, score rule
    and NMS.

    \b
    Examples:
      flatpose-exp submit coco-test-dev --name a --predictions results.json --image-info image_info_test-dev2017.json
      flatpose-exp submit coco-test-dev --name a --run runs/0123456789ab/seed0/ba9876543210 --data-root /data
    """
    from flatpose.data.submit import coco_test_dev

    if run_dir is None and predictions is not None and image_info is not None:
        path = coco_test_dev(predictions, image_info, out_dir, name, any_list=any_list)
    elif run_dir is not None and predictions is None and image_info is None:
        path = _run_on_test_dev(run_dir, existing_root(data_root), out_dir, name, any_list)
    else:
        raise SpecError("give --predictions and --image-info, or --run", where="submit coco-test-dev")
    say(str(path), out)


def _run_on_test_dev(run_dir: Path, data_root: Path, out_dir: Path, name: str, any_list: bool) -> Path:
    from flatpose import benchmarks
    from flatpose.config import from_dict
    from flatpose.data.submit import coco_test_dev, image_ids
    from flatpose.harness.store import RunDir
    from flatpose.testdev import load_test_dev, results

    record, weights = RunDir(run_dir).record(), run_dir / "weights.safetensors"
    if record is None or record.status != "done" or not weights.is_file():
        raise SpecError("no finished run with its weights", where=str(run_dir), hint="flatpose-exp status")
    if record.spec["data"]["task"] != benchmarks.COCO.name:
        raise SpecError(f"a run on {record.spec['data']['task']}, expected coco", where=str(run_dir))
    data = load_test_dev(data_root)
    image_ids(data.val.annotation_file, any_list=any_list)  # before hours of predicting
    return coco_test_dev(results(from_dict(record.spec), weights, data, Display().reporter()), data.val.annotation_file,
                         out_dir, name, any_list=any_list)
