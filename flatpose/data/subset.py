"""A smaller COCO tree cut out of a real one: the same images for the same numbers, on every machine."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from flatpose.data import coco
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
    folder, parts = coco.coco_folder(root), target.with_name(f"{target.name}.part")
    shutil.rmtree(parts, ignore_errors=True)
    kept = {split: _cut_split(folder, parts / "coco", split, count) for split, count in counts.items()}
    detector = coco.detector_path(folder)
    if detector is not None:
        path, images = coco.annotation_path(folder, "val"), coco.image_folder(folder, "val")
        coco.load_detections(detector, coco.load_split(path, images, COCO17), images, COCO17)  # says what is wrong
        boxes = [entry for entry in read_json(detector) if _image_of(entry) in kept["val"]]
        write_json(_in(parts / "coco" / detector.parent.name) / detector.name, boxes)
    parts.rename(target)
    return target


def _cut_split(folder: Path, target: Path, split: str, count: int) -> set[int]:
    """Annotations and images of one split; returns the ids of its images."""
    path = coco.annotation_path(folder, split)
    source, place = coco.image_folder(folder, split), target / f"{split}2017"
    coco.load_split(path, source, COCO17)  # names are data: none may leave the folder that is written to
    content = coco.read_annotations(path)
    chosen = _chosen(content, count, labelled=split == "train")
    images = [image for image in content["images"] if image["id"] in chosen]
    entries = [entry for entry in content["annotations"] if _image_of(entry) in chosen]
    for image in images:
        _link(source / image["file_name"], place / image["file_name"])
    write_json(_in(target / "annotations") / f"person_keypoints_{split}2017.json",
               {**content, "images": images, "annotations": entries})
    return chosen


def _chosen(content: dict[str, Any], count: int, *, labelled: bool) -> set[int]:
    ids = {image["id"] for image in content["images"]}
    if labelled:
        ids &= {_image_of(e) for e in content["annotations"] if e.get("num_keypoints") and not e.get("iscrowd")}
    return set(sorted(ids, key=lambda i: hashlib.sha256(str(i).encode()).digest())[:count])


def _image_of(entry: dict[str, Any]) -> int | None:
    """None for what cannot be an id: entries that training leaves out (crowds) were not looked at more closely."""
    return entry["image_id"] if type(entry.get("image_id")) is int else None


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
