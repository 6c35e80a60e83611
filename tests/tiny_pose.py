"""A tiny untrained network with its description, and a picture."""

from __future__ import annotations

import numpy as np
import torch

from flatpose.checkpoints.described import Checkpoint
from flatpose.config import BaselineConfig, RunConfig, SimCCCodecConfig
from flatpose.keypoints import COCO17
from flatpose.models import build_model

RUN = RunConfig(image_size=(96, 96), codec=SimCCCodecConfig(), profile="smoke",
                model=BaselineConfig(backbone="resnet_quick", pretrained=False, num_deconvs=0, head="simcc"))
IMAGE = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)


def tiny_checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    network = build_model(RUN.model, RUN.codec, RUN.image_size, 17).eval()
    return Checkpoint(run=RUN, keypoint_set=COCO17, network=network, record={"seed": 3})
