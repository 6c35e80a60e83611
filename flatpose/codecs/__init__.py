"""Codecs own both directions: keypoints to targets, outputs to keypoints."""

from __future__ import annotations

from flatpose.codecs.base import Codec, Encoder, Outputs
from flatpose.codecs.heatmap import HeatmapCodec
from flatpose.codecs.regression import RegressionCodec
from flatpose.codecs.sar import SARCodec
from flatpose.codecs.simcc import SimCCCodec
from flatpose.config import CodecConfig

__all__ = ["Codec", "Encoder", "HeatmapCodec", "Outputs", "RegressionCodec", "SARCodec", "SimCCCodec", "build_codec"]

CODECS: dict[str, type[Codec]] = {"heatmap": HeatmapCodec, "simcc": SimCCCodec, "regression": RegressionCodec,
                                  "sar": SARCodec}


def build_codec(config: CodecConfig, image_size: tuple[int, int], num_keypoints: int) -> Codec:
    """The codec for one input size (width, height); SpecError where a prescribed ``flip_shift`` does not fit it."""
    return CODECS[config.kind](config, image_size, num_keypoints)
