"""The vocabulary of experiments/: an experiment is rows, each a run with the numbers the paper published for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, Optional, Union

from pydantic import Field, PositiveInt

from flatpose.config import CodecConfig, DataConfig, RunConfig
from flatpose.config.base import config

Metric = Literal["AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AP_easy", "AP_medium", "AP_hard", "PCKh@0.5", "PCKh@0.1"]


@config
class Published:
    """Numbers printed in the paper for one row. Metrics are in the paper's units (AP 75.4, not 0.754)."""

    source: str
    """Table and row, as in "Table 5 (1)"."""
    metrics: dict[Metric, float] = Field(default_factory=dict)
    params_m: Optional[float] = None
    gflops: Optional[float] = None
    params_by: Literal["all", "leaf"] = "all"
    """Which parameters the print counts: all, or those of leaf modules only (a common tool's; no position codes)."""
    gflops_by: Literal["all", "hrnet_tool"] = "all"
    """How the print counts: every matrix product, or as the summary tool of HRNet's repository (complexity.py)."""
    built: dict[str, Any] = Field(default_factory=dict)
    """Hyper-parameters that the paper prints, as the cost command reads them off the built network ("table6")."""
    boxes: str = ""
    """What is known of the boxes of these metrics, where it is not what the table says or implies."""
    misprints: dict[str, str] = Field(default_factory=dict)
    """Quantity or metric -> why its printed number is known to be wrong: a difference from it is no miss of ours."""
    note: str = ""
    """What is odd about these numbers (a contradiction, another convention, another box source)."""
    split: str = ""
    """Where the metrics were measured, when not on the split that runs evaluate ("COCO test-dev")."""


@config
class Tolerance:
    """Allowed distance from the published number, fixed before any run."""

    metric: float = 0.5
    """In points (AP x 100)."""
    params: float = 0.005
    """Relative."""
    gflops: float = 0.05
    """Relative."""


@config
class Row:
    """One line of a table or one point of a curve."""

    id: str
    label: str
    run: RunConfig
    published: Optional[Published] = None
    tolerance: Tolerance = Tolerance()
    group: str = ""
    """Heading under which a table lists the row ("Part A: Core design choices")."""
    series: str = ""
    """For plots: the curve this point belongs to."""
    x: Optional[float] = None
    """For plots: the point's place on the horizontal axis."""
    readings: tuple[str, ...] = ()
    """Ids of the readings of the paper this row depends on."""
    note: str = ""


@config
class Profile:
    """A scale at which an experiment runs. It changes size and effort, never what is compared.

    Each field that is None leaves the row's own value. ``backbones`` maps the paper's backbone to the one used here;
    ``model`` and ``train`` override fields of the row's model and training configuration by name (fields that a
    model does not have are skipped, so that one profile serves several systems).
    """

    name: str
    description: str
    image_size: Optional[tuple[PositiveInt, PositiveInt]] = None
    shrink: PositiveInt = 1
    """Input sides and network strides are divided by this: codec strides too, and bins per pixel are multiplied."""
    backbones: dict[str, str] = Field(default_factory=dict)
    pretrained: Optional[bool] = None
    model: dict[str, Any] = Field(default_factory=dict)
    models: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By model kind, after ``model``: the size-reduced member of a family."""
    left_out: dict[str, str] = Field(default_factory=dict)
    """Row id -> why this profile does not run it."""
    codec: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By codec kind."""
    train: dict[str, Any] = Field(default_factory=dict)
    augment: dict[str, Any] = Field(default_factory=dict)
    data: Optional[DataConfig] = None
    data_by_task: dict[str, DataConfig] = Field(default_factory=dict)
    """By task, in place of ``data``."""
    eval: dict[str, Any] = Field(default_factory=dict)
    gpu: bool = False
    """Needs a GPU: without one its runs are blocked rather than begun."""
    minutes_per_run: Optional[float] = None
    """Rough cost of one run on the hardware the profile is meant for, for ``plan`` before anything was measured."""


