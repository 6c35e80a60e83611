"""Network choices. One class per system; its builder is the module of the same name in flatpose/models."""

from __future__ import annotations

from typing import Annotated, Literal, Union

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from flatpose.config.base import Weights, config
from flatpose.config.cnn_peers import HRNetConfig, RTMPoseConfig, SARConfig, SimCCConfig, SRPoseConfig
from flatpose.config.vit_peers import GatedUniPoseConfig, SHaRPoseConfig, TokenPoseConfig, ViTPoseConfig


@config
class BaselineConfig:
    """A timm backbone, 0 to 3 deconvolutions, and a heatmap, SimCC or regression head (SimpleBaseline and Fig. 1)."""

    kind: Literal["baseline"] = "baseline"
    backbone: str = "resnet50"
    """timm name; its stride-32 features are used."""
    pretrained: bool = True
    weights: Weights = None
    num_deconvs: Annotated[NonNegativeInt, Field(le=3)] = 3
    deconv_dim: PositiveInt = 256
    head: Literal["heatmap", "simcc", "regression"] = "heatmap"


@config
class FlatPoseReadings:
    """What the paper leaves open about FlatPose; the defaults are our readings (experiments/readings.py)."""

    norm: Literal["pre", "post"] = "pre"
    activation: Literal["gelu", "relu"] = "gelu"
    mlp_ratio: PositiveFloat = 4.0
    dropout: float = 0.0
    drop_path: float = 0.0
    """Stochastic depth of the backbone and of the blocks."""
    gamma: Literal["fixed", "learnable"] = "fixed"
    align_corners: bool = True
    salience: Literal["none", "gate", "straight_through"] = "gate"
    """How the salience head is trained; "none" is the literal text, which gives it no gradient."""
    salience_head: Literal["linear", "mlp", "per_keypoint"] = "linear"
    refine_ffn: Literal["selected", "all"] = "all"
    """Tokens that the feed-forward half of a refine block acts on: eq. 12 says selected, the counts say all."""
    share_refine: bool = False
    classifier: Literal["pooled", "wide"] = "pooled"
    """After upsampling: pool the map back to the token grid, or widen the classifiers to the fine map."""


@config
class FlatPoseConfig:
    """FlatPose (sections 3.1 to 3.3, Tables 1, 5 and 6). Defaults are FlatPose-B's."""

    kind: Literal["flatpose"] = "flatpose"
    backbone: str = "convnextv2_nano"
    pretrained: bool = True
    weights: Weights = None
    embed_dim: PositiveInt = 256
    num_heads: PositiveInt = 8
    num_coarse_blocks: NonNegativeInt = 4
    """The paper's N."""
    num_refine_blocks: NonNegativeInt = 2
    """The paper's M."""
    top_k: Union[PositiveInt, Literal["full"]] = 4
    """Tokens refined per iteration (the paper's K)."""
    ica: bool = True
    """False: standard attention in the coarse blocks (Table 5 row 6)."""
    coord_dim: PositiveInt = 64
    """The paper's D'."""
    bias_grid_size: Annotated[int, Field(ge=2)] = 16
    """The paper's S."""
    bias_dim: PositiveInt = 64
    bias_hidden: PositiveInt = 128
    num_deconvs: Annotated[NonNegativeInt, Field(le=3)] = 0
    """Deconvolutions after the transformer (Table 5 row 4; Fig. 1's finer strides)."""
    deconv_dim: PositiveInt = 256
    head: Literal["simcc", "regression"] = "simcc"
    readings: FlatPoseReadings = FlatPoseReadings()


ModelConfig = Annotated[
    Union[BaselineConfig, FlatPoseConfig, HRNetConfig, SimCCConfig, SARConfig, SRPoseConfig, RTMPoseConfig,
          TokenPoseConfig, ViTPoseConfig, SHaRPoseConfig, GatedUniPoseConfig],
    Field(discriminator="kind"),
]
