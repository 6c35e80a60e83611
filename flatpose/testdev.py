"""A trained network on COCO's test-dev: its images, the detector's boxes, results for the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import nn

from flatpose.benchmarks import COCO
from flatpose.codecs import build_codec
from flatpose.config import RunConfig
from flatpose.data.annotations import plain_name, whole_id
from flatpose.data.coco import fingerprint
from flatpose.data.detections import read_detections
from flatpose.data.instances import PoseData, Split
from flatpose.data.layouts import Tree
from flatpose.errors import DataError
from flatpose.evaluate import predict
from flatpose.io import read_json
from flatpose.metrics import to_results
from flatpose.models import build_model
from flatpose.progress import SILENT, Reporter

IMAGE_INFO = "image_info_test-dev2017.json"
PERSON = 1
"""COCO's category, which the image list does not name."""
DETECTOR = "COCO_test-dev2017_detections_AP_H_609_person.json"


def load_test_dev(root: Path) -> PoseData:
    """The detected persons of test-dev below a data root, as a data set without truth.

    Expects ``annotations/image_info_test-dev2017.json``, the images in ``test2017/`` (or ``images/test2017/``) and the
    60.9-AP detector file (or another ``*test-dev2017*.json``) in ``person_detection_results/``.

    Raises:
        DataError: One of them is missing or malformed.
    """
    usual = root / COCO.layout.folder
    folder = next((f for f in (usual, root) if (f / "annotations" / IMAGE_INFO).is_file()), usual)
    info, images = folder / "annotations" / IMAGE_INFO, Tree(COCO.layout, folder, folder, folder).images("test")
    boxes = folder / "person_detection_results"
    detector = next((p for p in (boxes / DETECTOR, *sorted(boxes.glob("*test-dev2017*.json"))) if p.is_file()), None)
    if detector is None:
        raise DataError(f"no person detections for test-dev: looked for {boxes / DETECTOR}")
    try:
        known = {number: {"id": number, "file_name": Path(plain_name(image["file_name"])).name}
                 for image in read_json(info)["images"] for number in [whole_id(image["id"])]}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"no list 'images' of objects with id and file_name ({error!r})", where=str(info)) from None
    keypoint_set, split = COCO.keypoints(), Split([], info, sorted(known))
    persons, note = read_detections(detector, known, images, len(keypoint_set), PERSON)
    return PoseData(COCO.name, "COCO test-dev2017", fingerprint([info, detector]), keypoint_set, split, split, root,
                    persons, detector, (f"{detector.name}: {note}",))


def results(run: RunConfig, weights: Path, data: PoseData, reporter: Reporter = SILENT) -> list[dict[str, Any]]:
    """COCO results of a run's network on the detected persons, with the run's flip test, score rule and NMS."""
    network = build_model(run.model, run.codec, run.image_size, len(data.keypoint_set), pretrained=False)
    network.load_state_dict(load_file(weights))
    return results_of(network, run, data, reporter)


def results_of(network: nn.Module, run: RunConfig, data: PoseData, reporter: Reporter = SILENT) -> list[dict[str, Any]]:
    """The same of a network that has its weights."""
    codec = build_codec(run.codec, run.image_size, len(data.keypoint_set))
    found = predict(network, codec, data.detections, data, run, Accelerator(), reporter)
    return to_results(found, rescore=run.eval.rescore, score_threshold=run.codec.score_threshold, nms=run.eval.nms,
                      nms_threshold=run.eval.nms_threshold, sigmas=np.array(data.keypoint_set.sigmas))[0]
