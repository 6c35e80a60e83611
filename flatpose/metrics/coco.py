"""COCO keypoint AP and AR by pycocotools, and a bootstrap over images from its own matches."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
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
    """:func:`summary` of :func:`evaluate`."""
    return summary(evaluate(annotation_file, results, keypoint_set, image_ids))


def evaluate(annotation_file: Path, results: Results, keypoint_set: KeypointSet, image_ids: list[int] | None
             ) -> COCOeval:
    """pycocotools' evaluator after matching, silent.

    The truth is the checked file: the person category alone, ids counted from 1 (pycocotools takes 0 for "not
    matched"), ``num_keypoints`` counted where the file does not have it. ``results`` in COCO's format may be empty;
    their image ids are all in the annotation file. With ``image_ids`` only these images are evaluated.
    """
    truth = read_truth(annotation_file, keypoint_set)
    found = [{**entry, "category_id": truth.category["id"]} for entry in results]  # loadRes adds fields
    with contextlib.redirect_stdout(io.StringIO()):
        known = indexed(COCO, truth.dataset())
        evaluation = COCOeval(known, with_results(COCO, known, found), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(keypoint_set.sigmas)
        if image_ids is not None:
            evaluation.params.imgIds = list(image_ids)
        evaluation.evaluate()
    return evaluation


def indexed(coco: Any, dataset: dict[str, Any]) -> Any:
    """A data set in the COCO class of pycocotools or of a library derived from it."""
    index = coco()
    index.dataset = dataset
    index.createIndex()
    return index


def with_results(coco: Any, known: Any, found: Results) -> Any:
    """Results as ``loadRes`` makes them, which cannot make an empty set."""
    return known.loadRes(found) if found else indexed(coco, {**known.dataset, "annotations": []})


def summary(evaluation: COCOeval) -> dict[str, float]:
    """AP, AP50, AP75, AP_M, AP_L and the same for AR, in 0..1; a size without persons is left out."""
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
    if not matches.persons.any():
        return {}
    rng, images = np.random.default_rng(seed), len(matches.persons)
    values = [matches.average_precision(np.bincount(rng.integers(0, images, images), minlength=images))
              for _ in range(samples)]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return {"AP": [float(low), float(high)]}


@dataclass(frozen=True)
class Matches:
    """Matches of all images (area "all"), best score first, with the image that each belongs to.

    Args:
        image: (D,) position of the detection's image.
        true: (T, D) whether it found a person, at each OKS threshold.
        false: (T, D) whether it found none. Neither is set where it matched a person to be ignored.
        persons: (I,) number of persons to find per image.
    """

    image: np.ndarray
    true: np.ndarray
    false: np.ndarray
    persons: np.ndarray

    @classmethod
    def of(cls, evaluation: COCOeval) -> Matches:
        """From pycocotools' ``evalImgs``, whose first entries, one per image, are those of area "all"."""
        entries = evaluation.evalImgs[:len(evaluation.params.imgIds)]
        persons = np.array([np.count_nonzero(np.asarray(e["gtIgnore"]) == 0) if e else 0 for e in entries])
        found = [e for e in entries if e]
        counts = [len(e["dtScores"]) if e else 0 for e in entries]
        empty = np.zeros((len(evaluation.params.iouThrs), 0))
        scores = np.concatenate([np.zeros(0), *(e["dtScores"] for e in found)])
        matched, ignored = (np.concatenate([empty, *(e[name] for e in found)], axis=1) > 0
                            for name in ("dtMatches", "dtIgnore"))
        order = np.argsort(-scores, kind="mergesort")
        image = np.repeat(np.arange(len(entries)), counts)
        return cls(image[order], (matched & ~ignored)[:, order], (~matched & ~ignored)[:, order], persons)

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
