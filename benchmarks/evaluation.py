"""Our evaluation of a val2017-sized set against the evaluator library's own time for the same results.

    python benchmarks/evaluation.py            # prints
    python benchmarks/evaluation.py --write    # and keeps benchmarks/results/evaluation.md

5,000 images, made by repeating the annotations of ``--annotations FILE`` (by default the development data beside the
checkout) under new ids; 6,352 predictions on detector-like boxes. The library's time is loading, matching and summing
up by pycocotools; ours adds rescoring and OKS-NMS before and the bootstrap interval after it, and keeps the checked
annotations in memory. The timings alternate in one process and count CPU time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.coco
import pycocotools.cocoeval

from flatpose.benchmarks import COCO
from flatpose.io import write_text
from flatpose.keypoints import COCO17
from flatpose.metrics import Predictions, coco_metrics, to_results

RESULTS = Path(__file__).parent / "results" / "evaluation.md"
ANNOTATIONS = Path(__file__).resolve().parents[2] / "shared/data/coco/annotations/person_keypoints_val2017.json"
IMAGES, PREDICTIONS, REPEATS = 5000, 6352, 5
RULE = {"rescore": "box_keypoint", "score_threshold": 0.2, "nms": "oks", "nms_threshold": 0.9}
SIGMAS = np.array(COCO17.sigmas)


def enlarged(source: dict[str, Any], count: int) -> dict[str, Any]:
    """``count`` images, the source's again and again with their persons, all under new ids."""
    by_image: dict[int, list[dict]] = {image["id"]: [] for image in source["images"]}
    for person in source["annotations"]:
        by_image[person["image_id"]].append(person)
    images: list[dict] = []
    persons: list[dict] = []
    for new in range(1, count + 1):
        old = source["images"][(new - 1) % len(source["images"])]
        images.append({**old, "id": new})
        persons += [{**p, "image_id": new, "id": len(persons) + i + 1} for i, p in enumerate(by_image[old["id"]])]
    return {"images": images, "annotations": persons, "categories": source["categories"]}


def predictions(truth: dict[str, Any], count: int) -> Predictions:
    """Noisy copies of annotated persons, some of them twice in an image, so that there is something to suppress."""
    rng = np.random.default_rng(0)
    people = [p for p in truth["annotations"] if p["num_keypoints"]]
    chosen = [people[i] for i in rng.integers(0, len(people), count)]
    points = np.array([p["keypoints"] for p in chosen], dtype=np.float64).reshape(-1, 17, 3)[..., :2]
    area = np.array([p["bbox"][2] * p["bbox"][3] for p in chosen])
    points += rng.normal(0, 0.02, points.shape) * np.sqrt(area)[:, None, None]
    return Predictions(np.array([p["image_id"] for p in chosen]), np.zeros(count, dtype=np.int64), points,
                       rng.uniform(0, 1, (count, 17)), rng.uniform(0, 1, count), area * 1.5)


def library(path: Path, results: list[dict[str, Any]]) -> dict[str, float]:
    """pycocotools as its documentation uses it."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = pycocotools.coco.COCO(str(path))
        evaluation = pycocotools.cocoeval.COCOeval(truth, truth.loadRes([dict(r) for r in results]), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {"AP": float(evaluation.stats[0])}


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    out = action()
    return time.process_time() - start, out


def compare(path: Path, found: Predictions, images: list[int]) -> str:
    """Alternate the steps, check that the numbers agree, and put the medians into a table."""
    results, _ = to_results(found, sigmas=SIGMAS, **RULE)
    steps: dict[str, Callable[[], Any]] = {
        "pycocotools alone": lambda: library(path, results),
        "rescoring and OKS-NMS": lambda: to_results(found, sigmas=SIGMAS, **RULE),
        "rescoring, OKS-NMS and AP": lambda: coco_metrics(
            path, to_results(found, sigmas=SIGMAS, **RULE)[0], keypoint_set=COCO17, image_ids=images),
        "the same and a bootstrap of 200": lambda: COCO.measure(
            found, path, keypoint_set=COCO17, image_ids=images, **RULE)["metrics"]}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(REPEATS):
        answers = {}
        for name, action in steps.items():
            taken, answers[name] = timed(action)
            seconds[name].append(taken)
    expected = answers["pycocotools alone"]["AP"]
    assert all(answers[name]["AP"] == expected for name in list(steps)[2:]), answers
    base = seconds["pycocotools alone"]
    lines = ["| step | CPU seconds | ratio to pycocotools |", "|---|--:|--:|"]
    for name, taken in seconds.items():
        ratio = np.median([a / b for a, b in zip(taken, base, strict=True)])
        lines.append(f"| {name} | {np.median(taken):.2f} | {ratio:.2f} |")
    return "\n".join([*lines, "", f"{len(found.image_id)} predictions, {len(results)} after OKS-NMS 0.9, "
                      f"AP {100 * expected:.2f} in all of them."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=Path, default=ANNOTATIONS)
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results/evaluation.md")
    arguments = parser.parse_args()
    truth = enlarged(json.loads(arguments.annotations.read_text()), IMAGES)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "truth.json"
        path.write_text(json.dumps(truth))
        body = compare(path, predictions(truth, PREDICTIONS), [image["id"] for image in truth["images"]])
    text = (f"# Evaluation: our time against the evaluator's own\n\n`python benchmarks/evaluation.py --write`, median "
            f"of {REPEATS}; {IMAGES} images with {len(truth['annotations'])} persons (annotations repeated, new ids); "
            f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}.\n\n{body}\n")
    print(text)
    if arguments.write:
        write_text(RESULTS, text)


if __name__ == "__main__":
    main()
