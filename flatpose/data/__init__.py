"""Data sets as lists of persons. ``load`` is the one door; nothing here imports torch."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

from flatpose.config import DataConfig
from flatpose.data import coco, crowdpose, mpii
from flatpose.data.instances import Person, PoseData, Split
from flatpose.errors import DataError
from flatpose.keypoints import COCO17, KeypointSet
from flatpose.progress import SILENT, Reporter

__all__ = ["Person", "PoseData", "Split", "find_root", "identity", "load", "load_coco", "load_custom"]

KEYPOINTS_FILE = "keypoints.json"


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
    data = _load_task(config, root)
    train = data.train.persons[:config.max_train_persons]
    if config.max_val_images is not None:
        data = _first_images(data, config.max_val_images)
    return replace(data, train=replace(data.train, persons=train))


def _load_task(config: DataConfig, root: Path) -> PoseData:
    label = _label_prefix(config)
    if config.task == "crowdpose":
        return crowdpose.load_crowdpose(root, label)
    if config.task == "mpii":
        return mpii.load_mpii(root, label)
    if config.task == "custom":
        return load_custom(root)
    return load_coco(root, label)


def load_coco(root: Path, embedded_label: str | None = None) -> PoseData:
    """A COCO tree below ``root``, both splits, with detections when a detector file is there."""
    data = _load_tree(coco.coco_folder(root), COCO17, root)
    counts = {"train": len(data.train.image_ids), "val": len(data.val.image_ids)}
    label = f"{embedded_label} ({counts['train']}/{counts['val']} images)" if embedded_label else _coco_label(counts)
    return replace(data, label=label)


def load_custom(root: Path) -> PoseData:
    """A tree of the same form with its own keypoints, which ``ROOT/keypoints.json`` names (docs/own-data.md)."""
    from flatpose.keypoints_file import read_keypoint_set

    folder = coco.coco_folder(root)
    data = _load_tree(folder, read_keypoint_set(root / KEYPOINTS_FILE), root)
    label = f"{data.keypoint_set.name} ({len(data.train.image_ids)}/{len(data.val.image_ids)} images)"
    data_id = coco.fingerprint([*coco.identity_files(folder), root / KEYPOINTS_FILE])
    return replace(data, task="custom", label=label, data_id=data_id)


def _load_tree(folder: Path, keypoint_set: KeypointSet, root: Path) -> PoseData:
    """Both splits of a COCO-like folder, not yet labelled."""
    train, val = (coco.load_split(coco.annotation_path(folder, split), coco.image_folder(folder, split), keypoint_set)
                  for split in ("train", "val"))
    detector = coco.detector_path(folder)
    found = coco.load_detections(detector, val, coco.image_folder(folder, "val"), keypoint_set) if detector else []
    data_id = coco.fingerprint(coco.identity_files(folder))
    return PoseData("coco", "", data_id, keypoint_set, train, val, root, found, detector)


def identity(config: DataConfig, data_root: Path | None) -> tuple[str | None, str | None]:
    """What ``load`` would find, without loading it: (data_id, reason why it cannot be found).

    Both are None for an embedded set that has not been made yet.
    """
    from flatpose.data import synthetic

    try:
        if config.source == "disk":
            root = _root(config, data_root, SILENT)
        else:
            made = synthetic.existing(config.embedded, task=_embedded_task(config))
            if made is None:
                return None, None
            root = made
        return coco.fingerprint(_identity_files(config, root)), None
    except DataError as error:
        return None, str(error)


def _identity_files(config: DataConfig, root: Path) -> list[Path]:
    if config.task == "crowdpose":
        return crowdpose.identity_files(root)
    if config.task == "mpii":
        return mpii.identity_files(root)
    own = [root / KEYPOINTS_FILE] if config.task == "custom" else []
    return [*coco.identity_files(coco.coco_folder(root)), *own]


def _root(config: DataConfig, data_root: Path | None, reporter: Reporter) -> Path:
    if config.source == "embedded":
        from flatpose.data import synthetic

        return synthetic.ensure(config.embedded, task=_embedded_task(config), reporter=reporter)
    root = find_root(data_root)
    if root is None:
        raise DataError(f"no {config.task} data: neither --data-root nor $FLATPOSE_DATA is set and ./data is missing",
                        hint="the quick profile needs no data: flatpose-exp run ID --profile quick")
    return root


def _embedded_task(config: DataConfig) -> Literal["coco", "crowdpose", "mpii"]:
    if config.task == "custom":
        raise DataError("the embedded data have no custom form", where="data.task",
                        hint="flatpose-exp run ID --data-root DIR")
    return config.task


def _label_prefix(config: DataConfig) -> str | None:
    from flatpose.data import synthetic

    return f"embedded v{synthetic.VERSION} {config.embedded.level}" if config.source == "embedded" else None


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
