"""Person boxes of a detector's results file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from flatpose.data.annotations import id_or_none, numbers
from flatpose.data.findings import said
from flatpose.data.instances import Person
from flatpose.errors import DataError
from flatpose.io import read_json

FORM = 'a detector\'s file is a list of {"image_id", "category_id", "bbox": [left, top, width, height], "score"}'


class NoDetection(DataError):
    """A well-formed file of which nothing can be used: other categories, other images."""


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
    entries = read_json(path)
    if not isinstance(entries, list):
        raise DataError("not a list of detections", where=str(path), hint=FORM)
    empty, left_out, persons = (np.zeros((keypoints, 2)), np.zeros(keypoints)), Counter[str](), []
    for position, entry in enumerate(entries):
        try:
            if id_or_none(entry.get("category_id", category_id)) != category_id:
                left_out["of other categories"] += 1
                continue
            image = images.get(id_or_none(entry["image_id"]))  # type: ignore[arg-type]
            if image is None:
                left_out["of images that are not in the annotation file"] += 1
            elif not (numbers(entry["bbox"], 4)[2:] > 0).all():
                left_out["without width or height"] += 1
            else:
                box, (score,) = numbers(entry["bbox"], 4), numbers([entry["score"]], 1).tolist()
                size = (image["width"], image["height"]) if "width" in image else None
                persons.append(Person(image["id"], folder / image["file_name"], 0, box, *empty, float(box[2] * box[3]),
                                      score, image_size=size))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"bad detection ({error!r})", where=f"{path}: [{position}]", hint=FORM) from None
    note = said(left_out, len(persons), "detections")
    if not persons:
        raise NoDetection(f"no usable detection: {note}", where=str(path),
                          hint=f"persons are category {category_id} in the annotation file, and its image ids are "
                               f"{', '.join(map(str, list(images)[:3]))}, …")
    return persons, note
