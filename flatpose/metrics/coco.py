"""COCO keypoint AP and AR by pycocotools, and a bootstrap over images from its own matches."""

from __future__ import annotations

import contextlib
import copy
import io
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from flatpose.keypoints import KeypointSet

STATS = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")
Results = list[dict[str, Any]]


def coco_metrics(annotation_file: Path, results: Results, *, keypoint_set: KeypointSet,
                 image_ids: list[int] | None = None) -> dict[str, float]:
    """AP, AP50, AP75, AP_M, AP_L and the same for AR, in 0..1; a size without persons is left out."""
    evaluation = _evaluate(annotation_file, results, keypoint_set, image_ids)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
        evaluation.summarize()
    return {name: float(value) for name, value in zip(STATS, evaluation.stats, strict=True) if value >= 0}


def coco_bootstrap(annotation_file: Path, results: Results, *, keypoint_set: KeypointSet,
                   image_ids: list[int] | None = None, samples: int = 200, seed: int = 0) -> dict[str, list[float]]:
    """95 % percentile interval of AP when the images are drawn again with replacement.

    Matching is per image, so it is done once; each sample only accumulates the drawn images' matches anew.
    """
    evaluation = _evaluate(annotation_file, results, keypoint_set, image_ids)
    per_image = [m for m in _matches(evaluation) if m is not None]
    if not per_image:
        return {}
    rng = np.random.default_rng(seed)
    count = len(evaluation.params.imgIds)
    values = [_average_precision(per_image, rng.integers(0, count, count)) for _ in range(samples)]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return {"AP": [float(low), float(high)]}


def _evaluate(annotation_file: Path, results: Results, keypoint_set: KeypointSet, image_ids: list[int] | None
              ) -> COCOeval:
    """The evaluator after matching, silent."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotation_file))
        evaluation = COCOeval(truth, _load_results(truth, results), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(keypoint_set.sigmas)
        if image_ids is not None:
            evaluation.params.imgIds = list(image_ids)
        evaluation.evaluate()
    return evaluation


def _load_results(truth: COCO, results: Results) -> COCO:
    """``loadRes``, which fails on an empty list: then a data set without detections."""
    if results:
        return truth.loadRes(copy.deepcopy(results))
    empty = COCO()
    empty.dataset = {"images": truth.dataset["images"], "categories": truth.dataset["categories"], "annotations": []}
    empty.createIndex()
    return empty


def _matches(evaluation: COCOeval) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, int] | None]:
    """Per image for area "all": scores (D,), matched (T, D), ignored (T, D), number of countable persons."""
    first_area = evaluation.evalImgs[:len(evaluation.params.imgIds)]
    return [None if e is None else (np.array(e["dtScores"]), np.asarray(e["dtMatches"]) > 0,
                                    np.asarray(e["dtIgnore"], dtype=bool), int((np.asarray(e["gtIgnore"]) == 0).sum()))
            for e in first_area]


def _average_precision(per_image: list, drawn: np.ndarray) -> float:
    """COCO's 101-point AP over the drawn images (indices beyond those with entries are images without persons)."""
    chosen = [per_image[i] for i in drawn if i < len(per_image)]
    persons = sum(c[3] for c in chosen)
    if not persons:
        return float("nan")
    scores = np.concatenate([c[0] for c in chosen])
    order = np.argsort(-scores, kind="mergesort")
    matched = np.concatenate([c[1] for c in chosen], axis=1)[:, order]
    counted = ~np.concatenate([c[2] for c in chosen], axis=1)[:, order]
    true, false = np.cumsum(matched & counted, axis=1), np.cumsum(~matched & counted, axis=1)
    recall, precision = true / persons, true / np.maximum(true + false, np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    points = np.linspace(0, 1, 101)
    sampled = [np.append(p, 0.0)[np.searchsorted(r, points, side="left")] for r, p in zip(recall, precision, strict=True)]
    return float(np.mean(sampled))
