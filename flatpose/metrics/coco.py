"""COCO keypoint AP and AR by pycocotools, and a bootstrap over images from its own matches."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from flatpose.data.annotations import read_truth
from flatpose.keypoints import KeypointSet

STATS = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")
RECALL_POINTS = np.linspace(0, 1, 101)
Results = list[dict[str, Any]]


def coco_metrics(annotation_file: Path, results: Results, *, keypoint_set: KeypointSet,
                 image_ids: list[int] | None = None) -> dict[str, float]:
    """AP, AP50, AP75, AP_M, AP_L and the same for AR, in 0..1; a size without persons is left out.

    Args:
        annotation_file: Ground truth.
        results: COCO results format, image ids all in the annotation file; may be empty.
        keypoint_set: Gives the OKS sigmas.
        image_ids: Evaluate these images only.
    """
    return summary(evaluate(annotation_file, results, keypoint_set, image_ids))


def evaluate(annotation_file: Path, results: Results, keypoint_set: KeypointSet, image_ids: list[int] | None
             ) -> COCOeval:
    """pycocotools' evaluator after matching, silent.

    The truth is the checked file: the person category alone, ids counted from 1 (pycocotools takes 0 for "not
    matched"), ``num_keypoints`` counted where the file does not have it.
    """
    truth = read_truth(annotation_file, keypoint_set)
    with contextlib.redirect_stdout(io.StringIO()):
        known = _index(truth.dataset())
        found = [{**entry, "category_id": truth.category["id"]} for entry in results]  # loadRes adds fields
        evaluation = COCOeval(known, known.loadRes(found) if found else _index({**known.dataset, "annotations": []}),
                              "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(keypoint_set.sigmas)
        if image_ids is not None:
            evaluation.params.imgIds = list(image_ids)
        evaluation.evaluate()
    return evaluation


def _index(dataset: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco


def summary(evaluation: COCOeval) -> dict[str, float]:
    """The ten numbers of a matched evaluation; sizes without persons are left out."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
        evaluation.summarize()
    return {name: float(value) for name, value in zip(STATS, evaluation.stats, strict=True) if value >= 0}


def interval(evaluation: COCOeval, *, samples: int = 200, seed: int = 0) -> dict[str, list[float]]:
    """95 % percentile interval of AP when the images are drawn again with replacement: {"AP": [low, high]}.

    Matching is per image, so it is done once; a sample only weights each image's matches by how often it was drawn.
    Empty when no image has a person to find.
    """
    matches = Matches.of(evaluation)
    rng = np.random.default_rng(seed)
    images = len(matches.persons)
    values = [matches.average_precision(np.bincount(rng.integers(0, images, images), minlength=images))
              for _ in range(samples)] if matches.persons.any() else []
    if not values:
        return {}
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return {"AP": [float(low), float(high)]}


class Matches:
    """Matches of all images (area "all"), best score first, with the image that each belongs to.

    Args:
        image: (D,) position of the detection's image.
        matched: (T, D) whether it found a person, at each OKS threshold.
        counted: (T, D) whether it counts at all (not if it matched a person to be ignored).
        persons: (I,) number of persons to find per image.
    """

    def __init__(self, image: np.ndarray, matched: np.ndarray, counted: np.ndarray, persons: np.ndarray) -> None:
        self.image, self.persons = image, persons
        self.true, self.false = matched & counted, ~matched & counted

    @classmethod
    def of(cls, evaluation: COCOeval) -> Matches:
        """From pycocotools' ``evalImgs``, whose first entries, one per image, are those of area "all"."""
        thresholds, images = len(evaluation.params.iouThrs), len(evaluation.params.imgIds)
        found = [(i, e) for i, e in enumerate(evaluation.evalImgs[:images]) if e is not None]
        persons = np.zeros(images, dtype=np.int64)
        for i, entry in found:
            persons[i] = np.count_nonzero(np.asarray(entry["gtIgnore"]) == 0)
        scores = np.concatenate([np.zeros(0), *(e["dtScores"] for _, e in found)])
        image = np.repeat([i for i, _ in found], [len(e["dtScores"]) for _, e in found]).astype(np.int64)
        empty = np.zeros((thresholds, 0))
        matched = np.concatenate([empty, *(e["dtMatches"] for _, e in found)], axis=1) > 0
        ignored = np.concatenate([empty, *(e["dtIgnore"] for _, e in found)], axis=1) > 0
        order = np.argsort(-scores, kind="mergesort")
        return cls(image[order], matched[:, order], ~ignored[:, order], persons)

    def average_precision(self, times: np.ndarray) -> float:
        """COCO's 101-point AP when image i occurs ``times[i]`` times; NaN without persons."""
        persons = int(self.persons @ times)
        if not persons:
            return float("nan")
        weight = times[self.image]
        true, false = np.cumsum(self.true * weight, axis=1), np.cumsum(self.false * weight, axis=1)
        precision = true / (true + false + np.spacing(1))
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        sampled = [np.append(p, 0.0)[np.searchsorted(t / persons, RECALL_POINTS, side="left")]
                   for t, p in zip(true, precision, strict=True)]
        return float(np.mean(sampled))
