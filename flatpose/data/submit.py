"""The zip that COCO's test-dev server accepts: exactly one JSON file, at its root, with the right name."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from flatpose.data.annotations import whole_id
from flatpose.errors import DataError
from flatpose.io import read_json, write_bytes
from flatpose.keypoints import COCO17
from flatpose.metrics.results import coco_result

TEST_DEV_IMAGES, TEST_IMAGES = 20_288, 40_670
"""Images of COCO's test-dev2017 and of test2017, of which it is a part."""


def coco_test_dev(results: list[dict[str, Any]] | Path, image_info: Path, out: Path, name: str, *,
                  any_list: bool = False) -> Path:
    """Write ``person_keypoints_test-dev2017_<name>_results.zip`` into the folder ``out``; returns its path.

    The bytes depend on results and name alone. The server counts the persons of images without a result as missed.

    Args:
        results: COCO results format, or a file with it.
        image_info: ``image_info_test-dev2017.json``: the images a result may belong to.
        out: Folder of the zip.
        name: The algorithm's name on the server: letters, digits, - and _.
        any_list: Accept a list of another length than test-dev's; the server would refuse the zip.

    Raises:
        DataError: The list is not test-dev's, or a result is malformed or of another image; the message names it.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise DataError(f"{name!r} cannot be part of a file name on the server", where="--name",
                        hint="use letters, digits, - and _")
    where, entries = (str(results), read_json(results)) if isinstance(results, Path) else ("results", results)
    images = image_ids(image_info, any_list=any_list)
    if not isinstance(entries, list) or not entries:
        raise DataError("expected a list with at least one result", where=where)
    slim = [_entry(entry, images, f"{where}: [{position}]") for position, entry in enumerate(entries)]
    stem = f"person_keypoints_test-dev2017_{name}_results"
    write_bytes(out / f"{stem}.zip", _zip(f"{stem}.json", json.dumps(slim, separators=(",", ":")).encode()))
    return out / f"{stem}.zip"


def image_ids(path: Path, *, any_list: bool = False) -> set[int]:
    """The ids of an image list; raises DataError when it is malformed or, unless ``any_list``, not test-dev's."""
    try:
        ids = {whole_id(image["id"]) for image in read_json(path)["images"]}
    except (KeyError, TypeError, ValueError):
        raise DataError("no list 'images' of objects with an id", where=str(path),
                        hint="image_info_test-dev2017.json is in image_info_test2017.zip") from None
    if not ids:
        raise DataError("the list 'images' is empty", where=str(path))
    if len(ids) != TEST_DEV_IMAGES and not any_list:
        whose = ", which is test2017's list" if len(ids) == TEST_IMAGES else ""
        raise DataError(f"{len(ids):,} images{whose}; test-dev2017 has {TEST_DEV_IMAGES:,}", where=str(path),
                        hint="give image_info_test-dev2017.json; --any-list takes any list, to try things out")
    return ids


def _entry(entry: Any, images: set[int], where: str) -> dict[str, Any]:
    """The four fields that the server reads; coordinates to 1/100 pixel, which keeps the file below its limit."""
    found = coco_result({"category_id": 1, **entry} if isinstance(entry, dict) else entry, where, images, len(COCO17))
    if found["category_id"] != 1:
        raise DataError(f"{found['category_id']!r}, expected 1 (person)", where=f"{where}.category_id")
    return {"image_id": found["image_id"], "category_id": 1, "score": float(found["score"]),
            "keypoints": [round(float(v), 2 if i % 3 < 2 else 4) for i, v in enumerate(found["keypoints"])]}


def _zip(name: str, content: bytes) -> bytes:
    """One file, stored with a fixed date, so that equal results give equal bytes."""
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, content)
    return buffer.getvalue()
