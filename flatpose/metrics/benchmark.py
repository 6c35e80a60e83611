"""From predictions to the numbers of whichever benchmark the data belong to, with the rule that made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from flatpose.keypoints import KeypointSet
from flatpose.metrics import coco
from flatpose.metrics.crowdpose import crowdpose_metrics
from flatpose.metrics.mpii import mpii_metrics, mpii_results
from flatpose.metrics.oks import Nms, Predictions, Rescore, to_results


def measure(task: str, predictions: Predictions, annotation_file: Path, *, keypoint_set: KeypointSet,
            image_ids: list[int], rescore: Rescore = "box_keypoint", score_threshold: float = 0.2, nms: Nms = "oks",
            nms_threshold: float = 0.9) -> dict[str, Any]:
    """One result as a record stores it: score_rule, images, predictions (after suppression), metrics, bootstrap.

    MPII is measured at the person whom a box belongs to: no score is needed and nothing is suppressed. The bootstrap
    interval is that of COCO's AP alone.
    """
    if task == "mpii":
        metrics = mpii_metrics(annotation_file, mpii_results(predictions))
        return {"score_rule": "one prediction per person, no score", "images": len(image_ids),
                "predictions": len(predictions.image_id), "metrics": metrics}
    results, rule = to_results(predictions, rescore=rescore, score_threshold=score_threshold, nms=nms,
                               nms_threshold=nms_threshold, sigmas=np.array(keypoint_set.sigmas))
    found = {"score_rule": rule, "images": len(image_ids), "predictions": len(results)}
    if task == "crowdpose":
        return {**found, "metrics": crowdpose_metrics(annotation_file, results, keypoint_set=keypoint_set,
                                                      image_ids=image_ids)}
    evaluation = coco.evaluate(annotation_file, results, keypoint_set, image_ids)
    return {**found, "metrics": coco.summary(evaluation), "bootstrap": coco.interval(evaluation)}
