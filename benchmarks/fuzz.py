"""Coverage-guided fuzzing of everything that parses a stranger's JSON, by atheris (``pip install atheris``).

    python benchmarks/fuzz.py results --seconds 600        # a target, see TARGETS; ends early at the first find
    python benchmarks/fuzz.py results --replay crash-0123  # what a find says

A mutation changes one value of a JSON document (or, one time in eight, its bytes); inputs that reach new lines of the
parsers are kept in ``--corpus`` and mutated further. A find is an input that is answered by anything but a result that
makes sense or a FlatPoseError. What was found so far stands in docs/reliability.md, and as a test in
tests/test_hostile.py.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

PARSERS = ["flatpose.data", "flatpose.metrics", "flatpose.io", "flatpose.config", "flatpose.harness.record_form",
           "flatpose.harness.collect", "flatpose.harness.validate"]
with atheris.instrument_imports(include=PARSERS, enable_loader_override=False):
    from flatpose.benchmarks import COCO
    from flatpose.data import submit, subset, transforms
    from flatpose.data.annotations import read
    from flatpose.data.coco import split_of
    from flatpose.data.detections import read_detections
    from flatpose.errors import FlatPoseError
    from flatpose.harness import collect, validate
    from flatpose.keypoints import COCO17

VALUES = (None, True, False, 0, -1, 1, 2, 17, 2**31, 2**63, -2**63, 2**64, 10**40, 0.5, -0.0, 1e-320, 1e6, 1e15, 1e16,
          1e308, float("nan"), float("inf"), -float("inf"), "", "1", "a", "../../x.jpg", "/etc/passwd", "\0", "é\ud800",
          "x" * 5000, [], {}, [[]], [0], [0, 0, 0, 0], [-1, -1, 1, 1], [0] * 51, {"id": 1}, [None])
KEYPOINTS = [float(v) for i in range(17) for v in (10 + 3 * i, 20 + 2 * i, 2)]


def person(number: int, image: int) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "num_keypoints": 17, "area": 900.0,
            "bbox": [10.0, 20.0, 48.0, 32.0], "keypoints": KEYPOINTS}


TRUTH = {"images": [{"id": i, "file_name": f"{i}.jpg", "width": 160, "height": 120} for i in (1, 2)],
         "annotations": [person(1, 1), person(2, 2)],
         "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.names), "skeleton": [[1, 2]]}]}
RESULTS = [{"image_id": i, "category_id": 1, "score": 0.5, "keypoints": KEYPOINTS} for i in (1, 2)]
BOXES = [{"image_id": i, "category_id": 1, "score": 0.5, "bbox": [10.0, 20.0, 48.0, 32.0]} for i in (1, 2)]
RECORD = {"schema_version": 1, "spec_hash": "0123456789ab", "seed": 0, "data_id": "ba9876543210", "status": "done",
          "profile": "quick", "spec": {}, "data": {"label": "COCO", "task": "coco", "source": "disk"},
          "provenance": {"ended": "2026-01-01T00:00:00Z", "seconds": 1.0, "versions": {"torch": "2"}},
          "results": [{"kind": "trained", "weights": "ema", "box_source": "gt", "flip_test": True, "score_rule": "box",
                       "metrics": {"AP": 0.5}, "images": 2, "predictions": 2}]}


class Files:
    """The files that a target reads, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.truth = self.write("truth.json", json.dumps(TRUTH).encode())

    def write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path


def annotations(files: Files, content: bytes) -> None:
    """An annotation file as training reads it: what loads can be cropped."""
    split = split_of(read(files.write("fuzz.json", content), COCO17), Path("images"))
    for found in split.persons:
        view = transforms.plain_view(found, (48, 64))
        matrix = transforms.view_matrix(view, (48, 64), udp=False)
        assert abs(matrix).max() < 1e12 and found.area >= 0 and found.image_path.is_relative_to("images"), found


def truth(files: Files, content: bytes) -> None:
    """An annotation file as the evaluator reads it."""
    _sensible(COCO.score(files.write("fuzz.json", content), files.write("found.json", json.dumps(RESULTS).encode())))


