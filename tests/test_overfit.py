"""The proof that encode, train, decode, un-warp and score fit together: eight real persons learned by heart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny import annotations, write

from flatpose.config import (
    AugmentConfig,
    BaselineConfig,
    DataConfig,
    EvalConfig,
    FlatPoseConfig,
    HeatmapCodecConfig,
    LossConfig,
    RegressionCodecConfig,
    RunConfig,
    SimCCCodecConfig,
    TrainConfig,
)
from flatpose.pipeline import execute
from flatpose.progress import SILENT

STILL = AugmentConfig(flip=0, rotation=0, scale=0, half_body=0)
QUICK = {"backbone": "resnet_quick", "pretrained": False}
SIMCC, KL = SimCCCodecConfig(flip_shift=1), LossConfig(kind="kl")
DARK = HeatmapCodecConfig(encode="exact", decode="dark")
HEADS = {
    # At 128x96 the plain codec's own ceiling is below 0.95 (its cells are 4 pixels); DARK reads between the cells.
    "heatmap": (BaselineConfig(**QUICK, deconv_dim=48), DARK, LossConfig()),
    "simcc": (BaselineConfig(**QUICK, num_deconvs=0, head="simcc"), SIMCC, KL),
    "regression": (BaselineConfig(**QUICK, num_deconvs=0, head="regression"), RegressionCodecConfig(),
                   LossConfig(kind="l1")),
    "flatpose": (FlatPoseConfig(**QUICK, embed_dim=64, num_heads=4, num_coarse_blocks=2), SIMCC, KL),
}


@pytest.fixture(scope="module")
def eight(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO tree whose train and val split are the same eight well-labelled real persons."""
    source = shared_data / "coco"
    content = json.loads(annotations(shared_data).read_text())
    chosen = {}
    for entry in sorted(content["annotations"], key=lambda e: -e["num_keypoints"]):
        if entry["area"] > 96**2 and not entry["iscrowd"] and len(chosen) < 8:
            chosen.setdefault(entry["image_id"], entry)
    root = tmp_path_factory.mktemp("eight")
    tree = {**content, "annotations": list(chosen.values()),
            "images": [image for image in content["images"] if image["id"] in chosen]}
    for split in ("train", "val"):
        write(annotations(root, split), tree)
        (root / "coco" / f"{split}2017").mkdir()
        for image in tree["images"]:
            shutil.copy(source / "val2017" / image["file_name"], root / "coco" / f"{split}2017")
    return root


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("head", HEADS)
def test_eight_real_persons_are_learned_by_heart(eight, tmp_path, head):
    model, codec, loss = HEADS[head]
    run = RunConfig(data=DataConfig(source="disk"), image_size=(96, 128), model=model, codec=codec, loss=loss,
                    augment=STILL, eval=EvalConfig(flip_test=False),
                    train=TrainConfig(epochs=300, batch_size=8, lr=3e-3, weight_decay=0.0, warmup_epochs=10,
                                      ema_decay=0.99))
    measured = execute(run, seed=0, data_root=eight, work_dir=tmp_path, reporter=SILENT)
    by_weights = {r["weights"]: r["metrics"]["AP"] for r in measured["results"] if r["kind"] == "trained"}
    assert measured["data"]["val_persons"] == 8
    assert max(by_weights.values()) >= 0.95, (by_weights, measured["train"])
