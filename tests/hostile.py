"""Malformed inputs of every kind of file, made from a good one: data for tests/test_hostile.py.

A case is (kind, label, content). The tables say at which place of the good document which values are wrong; the same
values at other places may be harmless, so that every line here is a decision.
"""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from typing import Any

from flatpose.keypoints import COCO17

ABSENT = object()
NAN, INF = float("nan"), float("inf")
NAMES = list(COCO17.names)
KEYPOINTS = [float(v) for i in range(17) for v in (10 + 3 * i, 20 + 2 * i, 2)]
Wrong = dict[tuple[Any, ...], list[Any]]


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
    result = {"kind": "trained", "weights": "ema", "box_source": "gt", "flip_test": True, "score_rule": "box",
              "metrics": {"AP": 0.5}, "images": 2, "predictions": 2}
    return {"schema_version": 1, "spec_hash": "0123456789ab", "seed": 0, "data_id": "ba9876543210", "status": "done",
            "profile": "quick", "spec": {}, "data": {"label": "COCO", "task": "coco", "source": "disk"},
            "train": {"seconds": 1.0}, "provenance": {"ended": "2026-01-01", "seconds": 1.0}, "results": [result]}


def latency() -> list[dict[str, Any]]:
    timing = {"batch": 1, "compiled": False, "ms": 1.0, "ratio_reference": 1.0, "ratio_flatpose_b": 1.0,
              "range_flatpose_b": [0.9, 1.1], "peak_memory_mb": 1.0, "device": "CPU", "threads": 1}
    return [{"row": "one", "latency": [timing], "cpu": "c", "ended": "2026-01-01", "torch": "2"}]


def checkpoint_record() -> dict[str, Any]:
    return {"row": "one", "spec_hash": "0123456789ab", "data_id": "ba9876543210", "data": {"label": "COCO"},
            "checkpoint": {"file": "a.pth", "sha256": "0" * 64, "names": "our own"}, "spec": {"model": {"kind": "b"}},
            "results": [{"box_source": "gt", "metrics": {"AP": 0.5}}], "provenance": {"ended": "2026-01-01"}}


def keypoint_set() -> dict[str, Any]:
    return {"name": "own", "keypoints": list(NAMES), "sigmas": [0.05] * 17, "upper_body": ["nose"],
            "flip_pairs": [["left_eye", "right_eye"], ["left_ear", "right_ear"]],
            "skeleton": [["nose", "left_eye"]]}


def lock() -> dict[str, Any]:
    return {"host": "elsewhere", "pid": 7, "process_start": "1", "job": None, "since": "2026-01-01T00:00:00Z"}


def ledger() -> dict[str, Any]:
    return {"job": "77"}


NO_INTEGER = [ABSENT, None, "one", 1.5, True, [], {}, 2**63, -2**64]
NO_SIZE = [ABSENT, None, "160", [], {}, 0, -1, NAN, INF, 1e7, True]
NO_BOX = [ABSENT, None, "0 0 9 9", [], {}, [1, 2, 3], [1, 2, 3, 4, 5], ["1", "2", "3", "4"], [0, 0, NAN, 5],
          [0, 0, INF, 5], [1e7, 0, 5, 5], [0, 0, None, 5], [[0, 0, 5, 5]], [True, 0, 5, 5], 10**400]
NO_KEYPOINTS = [ABSENT, None, "1", {}, [], KEYPOINTS[:-1], [*KEYPOINTS, 1.0], KEYPOINTS[:42], [*KEYPOINTS[:-1], NAN],
                [INF, *KEYPOINTS[1:]], ["1", *KEYPOINTS[1:]], [None, *KEYPOINTS[1:]], [10**400, *KEYPOINTS[1:]],
                [[1.0, 2.0, 2.0]] * 17, [True, *KEYPOINTS[1:]], [[], *KEYPOINTS[1:]]]
NO_NAME = [ABSENT, None, 1, [], {}, "", "../x.jpg", "/etc/passwd", "a/../../b.jpg", "a\0b.jpg", "a\nb.jpg", "x" * 1001,
           "..", "\ud800.jpg"]
NO_SCORE = [ABSENT, None, "0.5", [0.5], {}, NAN, INF, -INF, True, 10**400]
NO_LIST = [ABSENT, None, 1, "x", {}]
NO_TEXT = [ABSENT, None, 1, [], {}]

