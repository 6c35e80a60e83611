"""Evaluators, and the rescoring and suppression before them. Nothing here imports torch."""

from __future__ import annotations

from flatpose.metrics.coco import coco_metrics
from flatpose.metrics.crowdpose import crowdpose_metrics
from flatpose.metrics.mpii import mpii_metrics
from flatpose.metrics.oks import Predictions, closeness, to_results

__all__ = ["Predictions", "closeness", "coco_metrics", "crowdpose_metrics", "mpii_metrics", "to_results"]
