"""What is below a data root, rule by rule: what was found, what is missing or wrong, where it was looked for."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flatpose.data import coco, crowdpose, mpii
from flatpose.data.layouts import Layout, closest, missing, whole
from flatpose.errors import DataError, SpecError, nearest
from flatpose.io import read_json
from flatpose.keypoints import COCO17, CROWDPOSE14, KeypointSet

EXAMPLES = 3
NO_IMAGES = "no such folder: it holds the images of all splits"
Sizes = dict[Any, tuple[float, float]]


@dataclass(frozen=True)
class Finding:
    """One line of the answer; severity is ok, info, warning or error (then the data cannot be used as they are)."""

    severity: str
    where: str
    what: str
    hint: str | None = None


RULES: dict[str, tuple[str, str, str | None]] = {
    "not an object": ("error", "entries are not objects with an id",
                      "write each as a JSON object with its own id"),
    "duplicate id": ("error", "ids occur twice", "every image and every person needs its own id"),
    "image size": ("error", "images have no positive width and height",
                   "write the size in pixels of the image file: boxes are cut to it"),
    "file name": ("error", "file names leave the image folder", "use plain names"),
    "image missing": ("error", "images are not on disk", "is the folder unpacked completely?"),
    "image empty": ("error", "image files are empty", "copy them again; the disk may have been full"),
    "crowd index": ("error", "images have no crowdIndex", "easy, medium, hard go by it; use the official file"),
    "unknown image": ("error", "persons belong to images that are not in the file",
                      "image_id is the id of one of the images; was the file cut to a part?"),
    "keypoint count": ("error", "persons do not have {k} keypoints (x, y, visible) of finite numbers",
                       "is this the file of another benchmark? see --task"),
    "bad box": ("error", "boxes are not four finite numbers", "left, top, width, height"),
    "visibility": ("error", "visibility flags are not 0, 1 or 2",
                   "0 not labelled, 1 labelled and hidden, 2 visible"),
    "id zero": ("warning", "person has id 0, which pycocotools takes for 'not matched'", "number from 1"),
    "zero box": ("warning", "boxes have no width or height", "these persons are left out"),
    "box outside": ("warning", "boxes lie outside their image, at least in part", "they are cut to the image"),
    "point outside": ("warning", "persons have labelled keypoints outside their image",
                      "a few are usual; if many, are x and y swapped, or is width height?"),
    "no area": ("warning", "persons have no area", "the COCO evaluator needs it: write the mask's, or the box's"),
    "num_keypoints": ("warning", "num_keypoints is not the number of labelled keypoints",
                      "the evaluator ignores persons where it is 0"),
    "no keypoint": ("info", "persons have no labelled keypoint", "usual; they are not trained on"),
    "detected image": ("warning", "detections are for images that are not in the annotation file",
                       "is it the detector file of another split? they are left out"),
    "bad detection": ("error", "detections lack image_id, category_id, score or a box of four numbers",
                      "a detector file is a list of {image_id, category_id, bbox: [left, top, width, height], score}"),
    "zero detection": ("warning", "detected boxes have no width or height", "they are left out"),
    "no person detection": ("info", "detections are not persons (category 1)", "they are left out"),
    "no place": ("info", "rows have no centre, scale or visible joint", "they are left out"),
}


@dataclass
class _Broken:
    """Rules broken within one file, with the first places."""

    where: str
    keypoints: int
    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, rule: str, place: object) -> None:
        self.places.setdefault(rule, []).append(str(place))

    def findings(self) -> list[Finding]:
        out = []
        for rule, places in self.places.items():
            severity, text, hint = RULES[rule]
            first = ", ".join(places[:EXAMPLES]) + (", …" if len(places) > EXAMPLES else "")
            out.append(Finding(severity, self.where, f"{len(places)} {text.format(k=self.keypoints)}: {first}", hint))
        return out


def check(root: Path, task: str) -> list[Finding]:
    """All that can be said about the data of ``task`` below ``root``; never raises for damaged data.

    Raises:
        SpecError: The task does not exist.
    """
    tasks = {"coco": _check_coco, "crowdpose": _check_crowdpose, "mpii": _check_mpii, "custom": _check_custom}
    if task not in tasks:
        raise SpecError(f"unknown task {task!r}", where="--task", hint=nearest(task, tasks))
    if not root.is_dir():
        return [Finding("error", str(root), "no such folder", "give the folder that holds coco/, crowdpose/ or mpii/")]
    try:
        return tasks[task](root)
    except DataError as error:
        return [_of(error, str(root))]


def _of(error: DataError, where: str) -> Finding:
    hint = error.hint if error.hint and "data check" not in error.hint else None
    return Finding("error", error.where or where, error.what, hint)


def _check_custom(root: Path) -> list[Finding]:
    """A COCO-like tree with its own keypoints: their file first, because everything else is judged by it."""
    from flatpose.data import KEYPOINTS_FILE
    from flatpose.keypoints_file import read_keypoint_set

    found = read_keypoint_set(root / KEYPOINTS_FILE)
    text = f"{found.name}: {len(found)} keypoints, {len(found.flip_pairs)} mirror pairs"
    return [Finding("ok", str(root / KEYPOINTS_FILE), text), *_check_coco(root, found), *_check_names(root, found)]


def _check_names(root: Path, found: KeypointSet) -> list[Finding]:
    """A category that lists its keypoints must list these, in this order."""
    out, folder = [], coco.coco_folder(root)
    for path in (coco.annotation_path(folder, split) for split in ("train", "val")):
        content = read_json(path) if path.is_file() else {}
        for category in content.get("categories", []) if isinstance(content, dict) else []:
            names = category.get("keypoints") if isinstance(category, dict) else None
            if names and list(names) != list(found.names):
                first = next((i for i, (a, b) in enumerate(zip(names, found.names, strict=False)) if a != b),
                             min(len(names), len(found)))
                text = f"its keypoints differ from {found.name}'s from number {first + 1} on"
                out.append(Finding("error", str(path), text, "same names in the same order in both files"))
    return out


def _check_coco(root: Path, keypoints: KeypointSet = COCO17) -> list[Finding]:
    folder = coco.coco_folder(root)
    out = []
    for split in ("train", "val"):
        try:
            images = coco.image_folder(folder, split)
        except DataError as error:
            out.append(_of(error, str(folder)))
            images = None
        out += _check_file(coco.annotation_path(folder, split), images, keypoints)
    detector = coco.detector_path(folder)
    looked = folder / "person_detection_results"
    return out + _check_detector(detector, coco.annotation_path(folder, "val"), looked)


def _layout(layouts: Sequence[Layout], name: str, root: Path) -> tuple[Layout, list[Finding]]:
    """The nearest layout, with a finding where it lacks a file; raises DataError when nothing of any is there."""
    found = closest(layouts)
    if found is None or len(found.present) == 2:
        return whole(layouts, name, root, ""), []
    return found, [Finding("error", str(found.folder), missing(found), "put the missing file there")]


def _check_crowdpose(root: Path) -> list[Finding]:
    layout, out = _layout(crowdpose.layouts(root), "CrowdPose", root)
    images = layout.folder / "images"
    out += [] if images.is_dir() else [Finding("error", str(images), NO_IMAGES)]
    for path in layout.present:
        out += _check_file(path, images if images.is_dir() else None, CROWDPOSE14)
    if layout.val not in layout.present:
        return out
    looked = layout.folder / crowdpose.DETECTORS[0]
    return out + _check_detector(crowdpose.detector_file(layout.folder), layout.val, looked)


def _check_mpii(root: Path) -> list[Finding]:
    layout, out = _layout(mpii.layouts(root), "MPII", root)
    images = layout.folder / "images"
    present = _files_in(images)
    out += [] if images.is_dir() else [Finding("error", str(images), NO_IMAGES)]
    for path in layout.present:
        try:
            out += _check_mpii_file(path, present if images.is_dir() else None)
        except DataError as error:
            out.append(_of(error, str(path)))
    return out + (_check_truth(layout.val) if layout.val in layout.present else [])


def _check_truth(path: Path) -> list[Finding]:
    """Joints and head sizes beside MPII's validation file."""
    try:
        truth = mpii.read_truth(path)
    except DataError as error:
        return [_of(error, str(path))]
    return [Finding("ok", str(mpii.truth_path(path)), f"head sizes of {len(truth.head_size)} persons, "
                    f"median {np.median(truth.head_size):.1f} pixels")]


