"""What a file of experiments/ is made of: an experiment has rows, each a run and the numbers published for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from string import Formatter
from typing import Annotated, Any, Literal, Optional, TypeVar, get_args

from pydantic import Field, PositiveInt

from flatpose.config import AugmentConfig, CodecConfig, DataConfig, EvalConfig, ModelConfig, RunConfig, TrainConfig
from flatpose.config.base import config
from flatpose.errors import SpecError, nearest

T = TypeVar("T")
DIFFERENCE = " - "
"""Between the two rows of a place in ``Experiment.finding``."""
Metric = Literal["AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AP_easy", "AP_medium", "AP_hard", "PCKh@0.5", "PCKh@0.1"]


@config
class Published:
    """Numbers printed in the paper for one row. Metrics are in the paper's units (AP 75.4, not 0.754)."""

    source: str
    """Table and row, as in "Table 5 (1)"."""
    metrics: dict[Metric, Annotated[float, Field(ge=0, le=100)]] = Field(default_factory=dict)
    params_m: Optional[float] = None
    gflops: Optional[float] = None
    params_by: Literal["all", "leaf"] = "all"
    """Which parameters the printed number counts: all, or those of leaf modules only (as common tools do)."""
    gflops_by: Literal["all", "hrnet_tool"] = "all"
    """How the printed number counts: every matrix product, or as the tool of HRNet's repository (complexity.py)."""
    built: dict[str, Any] = Field(default_factory=dict)
    """Hyper-parameters that the paper prints, in the form in which ``cost`` reads them from the network ("table6")."""
    boxes: str = ""
    """What is known about the boxes of these metrics, where it differs from what the table says or implies."""
    misprints: dict[str, str] = Field(default_factory=dict)
    """Quantity or metric -> why its printed number is known to be wrong; differences from it are not judged."""
    note: str = ""
    """What a reader must know about these numbers (a contradiction, another convention or box source)."""
    split: str = ""
    """Where the metrics were measured, when not on the split that runs evaluate ("COCO test-dev")."""

    @property
    def numbers(self) -> dict[str, float]:
        """Metrics, ``params_m`` and ``gflops``, as far as they are printed."""
        costs = {"params_m": self.params_m, "gflops": self.gflops}
        return {name: value for name, value in (*self.metrics.items(), *costs.items()) if value is not None}


@config
class Row:
    """One line of a table or one point of a curve."""

    id: str
    label: str
    run: RunConfig
    published: Optional[Published] = None
    group: str = ""
    """Heading under which a table lists the row ("Part A: Core design choices")."""
    series: str = ""
    """For plots: the curve that this point belongs to."""
    x: Optional[float] = None
    """For plots: position on the horizontal axis."""
    readings: tuple[str, ...] = ()
    """Ids of the readings of the paper that this row depends on."""


@config
class Profile:
    """A scale at which an experiment runs. It changes size and effort, never what is compared.

    A field that is None leaves the row's own value. ``backbones`` maps the paper's backbone to the one used here.
    ``model`` overrides fields of every row's network that has them; ``models`` and ``codec`` address one kind each;
    ``train``, ``augment`` and ``eval`` override fields of those parts of the run. An unknown field or kind raises
    SpecError.
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
    """By model kind, applied after ``model``: the size-reduced member of a family."""
    left_out: dict[str, str] = Field(default_factory=dict)
    """Row id -> why this profile does not run it."""
    codec: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By codec kind."""
    train: dict[str, Any] = Field(default_factory=dict)
    augment: dict[str, Any] = Field(default_factory=dict)
    data: Optional[DataConfig] = None
    eval: dict[str, Any] = Field(default_factory=dict)
    gpu: bool = False
    """Needs a GPU: without one its runs are blocked."""
    minutes_per_run: Optional[float] = None
    """Rough duration of one run on the hardware the profile is meant for; ``plan`` uses it until runs were timed."""
    finding: tuple[str, ...] = ()
    """Sentences that are true at this scale only; they precede ``Experiment.finding`` and have its form."""

    def __post_init__(self) -> None:
        named = [("model", self.model, {name for cls in MODEL_KINDS.values() for name in _names(cls)})]
        named += [(part, getattr(self, part), _names(cls))
                  for part, cls in (("train", TrainConfig), ("augment", AugmentConfig), ("eval", EvalConfig))]
        for part, kinds in (("models", MODEL_KINDS), ("codec", CODEC_KINDS)):
            for kind, values in getattr(self, part).items():
                cls = require(kind, kinds, "kind", where=f"profile {self.name!r}, {part}")
                named.append((f"{part}[{kind!r}]", values, _names(cls)))
        for place, values, known in named:
            for name in values:
                require(name, dict.fromkeys(known), "field", where=f"profile {self.name!r}, {place}")


@config
class Figure:
    """A plot with one curve per ``Row.series`` over ``Row.x``.

    ``curves``: draw only these of many series; empty for all.
    """

    x_label: str
    curves: tuple[str, ...] = ()


@config
class Picture:
    """A picture drawn from the rows' trained networks: Figs. 3 to 6 (flatpose.figures)."""

    kind: Literal["tokens", "attention", "heatmaps", "poses"]
    caption: str = ""


