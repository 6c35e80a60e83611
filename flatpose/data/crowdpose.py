"""CrowdPose: 14 keypoints, trained on trainval, tested on test; official JSON as released (no ``area``)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from flatpose.data import coco
from flatpose.data.instances import PoseData, Split
from flatpose.data.layouts import Layout, whole
from flatpose.errors import DataError
from flatpose.keypoints import CROWDPOSE14

AREA_SHARE = 0.53
"""The evaluators take this share of the box for a person's area."""
OFFICIAL_IMAGES = {"train": 12000, "val": 8000}
SPLITS = {"train": "trainval", "val": "test"}
PATTERNS = ("json/crowdpose_{}.json", "annotations/mmpose_crowdpose_{}.json", "annotations/crowdpose_{}.json")
DETECTORS = ("annotations/det_for_crowd_test_0.1_0.5.json", "json/det_for_crowd_test_0.1_0.5.json",
             "json/embedded_test_detections.json")
CHECK = "flatpose-exp data check --task crowdpose --data-root DIR says what is expected where"


def layouts(root: Path) -> list[Layout]:
    """Where the annotations may lie below a data root."""
    return [Layout(folder, *(folder / pattern.format(name) for name in SPLITS.values()))
            for folder in (root / "crowdpose", root) for pattern in PATTERNS]


def annotation_files(root: Path) -> Layout:
    """(folder of CrowdPose, trainval file, test file) below a data root; raises DataError naming what is missing."""
    return whole(layouts(root), "CrowdPose", root, CHECK)


def detector_file(folder: Path) -> Path | None:
    """The person detections for the test images (mmpose's YOLOv3 file), or None."""
    return next((folder / name for name in DETECTORS if (folder / name).is_file()), None)


def identity_files(root: Path) -> list[Path]:
    """The files that decide what a CrowdPose tree is."""
    folder, train, test = annotation_files(root)
    detector = detector_file(folder)
    return [train, test, *([detector] if detector else [])]


def load_split(path: Path, images: Path) -> Split:
    """Every usable person of one file, with the area that the evaluators give it."""
    split = coco.load_split(path, images, CROWDPOSE14)
    persons = [replace(p, area=AREA_SHARE * float(p.bbox_xywh[2] * p.bbox_xywh[3])) for p in split.persons]
    return replace(split, persons=persons)


def load_crowdpose(root: Path, embedded_label: str | None = None) -> PoseData:
    """Both splits below a data root, with detections when there are any.

    Raises:
        DataError: Something is missing or malformed, or a test image has no crowdIndex.
    """
    folder, train_file, test_file = annotation_files(root)
    images = folder / "images"
    if not images.is_dir():
        raise DataError(f"no CrowdPose images: looked for {images}", hint=CHECK)
    for position, image in enumerate(coco.read_annotations(test_file)["images"]):
        if not isinstance(image, dict) or not isinstance(image.get("crowdIndex"), (int, float)):
            raise DataError("no number 'crowdIndex'", where=f"{test_file}: images[{position}]")
    train, val = load_split(train_file, images), load_split(test_file, images)
    detector = detector_file(folder)
    found = coco.load_detections(detector, val, images, CROWDPOSE14) if detector else []
    counts = {"train": len(train.image_ids), "val": len(val.image_ids)}
    label = "CrowdPose" if counts == OFFICIAL_IMAGES and not embedded_label else \
        f"{embedded_label or 'CrowdPose subset'} ({counts['train']}/{counts['val']} images)"
    data_id = coco.fingerprint(identity_files(root))
    return PoseData("crowdpose", label, data_id, CROWDPOSE14, train, val, root, found, detector)
