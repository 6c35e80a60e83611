"""Malformed inputs, made from good ones: data for tests/test_hostile.py. One wrong value per field."""

from __future__ import annotations

import copy
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fake_runs import RESULT

from flatpose.keypoints import COCO17

ABSENT = object()
NAN = float("nan")
NAMES = list(COCO17.names)
KEYPOINTS = [float(v) for i in range(17) for v in (10 + 3 * i, 20 + 2 * i, 2)]
Wrong = dict[tuple[Any, ...], Any]


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def person(number: int, image: int) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "num_keypoints": 17, "area": 900.0,
            "bbox": [10.0, 20.0, 48.0, 32.0], "keypoints": list(KEYPOINTS)}


def truth() -> dict[str, Any]:
    return {"images": [{"id": i, "file_name": f"{i}.jpg", "width": 160, "height": 120} for i in (1, 2)],
            "annotations": [person(1, 1), person(2, 2)],
            "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.names), "skeleton": [[1, 2]]}]}


def results() -> list[dict[str, Any]]:
    return [{"image_id": i, "category_id": 1, "score": 0.5, "keypoints": list(KEYPOINTS)} for i in (1, 2)]


def boxes() -> list[dict[str, Any]]:
    return [{"image_id": i, "category_id": 1, "score": 0.5, "bbox": [10.0, 20.0, 48.0, 32.0]} for i in (1, 2)]


def record() -> dict[str, Any]:
    return {"schema_version": 2, "numerics": 1, "spec_hash": "0123456789ab", "seed": 0, "data_id": "ba9876543210",
            "status": "done", "profile": "quick", "spec": {}, "results": [RESULT],
            "provenance": {"ended": "2026-01-01", "seconds": 1.0}}


def keypoint_set() -> dict[str, Any]:
    return {"name": "own", "keypoints": list(NAMES), "sigmas": [0.05] * 17, "upper_body": ["nose"],
            "flip_pairs": [["left_eye", "right_eye"], ["left_ear", "right_ear"]], "skeleton": [["nose", "left_eye"]]}


# Rules of annotation, results and keypoint files have their tests elsewhere: here is what is no number.
ANNOTATIONS: Wrong = {("images", 0, "id"): 2, ("annotations", 0, "bbox"): [0, 0, NAN, 5],
                      ("annotations", 0, "area"): "9"}
RESULTS: Wrong = {(0, "score"): 10**400}
BOXES: Wrong = {(0, "bbox"): [1, 2, 3], (0, "score"): NAN}
RECORD: Wrong = {("schema_version",): 1, ("spec_hash",): "../x", ("status",): "well", ("seed",): -1,
                 ("results", 0, "metrics"): {"AP": NAN}, ("unknown",): 1}
SPEC: Wrong = {(): {"no_such_field": 1}, ("image_size",): [100, 100], ("train", "epochs"): 10**400,
               ("train", "lr"): NAN, ("model", "kind"): "os.system", ("train", "batch_size"): 1 << 40}
RAW = {"empty": b"", "not UTF-8": b"\xff\xfe{}", "deep": b"[" * 200_000, "huge integer": b"[" + b"9" * 5000 + b"]",
       "HTML": b"<html><body>404</body></html>", "pickle": pickle.dumps([1])}


def changed(document: Any, place: tuple[Any, ...], value: Any) -> bytes:
    """The document with another value (or none) at a place, as JSON that may hold NaN."""
    holder = [copy.deepcopy(document)]
    node: Any = holder
    for key in (0, *place)[:-1]:
        node = node[key]
    if value is ABSENT:
        del node[(0, *place)[-1]]
    else:
        node[(0, *place)[-1]] = value
    return json.dumps(holder[0]).encode("utf-8", "surrogatepass")


def cases(good: Any, wrong: Wrong, raw: bool = False) -> Iterator[tuple[str, bytes]]:
    """(label, content) of the malformed files of a kind; ``raw``: also those that are no JSON at all."""
    whole = json.dumps(good).encode()
    yield "cut off", whole[:len(whole) // 2]
    yield from RAW.items() if raw else ()
    for place, value in wrong.items():
        yield f"{'.'.join(map(str, place)) or 'all'} = {repr(value)[:40]}", changed(good, place, value)
