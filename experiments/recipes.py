"""The paper's training recipe, and the scales every experiment can run at.

Section 4.1.2 says: 210 epochs, 8 GPUs, AdamW, base learning rate 1e-3, cosine with linear warm-up, standard
augmentation, EMA, flip test. Everything else below is a reading (experiments/readings.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flatpose.config import (
    DataConfig,
    EmbeddedConfig,
    EvalConfig,
    LossConfig,
    RunConfig,
    SimCCCodecConfig,
    TrainConfig,
)
from flatpose.harness.spec import Profile

PAPER_TRAIN = TrainConfig(epochs=210, batch_size=512, lr=1e-3, weight_decay=0.05, warmup_epochs=5.0, ema_decay=0.9998)
PAPER_EVAL = EvalConfig(box_sources=("gt", "det"))
PAPER_RUN = RunConfig(data=DataConfig(source="disk"), train=PAPER_TRAIN, eval=PAPER_EVAL)

SIMCC = SimCCCodecConfig(split_ratio=2.0, sigma=6.0, border="three_sigma_pixels")
KL = LossConfig(kind="kl")

# Small networks that train within minutes on a CPU. The mapping is one to one, so that different rows stay different.
SMALL_BACKBONES = {
    "resnet50": "resnet_quick_os16",
    "convnextv2_nano": "convnext_quick_os16", "convnextv2_tiny": "convnext_quick_deep_os16",
}
SMALL_MODEL = {"deconv_dim": 48, "embed_dim": 96, "num_heads": 4, "coord_dim": 24, "bias_dim": 16, "bias_hidden": 32}
SMOKE = Profile(
    name="smoke",
    description="seconds: shows that every step runs; its numbers mean nothing",
    image_size=(64, 64), shrink=2, backbones=SMALL_BACKBONES, pretrained=False, model=SMALL_MODEL,
    train={"epochs": 1, "batch_size": 16, "warmup_epochs": 0.0, "ema_gamma": 1.0},
    data=DataConfig(embedded=EmbeddedConfig(train_images=12, val_images=8)),
    eval={"box_sources": ("gt", "det"), "flip_test": True}, minutes_per_run=0.05,
)
QUICK = Profile(
    name="quick",
    description="minutes on a CPU: the paper at half scale, small networks on embedded people, equal budgets",
    image_size=(96, 128), shrink=2, backbones=SMALL_BACKBONES, model=SMALL_MODEL,
    # Of 1e-3 and 2e-3 the latter was as good or better for heatmap and SimCC, on images that no experiment uses.
    train={"epochs": 4, "batch_size": 16, "lr": 2e-3, "warmup_epochs": 0.2, "ema_decay": 0.998, "ema_gamma": 100.0,
           "eval_every": 1},
    # A short run sees each person a few times only, so strong augmentation would slow learning.
    augment={"rotation": 0.0, "scale": 0.1, "half_body": 0.0},
    data=DataConfig(embedded=EmbeddedConfig(train_images=3000, val_images=700)),
    eval={"box_sources": ("gt", "det")}, minutes_per_run=3.5,
)
SYNTH = Profile(
    name="synth",
    description="one GPU: full-size networks and inputs on embedded data, trained from scratch",
    pretrained=False, train={"epochs": 60, "batch_size": 128, "lr": 1e-3, "warmup_epochs": 2.0},
    data=DataConfig(embedded=EmbeddedConfig(level="wild", train_images=20000, val_images=1000)),
    eval={"box_sources": ("gt", "det")}, gpu=True, minutes_per_run=60.0,
)
PAPER = Profile(name="paper", description="real data and the paper's recipe, on 8 GPUs", gpu=True,
                train={"eval_every": 10}, minutes_per_run=720.0)

# Real images on a CPU: a small network pre-trained on ImageNet, then on embedded people. docs/training.md has the
# command that makes its start weights, which lie below the data root.
COCO_MINI = Profile(
    name="coco_mini",
    description="real images on a CPU: a COCO subset, MobileNetV2 from ImageNet and embedded people, 128x96 input",
    image_size=(96, 128), shrink=2, backbones={"resnet50": "mobilenetv2_100_os16"},
    model={**SMALL_MODEL, "weights": "weights/mobilenetv2_100_wild.safetensors"},
    train={"epochs": 40, "batch_size": 32, "lr": 2e-3, "warmup_epochs": 1.0, "ema_decay": 0.998,
           "ema_gamma": 100.0, "eval_every": 8},
    augment={"rotation": 30.0, "scale": 0.3, "half_body": 0.1, "brightness": 0.2},
    data=DataConfig(source="disk"), eval={"box_sources": ("gt", "det")}, minutes_per_run=35.0,
)

PROFILES = {profile.name: profile for profile in (SMOKE, QUICK, SYNTH, PAPER)}


def coco_run(**changes: Any) -> RunConfig:
    """The paper's COCO run with some fields replaced."""
    return replace(PAPER_RUN, **changes)
