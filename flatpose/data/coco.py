"""Files in COCO's form as lists of persons: checked annotations, and a detector's boxes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import FailFast, Field, TypeAdapter
from typing_extensions import NotRequired, TypedDict

from flatpose.data.annotations import Annotations, Id, Number
from flatpose.data.findings import said
from flatpose.data.instances import Person, Split
from flatpose.errors import DataError
from flatpose.io import parsed, read_json

AREA_SHARE = 0.53
"""CrowdPose's evaluator takes this share of the box for a person's area."""
FORM = 'a detector\'s file is a list of {"image_id", "category_id", "bbox": [left, top, width, height], "score"}'


class Detection(TypedDict):
    """One entry of a detector's file."""

    image_id: Id
    category_id: NotRequired[Id]
    bbox: Annotated[list[Number], Field(min_length=4, max_length=4)]
    score: Number


DETECTIONS: TypeAdapter[list[Detection]] = TypeAdapter(Annotated[list[Detection], FailFast()])


class NoDetection(DataError):
    """A well-formed file without a usable entry: other categories, other images."""


def split_of(truth: Annotations, images: Path) -> Split:
    """The persons of checked annotations that can be learned from.

    Crowd regions, boxes without area and persons without a labelled keypoint are left out (the evaluator still sees
    them in the file). Raises DataError when no person is left.
    """
    paths = {number: images / image["file_name"] for number, image in truth.images.items()}
    found = (_person(entry, truth.images[entry["image_id"]], paths[entry["image_id"]], not truth.crowd)
             for entry in truth.persons)
    persons = [person for person in found if person is not None]
    if not persons:
        raise DataError("no person with a box and a labelled keypoint", where=str(truth.path))
    return Split(persons, truth.path, sorted(truth.images))


def _person(entry: dict[str, Any], image: dict[str, Any], path: Path, use_area: bool) -> Person | None:
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
    area = entry["area"] if use_area else AREA_SHARE * box[2] * box[3]
    return Person(image["id"], path, entry["id"], box, triples[:, :2], visible, float(area),
                  image_size=(image["width"], image["height"]))


def read_detections(path: Path, images: dict[int, dict[str, Any]], folder: Path, keypoints: int, category_id: int
                    ) -> tuple[list[Person], str]:
    """The person boxes of a results file, in file order, and how many of its entries they are.

    Args:
        path: COCO results format.
        images: By id, dicts with file_name and, where it is known, width and height; detections of other images are
            left out, and so are those of other categories.
        folder: Where the images are.
        keypoints: K of the persons' empty keypoint arrays.
        category_id: The person category of the annotation file.

    Raises:
        DataError: An entry is malformed.
        NoDetection: None can be used.
    """
    empty, left_out, persons = (np.zeros((keypoints, 2)), np.zeros(keypoints)), Counter[str](), []
    for entry in parsed(read_json(path), DETECTIONS, str(path), FORM):
        image, box = images.get(entry["image_id"]), np.array(entry["bbox"])
        if entry.get("category_id", category_id) != category_id:
            left_out["of other categories"] += 1
        elif image is None:
            left_out["of images that are not in the annotation file"] += 1
        elif not (box[2:] > 0).all():
            left_out["without width or height"] += 1
        else:
            size = (image["width"], image["height"]) if "width" in image else None
            persons.append(Person(image["id"], folder / image["file_name"], 0, box, *empty, float(box[2] * box[3]),
                                  entry["score"], image_size=size))
    note = said(left_out, len(persons), "detections")
    if not persons:
        raise NoDetection(f"no usable detection: {note}", where=str(path),
                          hint=f"persons are category {category_id} in the annotation file, and its image ids are "
                               f"{', '.join(map(str, list(images)[:3]))}, …")
    return persons, note


def fingerprint(files: Iterable[Path]) -> str:
    """Identity of a data set: the first 12 hex digits of SHA-256 over the bytes of its JSON files."""
    digest = hashlib.sha256()
    for file in files:
        try:
            digest.update(file.read_bytes())
        except OSError as error:
            raise DataError(f"cannot be read ({error.strerror})", where=str(file)) from None
    return digest.hexdigest()[:12]
