"""COCO keypoints in the layouts people have on disk, with ground-truth boxes or a detector file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from flatpose.data.instances import Person, Split
from flatpose.errors import DataError
from flatpose.io import read_json
from flatpose.keypoints import KeypointSet

OFFICIAL_IMAGES = {"train": 118287, "val": 5000}
LARGEST = 1e6
"""No image is wider or higher than this many pixels, and no coordinate lies further out."""


def coco_folder(root: Path) -> Path:
    """ROOT/coco or ROOT itself, whichever holds ``annotations/``; raises DataError naming both."""
    for folder in (root / "coco", root):
        if (folder / "annotations").is_dir():
            return folder
    raise DataError(f"no COCO data under {root}: looked for {root / 'coco' / 'annotations'} and {root / 'annotations'}",
                    hint="flatpose-exp data check --data-root DIR says what is expected where")


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
    raise DataError(f"no {split} images: looked for {', '.join(map(str, candidates))}",
                    hint="flatpose-exp data check --data-root DIR says what is expected where")


def detector_path(folder: Path) -> Path | None:
    """The person detections for val, the well-known AP_H_56 file first; None when there is none."""
    found = sorted((folder / "person_detection_results").glob("*val2017*.json"))
    return next((f for f in found if "AP_H_56" in f.name), found[0] if found else None)


def read_annotations(path: Path) -> dict[str, Any]:
    """A COCO annotation file with its three lists present; raises DataError otherwise."""
    content = read_json(path)
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DataError(f"no list {key!r}; a COCO annotation file has images, annotations and categories",
                            where=str(path))
    return content


def load_split(path: Path, images: Path, keypoint_set: KeypointSet) -> Split:
    """Every usable person of an annotation file.

    Crowd regions, boxes without area and persons without a labelled keypoint are left out (nothing can be learned
    from them; the evaluator still sees them in the file). Raises DataError naming the entry for malformed ones.
    """
    content = read_annotations(path)
    files: dict[int, Path] = {}
    sizes: dict[int, np.ndarray] = {}
    for position, image in enumerate(content["images"]):
        try:
            if image["id"] in files:
                raise ValueError(f"id {image['id']} a second time")
            files[plain_id(image["id"])] = images / plain_name(image["file_name"])
            sizes[image["id"]] = _image_size(image)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"bad image entry ({error!r})", where=f"{path}: images[{position}]") from None
    persons = []
    for position, entry in enumerate(content["annotations"]):
        person = _person(entry, files, sizes, keypoint_set, f"{path}: annotations[{position}]")
        if person is not None:
            persons.append(person)
    if not persons:
        raise DataError("no person with a box and a labelled keypoint", where=str(path))
    return Split(persons, path, sorted(files))


def load_detections(path: Path, split: Split, images: Path, keypoint_set: KeypointSet) -> list[Person]:
    """The person boxes of a detector results file for the images of ``split``, in file order."""
    entries = read_json(path)
    if not isinstance(entries, list):
        raise DataError("a detector file is a list of {image_id, category_id, bbox, score}", where=str(path))
    names = {i["id"]: images / i["file_name"] for i in read_annotations(split.annotation_file)["images"]}
    empty = np.zeros((len(keypoint_set), 2)), np.zeros(len(keypoint_set))
    persons = []
    for position, entry in enumerate(entries):
        try:
            if entry["category_id"] != 1 or entry["image_id"] not in names:
                continue
            box, (score,) = numbers(entry["bbox"], 4), numbers([entry["score"]], 1).tolist()
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"bad detection ({error!r})", where=f"{path}: [{position}]") from None
        if (box[2:] > 0).all():
            area = float(box[2] * box[3])
            persons.append(Person(entry["image_id"], names[entry["image_id"]], 0, box, *empty, area, score))
    return persons


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
            raise DataError(f"cannot be read ({error.strerror})", where=str(file),
                            hint="flatpose-exp data check --data-root DIR says what is expected where") from None
    return digest.hexdigest()[:12]


def plain_name(name: str) -> str:
    """File names are data: one that leaves its folder, or that no file can have, is refused."""
    if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"file_name {name!r} leaves the image folder")
    if not name.isprintable() or not 0 < len(name) <= 1000:
        raise ValueError(f"file_name {name[:40]!r} cannot be the name of a file")
    return name


def plain_id(value: Any) -> int:
    """An id as the evaluators and numpy can hold it."""
    if type(value) is not int or abs(value) >= 2**63:
        raise ValueError(f"id {str(value)[:40]!r} is not an integer")
    return value


def _image_size(image: dict[str, Any]) -> np.ndarray:
    """(2,) width and height."""
    size = numbers([image["width"], image["height"]], 2)
    if (size <= 0).any():
        raise ValueError("width and height are not positive")
    return size


def numbers(values: Any, count: int, largest: float = LARGEST) -> np.ndarray:
    """(count,) floats from a flat JSON list; raises ValueError for anything else in it: text, NaN, absurd values."""
    if not isinstance(values, list) or len(values) != count or not {type(v) for v in values} <= {int, float}:
        raise ValueError(f"expected {count} numbers")
    if not all(abs(v) <= largest for v in values):
        raise ValueError(f"a number is not finite, or beyond {largest:g}")
    return np.array(values, dtype=np.float64)


def _area(entry: dict[str, Any]) -> float:
    """The mask's area, 0 where the file does not tell."""
    area = float(numbers([entry.get("area") or 0.0], 1, LARGEST**2)[0])
    if area < 0:
        raise ValueError("area is negative")
    return area


def _person(entry: Any, files: dict[int, Path], sizes: dict[int, np.ndarray], keypoint_set: KeypointSet, where: str
            ) -> Person | None:
    """One annotation as a Person with its box cut to the image, or None when it cannot be used."""
    if not isinstance(entry, dict):
        raise DataError("is not an object", where=where)
    try:
        if entry.get("iscrowd", 0) or entry.get("category_id", 1) != 1:
            return None
        image_id = entry["image_id"]
        width, height = sizes[image_id]
        triples = numbers(entry["keypoints"], 3 * len(keypoint_set)).reshape(-1, 3)
        box, area = numbers(entry["bbox"], 4), _area(entry)
        person_id = plain_id(entry.get("id", 0))
    except KeyError as error:
        raise DataError(f"no field or no image {error}", where=where) from None
    except (TypeError, ValueError) as error:
        raise DataError(f"needs {len(keypoint_set)} keypoints (x, y, visible), a box of four numbers, and numbers for "
                        f"id and area ({error})", where=where) from None
    x1, y1 = max(0.0, box[0]), max(0.0, box[1])
    x2, y2 = min(width - 1.0, x1 + max(0.0, box[2] - 1)), min(height - 1.0, y1 + max(0.0, box[3] - 1))
    visible = triples[:, 2]
    if x2 <= x1 or y2 <= y1 or not visible.any():
        return None
    box = np.array([x1, y1, x2 - x1, y2 - y1])
    return Person(image_id, files[image_id], person_id, box, triples[:, :2], visible, area or float(box[2] * box[3]))