@config
class Experiment:
    """A table or figure: a question, rows, the profiles it can run at, and how the answer is drawn."""

    id: str
    title: str
    source: str
    """Place in the paper ("Fig. 1(b), section 1")."""
    question: str
    rows: tuple[Row, ...]
    profiles: dict[str, Profile]
    default_profile: str = "quick"
    seeds: tuple[int, ...] = (0,)
    metric: Metric = "AP"
    reference: Optional[str] = None
    """Id of the row from which ``run`` and the pages print differences."""
    figure: Optional[Figure] = None
    picture: Optional[Picture] = None
    """The answer is a picture drawn from the rows' networks, and a table measured on them, not their metric."""
    tradeoff: bool = False
    """Also draw accuracy against cost, one point per row."""
    finding: tuple[str, ...] = ()
    """The answer in sentences with places for numbers; one whose numbers are not all measured is left out.

    ``{row}`` stands for the row's main metric with ground-truth boxes (mean over seeds, in points), ``{row:AP50}`` for
    another metric, ``{row - other}`` for a difference paired by at least two seeds, ``{table2/row}`` for a row of
    another experiment in the same setting, ``{row:printed}`` and ``{row - other:printed}`` for the paper's numbers.
    """
    notes: tuple[str, ...] = ()
    """Contradictions of the paper and conditions that every reader of the page must know."""

    def __post_init__(self) -> None:
        rows = {row.id: row for row in self.rows}
        require(self.default_profile, self.profiles, "profile", where=f"experiment {self.id}, default_profile")
        if self.reference:
            require(self.reference, rows, "row", where=f"experiment {self.id}, reference")
        sentences = [*self.finding, *(text for profile in self.profiles.values() for text in profile.finding)]
        places = [name for text in sentences for _, name, _, _ in Formatter().parse(text) if name]
        for name in (term for place in places for term in place.split(DIFFERENCE) if "/" not in term):
            require(name, rows, "row", where=f"experiment {self.id}, finding")
        for profile in self.profiles.values():
            for name in profile.left_out:
                require(name, rows, "row", where=f"experiment {self.id}, profile {profile.name!r}, left_out")


def require(name: str, known: Mapping[str, T], what: str, where: str | None = None) -> T:
    """The value of that name; raises SpecError with the nearest name when there is none."""
    if name not in known:
        raise SpecError(f"no {what} {name!r}", where=where, hint=nearest(name, known))
    return known[name]


def _kinds(union: Any) -> dict[str, type]:
    """Kind -> class, of a union of configuration classes that is discriminated by ``kind``."""
    return {cls.__dataclass_fields__["kind"].default: cls for cls in get_args(get_args(union)[0])}


def _names(cls: Any) -> set[str]:
    return {field.name for field in fields(cls)} - {"kind"}


MODEL_KINDS, CODEC_KINDS = _kinds(ModelConfig), _kinds(CodecConfig)


def at_profile(run: RunConfig, profile: Profile, *, source: Literal["embedded", "disk"] | None = None) -> RunConfig:
    """The row's run at another scale; ``source`` overrides where the data comes from (``--data-root``)."""
    model = _patched(run.model, {k: v for k, v in profile.model.items() if k in _names(run.model)})
    model = _patched(model, profile.models.get(run.model.kind, {}))
    backbone = getattr(model, "backbone", None)
    if backbone in profile.backbones:
        model = replace(model, backbone=profile.backbones[backbone])
    if profile.pretrained is not None and hasattr(model, "pretrained"):
        model = replace(model, pretrained=profile.pretrained)
    data = run.data if profile.data is None else replace(profile.data, task=run.data.task)
    final = run.augment_final
    return replace(
        run,
        profile=profile.name,
        image_size=profile.image_size or run.image_size,
        model=model,
        data=data if source is None else replace(data, source=source),
        codec=_patched(shrunk(run.codec, profile.shrink), profile.codec.get(run.codec.kind, {})),
        train=_patched(run.train, profile.train),
        augment=_patched(run.augment, profile.augment),
        augment_final=final and replace(final, augment=_patched(final.augment, profile.augment)),
        eval=_patched(run.eval, profile.eval),
    )


def for_weights(experiment: Experiment, run: RunConfig, source: Literal["embedded", "disk"]) -> RunConfig:
    """The run that evaluates weights from a file; embedded data are those of the experiment's default profile."""
    small = experiment.profiles[experiment.default_profile].data or run.data
    data = run.data if source == "disk" else replace(small, task=run.data.task)
    return replace(run, data=replace(data, source=source))


def shrunk(codec: Any, factor: int) -> Any:
    """The codec with as many cells or bins at an input ``factor`` times smaller."""
    if factor == 1:
        return codec
    if hasattr(codec, "stride"):
        stride = max(1, codec.stride // factor)
        return replace(codec, stride=stride, sigma=codec.sigma * codec.stride / (factor * stride))
    if hasattr(codec, "split_ratio"):
        return replace(codec, split_ratio=codec.split_ratio * factor, flip_shift=None)
    return codec


def _patched(value: Any, overrides: dict[str, Any]) -> Any:
    return replace(value, **overrides) if overrides else value
