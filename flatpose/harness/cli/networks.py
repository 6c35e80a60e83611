"""The commands that use networks: systems, pack, predict, export, submit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from flatpose.errors import SpecError
from flatpose.harness.cli.options import JsonOpt, ProfileOpt, RootOpt, complete_rows, existing_root
from flatpose.harness.console import Display, emit, note, out, say

app = typer.Typer()
submit_app = typer.Typer(no_args_is_help=True, help="""Write the file that a benchmark's server accepts.

Example: flatpose-exp submit coco-test-dev --name a --predictions results.json --image-info image_info_test-dev2017.json
""")


def complete_systems() -> list[str]:
    """Names of the published systems, for the shell's completion."""
    from flatpose.harness.networks import rows

    return list(rows())


CHECKPOINT = "A packed folder, a run's folder, ID/ROW of a finished run, or with --system a published file"
CheckpointOpt = Annotated[Optional[str], typer.Option(help=f"{CHECKPOINT}; default: the bundled network.")]
SystemOpt = Annotated[Optional[str], typer.Option(help="The published system of an official file; see `systems`.",
                                                  autocompletion=complete_systems)]
FolderOpt = Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")]


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
def pack(source: Annotated[str, typer.Argument(metavar="CHECKPOINT", help=f"{CHECKPOINT}.")], out_dir: FolderOpt,
         system: SystemOpt = None, profile: ProfileOpt = None,
         seed: Annotated[int, typer.Option(min=0, help="Of the run of ID/ROW.")] = 0,
         half: Annotated[bool, typer.Option("--half", help="Matrices and kernels in 16 bits.")] = False,
         calibrate: Annotated[bool, typer.Option("--calibrate", help="Measure on the evaluation data what scores are "
                              "worth; they are then probabilities.")] = False, data_root: RootOpt = None) -> None:
    """Make a checkpoint that describes itself from a finished run or a published file: weights, config.json and card.

    Example: flatpose-exp pack fig1/simcc_s8 -o my_checkpoint
    """
    from flatpose.checkpoints.described import save_checkpoint
    from flatpose.harness.networks import resolve_network

    checkpoint = resolve_network(source, system, profile=profile, seed=seed)
    if calibrate:
        from flatpose.calibration import calibrated

        checkpoint = calibrated(checkpoint, data_root, Display().reporter())
    for path in save_checkpoint(checkpoint, out_dir, half=half):
        say(str(path), out)


