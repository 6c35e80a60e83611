"""A tiny COCO tree (coloured dots for keypoints on grey images, in either layout), and a run to train on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from flatpose.config import BaselineConfig, DataConfig, EvalConfig, HeatmapCodecConfig, RunConfig, TrainConfig
from flatpose.keypoints import COCO17

ROOT = Path(__file__).parents[1]
EXP = ("-m", "flatpose.harness.cli")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
SIZE = (160, 120)
RUN = RunConfig(data=DataConfig(source="disk"), image_size=(64, 64), codec=HeatmapCodecConfig(stride=32),
                model=BaselineConfig(backbone="resnet_quick", pretrained=False, num_deconvs=0),
                train=TrainConfig(epochs=1, batch_size=4, ema_decay=0.9, warmup_epochs=0),
                eval=EvalConfig(box_sources=("gt",)))
SPEC = '''
from dataclasses import replace
from flatpose.config import BaselineConfig, DataConfig, EvalConfig, HeatmapCodecConfig, RunConfig, TrainConfig
from flatpose.harness.spec import Experiment, Profile, Row

TRAIN = TrainConfig(batch_size=4, ema_decay=0.9, warmup_epochs=0)
RUN = RunConfig(data=DataConfig(source="disk"), image_size=(64, 64), codec=HeatmapCodecConfig(stride=32),
                model=BaselineConfig(backbone="resnet_quick", pretrained=False, num_deconvs=0),
                eval=EvalConfig(box_sources=("gt", "det")))
ROWS = ROWS_HERE
EXPERIMENT = Experiment(id="tiny", title="t", source="s", question="q", rows=tuple(
    Row(id=name, label=name, run=replace(RUN, train=replace(TRAIN, **changes))) for name, changes in ROWS.items()),
    profiles={"quick": Profile(name="quick", description="d")})
'''


def spec(**rows: dict[str, object]) -> str:
    """A spec file whose rows train the smallest network: name -> fields of its TrainConfig."""
    return SPEC.replace("ROWS_HERE", repr(rows))


def write_coco(root: Path, *, images: dict[str, int] | None = None, nested: bool = False, seed: int = 0) -> Path:
    """ROOT with annotations, images and a detector file; one or two persons per image. Returns ROOT."""
    rng = np.random.default_rng(seed)
    for split, count in (images or {"train": 6, "val": 3}).items():
        folder = root / "coco" / ("images" if nested else "") / f"{split}2017"
        folder.mkdir(parents=True)
        content = {"images": [], "annotations": [], "categories": [
            {"id": 1, "name": "person", "keypoints": list(COCO17.names), "skeleton": []}]}
        detections = []
        for image_id in range(1, count + 1):
            pixels = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
            for _ in range(1 + image_id % 2):
                entry = _person(rng, image_id, len(content["annotations"]) + 1)
                _draw(pixels, entry["keypoints"])
                content["annotations"].append(entry)
                detections.append({"image_id": image_id, "category_id": 1, "score": 0.9,
                                   "bbox": [v + 1.0 for v in entry["bbox"]]})
            name = f"{image_id:012d}.jpg"
            cv2.imwrite(str(folder / name), pixels)
            content["images"].append({"id": image_id, "file_name": name, "width": SIZE[0], "height": SIZE[1]})
        write(annotations(root, split), content)
    write(root / "coco" / "person_detection_results" / "COCO_val2017_detections_AP_H_56_person.json", detections)
    return root


def annotations(root: Path, split: str = "val") -> Path:
    """The annotation file of a split."""
    return root / "coco" / "annotations" / f"person_keypoints_{split}2017.json"


def _person(rng: np.random.Generator, image_id: int, person_id: int) -> dict:
    low, size = rng.uniform(5, 40, 2), rng.uniform(50, 70, 2)
    points = low + rng.uniform(0, 1, (17, 2)) * size
    visible = rng.choice([1, 2], 17)
    flat = np.concatenate([points.round(1), visible[:, None]], axis=1).ravel().tolist()
    return {"id": person_id, "image_id": image_id, "category_id": 1, "iscrowd": 0, "num_keypoints": 17,
            "bbox": [*low.round(1).tolist(), *size.round(1).tolist()], "area": float(size.prod() * 0.6),
            "keypoints": flat}


def _draw(pixels: np.ndarray, flat: list[float]) -> None:
    for index in range(17):
        colour = tuple(int(c) for c in np.random.default_rng(index).integers(100, 255, 3))
        cv2.circle(pixels, (round(flat[3 * index]), round(flat[3 * index + 1])), 3, colour, -1)


def write(path: Path, content: object) -> Path:
    """Write a JSON file; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def edit(path: Path, change) -> None:
    """Change the content of a JSON file."""
    content = json.loads(path.read_text())
    change(content)
    write(path, content)


def python(folder: Path, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own with this checkout, working in ``folder`` and keeping its runs there."""
    own = {"FLATPOSE_RUNS": str(folder / "runs"), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([sys.executable, *map(str, words)], cwd=folder, env={**os.environ, **own}, text=True,
                          capture_output=True, timeout=290)


def records(folder: Path) -> list[dict[str, Any]]:
    """The records of the runs in ``folder``, oldest first."""
    found = sorted(folder.glob("runs/*/seed*/*/record.json"), key=lambda path: path.stat().st_mtime)
    return [json.loads(path.read_text()) for path in found]
