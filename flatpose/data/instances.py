"""The form of every data set in memory: persons, splits, and both splits with their identity."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flatpose.keypoints import KeypointSet


@dataclass(frozen=True, slots=True)
class Person:
    """One annotated or detected person.

    Args:
        image_id: Id of the image in its annotation file.
        image_path: The image on disk.
        person_id: Annotation id (0 for detections).
        bbox_xywh: (4,) left, top, width, height in image pixels.
        keypoints: (K, 2) image pixels; zeros for detections.
        keypoints_visible: (K,) 0 not labelled, 1 hidden, 2 seen.
        area: Visible mask area in square pixels, the scale of OKS.
        box_score: Confidence of the box, 1 for annotations.
        image_size: Annotated width and height of the image in pixels, where the file gives them.
    """

    image_id: int
    image_path: Path
    person_id: int
    bbox_xywh: np.ndarray
    keypoints: np.ndarray
    keypoints_visible: np.ndarray
    area: float
    box_score: float = 1.0
    image_size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Split:
    """The persons of one split, its annotation file and the ids of all its images (also those without persons)."""

    persons: list[Person]
    annotation_file: Path
    image_ids: list[int]


@dataclass(frozen=True)
class PoseData:
    """A data set ready for training and evaluation.

    ``data_id`` is a hash over annotations, detector file and image list; ``label`` names the data wherever a number
    measured on it is printed. ``notes`` are one-line remarks for the log: what was left out, and why.
    """

    task: str
    label: str
    data_id: str
    keypoint_set: KeypointSet
    train: Split
    val: Split
    root: Path
    detections: list[Person] = field(default_factory=list)
    detector_file: Path | None = None
    notes: tuple[str, ...] = ()