@app.command()
def predict(inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Images, folders, globs, videos.")],
            checkpoint: CheckpointOpt = None, system: SystemOpt = None,
            boxes: Annotated[Optional[Path], typer.Option(help="Boxes of the persons: COCO annotations, a detector's "
                "results, or {name: [[left, top, width, height]]}; default: a detector finds them.")] = None,
            whole: Annotated[bool, typer.Option("--whole-image", help="Each image is one person.")] = False,
            detector: Annotated[str, typer.Option(help="A detection model of torchvision.")]
            = "fasterrcnn_mobilenet_v3_large_320_fpn",
            detector_weights: Annotated[Optional[Path], typer.Option(help="Its weights; default: downloaded.")] = None,
            min_box_score: Annotated[float, typer.Option(help="Leave out detections below this.")] = 0.3,
            max_overlap: Annotated[float, typer.Option(help="Leave out detections that overlap a better one by more "
                                                       "than this (intersection over union).")] = 0.6,
            min_score: Annotated[float, typer.Option(help="Draw no keypoint below this (scores are 0 to 1).")] = 0.3,
            flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored image.")] = False,
            every: Annotated[int, typer.Option(min=1, help="Use every so many frames of a video.")] = 1,
            batch_size: Annotated[int, typer.Option(min=1, help="Persons in one forward pass.")] = 32,
            device: Annotated[Optional[str], typer.Option(help="cpu, cuda or mps; default: a GPU if any.")] = None,
            out_dir: FolderOpt = Path("poses"), json_: JsonOpt = False) -> None:
    """Draw poses into pictures and videos and write them as COCO-format JSON (predictions.json, images.json).

    The network predicts one person per box. Persons are scored and duplicates removed (OKS-NMS) as in evaluation. Exit
    code 1 when some files were left out, 2 when none could be used.

    Example: flatpose-exp predict photos/ --boxes detections.json --flip -o out
    """
    from flatpose.boxes import BoxFile, Detector
    from flatpose.harness.networks import load_pose
    from flatpose.predict_files import RESULTS, Job, find_inputs, whole_image

    files = find_inputs(inputs)
    if any(p.resolve().parent == out_dir.resolve() for p in files):
        raise SpecError("would overwrite its own input", where=f"-o {out_dir}", hint="choose another folder")
    pose = load_pose(checkpoint, system, device=device)
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
def export(source: Annotated[Optional[str], typer.Argument(metavar="[CHECKPOINT|ID]", help=f"{CHECKPOINT}; or an ID "
                             "for --row; default: the bundled network.")] = None,
           out_file: Annotated[Path, typer.Option("--out", "-o", help="model.onnx, or model.pt2 for torch.export.")]
           = Path("pose.onnx"), system: SystemOpt = None,
           row: Annotated[Optional[str], typer.Option(help="The network of this row, with untrained weights.",
                                                      autocompletion=complete_rows)] = None,
           json_: JsonOpt = False) -> None:
    """Write a network with its decoder as ONNX (or .pt2), compare it with PyTorch, and store the comparison beside it.

    Crops in, keypoints in crop pixels and scores out, any batch size.

    Example: flatpose-exp export table2 --row hrnet_w48 -o hrnet.onnx
    """
    from flatpose.export import export as write
    from flatpose.harness.networks import resolve_network, untrained

    if row is None:
        facts = write(resolve_network(source, system), out_file)
    elif source is None:
        raise SpecError("a row belongs to an experiment", where="--row", hint=f"flatpose-exp export ID --row {row}")
    else:
        say("untrained weights: the row's network as it is built")
        facts = write(untrained(source, row), out_file)
    if json_:
        emit(facts, json_)
        return
    same = facts["parity"]
    say(f"{out_file}: keypoints differ from PyTorch's by at most {same['max_keypoint_difference_px']:.2g} px, scores "
        f"by at most {same['max_score_difference']:.2g} (batches {same['batches']})", out)


@submit_app.command("coco-test-dev")
def submit_coco_test_dev(
    name: Annotated[str, typer.Option(help="Name of the method on the server: letters, digits, - and _.")],
    predictions: Annotated[Optional[Path], typer.Option(help="COCO results, as for `score`.")] = None,
    image_info: Annotated[Optional[Path], typer.Option(help="image_info_test-dev2017.json: test-dev's images.")] = None,
    checkpoint: Annotated[Optional[str], typer.Option("--checkpoint", "--run", help=f"Instead, a network that "
        f"predicts on the test-dev boxes. {CHECKPOINT}.")] = None,
    system: SystemOpt = None,
    data_root: RootOpt = None,
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of the zip; made when it is not there.")] = Path("."),
    any_list: Annotated[bool, typer.Option("--any-list", help="Try things out with another image list.")] = False,
) -> None:
    """Zip results for COCO's test-dev server, after checking every entry against the image list; prints the path.

    The zip holds person_keypoints_test-dev2017_NAME_results.json with the four fields that the server reads. With
    --checkpoint the boxes are those of COCO_test-dev2017_detections_AP_H_609_person.json below the data root.

    Example: flatpose-exp submit coco-test-dev --name a --checkpoint table3/flatpose_l --data-root /data
    """
    from flatpose.harness.networks import resolve_network, test_dev_results
    from flatpose.testdev import coco_test_dev

    if checkpoint is None and predictions is not None and image_info is not None:
        results: Any = predictions
    elif checkpoint is not None and predictions is None and image_info is None:
        results, image_info = test_dev_results(resolve_network(checkpoint, system), existing_root(data_root),
                                               Display().reporter(), any_list)
    else:
        raise SpecError("give --predictions and --image-info, or --checkpoint", where="submit coco-test-dev")
    say(str(coco_test_dev(results, image_info, out_dir, name, any_list=any_list)), out)