def _check_mpii_file(path: Path, present: dict[str, int] | None) -> list[Finding]:
    entries, broken = mpii.read_entries(path), _Broken(str(path), 16)
    names = list(dict.fromkeys(e["image"] for e in entries))
    if present is not None:
        _check_presence(names, present, broken)
    for row, entry in enumerate(entries):
        if entry["center"][0] == -1 or entry["scale"] <= 0 or not any(entry["joints_vis"]):
            broken.add("no place", f"row {row}")
    return [Finding("ok", str(path), f"{len(names)} images, {len(entries)} persons"), *broken.findings()]


def _check_file(path: Path, images: Path | None, keypoint_set: KeypointSet) -> list[Finding]:
    """A COCO or CrowdPose annotation file, and its images when there is a folder."""
    try:
        content = coco.read_annotations(path)
    except DataError as error:
        return [_of(error, str(path))]
    broken = _Broken(str(path), len(keypoint_set))
    sizes, names = _check_images(content["images"], broken, crowd=keypoint_set is CROWDPOSE14)
    if images is not None:
        _check_presence(names, _files_in(images), broken)
    seen: set[Any] = set()
    labelled = 0
    for position, person in enumerate(content["annotations"]):
        if _has_id(person, seen, f"annotations[{position}]", broken) and not person.get("iscrowd"):
            labelled += _check_person(person, f"annotations[{position}]", sizes, keypoint_set, broken)
    found = f"{len(content['images'])} images, {len(content['annotations'])} persons, {labelled} with keypoints"
    empty = [] if labelled else [Finding("error", str(path), "no person with a labelled keypoint")]
    return [Finding("ok", str(path), found), *broken.findings(), *empty]


