"""Network choices. One class per system; its builder is the module of the same name in flatpose/models.

Defaults are the published COCO 256x192 variant that each docstring names.
"""

from __future__ import annotations

from typing import Annotated, Literal, Optional, Union

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from flatpose.config.base import BackboneConfig, config


@config
class BaselineConfig(BackboneConfig):
    """A timm backbone, 0 to 3 deconvolutions, and a heatmap, SimCC or regression head (SimpleBaseline and Fig. 1)."""

    kind: Literal["baseline"] = "baseline"
    backbone: str = "resnet50"
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
class FlatPoseConfig(BackboneConfig):
    """FlatPose (sections 3.1 to 3.3, Tables 1, 5 and 6). Defaults are FlatPose-B's."""

    kind: Literal["flatpose"] = "flatpose"
    backbone: str = "convnextv2_nano"
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


@config
class HRNetConfig(BackboneConfig):
    """HRNet-W32 with one heatmap per keypoint."""

    kind: Literal["hrnet"] = "hrnet"
    backbone: str = "hrnet_w32"


@config
class SimCCConfig(BackboneConfig):
    """SimCC on HRNet-W48, or on a ResNet without upsampling. (ResNet + deconvolutions: BaselineConfig, head simcc.)"""

    kind: Literal["simcc"] = "simcc"
    backbone: str = "hrnet_w48"
    maps_per_keypoint: PositiveInt = 1
    """28 in the upsample-free ResNet-50, whose maps have only 8x6 cells."""


@config
class SARConfig(BackboneConfig):
    """SAR on HRNet-W48; on a ResNet three deconvolutions come first."""

    kind: Literal["sar"] = "sar"
    backbone: str = "hrnet_w48"
    deconv_dim: PositiveInt = 256


@config
class SRPoseConfig(BackboneConfig):
    """SRPose on ResNet-50 (or hrnet_w32)."""

    kind: Literal["srpose"] = "srpose"
    backbone: str = "resnet50"


@config
class RTMPoseConfig(BackboneConfig):
    """RTMPose-m (cspnext_m) or -l (cspnext_l)."""

    kind: Literal["rtmpose"] = "rtmpose"
    backbone: str = "cspnext_m"
    hidden_dim: PositiveInt = 256
    """Width of a keypoint's token in the gated attention unit."""
    key_dim: PositiveInt = 128
    expansion: PositiveInt = 2


@config
class TokenPoseConfig(BackboneConfig):
    """TokenPose-B. L/D24: hrnet_w48, depth 24, 12 heads, 3 groups, no head_hidden."""

    kind: Literal["tokenpose"] = "tokenpose"
    backbone: str = "hrnet_w32"
    patch_size: tuple[PositiveInt, PositiveInt] = (3, 4)
    """Cells (width, height) of the stride-4 feature map that make one visual token."""
    embed_dim: PositiveInt = 192
    depth: PositiveInt = 12
    num_heads: PositiveInt = 8
    mlp_ratio: PositiveFloat = 3.0
    groups: PositiveInt = 1
    """The keypoint tokens are read after each of so many equal groups of blocks, and concatenated."""
    head_hidden: Optional[PositiveInt] = 384
    """Width of the head's hidden layer; None: one linear layer from token to heatmap."""
    head_std: Optional[PositiveFloat] = None
    """Standard deviation of the initial weights that draw the heatmap; None: 0.02, as in the official code."""


@config
class ViTPoseConfig(BackboneConfig):
    """ViTPose-B with the classic decoder. S: vit_small_patch16_224, drop_path 0.1."""

    kind: Literal["vitpose"] = "vitpose"
    backbone: str = "vit_base_patch16_224.mae"
    num_heads: PositiveInt = 12
    drop_path: NonNegativeFloat = 0.3
    deconv_dim: PositiveInt = 256


@config
class SHaRPoseConfig(BackboneConfig):
    """SHaRPose-Base. Small: vit_small_patch16_224, alpha 0.5. Base at 384x288: alpha 0.3, threshold 1.2."""

    kind: Literal["sharpose"] = "sharpose"
    backbone: str = "vit_base_patch16_224.mae"
    num_heads: PositiveInt = 12
    drop_path: NonNegativeFloat = 0.1
    alpha: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Share of the coarse cells that the fine stage processes in full resolution."""
    threshold: Optional[float] = 0.99
    """Persons whose predicted quality reaches this keep the coarse answer at test time; None: all are refined."""
    head_hidden: Optional[bool] = None
    """Whether the head has a hidden layer; None: where a token is narrower than a quarter of the heatmap."""
    head_std: Optional[PositiveFloat] = None
    """Standard deviation of the initial weights that draw the heatmap; None: PyTorch's, as in the official code."""
    token_std: NonNegativeFloat = 0.0
    """Standard deviation of the initial keypoint tokens; the official code starts them at zero."""


@config
class GatedUniPoseConfig:
    """Our reading of GatedUniPose on UniRepLKNet-S (no code and no weights are public)."""

    kind: Literal["gatedunipose"] = "gatedunipose"
    backbone: str = "unireplknet_s"
    pretrained: bool = False
    drop_path: NonNegativeFloat = 0.1
    embed_dim: PositiveInt = 256
    """Channels of the upsampling head."""


ModelConfig = Annotated[
    Union[BaselineConfig, FlatPoseConfig, HRNetConfig, SimCCConfig, SARConfig, SRPoseConfig, RTMPoseConfig,
          TokenPoseConfig, ViTPoseConfig, SHaRPoseConfig, GatedUniPoseConfig],
    Field(discriminator="kind"),
]
