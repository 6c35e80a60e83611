"""``data check``: what was found below a data root, what is missing or wrong rule by rule, and where it was expected.

Annotations, detections and truth are read by the functions that training and evaluation use; only the comparison with
the image files on disk is made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flatpose.data.annotations import Annotations, examine
from flatpose.data.coco import annotation_path, coco_folder, detector_path, image_folder
from flatpose.data.crowdpose import DETECTORS, detector_file
from flatpose.data.crowdpose import layouts as crowdpose_layouts
from flatpose.data.detections import ImageEntry, read_detections
from flatpose.data.findings import Broken, Finding, checked
from flatpose.data.images import image_facts
from flatpose.data.layouts import Layout, closest, missing, whole
from flatpose.data.mpii import layouts as mpii_layouts
from flatpose.data.mpii import read_entries, read_truth, truth_path
from flatpose.errors import DataError
from flatpose.keypoints import CROWDPOSE14, KeypointSet
from flatpose.keypoints_file import KEYPOINTS_FILE

NO_IMAGES = "no such folder: it holds the images of all splits"


def coco_tree(root: Path, keypoint_set: KeypointSet) -> list[Finding]:
    """Both splits of a COCO-like tree, and the detector's file."""
    folder, out = coco_folder(root), list[Finding]()
    truth = None
    for split in ("train", "val"):
        try:
            images = image_folder(folder, split)
        except DataError as error:
            out.append(Finding("error", str(folder), error.what))
            images = None
        truth, found = _annotations(annotation_path(folder, split), images, keypoint_set, scored=split == "val")
        out += found
    return out + _detections(detector_path(folder), truth, keypoint_set, folder / "person_detection_results")


def custom_tree(root: Path, keypoint_set: KeypointSet) -> list[Finding]:
    """The same with the user's own keypoints, whose file comes first because everything else is judged by it."""
    place = str(root / KEYPOINTS_FILE)
    text = f"{keypoint_set.name}: {len(keypoint_set)} keypoints, {len(keypoint_set.flip_pairs)} mirror pairs"
    lost = keypoint_set.unpaired
    mirror = [Finding("warning", place, f"{', '.join(lost)} name sides but are in no flip_pairs: mirror images are "
                      "not used", "list every pair that changes places in a mirror image")] if lost else []
    return [Finding("ok", place, text), *mirror, *coco_tree(root, keypoint_set)]


def crowdpose_tree(root: Path) -> list[Finding]:
    """Both files, images, crowdIndex of the test images, and the detector's file."""
    layout, out = _layout(crowdpose_layouts(root), "CrowdPose", root)
    images = layout.folder / "images"
    out += [] if images.is_dir() else [Finding("error", str(images), NO_IMAGES)]
    truth = None
    for path in layout.present:
        tested = path == layout.val
        found, findings = _annotations(path, images if images.is_dir() else None, CROWDPOSE14, scored=tested,
                                       use_area=False, crowd_index=tested)
        truth = found if tested else truth
        out += findings
    return out + _detections(detector_file(layout.folder), truth, CROWDPOSE14, layout.folder / DETECTORS[0])


def mpii_tree(root: Path) -> list[Finding]:
    """Both files, images, and the .mat file with the head boxes."""
    layout, out = _layout(mpii_layouts(root), "MPII", root)
    images = layout.folder / "images"
    out += [] if images.is_dir() else [Finding("error", str(images), NO_IMAGES)]
    for path in layout.present:
        out += checked(str(path), lambda path=path: _mpii_file(path, images))  # type: ignore[misc]
    return out + (checked(str(layout.val), lambda: _head_sizes(layout.val)) if layout.val in layout.present else [])


def _layout(layouts: Sequence[Layout], name: str, root: Path) -> tuple[Layout, list[Finding]]:
    """The nearest layout, with a finding where it lacks a file; raises DataError when nothing of any is there."""
    found = closest(layouts)
    if found is None or len(found.present) == 2:
        return whole(layouts, name, root, ""), []
    return found, [Finding("error", str(found.folder), missing(found), "put the missing file there")]


def _annotations(path: Path, images: Path | None, keypoint_set: KeypointSet, *, scored: bool, use_area: bool = True,
                 crowd_index: bool = False) -> tuple[Annotations | None, list[Finding]]:
    """An annotation file and, where there is a folder of them, its images."""
    truth: list[Annotations] = []

    def look() -> list[Finding]:
        found, findings = examine(path, keypoint_set, scored=scored, use_area=use_area, crowd_index=crowd_index)
        truth.append(found)
        broken = Broken(str(path))
        if images is not None:
            for image in found.images.values():
                _image(images / image["file_name"], image["file_name"], (image["width"], image["height"]), broken)
        return findings + broken.findings()

    findings = checked(str(path), look)
    return (truth[0] if truth else None), findings


def _image(path: Path, name: str, size: tuple[int, int] | None, broken: Broken) -> None:
    """Whether an image file is there, whole, and of the annotated size."""
    if not path.is_file():
        broken.add("image missing", name)
        return
    facts = image_facts(path)
    if facts is None or not facts.whole:
        broken.add("image damaged", name)
    elif size is not None and size != (facts.width, facts.height):
        broken.add("image differs", f"{name} ({facts.width} x {facts.height}, not {size[0]} x {size[1]})")
    elif facts.orientation != 1:
        broken.add("image rotated", f"{name} (orientation {facts.orientation})")


def _detections(path: Path | None, truth: Annotations | None, keypoint_set: KeypointSet, looked: Path
                ) -> list[Finding]:
    if path is None:
        return [Finding("info", str(looked), "no detector file: only ground-truth boxes can be used")]
    if truth is None:  # its own findings say why
        return []
    images = {number: ImageEntry(Path(image["file_name"])) for number, image in truth.images.items()}
    category = truth.category["id"]
    return checked(str(path), lambda: [
        Finding("ok", str(path), read_detections(path, images, len(keypoint_set), category)[1])])


def _mpii_file(path: Path, images: Path) -> list[Finding]:
    entries, broken = read_entries(path), Broken(str(path))
    names = list(dict.fromkeys(e["image"] for e in entries))
    if images.is_dir():
        for name in names:
            _image(images / name, name, None, broken)
    for row, entry in enumerate(entries):
        if entry["center"][0] == -1 or entry["scale"] <= 0 or not any(entry["joints_vis"]):
            broken.add("no place", f"row {row}")
    return [Finding("ok", str(path), f"{len(names)} images, {len(entries)} persons"), *broken.findings()]


def _head_sizes(path: Path) -> list[Finding]:
    """Joints and head sizes beside MPII's validation file."""
    sizes = read_truth(path).head_size
    return [Finding("ok", str(truth_path(path)), f"head sizes of {len(sizes)} persons, median {np.median(sizes):.1f} "
                    "pixels")]
