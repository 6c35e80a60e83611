"""Mean OKS and PCK at 0.1 of the box."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from test_metrics import as_result, jittered, person, write_truth
from tiny import annotations

from flatpose.data.annotations import read_truth
from flatpose.keypoints import COCO17
from flatpose.metrics import closeness

SIGMAS = np.array(COCO17.sigmas)


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
