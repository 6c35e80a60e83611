"""``data check``: what was found below a data root, what is missing or wrong rule by rule, and where it was expected.

Annotations, detections and truth are read by the functions that training and evaluation use; only the comparison with
the image files on disk is made here.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from flatpose.data.annotations import Annotations, examine
from flatpose.data.coco import read_detections
from flatpose.data.findings import Broken, Finding, checked
from flatpose.data.images import image_facts
from flatpose.data.layouts import Tree
from flatpose.data.mpii import has_place, read_entries, read_truth, truth_path
from flatpose.errors import DataError
from flatpose.keypoints import KeypointSet


def coco_tree(tree: Tree, keypoint_set: KeypointSet, *, crowd: bool) -> list[Finding]:
    """Both annotation files in COCO's form with their images, and the detector's file."""
    out = _present(tree)
    truths: dict[str, Annotations] = {}

    def annotations(split: str, path: Path, images: Path | None) -> list[Finding]:
        truth, findings = examine(path, keypoint_set, scored=split == "val", crowd=crowd)
        truths[split], broken = truth, Broken(str(path))
        for image in truth.images.values() if images else ():
            _image(images / image["file_name"], image["file_name"], (image["width"], image["height"]), broken)
        return findings + broken.findings()

    def detections(path: Path, truth: Annotations) -> list[Finding]:
        _, note = read_detections(path, truth.images, Path(), len(keypoint_set), truth.category["id"])
        return [Finding("ok", str(path), note)]

    for split, path in (("train", tree.train), ("val", tree.val)):
        images, found = _images(tree, split)
        out += found
        if path.is_file():
            out += checked(str(path), partial(annotations, split, path, images))
    detector = tree.detector
    if detector is None:
        return [*out, Finding("info", str((tree.folder / tree.layout.detections[0]).parent),
                              "no detector file: only ground-truth boxes can be used")]
    return out + (checked(str(detector), lambda: detections(detector, truths["val"])) if "val" in truths else [])


def mpii_tree(tree: Tree) -> list[Finding]:
    """Both files in MPII's form with their images, and the .mat file with the head boxes."""
    images, found = _images(tree, "val")
    out = [*_present(tree), *found]
    for path in tree.present:
        out += checked(str(path), partial(_mpii_file, path, images))
    return out + (checked(str(tree.val), lambda: _head_sizes(tree.val)) if tree.val in tree.present else [])


def keypoint_file(path: Path, keypoint_set: KeypointSet) -> list[Finding]:
    """The user's own keypoints, and sides that were forgotten among the flip pairs."""
    text = f"{keypoint_set.name}: {len(keypoint_set)} keypoints, {len(keypoint_set.flip_pairs)} mirror pairs"
    lost = keypoint_set.unpaired
    mirror = [Finding("warning", str(path), f"{', '.join(lost)} name sides, but no flip_pairs join them with their "
                      "partners: mirror images are not used",
                      "list every pair that changes places in a mirror image")] if lost else []
    return [Finding("ok", str(path), text), *mirror]


def _present(tree: Tree) -> list[Finding]:
    return [Finding("error", str(tree.folder), tree.missing, "put the missing file there")] if tree.missing else []


def _images(tree: Tree, split: str) -> tuple[Path | None, list[Finding]]:
    try:
        return tree.images(split), []
    except DataError as error:
        return None, [Finding("error", str(tree.folder), error.what, "unpack the images there, or link the folder")]


def _image(path: Path, name: str, size: tuple[int, int] | None, broken: Broken) -> None:
    """Whether an image file is there, whole, and of the annotated size."""
    facts = image_facts(path)
    if not path.is_file():
        broken.add("image missing", name)
    elif facts is None or not facts.whole:
        broken.add("image damaged", name)
    elif size is not None and size != (facts.width, facts.height):
        broken.add("image differs", f"{name} ({facts.width} x {facts.height}, not {size[0]} x {size[1]})")
    elif facts.orientation != 1:
        broken.add("image rotated", f"{name} (orientation {facts.orientation})")


def _mpii_file(path: Path, images: Path | None) -> list[Finding]:
    entries, broken = read_entries(path), Broken(str(path))
    names = list(dict.fromkeys(e["image"] for e in entries))
    for name in names:
        if images is not None:
            _image(images / name, name, None, broken)
    for row, entry in enumerate(entries):
        if not has_place(entry):
            broken.add("no place", f"row {row}")
    return [Finding("ok", str(path), f"{len(names)} images, {len(entries)} persons"), *broken.findings()]


def _head_sizes(path: Path) -> list[Finding]:
    sizes = read_truth(path).head_size
    return [Finding("ok", str(truth_path(path)), f"head sizes of {len(sizes)} persons, median {np.median(sizes):.1f} "
                    "pixels")]
