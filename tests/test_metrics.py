"""COCO numbers against pycocotools itself, suppression against plain loops, the bootstrap against its definition."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tiny import annotations, write

from flatpose import benchmarks
from flatpose.data.annotations import read_truth
from flatpose.keypoints import COCO17, CROWDPOSE14
from flatpose.metrics import Predictions, closeness, coco_metrics, to_results
from flatpose.metrics.coco import Matches, evaluate, interval
from flatpose.metrics.oks import person_scores

SIGMAS = np.array(COCO17.sigmas)


def jittered(path: Path, spread: float, seed: int = 0, copies: int = 1) -> list[dict]:
    """Results near the truth: noise relative to the box, some swapped persons, tied scores and false positives."""
    rng = np.random.default_rng(seed)
    truth, out = json.loads(path.read_text()), []
    for person in truth["annotations"]:
        if person.get("iscrowd") or not any(person["keypoints"][2::3]):
            continue
        for _ in range(copies):
            triples = np.array(person["keypoints"], dtype=float).reshape(-1, 3)
            size = np.sqrt(person["bbox"][2] * person["bbox"][3])
            triples[:, :2] += rng.normal(0, spread * size * rng.choice([0.3, 1, 3]), (len(triples), 2))
            triples[:, 2] = rng.uniform(0.05, 1, len(triples))
            out.append({"image_id": person["image_id"], "category_id": 1, "keypoints": triples.ravel().tolist(),
                        "score": float(rng.choice([0.5, rng.uniform()]))})
    return out


def write_truth(path: Path, persons: list[dict], images: int = 3) -> Path:
    return write(path, {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 200, "height": 200} for i in range(1, images + 1)],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [{"id": i + 1, "category_id": 1, "iscrowd": 0, "num_keypoints": 17, **p}
                        for i, p in enumerate(persons)]})


def person(image_id: int, left: float, size: float = 100.0) -> dict:
    points = np.random.default_rng(image_id).uniform(0, size, (17, 2)) + np.array([left, 0])
    return {"image_id": image_id, "bbox": [left, 0, size, size], "area": size * size * 0.6,
            "keypoints": np.column_stack([points, np.full(17, 2)]).ravel().tolist()}


def as_result(truth: dict, score: float, shift: float = 0.0) -> dict:
    triples = np.array(truth["keypoints"]).reshape(-1, 3) + np.array([shift, 0, 0])
    return {"image_id": truth["image_id"], "category_id": 1, "keypoints": triples.ravel().tolist(), "score": score}


def test_a_case_by_hand(tmp_path):
    """Two persons, found by the first and the third of three predictions: AP = (51 * 1 + 50 * 2/3) / 101."""
    people = [person(1, 0), person(2, 0)]
    path = write_truth(tmp_path / "truth.json", people)
    results = [as_result(people[0], 0.9), as_result(people[0], 0.8, shift=500), as_result(people[1], 0.7)]
    found = coco_metrics(path, results, keypoint_set=COCO17)
    assert found["AP"] == pytest.approx((51 + 50 * 2 / 3) / 101) and found["AR"] == 1.0
    assert "AP_L" not in found and found["AP_M"] == found["AP"]  # 6,000 square pixels: large is above 96 squared


def test_nothing_found_is_zero_and_the_evaluator_is_silent(tmp_path, capsys):
    path = write_truth(tmp_path / "truth.json", [person(1, 0)])
    found = coco_metrics(path, [], keypoint_set=COCO17)
    assert set(found.values()) == {0.0} and found.keys() >= {"AP", "AR", "AP_M"}
    assert interval(evaluate(path, [], COCO17, None)) == {"AP": [0.0, 0.0]} and capsys.readouterr() == ("", "")
    none = Predictions(*(np.zeros((0, *s)) for s in ((), (), (17, 2), (17,), (), ())))
    assert to_results(none, sigmas=SIGMAS)[0] == []


def test_bootstrap_weights_equal_images_repeated(shared_data, tmp_path):
    """AP of drawn images = pycocotools' AP of a file in which these images really occur several times."""
    path = annotations(shared_data)
    results = [{**r, "score": r["score"] + 1e-6 * i} for i, r in enumerate(jittered(path, 0.05))]
    evaluation = evaluate(path, results, COCO17, None)
    matches, ids = Matches.of(evaluation), evaluation.params.imgIds
    once = np.ones(len(ids), dtype=int)
    whole = coco_metrics(path, results, keypoint_set=COCO17)["AP"]
    assert matches.average_precision(once) == pytest.approx(whole, abs=1e-12)
    times = np.bincount(np.random.default_rng(1).integers(0, len(ids), len(ids)), minlength=len(ids))
    repeated, drawn = repeat_images(json.loads(path.read_text()), results, dict(zip(ids, times, strict=True)))
    write(tmp_path / "repeated.json", repeated)
    expected = coco_metrics(tmp_path / "repeated.json", drawn, keypoint_set=COCO17)["AP"]
    assert matches.average_precision(times) == pytest.approx(expected, abs=1e-12) and expected != whole
    low, high = interval(evaluation)["AP"]
    assert low < whole < high < low + 0.1
    assert interval(evaluation)["AP"] == [low, high] != interval(evaluation, seed=1)["AP"], "repeatable"