def results(files: Files, content: bytes) -> None:
    """A results file, scored."""
    _sensible(COCO.score(files.truth, files.write("fuzz.json", content)))


def _sensible(metrics: dict[str, float]) -> None:
    assert metrics and all(0 <= value <= 1 for value in metrics.values()), metrics


def detections(files: Files, content: bytes) -> None:
    """A detector's file."""
    truth, path = read(files.truth, COCO17), files.write("fuzz.json", content)
    for found in read_detections(path, truth.images, Path("images"), len(COCO17), truth.category["id"])[0]:
        assert abs(transforms.view_matrix(transforms.plain_view(found, (48, 64)), (48, 64), udp=False)).max() < 1e12


def submission(files: Files, content: bytes) -> None:
    """Results for the test-dev server."""
    submit.coco_test_dev(files.write("fuzz.json", content), files.truth, files.folder, "fuzz")


def cut(files: Files, content: bytes) -> None:
    """What ``data subset`` reads before it links any image."""
    subset._chosen(read(files.write("fuzz.json", content), COCO17), 1, labelled=True)


def record(files: Files, content: bytes) -> None:
    """A record that came from elsewhere."""
    folder = files.folder / "runs" / "a" / "seed0" / "b"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").write_bytes(content)
    for found in collect.scan(files.folder / "runs"):
        collect.record_key(found), collect.ended(found)
        collect.RecordSet("x", (found,)).dump()


def spec(files: Files, content: bytes) -> None:
    """A stranger's spec, checked as data."""
    assert isinstance(validate.examine_json(files.write("fuzz.json", content)), list)


TARGETS: dict[str, tuple[Callable[[Files, bytes], None], Any]] = {
    "annotations": (annotations, TRUTH), "truth": (truth, TRUTH), "results": (results, RESULTS),
    "detections": (detections, BOXES), "submission": (submission, RESULTS), "cut": (cut, TRUTH),
    "record": (record, RECORD),
    "spec": (spec, {"profile": "quick", "data": {"source": "disk"}, "image_size": [64, 64], "train": {"epochs": 2}}),
}


def mutate(data: bytes, largest: int, seed: int) -> bytes:
    """One value of the document changed; or its bytes, which the JSON parser must survive too."""
    rng = random.Random(seed)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return atheris.Mutate(data, largest)
    if rng.random() < 0.125:
        return atheris.Mutate(data, largest)
    holder = [document]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        _change(rng, holder)
    return json.dumps(holder[0]).encode()[:largest]


def _change(rng: random.Random, holder: list[Any]) -> None:
    """Replace, remove, repeat or move the value at a random place."""
    places = [(holder, 0), *_places(holder[0])]
    node, key = rng.choice(places)
    action = rng.random()
    if action < 0.6:
        node[key] = copy.deepcopy(rng.choice(VALUES))
    elif action < 0.75 and node is not holder:
        del node[key]
    elif action < 0.9 and isinstance(node, list) and node is not holder:
        node.insert(key, copy.deepcopy(node[key]))
    else:
        other, at = rng.choice(places)
        node[key] = copy.deepcopy(other[at])


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document; of a long list of numbers only the first."""
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value[:8]) if isinstance(value, list) else ()
    for key, inner in items:
        found += [(value, key), *_places(inner)]
    return found


def attempt(target: str, files: Files, content: bytes) -> None:
    """Runs one input; only a find raises."""
    with contextlib.suppress(FlatPoseError):
        TARGETS[target][0](files, content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="Folder that keeps what was reached; default: a temporary one.")
    parser.add_argument("--replay", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = Files(Path(folder))
        if given.replay:
            attempt(given.target, files, given.replay.read_bytes())
            return
        corpus = given.corpus or Path(folder) / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        (corpus / "seed").write_text(json.dumps(TARGETS[given.target][1]))
        attempt(given.target, files, (corpus / "seed").read_bytes())
        atheris.Setup([sys.argv[0], str(corpus), f"-max_total_time={given.seconds}", "-max_len=20000", "-timeout=20",
                       "-rss_limit_mb=3000", "-print_final_stats=1", "-verbosity=1"],
                      lambda data: attempt(given.target, files, data), custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
