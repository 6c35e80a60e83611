"""A smaller COCO tree cut out of a real one; equal numbers select equal images on every machine."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from flatpose.benchmarks import COCO
from flatpose.data.annotations import id_or_none, read, read_lists, whole_id
from flatpose.data.coco import read_detections
from flatpose.errors import DataError
from flatpose.io import read_json, write_json
from flatpose.keypoints import COCO17


def make_subset(root: Path, target: Path, counts: dict[str, int]) -> Path:
    """Write ``target/coco`` with ``counts["train"]`` and ``counts["val"]`` images; returns ``target``.

    Images are ranked by a hash of their id, so a larger subset contains every smaller one and no order of a file
    matters. Train takes images with a labelled person; val takes any, since false alarms on images without persons
    lower a detector's score. A split with fewer images is taken whole.

    Raises:
        DataError: ``target`` exists, or the tree is incomplete.
    """
    if target.exists():
        raise DataError("exists already", where=str(target), hint="give a folder that does not")
    parts = target.with_name(f"{target.name}.part")
    shutil.rmtree(parts, ignore_errors=True)
    folder, tree = parts / COCO.layout.folder, COCO.layout.find(root)
    splits = {"train": tree.train, "val": tree.val}
    kept = {split: _cut_split(splits[split], tree.images(split), folder, split, count)
            for split, count in counts.items()}
    if tree.detector is not None:
        truth = read(tree.val, COCO17)  # refuses a malformed file:
        read_detections(tree.detector, truth.images, Path(), len(COCO17), truth.category["id"])
        boxes = [entry for entry in read_json(tree.detector) if id_or_none(entry.get("image_id")) in kept["val"]]
        if boxes:
            write_json(folder / tree.detector.parent.name / tree.detector.name, boxes)
    parts.rename(target)
    return target


def _cut_split(path: Path, source: Path, target: Path, split: str, count: int) -> set[int]:
    """Annotations and images of one split; returns the ids of its images."""
    truth = read(path, COCO17, scored=split == "val")  # names are checked: none may leave the folder written to
    ids = set(truth.images)
    if split == "train":
        ids &= {p["image_id"] for p in truth.persons if p["num_keypoints"] and not p["iscrowd"]}
    chosen = set(sorted(ids, key=lambda i: hashlib.sha256(str(i).encode()).digest())[:count])
    for number in chosen:
        name = truth.images[number]["file_name"]
        _link(source / name, target / f"{split}2017" / name)
    content = read_lists(path)
    write_json(target / "annotations" / f"person_keypoints_{split}2017.json",
               {**content, "images": [i for i in content["images"] if whole_id(i["id"]) in chosen],
                "annotations": [a for a in content["annotations"] if id_or_none(a.get("image_id")) in chosen]})
    return chosen


def _link(source: Path, target: Path) -> None:
    """A hard link, which no later change of the tree's layout breaks; a copy on another file system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise DataError("image is missing", where=str(source),
                        hint="flatpose-exp data check --data-root DIR lists every missing image") from None
    except OSError:
        shutil.copyfile(source, target)
