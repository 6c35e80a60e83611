"""One run: data, input, network, targets, training and evaluation; every option that can change a result."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any, Literal, Optional

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, TypeAdapter

from flatpose.config.base import config
from flatpose.config.codec import CodecConfig, HeatmapCodecConfig
from flatpose.config.model import BaselineConfig, ModelConfig

BoxSource = Literal["gt", "det"]


@config
class EmbeddedConfig:
    """Level of difficulty, size and seed of the generated data set (flatpose.data.synthetic)."""

    level: Literal["plain", "wild"] = "plain"
    """"plain": one or two whole people who face the camera, without occluders, before one colour. "wild": any pose,
    occlusion, cluttered backdrops and poor photographs."""
    train_images: PositiveInt = 4000
    val_images: PositiveInt = 500
    seed: NonNegativeInt = 0


@config
class DataConfig:
    """Which benchmark, and whether it is generated or read from disk."""

    task: Literal["coco", "crowdpose", "mpii", "custom"] = "coco"
    """"custom": a COCO-like tree with its own keypoints, named in ROOT/keypoints.json."""
    source: Literal["embedded", "disk"] = "embedded"
    embedded: EmbeddedConfig = EmbeddedConfig()
    max_train_persons: Optional[PositiveInt] = None
    """Use only the first so many training persons (in annotation order)."""
    max_val_images: Optional[PositiveInt] = None
    by_image: bool = False
    """Train on the persons of one image one after the other: one decode, for data larger than memory."""
    reduced_decode: Literal[False] = False
    """No longer an option; the field stays because records and checkpoints contain it."""


@config
class AugmentConfig:
    """Random changes of the crop while training; the ranges are those of the HRNet family by default."""

    flip: float = 0.5
    rotation: float = 45.0
    """Standard deviation of the angle in degrees, cut at twice that and applied with ``rotation_probability``."""
    rotation_probability: float = 0.6
    scale: float = 0.35
    """Standard deviation of the scale factor around 1, cut at one."""
    shift: float = 0.0
    """Largest shift of the centre as a fraction of the padded box (before its rescaling), made with probability 0.3."""
    half_body: float = 0.3
    """Probability of cropping to the upper or the lower body when more than 8 keypoints are labelled."""
    half_body_upper: float = 0.6915
    """Then the probability of preferring the upper body. HRNet, SimCC, mmpose 0.x: a standard normal draw below 0.5
    (Phi(0.5) = 0.6915); mmpose 1.x: 0.7."""
    brightness: float = 0.0
    """Range of a random gain and offset of the pixel values (colour jitter)."""
    cutout: float = 0.0
    """Probability of hiding one random rectangle."""
    truncated: bool = False
    """Draw scale, angle and shift from a normal distribution truncated at one deviation (mmpose 1.x) instead."""
    hsv: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = (0.0, 0.0, 0.0)
    """Largest change of hue (of 180), saturation and value (of 255), each made in half of the cases."""
    blur: float = 0.0
    """Probability of a box blur, and again of a median blur, 3 to 7 pixels wide."""


@config
class FinalAugmentConfig:
    """Another augmentation at the end of the run (RTMPose's second stage)."""

    augment: AugmentConfig
    fraction: float
    """Share of the epochs, counted from the end."""


@config
class TrainConfig:
    """Optimiser and schedule. ``batch_size`` is the effective one: all processes and accumulation steps together."""

    epochs: PositiveInt = 210
    batch_size: PositiveInt = 256
    accumulate: PositiveInt = 1
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.05
    schedule: Literal["cosine", "step", "flat_cosine"] = "cosine"
    milestones: tuple[float, ...] = (170 / 210, 200 / 210)
    """For "step": fractions of the run after which the rate drops tenfold."""
    warmup_epochs: NonNegativeFloat = 5.0
    warmup_lr: PositiveFloat = 1e-6
    min_lr: NonNegativeFloat = 1e-6
    clip_grad: Optional[PositiveFloat] = None
    layer_decay: Optional[PositiveFloat] = None
    ema_decay: Optional[float] = 0.9998
    """Decay of the exponential moving average of the weights, reached late in training; None: no average."""
    ema_gamma: PositiveFloat = 2000.0
    """Updates over which the average lengthens: new weights enter with (1 - m) exp(-n / gamma) + m, m = 1 - decay."""
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    channels_last: bool = True
    compile: bool = False
    eval_every: Optional[PositiveInt] = None
    """Evaluate every so many epochs as well as at the end (first box source); the best weights so far are kept."""


@config
class EvalConfig:
    """How AP is measured. All of it is printed beside the number."""

    box_sources: tuple[BoxSource, ...] = ("gt",)
    flip_test: bool = True
    nms: Literal["none", "oks"] = "oks"
    nms_threshold: float = 0.9
    rescore: Literal["box", "keypoint", "box_keypoint"] = "box_keypoint"
    batch_size: PositiveInt = 64


@config
class LossConfig:
    """Training loss; which one fits which codec is checked when the model is built."""

    kind: Literal["mse", "mse_coordinate", "kl", "kl_coordinate", "l1", "multi_mse", "sar", "two_stage_mse"] = "mse"
    """"mse_coordinate" and "kl_coordinate": also the coordinates that an expectation reads (integral regression);
    "multi_mse": heatmaps at several resolutions (SRPose); "sar": SAR's spatial-aware loss; "two_stage_mse":
    SHaRPose's coarse and fine heatmap and predicted quality."""
    beta: PositiveFloat = 1.0
    """For "kl": factor on the logits before log-softmax (10 in RTMPose)."""
    target_softmax: bool = False
    """For "kl": soften the label by softmax(beta * label) (RTMPose)."""
    summed_persons: PositiveInt = 1
    """For "kl": factor on the mean. mmpose sums over the persons of one GPU (64 or 256) where SimCC takes the mean."""
    quality_weight: NonNegativeFloat = 0.03
    """For "two_stage_mse": factor on the error of the predicted quality."""
    quality_start: NonNegativeFloat = 180 / 210
    """For "two_stage_mse": share of the run after which that term counts."""


@config
class RunConfig:
    """All that one run depends on, apart from its seed and the bytes of its data."""

    data: DataConfig = DataConfig()
    image_size: tuple[PositiveInt, PositiveInt] = (192, 256)
    """Network input (width, height) in pixels; the paper prints height x width."""
    model: ModelConfig = BaselineConfig()
    codec: CodecConfig = HeatmapCodecConfig()
    loss: LossConfig = LossConfig()
    augment: AugmentConfig = AugmentConfig()
    augment_final: Optional[FinalAugmentConfig] = None
    train: TrainConfig = TrainConfig()
    eval: EvalConfig = EvalConfig()
    profile: str = "paper"
    """The scale of this run; part of its identity, so that numbers of two profiles are never mixed."""


RUN_ADAPTER: TypeAdapter[RunConfig] = TypeAdapter(RunConfig)


def to_dict(run: RunConfig) -> dict[str, Any]:
    """Plain JSON-ready form of a run."""
    return RUN_ADAPTER.dump_python(run, mode="json")


def from_dict(values: dict[str, Any]) -> RunConfig:
    """Inverse of :func:`to_dict`; raises pydantic's ValidationError for unknown or impossible fields."""
    return RUN_ADAPTER.validate_python(values)


def spec_hash(run: RunConfig) -> str:
    """Identity of a run: the first 12 hex digits of SHA-256 over its canonical JSON.

    Fields at their default are left out, so that a new field does not invalidate existing records. (A changed default
    changes results: raise ``flatpose.NUMERICS``.) ``eval_every`` is left out too: it changes no result.
    """
    run = dataclasses.replace(run, train=dataclasses.replace(run.train, eval_every=None))
    canonical = json.dumps(_without_defaults(run), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


READ_OUT = ("decode", "dark_kernel", "temperature", "upsample", "flip_shift", "score", "score_threshold")
"""Fields of codecs that act on trained networks only."""


def training_hash(run: RunConfig) -> str:
    """Identity of what is trained: runs that differ in evaluation and decoding alone have the same.

    With a loss on coordinates the temperature is part of the training.
    """
    trained = ("temperature",) if run.loss.kind in ("mse_coordinate", "kl_coordinate") else ()
    kept = {f.name: getattr(run.codec, f.name) for f in dataclasses.fields(run.codec)
            if f.name in trained or f.name not in READ_OUT}
    return spec_hash(dataclasses.replace(run, codec=type(run.codec)(**kept), eval=EvalConfig()))


def _without_defaults(value: Any) -> Any:
    if not dataclasses.is_dataclass(value):
        return value
    kept = {}
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if dataclasses.is_dataclass(item):
            kept[field.name] = _without_defaults(item)
        elif field.name == "kind" or item != field.default:
            kept[field.name] = item
    return kept
