"""CrowdPose: 14 keypoints, trained on trainval, tested on test; official JSON as released (no ``area``)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from flatpose.data.annotations import read
from flatpose.data.coco import fingerprint, load_split, split_of, with_detections
from flatpose.data.instances import PoseData, Split
from flatpose.data.layouts import Layout, whole
from flatpose.errors import DataError
from flatpose.keypoints import CROWDPOSE14

AREA_SHARE = 0.53
"""The evaluators take this share of the box for a person's area."""
OFFICIAL_IMAGES = {"train": 12000, "val": 8000}
PATTERNS = ("json/crowdpose_{}.json", "annotations/mmpose_crowdpose_{}.json", "annotations/crowdpose_{}.json")
DETECTORS = ("annotations/det_for_crowd_test_0.1_0.5.json", "json/det_for_crowd_test_0.1_0.5.json",
             "json/embedded_test_detections.json")
CHECK = "flatpose-exp data check --task crowdpose --data-root DIR lists what is expected where"


def layouts(root: Path) -> list[Layout]:
    """Where the annotations may lie below a data root."""
    return [Layout(folder, *(folder / pattern.format(name) for name in ("trainval", "test")))
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


def with_area(split: Split) -> Split:
    """The split with the area that the evaluators give each person."""
    return replace(split, persons=[replace(p, area=AREA_SHARE * float(p.bbox_xywh[2] * p.bbox_xywh[3]))
                                   for p in split.persons])


def load_crowdpose(root: Path) -> PoseData:
    """Both splits below a data root, with detections when there are any, not yet labelled.

    Raises:
        DataError: Something is missing or malformed, or a test image has no crowdIndex.
    """
    folder, train_file, test_file = annotation_files(root)
    images = folder / "images"
    if not images.is_dir():
        raise DataError(f"no CrowdPose images: looked for {images}", hint=CHECK)
    train = load_split(train_file, images, CROWDPOSE14, scored=False, use_area=False)
    truth = read(test_file, CROWDPOSE14, use_area=False, crowd_index=True)
    val = split_of(truth, images, CROWDPOSE14)
    data = PoseData("crowdpose", "", fingerprint(identity_files(root)), CROWDPOSE14, with_area(train), with_area(val),
                    root)
    return with_detections(data, truth, images, detector_file(folder))
