"""Our numbers against the reference libraries called here as their documentation says, not through our wrappers."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from pathlib import Path

import numpy as np
import pytest
from test_metrics import jittered
from tiny import annotations, write

from flatpose import benchmarks
from flatpose.keypoints import COCO17, CROWDPOSE14
from flatpose.metrics import coco_metrics, crowdpose_metrics

COCO_STATS = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")
CROWD_STATS = ("AP", "AP50", "AP75", "AR", "AR50", "AR75", "AP_easy", "AP_medium", "AP_hard")
CROWD_SIGMAS = np.array([.79, .79, .72, .72, .62, .62, 1.07, 1.07, .87, .87, .89, .89, .79, .79]) / 10
COCO_SIGMAS = np.array([.26, .25, .25, .35, .35, .79, .79, .72, .72, .62, .62, 1.07, 1.07, .87, .87, .89, .89]) / 10


@pytest.fixture(scope="module")
def coco(shared_data) -> Path:
    return annotations(shared_data)


@pytest.fixture(scope="module")
def crowd(shared_data, tmp_path_factory) -> Path:
    """Every eighth image of the real file, with all of its persons."""
    content = json.loads((shared_data / "crowdpose" / "annotations" / "crowdpose_val.json").read_text())
    content["images"] = content["images"][::8]
    ids = {image["id"] for image in content["images"]}
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in ids]
    return write(tmp_path_factory.mktemp("crowd") / "crowdpose_part.json", content)


@pytest.fixture(params=[0.02, 0.1], scope="module")
def spread(request) -> float:
    """From nearly perfect to mostly wrong."""
    return request.param


def run(evaluation) -> list[float]:
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return list(evaluation.stats)


def test_sigmas_are_the_benchmarks_own():
    assert np.array(COCO17.sigmas) == pytest.approx(COCO_SIGMAS)
    assert np.array(CROWDPOSE14.sigmas) == pytest.approx(CROWD_SIGMAS)


def test_coco_equals_pycocotools(coco, spread, tmp_path):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    results = jittered(coco, spread, seed=3)
    file, before = str(write(tmp_path / "found.json", results)), copy.deepcopy(results)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(coco))
        theirs = dict(zip(COCO_STATS, run(COCOeval(truth, truth.loadRes(file), "keypoints")), strict=True))
        some = COCOeval(truth, truth.loadRes(file), "keypoints")
        some.params.imgIds = truth.getImgIds()[:60]
        part = dict(zip(COCO_STATS, run(some), strict=True))
    assert coco_metrics(coco, results, keypoint_set=COCO17) == theirs
    assert coco_metrics(coco, results, keypoint_set=COCO17, image_ids=some.params.imgIds) == part != theirs
    assert results == before  # the evaluator adds fields to what it is given
    assert benchmarks.get("coco").score(coco, Path(file)) == theirs


def test_crowdpose_equals_faster_coco_eval(crowd, spread, tmp_path):
    """And xtcocotools: test_crowdpose.py."""
    from faster_coco_eval import COCO, COCOeval_faster

    results = jittered(crowd, spread, seed=4)
    file = str(write(tmp_path / "found.json", results))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(crowd))
        theirs = run(COCOeval_faster(truth, truth.loadRes(file), "keypoints_crowd", kpt_oks_sigmas=CROWD_SIGMAS,
                                     use_area=False))
    assert list(crowdpose_metrics(crowd, results).values()) == theirs
    assert benchmarks.get("crowdpose").score(crowd, Path(file)) == dict(zip(CROWD_STATS, theirs, strict=True))
