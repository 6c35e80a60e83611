"""Networks: one file per system, each exposing ``build``. Importing this package loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flatpose.config import CodecConfig, ModelConfig, RunConfig

if TYPE_CHECKING:
    from torch import nn


def untrained(run: RunConfig, num_keypoints: int) -> nn.Module:
    """A run's network with random weights."""
    return build_model(run.model, run.codec, run.image_size, num_keypoints, pretrained=False)


def build_model(config: ModelConfig, codec: CodecConfig, image_size: tuple[int, int], num_keypoints: int, *,
                pretrained: bool | None = None) -> nn.Module:
    """The network of a run: normalised images (B, 3, H, W) to the outputs its codec decodes.

    Args:
        config: Which system, with its variant.
        codec: Decides the output form and size.
        image_size: Input (width, height).
        num_keypoints: K.
        pretrained: Overrides the configuration's start weights (False when only the shape matters).

    Raises:
        SpecError: Network, codec and input size do not fit together.
        RunError: The start weights are missing or do not fit.
    """
    from flatpose.models import (
        baseline,
        flatpose,
        gatedunipose,
        hrnet,
        rtmpose,
        sar,
        sharpose,
        simcc,
        srpose,
        tokenpose,
        vitpose,
    )
    from flatpose.models.setting import Setting

    builders = {
        "baseline": baseline.build, "flatpose": flatpose.build, "hrnet": hrnet.build, "simcc": simcc.build,
        "sar": sar.build, "srpose": srpose.build, "rtmpose": rtmpose.build, "tokenpose": tokenpose.build,
        "vitpose": vitpose.build, "sharpose": sharpose.build, "gatedunipose": gatedunipose.build,
    }
    start = getattr(config, "weights", None) or config.pretrained if pretrained is None else pretrained
    setting = Setting(codec, image_size, num_keypoints, start)
    return builders[config.kind](config, setting)  # type: ignore[operator]