def _has_id(entry: Any, seen: set[Any], place: str, broken: _Broken) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), (int, str)):
        broken.add("not an object", place)
        return False
    if entry["id"] in seen:
        broken.add("duplicate id", f"{place} (id {entry['id']})")
    seen.add(entry["id"])
    return True


def _check_images(images: list[Any], broken: _Broken, *, crowd: bool) -> tuple[Sizes, list[str]]:
    """Width and height by image id, and the file names."""
    seen: set[Any] = set()
    sizes, names = {}, []
    for position, image in enumerate(images):
        place = f"images[{position}]"
        if not _has_id(image, seen, place, broken):
            continue
        size = _numbers([image.get("width"), image.get("height")], 2)
        if size is None or (size <= 0).any():
            broken.add("image size", place)
            size = np.full(2, np.inf)
        sizes[image["id"]] = size[0], size[1]
        name = image.get("file_name")
        if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
            broken.add("file name", place)
        else:
            names.append(name)
        if crowd and _numbers([image.get("crowdIndex")], 1) is None:
            broken.add("crowd index", place)
    return sizes, names


def _check_presence(names: list[str], present: dict[str, int], broken: _Broken) -> None:
    for name in names:
        if name not in present:
            broken.add("image missing", name)
        elif not present[name]:
            broken.add("image empty", name)


def _check_person(person: dict[str, Any], place: str, sizes: Sizes, keypoint_set: KeypointSet,
                  broken: _Broken) -> bool:
    """Whether the person has a labelled keypoint."""
    if person["id"] == 0:
        broken.add("id zero", place)
    image_id = person.get("image_id")
    size = np.array(sizes[image_id] if _among(image_id, sizes) else (np.inf, np.inf))
    if not _among(image_id, sizes):
        broken.add("unknown image", place)
    if keypoint_set is COCO17 and not person.get("area"):
        broken.add("no area", place)
    box = _numbers(person.get("bbox"), 4)
    if box is None:
        broken.add("bad box", place)
    elif (box[2:] <= 0).any():
        broken.add("zero box", place)
    elif (box[:2] < -1).any() or (box[:2] + box[2:] > size + 1).any():
        broken.add("box outside", place)
    flat = _numbers(person.get("keypoints"), 3 * len(keypoint_set))
    if flat is None:
        broken.add("keypoint count", place)
        return False
    points, flags = flat.reshape(-1, 3)[:, :2], flat[2::3]
    if not np.isin(flags, (0, 1, 2)).all():
        broken.add("visibility", place)
    if not flags.any():
        broken.add("no keypoint", place)
    elif keypoint_set is COCO17 and person.get("num_keypoints") != int((flags > 0).sum()):  # CrowdPose counts otherwise
        broken.add("num_keypoints", place)
    if ((points[flags > 0] < -1) | (points[flags > 0] > size + 1)).any():
        broken.add("point outside", place)
    return bool(flags.any())


def _check_detector(path: Path | None, annotations: Path, looked: Path) -> list[Finding]:
    if path is None:
        return [Finding("info", str(looked), "no detector file: only ground-truth boxes can be used")]
    try:
        entries, images = read_json(path), {i["id"] for i in coco.read_annotations(annotations)["images"]}
    except DataError as error:
        return [_of(error, str(path))]
    except (KeyError, TypeError):  # the annotation file's own findings say so
        return []
    if not isinstance(entries, list):
        return [Finding("error", str(path), "not a list of {image_id, category_id, bbox, score}")]
    broken = _Broken(str(path), 0)
    for position, entry in enumerate(entries):
        place = f"[{position}]"
        box = _numbers(entry.get("bbox"), 4) if isinstance(entry, dict) else None
        if box is None or _numbers([entry.get("score")], 1) is None or {"image_id", "category_id"} - entry.keys():
            broken.add("bad detection", place)
        elif entry["category_id"] != 1:
            broken.add("no person detection", place)
        elif not _among(entry["image_id"], images):
            broken.add("detected image", f"{place} (image {entry['image_id']})")
        elif (box[2:] <= 0).any():
            broken.add("zero detection", place)
    return [Finding("ok", str(path), f"{len(entries)} detections"), *broken.findings()]


def _among(value: Any, known: Container[Any]) -> bool:
    return isinstance(value, (int, float, str)) and value in known


def _numbers(values: Any, count: int) -> np.ndarray | None:
    """The values as finite floats, or None when they are not ``count`` numbers."""
    if not isinstance(values, list) or len(values) != count or not {type(v) for v in values} <= {int, float}:
        return None
    try:
        found = np.array(values, dtype=np.float64)
    except OverflowError:
        return None
    return found if np.isfinite(found).all() else None


def _files_in(folder: Path) -> dict[str, int]:
    """Relative name -> size of every file below a folder."""
    found: dict[str, int] = {}
    for place, _, names in os.walk(folder):
        inner = os.path.relpath(place, folder)
        for name in names:
            path = Path(place) / name
            found[name if inner == "." else f"{inner}/{name}"] = path.stat().st_size if path.exists() else 0
    return found
