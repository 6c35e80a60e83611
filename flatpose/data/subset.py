"""A smaller COCO tree cut out of a real one: the same images for the same numbers, on every machine."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from flatpose.data.annotations import Annotations, read, read_lists, whole_id
from flatpose.data.coco import annotation_path, coco_folder, detector_path, image_folder
from flatpose.data.detections import ImageEntry, read_detections
from flatpose.errors import DataError
from flatpose.io import read_json, write_json
from flatpose.keypoints import COCO17


def make_subset(root: Path, target: Path, counts: dict[str, int]) -> Path:
    """Write ``target/coco`` with ``counts["train"]`` and ``counts["val"]`` images; returns ``target``.

    Images are ranked by a hash of their id, so a larger subset contains every smaller one and no order of a file
    matters. Train takes images with a labelled person; val any, since an image without persons costs a detector its
    false alarms. A split with fewer images is taken whole.

    Raises:
        DataError: ``target`` exists, or the tree is incomplete.
    """
    if target.exists():
        raise DataError("exists already", where=str(target), hint="give a folder that does not")
    folder, parts = coco_folder(root), target.with_name(f"{target.name}.part")
    shutil.rmtree(parts, ignore_errors=True)
    kept = {split: _cut_split(folder, parts / "coco", split, count) for split, count in counts.items()}
    detector = detector_path(folder)
    if detector is not None:
        truth = read(annotation_path(folder, "val"), COCO17)
        images = {number: ImageEntry(Path(image["file_name"])) for number, image in truth.images.items()}
        read_detections(detector, images, len(COCO17), truth.category["id"])  # refuses a malformed file
        boxes = [entry for entry in read_json(detector) if _image_of(entry) in kept["val"]]
        write_json(_in(parts / "coco" / detector.parent.name) / detector.name, boxes)
    parts.rename(target)
    return target


def _cut_split(folder: Path, target: Path, split: str, count: int) -> set[int]:
    """Annotations and images of one split; returns the ids of its images."""
    path = annotation_path(folder, split)
    source, place = image_folder(folder, split), target / f"{split}2017"
    truth = read(path, COCO17, scored=split == "val")  # names are checked: none may leave the folder written to
    chosen = _chosen(truth, count, labelled=split == "train")
    content = read_lists(path)
    images = [image for image in content["images"] if whole_id(image["id"]) in chosen]
    entries = [entry for entry in content["annotations"] if _image_of(entry) in chosen]
    for number in sorted(chosen):
        name = truth.images[number]["file_name"]
        _link(source / name, place / name)
    write_json(_in(target / "annotations") / f"person_keypoints_{split}2017.json",
               {**content, "images": images, "annotations": entries})
    return chosen


def _chosen(truth: Annotations, count: int, *, labelled: bool) -> set[int]:
    ids = set(truth.images)
    if labelled:
        ids &= {p["image_id"] for p in truth.persons if p["num_keypoints"] and not p["iscrowd"]}
    if not ids:
        raise DataError("no image with a labelled person", where=str(truth.path))
    return set(sorted(ids, key=lambda i: hashlib.sha256(str(i).encode()).digest())[:count])


def _image_of(entry: dict[str, Any]) -> int | None:
    """None for what cannot be an id, in entries of other categories, which are not checked."""
    try:
        return whole_id(entry.get("image_id"))
    except ValueError:
        return None


def _link(source: Path, target: Path) -> None:
    """A hard link, which no later change of the tree's layout breaks; a copy on another file system."""
    _in(target.parent)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise DataError("image is missing", where=str(source),
                        hint="flatpose-exp data check --data-root DIR lists every missing image") from None
    except OSError:
        shutil.copyfile(source, target)


def _in(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
