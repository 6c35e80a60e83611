"""Data sets as lists of persons; :func:`load` reads one. Nothing here imports torch."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatpose.benchmarks as benchmarks
from flatpose.config import DataConfig
from flatpose.data.coco import fingerprint
from flatpose.data.instances import Person, PoseData, Split
from flatpose.errors import DataError
from flatpose.keypoints import KEYPOINTS_FILE
from flatpose.progress import SILENT, Reporter

__all__ = ["KEYPOINTS_FILE", "Person", "PoseData", "Split", "find_root", "identity", "load"]


def find_root(data_root: Path | None) -> Path | None:
    """--data-root, else $FLATPOSE_DATA, else ./data when it exists."""
    if data_root is not None:
        return data_root
    if os.environ.get("FLATPOSE_DATA"):
        return Path(os.environ["FLATPOSE_DATA"])
    return Path("data") if Path("data").is_dir() else None


def load(config: DataConfig, data_root: Path | None, *, reporter: Reporter = SILENT) -> PoseData:
    """The data set of a run, checked; the embedded one is generated on first use.

    Raises:
        DataError: A file is missing, damaged, or would give a wrong number; the message says which and what to do.
    """
    from flatpose.data import synthetic

    label = f"embedded v{synthetic.VERSION} {config.embedded.level}" if config.source == "embedded" else None
    data = benchmarks.get(config.task).load(_root(config, data_root, reporter), label)
    for note in data.notes:
        reporter.message(note)
    if config.max_val_images is not None and config.max_val_images < len(data.val.image_ids):
        data = _first_images(data, config.max_val_images)
    if config.max_train_persons is not None and config.max_train_persons < len(data.train.persons):
        data = replace(data, train=replace(data.train, persons=data.train.persons[:config.max_train_persons]),
                       label=f"{data.label}, first {config.max_train_persons} training persons")
    return data


def find_file(name: str, data_root: Path | None) -> Path:
    """A file of that name below the data root, else relative to the current folder, where it may not exist."""
    root = find_root(data_root)
    return root / name if root is not None and (root / name).is_file() else Path(name)


def identity(config: DataConfig, data_root: Path | None) -> tuple[str | None, str | None]:
    """What ``load`` would find, without loading it: (data_id, reason why it cannot be found).

    Both are None for an embedded set that has not been made yet.
    """
    from flatpose.data import synthetic

    try:
        root: Path | None
        if config.source == "disk":
            root = _root(config, data_root, SILENT)
        else:
            root = synthetic.existing(config.embedded, task=_embedded_task(config))
        files = benchmarks.get(config.task).identity_files(root) if root else None
        return (fingerprint(files) if files else None), None
    except DataError as error:
        return None, str(error)


def _root(config: DataConfig, data_root: Path | None, reporter: Reporter) -> Path:
    if config.source == "embedded":
        from flatpose.data import synthetic

        return synthetic.ensure(config.embedded, task=_embedded_task(config), reporter=reporter)
    root = find_root(data_root)
    if root is None:
        raise DataError(f"no {config.task} data: neither --data-root nor $FLATPOSE_DATA is set and ./data is missing",
                        hint="the quick profile needs no data: flatpose-exp run ID --profile quick")
    return root


def _embedded_task(config: DataConfig) -> Any:
    if not benchmarks.get(config.task).embedded:
        raise DataError("generated data have no form of their own keypoints", where="data.task",
                        hint="flatpose-exp run ID --data-root DIR")
    return config.task


def _first_images(data: PoseData, count: int) -> PoseData:
    """Validation cut to its first ``count`` images, which the label says."""
    keep = set(data.val.image_ids[:count])
    val = replace(data.val, image_ids=data.val.image_ids[:count],
                  persons=[p for p in data.val.persons if p.image_id in keep])
    return replace(data, val=val, detections=[p for p in data.detections if p.image_id in keep],
                   label=f"{data.label}, first {count} validation images")
