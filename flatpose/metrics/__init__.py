"""The benchmarks' numbers, by their reference evaluators. Nothing here imports torch."""

from __future__ import annotations

from flatpose.metrics.coco import coco_bootstrap, coco_metrics
from flatpose.metrics.oks import Predictions, to_results

__all__ = ["Predictions", "coco_bootstrap", "coco_metrics", "to_results"]
