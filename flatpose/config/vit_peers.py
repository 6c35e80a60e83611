"""The transformer-based systems of Tables 2 to 4, and GatedUniPose. Defaults are the published COCO 256x192 variant."""

from __future__ import annotations

from typing import Annotated, Literal, Optional

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from flatpose.config.base import Weights, config


@config
class TokenPoseConfig:
    """TokenPose-B. L/D24: hrnet_w48, depth 24, 12 heads, 3 groups, no head_hidden."""

    kind: Literal["tokenpose"] = "tokenpose"
    backbone: str = "hrnet_w32"
    pretrained: bool = True
    weights: Weights = None
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


@config
class ViTPoseConfig:
    """ViTPose-B with the classic decoder. S: vit_small_patch16_224, drop_path 0.1."""

    kind: Literal["vitpose"] = "vitpose"
    backbone: str = "vit_base_patch16_224.mae"
    """timm's name, with the tag of the weights to start from."""
    pretrained: bool = True
    weights: Weights = None
    num_heads: PositiveInt = 12
    drop_path: NonNegativeFloat = 0.3
    deconv_dim: PositiveInt = 256


@config
class SHaRPoseConfig:
    """SHaRPose-Base. Small: vit_small_patch16_224, alpha 0.5. Base at 384x288: alpha 0.3, threshold 1.2."""

    kind: Literal["sharpose"] = "sharpose"
    backbone: str = "vit_base_patch16_224.mae"
    """timm's name, with the tag of the weights to start from."""
    pretrained: bool = True
    weights: Weights = None
    num_heads: PositiveInt = 12
    drop_path: NonNegativeFloat = 0.1
    alpha: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Share of the coarse cells that the fine stage looks at in full resolution."""
    threshold: Optional[float] = 0.99
    """Persons whose predicted quality reaches this keep the coarse answer at test time; None: all are refined."""


@config
class GatedUniPoseConfig:
    """Our reading of GatedUniPose on UniRepLKNet-S (no code and no weights are public)."""

    kind: Literal["gatedunipose"] = "gatedunipose"
    backbone: str = "unireplknet_s"
    pretrained: bool = False
    drop_path: NonNegativeFloat = 0.1
    embed_dim: PositiveInt = 256
    """Channels of the upsampling head."""
