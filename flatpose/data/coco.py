"""Annotation files in COCO's form as lists of persons, with a detector's boxes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from flatpose.data.annotations import Annotations
from flatpose.data.instances import Person, Split
from flatpose.errors import DataError

AREA_SHARE = 0.53
"""CrowdPose's evaluator takes this share of the box for a person's area."""


def split_of(truth: Annotations, images: Path) -> Split:
    """The persons of checked annotations that can be learned from.

    Crowd regions, boxes without area and persons without a labelled keypoint are left out (the evaluator still sees
    them in the file). Raises DataError when nobody is left.
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


def fingerprint(files: Iterable[Path]) -> str:
    """Identity of a data set: the first 12 hex digits of SHA-256 over the bytes of its JSON files."""
    digest = hashlib.sha256()
    for file in files:
        try:
            digest.update(file.read_bytes())
        except OSError as error:
            raise DataError(f"cannot be read ({error.strerror})", where=str(file)) from None
    return digest.hexdigest()[:12]
