"""COCO keypoints in the folder layouts people have on disk, with ground-truth boxes or a detector's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flatpose.data.annotations import Annotations, read
from flatpose.data.detections import ImageEntry, read_detections
from flatpose.data.instances import Person, PoseData, Split
from flatpose.errors import DataError
from flatpose.keypoints import KeypointSet

OFFICIAL_IMAGES = {"train": 118287, "val": 5000}
CHECK = "flatpose-exp data check --data-root DIR lists what is expected where"


def coco_folder(root: Path) -> Path:
    """ROOT/coco or ROOT itself, whichever holds ``annotations/``; raises DataError naming both."""
    for folder in (root / "coco", root):
        if (folder / "annotations").is_dir():
            return folder
    raise DataError(f"no COCO data under {root}: looked for {root / 'coco' / 'annotations'} and {root / 'annotations'}",
                    hint=CHECK)


def annotation_path(folder: Path, split: str) -> Path:
    """The keypoint annotation file of "train" or "val": COCO's name, or ``train.json`` where only that is there."""
    names = (f"person_keypoints_{split}2017.json", f"{split}.json")
    official, plain = (folder / "annotations" / name for name in names)
    return plain if plain.is_file() and not official.is_file() else official


def image_folder(folder: Path, split: str) -> Path:
    """``train2017/``, ``images/train2017/``, ``images/train/`` or ``train/``; raises DataError when there is none."""
    candidates = [folder / name for name in (f"{split}2017", f"images/{split}2017", f"images/{split}", split)]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise DataError(f"no {split} images: looked for {', '.join(map(str, candidates))}", hint=CHECK)


def detector_path(folder: Path) -> Path | None:
    """The person detections for val, the well-known AP_H_56 file first; None when there is none."""
    found = sorted((folder / "person_detection_results").glob("*val2017*.json"))
    return next((f for f in found if "AP_H_56" in f.name), found[0] if found else None)


def load_tree(task: str, folder: Path, keypoint_set: KeypointSet, root: Path) -> PoseData:
    """Both splits of a COCO-like folder with its detections, not yet labelled."""
    images = {split: image_folder(folder, split) for split in ("train", "val")}
    train = load_split(annotation_path(folder, "train"), images["train"], keypoint_set, scored=False)
    truth = read(annotation_path(folder, "val"), keypoint_set)
    return with_detections(PoseData(task, "", fingerprint(identity_files(folder)), keypoint_set, train,
                                    split_of(truth, images["val"], keypoint_set), root),
                           truth, images["val"], detector_path(folder))


def with_detections(data: PoseData, truth: Annotations, images: Path, detector: Path | None) -> PoseData:
    """The data with the detections of ``detector`` for the images of ``truth``, where there is such a file."""
    if detector is None:
        return data
    entries = {i["id"]: ImageEntry(images / i["file_name"], (i["width"], i["height"])) for i in truth.images.values()}
    found, note = read_detections(detector, entries, len(data.keypoint_set), truth.category["id"])
    return replace(data, detections=found, detector_file=detector, notes=(*data.notes, f"{detector.name}: {note}"))


def load_split(path: Path, images: Path, keypoint_set: KeypointSet, *, scored: bool = True, use_area: bool = True,
               crowd_index: bool = False) -> Split:
    """Every usable person of an annotation file, which is checked as :func:`flatpose.data.annotations.read` does."""
    return split_of(read(path, keypoint_set, scored=scored, use_area=use_area, crowd_index=crowd_index), images,
                    keypoint_set)


def split_of(truth: Annotations, images: Path, keypoint_set: KeypointSet) -> Split:
    """The persons that can be learned from, of checked annotations.

    Crowd regions, boxes without area and persons without a labelled keypoint are left out (the evaluator still sees
    them in the file). Raises DataError when nobody is left.
    """
    paths = {number: images / image["file_name"] for number, image in truth.images.items()}
    persons = [p for entry in truth.persons
               if (p := _person(entry, truth.images[entry["image_id"]], paths[entry["image_id"]])) is not None]
    if not persons:
        raise DataError("no person with a box and a labelled keypoint", where=str(truth.path))
    return Split(persons, truth.path, sorted(truth.images))


def _person(entry: dict[str, Any], image: dict[str, Any], path: Path) -> Person | None:
    """One annotation as a Person with its box cut to the image, or None when it cannot be used."""
    left, top, width, height = entry["bbox"]
    x1, y1 = max(0.0, left), max(0.0, top)
    x2 = min(image["width"] - 1.0, x1 + max(0.0, width - 1))
    y2 = min(image["height"] - 1.0, y1 + max(0.0, height - 1))
    triples = np.array(entry["keypoints"], dtype=np.float64).reshape(-1, 3)
    visible = triples[:, 2]
    if entry["iscrowd"] or x2 <= x1 or y2 <= y1 or not visible.any():
        return None
    box = np.array([x1, y1, x2 - x1, y2 - y1])
    return Person(image["id"], path, entry["id"], box, triples[:, :2], visible,
                  float(entry.get("area", box[2] * box[3])), image_size=(image["width"], image["height"]))


def identity_files(folder: Path) -> list[Path]:
    """The files that decide what a COCO tree is: both annotation files (they list the images) and the detector's."""
    detector = detector_path(folder)
    return [annotation_path(folder, "train"), annotation_path(folder, "val"), *([detector] if detector else [])]


def fingerprint(files: Iterable[Path]) -> str:
    """Identity of a data set: the first 12 hex digits of SHA-256 over the bytes of its JSON files."""
    digest = hashlib.sha256()
    for file in files:
        try:
            digest.update(file.read_bytes())
        except OSError as error:
            raise DataError(f"cannot be read ({error.strerror})", where=str(file), hint=CHECK) from None
    return digest.hexdigest()[:12]