ANNOTATIONS: Wrong = {
    ("images",): NO_LIST, ("annotations",): NO_LIST, ("categories",): NO_LIST, ("images", 0): [None, 1, "x", [], {}],
    ("annotations", 0): [None, 1, "x", []], ("images", 0, "id"): [*NO_INTEGER, 2], ("images", 0, "file_name"): NO_NAME,
    ("images", 0, "width"): NO_SIZE, ("images", 0, "height"): NO_SIZE,
    ("annotations", 0, "image_id"): [ABSENT, None, 99, "one", [], {}, -1, NAN],
    ("annotations", 0, "keypoints"): [*NO_KEYPOINTS, [1e7, *KEYPOINTS[1:]]], ("annotations", 0, "bbox"): NO_BOX,
    ("annotations", 0, "area"): ["9", [1], {"a": 1}, -1, NAN, INF, 1e13],
    ("annotations", 0, "id"): [None, "one", 1.5, [], {}, 2**63],
}
TRUTH: Wrong = {
    ("annotations", 0, "iscrowd"): ["0", [1], -1, NAN],
    ("annotations", 0, "id"): [ABSENT, None, 2, 1.5],
    ("annotations", 0, "category_id"): [None, [], {}],
    ("images", 0, "id"): [ABSENT, None, 2, [], 1.5],
    ("annotations", 0, "area"): [ABSENT, None, "9", -1, NAN, INF],
    ("annotations", 0, "bbox"): [b for b in NO_BOX if b != [1e7, 0, 5, 5]],
    ("categories", 0, "id"): [ABSENT, None, [], {}, 10**20], ("images",): [*NO_LIST, []],
    ("categories",): [*NO_LIST, []],
}
RESULTS: Wrong = {
    (): [None, 1, "x", {}, [], [[]], [None], [1]], (0, "image_id"): [ABSENT, None, 99, "one", [1], {}, True, NAN],
    (0, "category_id"): [ABSENT, None, "one", [], {}, True], (0, "keypoints"): NO_KEYPOINTS, (0, "score"): NO_SCORE,
    (0, "bbox"): ["0 0 9 9", [1], [1, 2, 3], [0, 0, NAN, 5], [0, 0, "5", 5], {"a": 1}, 7, True],
}
BOXES: Wrong = {
    (): [None, 1, "x", {}, [None], [1], ["x"], [[]]], (0, "image_id"): [ABSENT],
    (0, "bbox"): NO_BOX, (0, "score"): [*NO_SCORE, 1e7],
}
RECORD: Wrong = {
    (): [None, 1, "x", [], {}], ("schema_version",): [ABSENT, None, 0, 2, "1"],
    ("spec_hash",): [*NO_TEXT, "../x", "", "a/b"],
    ("seed",): [ABSENT, None, "0", -1, 1.5, []], ("data_id",): [ABSENT, 1, "../../x", "a b", []],
    ("status",): [*NO_TEXT, "well", "DONE"], ("profile",): [None, 1, []], ("spec",): [None, 1, [], "x"],
    ("data",): [None, 1, [], {}, {"label": "x"}], ("data", "task"): [None, "pose", 1],
    ("data", "source"): [None, "web", 1], ("train", "seconds"): [NAN, INF],
    ("provenance", "seconds"): [NAN, INF, "1", None],
    ("provenance", "ended"): [1, []], ("results",): [None, 1, {}, [1], [{}]],
    ("results", 0, "metrics"): [ABSENT, None, [], {"AP": "0.5"}, {"AP": NAN}, {"AP": None}, {"AP": INF}],
    ("results", 0, "kind"): [ABSENT, None, "guess", 1], ("results", 0, "images"): [ABSENT, "2", 2.5, None],
    ("results", 0, "box_source"): NO_TEXT, ("results", 0, "flip_test"): [ABSENT, None, "yes", 2],
}
LATENCY: Wrong = {
    (): [None, 1, "x", {}, [1], [{}]], (0, "row"): NO_TEXT, (0, "ended"): NO_TEXT,
    (0, "latency"): [ABSENT, None, [], [1], {}],
    (0, "latency", 0, "ms"): [ABSENT, None, "1", NAN, 0, -1.0], (0, "latency", 0, "batch"): [ABSENT, None, "1", 1.5],
}
CHECKPOINT_RECORD: Wrong = {
    (): [None, 1, [], {}], ("row",): NO_TEXT, ("spec",): [ABSENT, None, {}, {"model": 1}],
    ("checkpoint",): [ABSENT, None, {}],
    ("checkpoint", "sha256"): NO_TEXT, ("results",): [ABSENT, None, [1], [{}]], ("provenance",): [ABSENT, None, {}],
    ("results", 0, "metrics"): [ABSENT, None, {"AP": "1"}, {"AP": NAN}],
}
SPEC: Wrong = {
    (): [None, 1, "x", [], [1], {"rows": 1}, {"rows": [1]}, {"rows": [{}]}, {"rows": [{"run": 1}]},
        {"no_such_field": 1}],
    ("image_size",): [None, 1, "192x256", [], [192], [0, 0], [-192, 256], [192.5, 256], [100, 100], [64, 1 << 20],
                      [1, 2, 3], [NAN, 64], ["a", "b"]],
    ("train",): [None, 1, [], {"lrr": 1}], ("train", "epochs"): [None, "many", 0, -1, 1.5, NAN, INF, [], 10**400],
    ("train", "batch_size"): [None, "x", 0, -4, 1.5, 1 << 40, []], ("train", "lr"): [None, "x", -1.0, NAN, INF, []],
    ("data",): [None, 1, [], {"source": "web"}], ("data", "task"): [None, "pose", 1], ("model",): [None, 1, [], {}],
    ("model", "kind"): ["os.system", None, 1, []], ("profile",): [[], {}],
    ("codec",): [None, 1, [], {"kind": "no"}], ("codec", "stride"): [0, -1, "x", NAN, None],
    ("train", "optimizer"): [None, 1, "__import__('os')", []],
}
LOCK: Wrong = {
    (): [None, 1, "x", [], {}, [1]], ("host",): NO_TEXT, ("since",): NO_TEXT,
    ("pid",): [ABSENT, None, "7", 1.5, True, [], {}, 0, -1, 2**31, 2**63, 10**400, NAN],
}
LEDGER: Wrong = {(): [None, 1, "x", [], {}, [1]], ("job",): [ABSENT, None, 77, 1.5, True, [], {}, "", NAN]}
KEYPOINT_SET: Wrong = {
    (): [None, 1, "x", [], {}, [1], {"names": 1}], ("skelton",): [[], None],
    ("name",): [*NO_TEXT, "", "../up", "a b", "x" * 65],
    ("keypoints",): [*NO_LIST, [], NAMES[:16], [*NAMES, "tail"], [*NAMES[:16], NAMES[0]], [*NAMES[:16], ""],
                     [*NAMES[:16], 1], [*NAMES[:16], None], [*NAMES[:16], "x" * 65], [str(i) for i in range(1001)]],
    ("flip_pairs",): [None, 1, "x", {}], ("skeleton",): [None, 1, "x", {}], ("sigmas",): [
        1, "x", {}, [], [0.05], [0.05] * 16, [0.05] * 18, [[0.05]] * 17, [None] * 17],
    ("flip_pairs", 0): [None, 1, "x", [], ["left_eye"], ["left_eye", "right_eye", "nose"], ["left_eye", "left_eye"],
                        ["left_eye", "left_ear"], ["left_eye", "rigth_eye"], ["left_eye", 2], [None, "left_eye"]],
    ("skeleton", 0): [None, 1, "x", [], ["nose"], ["nose", "left_eye", "right_eye"], ["nose", "mouth"], ["nose", 1]],
    ("upper_body",): [None, 1, "nose", {}, ["mouth"], [1], [None]],
    ("sigmas", 0): [None, "0.05", 0, -0.0, -0.05, 1.01, NAN, INF, -INF, True, [], 10**400],
}
RAW = {"empty": b"", "spaces": b"  \n", "text": b"AP = 0.9", "zeros": b"\0" * 64, "not UTF-8": b"\xff\xfe{}",
       "deep": b"[" * 200_000, "deep objects": b'{"a":' * 100_000, "huge integer": b"[" + b"9" * 5000 + b"]",
       "two documents": b"[][]", "comment": b"// x\n[]", "single quotes": b"{'a': 1}", "bare word": b"nul",
       "trailing comma": b"[1,]", "unfinished text": b'["abc', "bad escape": b'["\\x"]', "PNG": b"\x89PNG\r\n\x1a\n",
       "zip": b"PK\x03\x04" + bytes(40), "gzip": b"\x1f\x8b\x08" + bytes(40), "HTML": b"<html><body>404</body></html>",
       "pickle": pickle.dumps([1])}


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


def cases(good: Any, wrong: Wrong) -> Iterator[tuple[str, bytes]]:
    """(label, content) of every malformed file of a kind."""
    yield from RAW.items()
    whole = json.dumps(good).encode()
    for share in (0.1, 0.5, 0.95):
        yield f"cut off at {share}", whole[:int(len(whole) * share)]
    for place, values in wrong.items():
        for value in values:
            shown = "absent" if value is ABSENT else repr(value)[:40]
            yield f"{'.'.join(map(str, place)) or 'all'} = {shown}", changed(good, place, value)
