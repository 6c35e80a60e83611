"""What a run is: pure, validated data. Imports no torch, so that specs load at once."""

from flatpose.config.codec import CodecConfig, HeatmapCodecConfig, RegressionCodecConfig, SimCCCodecConfig
from flatpose.config.model import BaselineConfig, FlatPoseConfig, ModelConfig
from flatpose.config.run import (
    AugmentConfig,
    BoxSource,
    DataConfig,
    EmbeddedConfig,
    EvalConfig,
    LossConfig,
    RunConfig,
    TrainConfig,
    from_dict,
    spec_hash,
    to_dict,
)

__all__ = [
    "AugmentConfig", "BaselineConfig", "BoxSource", "CodecConfig", "DataConfig", "EmbeddedConfig", "EvalConfig",
    "FlatPoseConfig", "HeatmapCodecConfig", "LossConfig", "ModelConfig", "RegressionCodecConfig", "RunConfig",
    "SimCCCodecConfig", "TrainConfig", "from_dict", "spec_hash", "to_dict",
]
