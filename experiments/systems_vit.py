"""The published recipes of the transformer-based systems of Tables 2, 3 and 4, and of GatedUniPose.

The same form as systems_cnn.py. Sources: the yaml or Python configurations of the official repositories. GatedUniPose
has no public code: its network is a reading, and its recipe is mmpose's for MPII.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from experiments.systems_cnn import (
    AUGMENT_HRNET,
    AUGMENT_HRNET_MPII,
    AUGMENT_MMPOSE0,
    HIGH,
    LOW,
    SQUARE,
    TRAIN_PERSONS,
    Size,
    Task,
    adam,
    base_run,
    mmpose_adam,
    mmpose_augment,
    sigma_of,
)
from flatpose.config import (
    GatedUniPoseConfig,
    HeatmapCodecConfig,
    LossConfig,
    RunConfig,
    SHaRPoseConfig,
    TokenPoseConfig,
    TrainConfig,
    ViTPoseConfig,
)

VIT_S = "vit_small_patch16_224.dino"
"""timm has no masked autoencoder of this size; the authors of ViTPose trained one themselves."""


def _udp_heatmap(image_size: Size, decode: Literal["dark", "dark_udp"] = "dark_udp") -> HeatmapCodecConfig:
    """Unrounded centres, the (size - 1) geometry, which needs no flip shift; TokenPose decodes by DARK."""
    return HeatmapCodecConfig(sigma=sigma_of(image_size), encode="exact", decode=decode, udp=True)


def tokenpose(variant: Literal["B", "L/D24", "L/D6"] = "B", image_size: Size = LOW, task: Task = "coco") -> RunConfig:
    """TokenPose: four GPUs with 32 persons (B) or 16 (L) each; eight with 32 at 384x288.

    Table 4's MPII number is in none of its configurations; its only one for MPII is L/D6.
    """
    large = {"backbone": "hrnet_w48", "groups": 3, "head_hidden": None}
    model = {"B": TokenPoseConfig(), "L/D24": TokenPoseConfig(depth=24, num_heads=12, **large),
             "L/D6": TokenPoseConfig(depth=6, patch_size=(4, 4), **large)}[variant]
    if image_size == HIGH:
        model = replace(model, patch_size=(4, 6))
    batch = 256 if image_size == HIGH else 128 if variant == "B" else 64
    train = adam(1e-3, batch, task, epochs=300, drops=(200, 260))
    return replace(base_run(task, image_size), model=model, codec=_udp_heatmap(image_size, "dark"), train=train,
                   augment=AUGMENT_HRNET_MPII if task == "mpii" else AUGMENT_HRNET)


def _vit_train(task: Task, *, epochs: int, batch_size: int, layer_decay: float, clip_grad: float | None) -> TrainConfig:
    """AdamW with layer-wise learning-rate decay; the rate is divided by ten after 170 and 200 epochs."""
    return TrainConfig(epochs=epochs, batch_size=batch_size, lr=5e-4, weight_decay=0.1, schedule="step",
                       milestones=(170 / epochs, 200 / epochs), warmup_lr=5e-7, ema_decay=None,
                       warmup_epochs=500 * batch_size / TRAIN_PERSONS[task], layer_decay=layer_decay,
                       clip_grad=clip_grad)


def vitpose(size: Literal["S", "B"] = "B", image_size: Size = LOW, task: Task = "coco") -> RunConfig:
    """ViTPose with the classic decoder. No CrowdPose-only number is in its repository: there, the COCO recipe."""
    small = size == "S"
    return replace(base_run(task, image_size), codec=_udp_heatmap(image_size), augment=AUGMENT_MMPOSE0,
                   model=ViTPoseConfig(backbone=VIT_S, drop_path=0.1) if small else ViTPoseConfig(),
                   train=_vit_train(task, epochs=210, batch_size=512, layer_decay=0.8 if small else 0.75,
                                    clip_grad=1.0))


def sharpose(size: Literal["Small", "Base"] = "Base", image_size: Size = LOW, task: Task = "coco") -> RunConfig:
    """SHaRPose. The quality term joins the loss after epoch 180 (Small: 210 of 250; at 384x288: 90)."""
    small, high = size == "Small", image_size == HIGH
    model = SHaRPoseConfig(backbone=VIT_S, alpha=0.5) if small else SHaRPoseConfig()
    if high:
        model = replace(model, alpha=0.3, threshold=1.2)
    epochs, start = 250 if small else 210, 210 if small else 90 if high else 180
    decay = 0.8 if small else 0.7 if high else 0.75
    return replace(base_run(task, image_size), model=model, codec=_udp_heatmap(image_size),
                   loss=LossConfig(kind="two_stage_mse", quality_start=start / epochs),
                   augment=replace(AUGMENT_MMPOSE0, shift=0.16),
                   train=_vit_train(task, epochs=epochs, batch_size=512 if small else 256, layer_decay=decay,
                                    clip_grad=None))


def gatedunipose(task: Task = "mpii") -> RunConfig:
    """A reading of GatedUniPose under mmpose's usual recipe (Adam 5e-4, batch 512, 210 epochs)."""
    return replace(base_run(task, SQUARE if task == "mpii" else LOW), model=GatedUniPoseConfig(),
                   train=mmpose_adam(task),
                   codec=HeatmapCodecConfig(flip_shift=1), augment=mmpose_augment(task))