@config
class Figure:
    """How the rows become a plot: one curve per ``Row.series`` over ``Row.x``."""

    x_label: str
    y_metric: Metric = "AP"
    x_log2: bool = False
    ceiling: bool = False
    """Also draw the codec ceiling of each row (records of kind "ceiling")."""
    caption: str = ""


@config
class Picture:
    """What is drawn from the rows' trained networks: Figs. 3 to 6 (flatpose.figures)."""

    kind: Literal["tokens", "attention", "heatmaps", "poses"]
    persons: PositiveInt = 6
    """Columns of the picture."""
    caption: str = ""


@config
class Ceiling:
    """One codec at one input size, measured on ground truth alone: encoded, decoded, scored. Nothing is trained."""

    id: str
    series: str
    """The codec's name in tables and the curve it belongs to."""
    part: Literal["map", "ratio", "sigma"]
    """What is varied: cells of the map, bins per pixel, or the width of SimCC's label."""
    codec: CodecConfig
    image_size: tuple[PositiveInt, PositiveInt]
    tasks: tuple[Literal["coco", "crowdpose", "mpii"], ...] = ("coco",)
    x: Optional[float] = None
    """Pixels per cell, bins per pixel, or sigma in pixels; None for a codec that has no cells."""


@config
class Experiment:
    """A table or figure: a question, rows, the scales it can run at, and how the answer is drawn."""

    id: str
    title: str
    source: str
    """Where in the paper it stands ("Fig. 1(b), section 1")."""
    question: str
    rows: tuple[Row, ...]
    profiles: dict[str, Profile]
    default_profile: str = "quick"
    seeds: tuple[int, ...] = (0,)
    metric: Metric = "AP"
    figure: Optional[Figure] = None
    picture: Optional[Picture] = None
    """The answer is a picture drawn from the rows' networks, and a table measured on them, instead of their metric."""
    headline: Literal["measured", "boxes"] = "measured"
    """The table that answers the question: the metrics, or ground-truth against detector boxes."""
    tradeoff: bool = False
    """Also draw accuracy against cost, one point per row (flatpose.harness.tradeoff)."""
    notes: tuple[str, ...] = ()
    """Contradictions of the paper and conditions that every reader of the page must know."""


Override = Union[dict[str, Any], None]


def at_profile(run: RunConfig, profile: Profile, *, source: Literal["embedded", "disk"] | None = None) -> RunConfig:
    """The row's run at another scale; ``source`` overrides where the data comes from (``--data-root``)."""
    model = _patched(_patched(run.model, profile.model), profile.models.get(run.model.kind, {}))
    backbone = getattr(model, "backbone", None)
    if backbone in profile.backbones:
        model = replace(model, backbone=profile.backbones[backbone])
    if profile.pretrained is not None and hasattr(model, "pretrained"):
        model = replace(model, pretrained=profile.pretrained)
    scaled = profile.data_by_task.get(run.data.task, profile.data)
    data = run.data if scaled is None else replace(scaled, task=run.data.task)
    if source is not None:
        data = replace(data, source=source)
    final = run.augment_final
    return replace(
        run,
        profile=profile.name,
        image_size=profile.image_size or run.image_size,
        model=model,
        data=data,
        codec=_patched(shrunk(run.codec, profile.shrink), profile.codec.get(run.codec.kind, {})),
        train=_patched(run.train, profile.train),
        augment=_patched(run.augment, profile.augment),
        augment_final=final and replace(final, augment=_patched(final.augment, profile.augment)),
        eval=_patched(run.eval, profile.eval),
    )


def shrunk(codec: Any, factor: int) -> Any:
    """The codec with as many cells or bins at an input ``factor`` times smaller."""
    if hasattr(codec, "stride"):
        stride = max(1, codec.stride // factor)
        return replace(codec, stride=stride, sigma=codec.sigma * codec.stride / (factor * stride))
    return replace(codec, split_ratio=codec.split_ratio * factor) if hasattr(codec, "split_ratio") else codec


def _patched(value: Any, overrides: Override) -> Any:
    """``value`` with those overrides it has a field for."""
    known = {k: v for k, v in (overrides or {}).items() if hasattr(value, k)}
    return replace(value, **known) if known else value
