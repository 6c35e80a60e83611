"""Networks: one file per system, each exposing ``build``. Importing this package loads no torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from flatpose.config import CodecConfig, ModelConfig

if TYPE_CHECKING:
    from torch import nn

BUILDERS = {
    "baseline": "flatpose.models.baseline", "flatpose": "flatpose.models.flatpose", "hrnet": "flatpose.models.hrnet",
    "simcc": "flatpose.models.simcc", "sar": "flatpose.models.sar", "srpose": "flatpose.models.srpose",
    "rtmpose": "flatpose.models.rtmpose", "tokenpose": "flatpose.models.tokenpose",
    "vitpose": "flatpose.models.vitpose", "sharpose": "flatpose.models.sharpose",
    "gatedunipose": "flatpose.models.gatedunipose",
}


def build_model(config: ModelConfig, codec: CodecConfig, image_size: tuple[int, int], num_keypoints: int, *,
                pretrained: bool | None = None) -> nn.Module:
    """The network of a run: normalised images (B, 3, H, W) to the outputs its codec decodes.

    Args:
        config: Which system, with its variant.
        codec: Decides the output form and size.
        image_size: Input (width, height).
        num_keypoints: K.
        pretrained: Overrides the configuration's choice (False when only the shape matters).
    """
    if getattr(config, "backbone", None) in ("mobilenetv2_imagenet", "mobilenetv2_embedded"):  # not timm's names
        importlib.import_module("flatpose.imagenet").register()
    module = importlib.import_module(BUILDERS[config.kind])
    wanted = config.pretrained if pretrained is None else pretrained
    return module.build(config, codec, image_size, num_keypoints, wanted)
