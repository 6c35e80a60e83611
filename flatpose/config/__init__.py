"""What a run is: pure, validated data. Imports no torch, so that specs load at once."""

from flatpose.config.codec import (
    CodecConfig,
    HeatmapCodecConfig,
    RegressionCodecConfig,
    SARCodecConfig,
    SimCCCodecConfig,
)
from flatpose.config.model import (
    BaselineConfig,
    FlatPoseConfig,
    FlatPoseReadings,
    GatedUniPoseConfig,
    HRNetConfig,
    ModelConfig,
    RTMPoseConfig,
    SARConfig,
    SHaRPoseConfig,
    SimCCConfig,
    SRPoseConfig,
    TokenPoseConfig,
    ViTPoseConfig,
)
from flatpose.config.run import (
    AugmentConfig,
    BoxSource,
    DataConfig,
    EmbeddedConfig,
    EvalConfig,
    FinalAugmentConfig,
    LossConfig,
    RunConfig,
    TrainConfig,
    from_dict,
    spec_hash,
    to_dict,
    training_hash,
)

__all__ = [
    "AugmentConfig", "BaselineConfig", "BoxSource", "CodecConfig", "DataConfig", "EmbeddedConfig", "EvalConfig",
    "FinalAugmentConfig", "FlatPoseConfig", "FlatPoseReadings", "GatedUniPoseConfig", "HRNetConfig",
    "HeatmapCodecConfig", "LossConfig", "ModelConfig", "RTMPoseConfig", "RegressionCodecConfig", "RunConfig",
    "SARCodecConfig", "SARConfig", "SHaRPoseConfig", "SRPoseConfig", "SimCCCodecConfig", "SimCCConfig",
    "TokenPoseConfig", "TrainConfig", "ViTPoseConfig", "from_dict", "spec_hash", "to_dict",
    "training_hash",
]