def repeat_images(truth: dict, results: list[dict], times: dict[int, int]) -> tuple[dict, list[dict]]:
    out, found = {**truth, "images": [], "annotations": []}, []
    for image in truth["images"]:
        for _ in range(times[image["id"]]):
            new = len(out["images"]) + 1
            out["images"].append({**image, "id": new})
            out["annotations"] += [{**a, "image_id": new, "id": len(out["annotations"]) + i + 1} for i, a in
                                   enumerate(a for a in truth["annotations"] if a["image_id"] == image["id"])]
            found += [{**r, "image_id": new} for r in results if r["image_id"] == image["id"]]
    return out, found


def crowd(count: int, seed: int = 0, keypoints: int = 17) -> Predictions:
    """Predictions in three images, in clusters, so that there is something to suppress."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0, 200, (1 + count // 4, keypoints, 2))
    points = base[rng.integers(0, len(base), count)] + rng.normal(0, 2.0, (count, keypoints, 2))
    return Predictions(rng.integers(1, 4, count), np.zeros(count, int), points, rng.uniform(0, 1, (count, keypoints)),
                       rng.uniform(0, 1, count), rng.uniform(5e3, 3e4, count))


def naive_oks(a: np.ndarray, b: np.ndarray, area_a: float, area_b: float, sigmas: np.ndarray) -> float:
    total = 0.0
    for (xa, ya), (xb, yb), sigma in zip(a, b, sigmas, strict=True):
        scale = (area_a + area_b) / 2
        total += np.exp(-((xa - xb) ** 2 + (ya - yb) ** 2) / (2 * scale * (2 * sigma) ** 2))
    return total / len(sigmas)


def naive_nms(p: Predictions, members: list[int], scores: np.ndarray, threshold: float, sigmas: np.ndarray) -> list:
    left, kept = sorted(members, key=lambda i: -scores[i]), []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [i for i in left if naive_oks(p.keypoints[best], p.keypoints[i], p.area[best], p.area[i], sigmas)
                <= threshold]
    return kept


@pytest.mark.parametrize("keypoint_set", [COCO17, CROWDPOSE14])
@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_oks_nms_equals_the_loop(keypoint_set, threshold):
    p, sigmas = crowd(60, keypoints=len(keypoint_set)), np.array(keypoint_set.sigmas)
    results, rule = to_results(p, rescore="box_keypoint", score_threshold=0.2, nms="oks", nms_threshold=threshold,
                               sigmas=sigmas)
    scores = person_scores(p, "box_keypoint", 0.2)
    expected = [(int(image), scores[i]) for image in (1, 2, 3) for i in
                naive_nms(p, [i for i in range(60) if p.image_id[i] == image], scores, threshold, sigmas)]
    assert [(r["image_id"], r["score"]) for r in results] == expected and len(expected) < 60
    assert rule == f"box score x mean keypoint score > 0.2, OKS-NMS {threshold:g}"


def test_rescoring_by_hand():
    scores = np.array([[0.2, 0.4, 0.9], [0.1, 0.2, 0.0]])
    p = Predictions(np.array([1, 1]), np.zeros(2, int), np.zeros((2, 3, 2)), scores, np.array([0.5, 0.8]), np.ones(2))
    assert person_scores(p, "box_keypoint", 0.2) == pytest.approx([0.5 * 0.65, 0.0])  # 0.2 is not above 0.2
    assert person_scores(p, "keypoint", 0.0) == pytest.approx([0.5, 0.15])
    assert person_scores(p, "box", 0.2).tolist() == [0.5, 0.8]


def test_measure_says_what_it_did(tmp_path):
    people = [person(1, 0), person(2, 0)]
    path = write_truth(tmp_path / "truth.json", people)
    p = Predictions(np.array([1, 1, 2]), np.zeros(3, int),
                    np.stack([np.array(q["keypoints"]).reshape(-1, 3)[:, :2] for q in (people[0], *people)]),
                    np.full((3, 17), 0.5), np.array([1.0, 0.9, 0.8]), np.full(3, 1e4))
    found = benchmarks.get("coco").measure(p, path, keypoint_set=COCO17, image_ids=[1, 2, 3])
    assert found["predictions"] == 2 and found["images"] == 3 and found["metrics"]["AP"] == 1.0
    assert found["bootstrap"]["AP"] == pytest.approx([1.0, 1.0]) and found["score_rule"].endswith("OKS-NMS 0.9")
    found = benchmarks.get("coco").measure(p, path, keypoint_set=COCO17, image_ids=[1, 2, 3], nms="none")
    assert found["predictions"] == 3


def test_mean_oks_is_the_mean_of_pycocotools_own_similarities(shared_data):
    path = annotations(shared_data)
    results = jittered(path, 0.05, seed=1)
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(str(path))
        evaluation = COCOeval(known, known.loadRes([dict(r) for r in results]), "keypoints")
        evaluation.params.maxDets = [1000]
        evaluation.evaluate()
    best = []
    for image in evaluation.params.imgIds:
        for i, entry in enumerate(evaluation._gts[image, 1]):
            if not entry["iscrowd"] and entry["num_keypoints"]:
                row = evaluation.ious[image, 1]
                best.append(row[:, i].max() if len(row) else 0.0)
    truth = read_truth(path, COCO17)
    assert closeness(truth, results, SIGMAS, truth.images)["mean_OKS"] == pytest.approx(np.mean(best), abs=1e-12)


def test_persons_without_a_prediction_and_keypoints_beyond_the_radius_count_as_missed(tmp_path):
    people = [person(image, 0) for image in (1, 2, 3)]
    path = write_truth(tmp_path / "truth.json", people)
    near, far = as_result(people[0], 1, shift=9.9), as_result(people[1], 1, shift=10.1)  # the radius is 10 pixels
    found = closeness(read_truth(path, COCO17), [near, far], SIGMAS, [1, 2, 3])
    oks = [np.exp(-shift**2 / (2 * 6000 * (2 * SIGMAS) ** 2)).mean() for shift in (9.9, 10.1)]
    assert found == {"mean_OKS": pytest.approx(sum(oks) / 3), "PCK@0.1": pytest.approx(17 / 51)}
    exact = closeness(read_truth(path, COCO17), [as_result(p, 1) for p in people], SIGMAS, [1, 2, 3])
    assert exact == {"mean_OKS": 1.0, "PCK@0.1": 1.0}
