"""Person boxes of a detector's results file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flatpose.data.annotations import numbers, whole_id
from flatpose.data.findings import said
from flatpose.data.instances import Person
from flatpose.errors import DataError
from flatpose.io import read_json

DETECTIONS = 'a list of {"image_id", "category_id", "bbox": [left, top, width, height], "score"}'


@dataclass(frozen=True)
class ImageEntry:
    """An image that detections may refer to: where it is on disk, and its annotated (width, height) if known."""

    path: Path
    size: tuple[int, int] | None = None


def read_detections(path: Path, images: dict[int, ImageEntry], keypoints: int, category_id: int
                    ) -> tuple[list[Person], str]:
    """The person boxes of a detector's results file, in file order, and how many of its entries they are.

    Args:
        path: COCO results format.
        images: By id; detections of other images are left out.
        keypoints: K of the persons' empty keypoint arrays.
        category_id: The person category of the annotation file.

    Raises:
        DataError: An entry is malformed, or none can be used.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise DataError(f"expected {DETECTIONS}", where=str(path))
    empty, left_out, persons = (np.zeros((keypoints, 2)), np.zeros(keypoints)), Counter[str](), []
    for position, entry in enumerate(entries):
        try:
            reason = _unusable(entry, images, category_id)
            if reason:
                left_out[reason] += 1
                continue
            image_id, box = whole_id(entry["image_id"]), numbers(entry["bbox"], 4)
            (score,) = numbers([entry["score"]], 1).tolist()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"bad detection ({error!r})", where=f"{path}: [{position}]",
                            hint=f"a detector file is {DETECTIONS}") from None
        image = images[image_id]
        persons.append(Person(image_id, image.path, 0, box, *empty, float(box[2] * box[3]), score,
                              image_size=image.size))
    if not persons:
        raise DataError(f"no usable detection: {said(left_out, 0, 'detections')}", where=str(path),
                        hint=f"persons are category {category_id} in the annotation file, and its image ids are "
                             f"{', '.join(map(str, list(images)[:3]))}, …")
    return persons, said(left_out, len(persons), "detections")


def _unusable(entry: Any, images: Container[int], category_id: int) -> str | None:
    """Why a detection is left out; None when it can be used."""
    if _id_or_none(entry.get("category_id", category_id)) != category_id:
        return "of other categories"
    if _id_or_none(entry["image_id"]) not in images:
        return "of images that are not in the annotation file"
    return None if min(numbers(entry["bbox"], 4)[2:]) > 0 else "without width or height"


def _id_or_none(value: Any) -> int | None:
    try:
        return whole_id(value)
    except ValueError:
        return None
