"""Codec choices: how keypoints become network targets and come back."""

from __future__ import annotations

from typing import Annotated, Literal, Optional, Union

from pydantic import Field, PositiveFloat, PositiveInt

from flatpose.config.base import config


@config
class HeatmapCodecConfig:
    """One 2-D Gaussian map per keypoint.

    ``encode``: "rounded" puts the peak on the nearest cell (HRNet), "exact" keeps the sub-cell centre (DARK, UDP).
    ``decode``: "argmax", "quarter" (quarter-cell shift towards the higher neighbour), "dark" (Taylor step on the
    blurred log map), "dark_udp" (UDP's own variant of that step, up to the border) or "expectation" (soft-argmax).
    ``udp`` uses the (size - 1) geometry.
    """

    kind: Literal["heatmap"] = "heatmap"
    stride: PositiveInt = 4
    """Input pixels per cell."""
    sigma: PositiveFloat = 2.0
    """Standard deviation of the Gaussian, in cells."""
    encode: Literal["rounded", "exact"] = "rounded"
    decode: Literal["argmax", "quarter", "dark", "dark_udp", "expectation"] = "quarter"
    dark_kernel: PositiveInt = 11
    """Blur kernel of the DARK decoder, in cells (odd)."""
    temperature: PositiveFloat = 0.05
    """Divides the map before the softmax of "expectation"; at 1 the softmax of a map of peak 1 is nearly uniform."""
    upsample: PositiveInt = 1
    """The predicted map is enlarged bilinearly by this factor before it is decoded."""
    udp: bool = False
    flip_shift: Optional[int] = None
    """Cells by which the mirrored map is moved right before averaging. None: exact, interpolated where fractional
    (1 - 1/stride in plain geometry, 0 in UDP's); HRNet and its successors use 1."""
    score_threshold: float = 0.2
    """Keypoints scoring at or below this do not count in the rescoring of a person."""


@config
class SimCCCodecConfig:
    """Two 1-D classifications per keypoint (SimCC): one over x bins, one over y bins."""

    kind: Literal["simcc"] = "simcc"
    split_ratio: PositiveFloat = 2.0
    """Bins per input pixel."""
    sigma: Union[PositiveFloat, tuple[PositiveFloat, PositiveFloat]] = 6.0
    """Standard deviation of the label in bins; a pair gives x and y."""
    label: Literal["density", "peak"] = "density"
    """"density": Gaussian divided by sigma*sqrt(2 pi) (SimCC); "peak": height 1 (RTMPose)."""
    centre: Literal["exact", "rounded"] = "exact"
    border: Literal["crop", "three_sigma_pixels", "three_sigma_bins"] = "three_sigma_pixels"
    """How far outside the crop a keypoint is learned: not at all (SimCC's one-hot labels), up to three sigma taken as
    input pixels (SimCC's Gaussian labels), or up to three sigma in bins (mmpose)."""
    decode: Literal["argmax", "expectation"] = "argmax"
    temperature: PositiveFloat = 1.0
    """Divides the logits before the decoder's softmax (matters for "expectation" and for softmax scores)."""
    score: Literal["min_softmax", "mean_softmax", "min_raw"] = "min_softmax"
    flip_shift: Optional[int] = None
    """Bins by which the mirrored x vector is moved left before averaging. None: split_ratio - 1, interpolated where
    fractional. A value more than one bin from that is an error."""
    udp: bool = False
    score_threshold: float = 0.01


@config
class RegressionCodecConfig:
    """Coordinates directly, divided by the input size."""

    kind: Literal["regression"] = "regression"
    udp: bool = False
    score_threshold: float = 0.0


@config
class SARCodecConfig:
    """A coordinate and a weight at every cell of a map (SAR); the coordinate of the largest weight is the answer."""

    kind: Literal["sar"] = "sar"
    stride: PositiveInt = 4
    """Input pixels per cell."""
    sigma: PositiveFloat = 3.0
    """Standard deviation, in cells, of the auxiliary heatmap that only training uses."""
    udp: bool = False
    score_threshold: float = 0.0
    """A score is one cell's share of all weight, which early in training stays below mmpose's 0.2."""


CodecConfig = Annotated[
    Union[HeatmapCodecConfig, SimCCCodecConfig, RegressionCodecConfig, SARCodecConfig], Field(discriminator="kind")
]
