"""COCO's test-dev: its images, a network's results on the detector's boxes, and the zip that the server accepts."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flatpose.benchmarks import COCO
from flatpose.config import RunConfig
from flatpose.data.annotations import plain_name, whole_id
from flatpose.data.coco import fingerprint, read_detections
from flatpose.data.instances import PoseData, Split
from flatpose.data.layouts import Tree
from flatpose.errors import DataError
from flatpose.io import read_json, write_bytes
from flatpose.keypoints import COCO17
from flatpose.metrics import to_results
from flatpose.metrics.results import Results, coco_results
from flatpose.progress import SILENT, Reporter

if TYPE_CHECKING:
    from torch import nn

IMAGE_INFO = "image_info_test-dev2017.json"
PERSON = 1
"""COCO's category, which the image list does not name."""
DETECTOR = "COCO_test-dev2017_detections_AP_H_609_person.json"
TEST_DEV_IMAGES, TEST_IMAGES = 20_288, 40_670
"""Images of COCO's test-dev2017 and of test2017, of which it is a part."""


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


def results_of(network: nn.Module, run: RunConfig, data: PoseData, reporter: Reporter = SILENT) -> Results:
    """COCO results of a run's network on the detected persons, with the run's flip test, score rule and NMS."""
    from accelerate import Accelerator

    from flatpose.codecs import build_codec
    from flatpose.evaluate import predict

    codec = build_codec(run.codec, run.image_size, len(data.keypoint_set))
    found = predict(network, codec, data.detections, data, run, Accelerator(), reporter)
    return to_results(found, rescore=run.eval.rescore, score_threshold=run.codec.score_threshold, nms=run.eval.nms,
                      nms_threshold=run.eval.nms_threshold, sigmas=np.array(data.keypoint_set.sigmas))[0]


def coco_test_dev(results: Results | Path, image_info: Path, out: Path, name: str, *, any_list: bool = False
                  ) -> Path:
    """Write ``person_keypoints_test-dev2017_<name>_results.zip`` into the folder ``out``; returns its path.

    It holds the four fields that the server reads, with coordinates to 1/100 pixel, which keeps it below the server's
    limit. The bytes depend on results and name alone. The server counts persons of images without a result as missed.

    Args:
        results: COCO results format, or a file with it.
        image_info: ``image_info_test-dev2017.json``: the images a result may belong to.
        out: Folder of the zip.
        name: The algorithm's name on the server: letters, digits, - and _.
        any_list: Accept a list of another length than test-dev's; the server would refuse the zip.

    Raises:
        DataError: The list is not test-dev's, or a result is malformed or of another image; the message names it.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise DataError(f"{name!r} cannot be part of a file name on the server", where="--name",
                        hint="use letters, digits, - and _")
    where, entries = (str(results), read_json(results)) if isinstance(results, Path) else ("results", results)
    images = image_ids(image_info, any_list=any_list)
    if isinstance(entries, list):
        entries = [{"category_id": PERSON, **entry} if isinstance(entry, dict) else entry for entry in entries]
    found = coco_results(entries, where, images, len(COCO17))
    odd = next((i for i, entry in enumerate(found) if entry["category_id"] != PERSON), None)
    if odd is not None:
        raise DataError(f"{found[odd]['category_id']}, expected {PERSON} (person)",
                        where=f"{where}: [{odd}].category_id")
    slim = [{"image_id": entry["image_id"], "category_id": PERSON, "score": entry["score"],
             "keypoints": [round(v, 2 if i % 3 < 2 else 4) for i, v in enumerate(entry["keypoints"])]}
            for entry in found]
    stem = f"person_keypoints_test-dev2017_{name}_results"
    write_bytes(out / f"{stem}.zip", _zip(f"{stem}.json", json.dumps(slim, separators=(",", ":")).encode()))
    return out / f"{stem}.zip"


def image_ids(path: Path, *, any_list: bool = False) -> set[int]:
    """The ids of an image list; raises DataError when it is malformed or, unless ``any_list``, not test-dev's."""
    try:
        ids = {whole_id(image["id"]) for image in read_json(path)["images"]}
    except (KeyError, TypeError, ValueError):
        raise DataError("no list 'images' of objects with an id", where=str(path),
                        hint="image_info_test-dev2017.json is in image_info_test2017.zip") from None
    if not ids:
        raise DataError("the list 'images' is empty", where=str(path))
    if len(ids) != TEST_DEV_IMAGES and not any_list:
        whose = ", which is test2017's list" if len(ids) == TEST_IMAGES else ""
        raise DataError(f"{len(ids):,} images{whose}; test-dev2017 has {TEST_DEV_IMAGES:,}", where=str(path),
                        hint="give image_info_test-dev2017.json; --any-list takes any list, to try things out")
    return ids


def _zip(name: str, content: bytes) -> bytes:
    """One file, stored with a fixed date, so that equal results give equal bytes."""
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, content)
    return buffer.getvalue()
