"""Data sets as lists of persons. ``load`` is the one door; nothing here imports torch."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from flatpose.config import DataConfig
from flatpose.data import coco, synthetic
from flatpose.data.instances import Person, PoseData, Split
from flatpose.errors import DataError
from flatpose.keypoints import COCO17
from flatpose.progress import SILENT, Reporter

__all__ = ["Person", "PoseData", "Split", "find_root", "identity", "load"]


def find_root(data_root: Path | None) -> Path | None:
    """--data-root, else $FLATPOSE_DATA, else ./data when it exists."""
    if data_root is not None:
        return data_root
    if os.environ.get("FLATPOSE_DATA"):
        return Path(os.environ["FLATPOSE_DATA"])
    return Path("data") if Path("data").is_dir() else None


def load(config: DataConfig, data_root: Path | None, *, reporter: Reporter = SILENT) -> PoseData:
    """The data set a run asks for; the embedded one is generated on first use.

    Raises:
        DataError: A file is missing or damaged; the message says where it was looked for.
    """
    root = _root(config, data_root, reporter)
    data = load_coco(root, _label_prefix(config))
    train = data.train.persons[:config.max_train_persons]
    if config.max_val_images is not None:
        data = _first_images(data, config.max_val_images)
    return replace(data, train=replace(data.train, persons=train))


def load_coco(root: Path, embedded_label: str | None = None) -> PoseData:
    """A COCO tree below ``root``, both splits, with detections when a detector file is there."""
    folder = coco.coco_folder(root)
    splits = {}
    for split in ("train", "val"):
        path = coco.annotation_path(folder, split)
        splits[split] = coco.load_split(path, coco.image_folder(folder, split), COCO17)
    detector = coco.detector_path(folder)
    detections = []
    if detector is not None:
        detections = coco.load_detections(detector, splits["val"], coco.image_folder(folder, "val"), COCO17)
    counts = {name: len(split.image_ids) for name, split in splits.items()}
    label = f"{embedded_label} ({counts['train']}/{counts['val']} images)" if embedded_label else _coco_label(counts)
    data_id = coco.fingerprint(coco.identity_files(folder))
    return PoseData("coco", label, data_id, COCO17, splits["train"], splits["val"], root, detections, detector)


def identity(config: DataConfig, data_root: Path | None) -> tuple[str | None, str | None]:
    """What ``load`` would find, without loading it: (data_id, reason why it cannot be found).

    Both are None for an embedded set that has not been made yet.
    """
    try:
        if config.source == "embedded":
            root = synthetic.existing(config.embedded)
            if root is None:
                return None, None
        else:
            root = _root(config, data_root, SILENT)
        return coco.fingerprint(coco.identity_files(coco.coco_folder(root))), None
    except DataError as error:
        return None, str(error)


def _root(config: DataConfig, data_root: Path | None, reporter: Reporter) -> Path:
    if config.source == "embedded":
        return synthetic.ensure(config.embedded, reporter=reporter)
    root = find_root(data_root)
    if root is None:
        raise DataError(f"no {config.task} data: neither --data-root nor $FLATPOSE_DATA is set and ./data is missing",
                        hint="the quick profile needs no data: flatpose-exp run ID --profile quick")
    return root


def _label_prefix(config: DataConfig) -> str | None:
    return f"embedded v{synthetic.VERSION}" if config.source == "embedded" else None


def _coco_label(counts: dict[str, int]) -> str:
    """Only the official split may be called COCO 2017; everything else says how large it is."""
    if counts == coco.OFFICIAL_IMAGES:
        return "COCO 2017"
    return f"COCO subset ({counts['train']}/{counts['val']} images)"


def _first_images(data: PoseData, count: int) -> PoseData:
    """Validation cut to its first ``count`` images."""
    keep = set(data.val.image_ids[:count])
    val = replace(data.val, image_ids=data.val.image_ids[:count],
                  persons=[p for p in data.val.persons if p.image_id in keep])
    return replace(data, val=val, detections=[p for p in data.detections if p.image_id in keep])
