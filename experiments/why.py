"""Why the heatmap of Fig. 1 collapses: the paradigm, the number of bins, or how the answer is read?

Source: none in the paper, whose section 1 takes Fig. 1(b) for a property of heatmaps. Command: ``make why``. Each grid
of Fig. 1 is trained with a heatmap and with coordinate classification at several numbers of bins, and each network is
read in several ways; methods that differ in the read-out alone share one training. Cost: 36 trainings of two to four
minutes of a core for each seed (quick).
"""

from __future__ import annotations

from dataclasses import replace

from experiments.fig1 import EXPERIMENT as FIG1
from experiments.fig1 import STRIDES
from experiments.recipes import COCO_MINI, KL, PROFILES, coco_run
from flatpose.config import (
    BaselineConfig,
    CodecConfig,
    HeatmapCodecConfig,
    LossConfig,
    RegressionCodecConfig,
    RunConfig,
    SimCCCodecConfig,
)
from flatpose.harness.spec import Experiment, Figure, Row

HEATMAP, CLASSES, COORDINATES = "Heatmap", "Coordinate classification", "Regression"
MSE, BOTH, L1 = LossConfig(kind="mse"), LossConfig(kind="mse_coordinate"), LossConfig(kind="l1")
FIG1_RUNS = {row.id: row.run for row in FIG1.rows}


def _heatmap(stride: int, codec: CodecConfig, loss: LossConfig = MSE) -> RunConfig:
    return coco_run(model=BaselineConfig(num_deconvs=STRIDES[stride]), codec=codec, loss=loss)


def _simcc(stride: int, codec: CodecConfig) -> RunConfig:
    return coco_run(model=BaselineConfig(num_deconvs=STRIDES[stride], head="simcc"), codec=codec, loss=KL)


def _unrounded(stride: int, **read_out: object) -> HeatmapCodecConfig:
    return replace(HeatmapCodecConfig(stride=stride, encode="exact"), **read_out)  # type: ignore[arg-type]


def _per_cell(stride: int, bins: int, **read_out: object) -> SimCCCodecConfig:
    """So many bins in each cell of the map, and a label of one bin's width."""
    return replace(SimCCCodecConfig(split_ratio=bins / stride, sigma=1.0), **read_out)  # type: ignore[arg-type]


def _methods(stride: int) -> dict[str, tuple[str, str, RunConfig]]:
    """Id -> group, label and run of every method on the grid of that stride."""
    published = FIG1_RUNS[f"simcc_s{stride}"]
    methods = {
        "hrnet": (HEATMAP, "as in HRNet: rounded, quarter step", FIG1_RUNS[f"heatmap_s{stride}"]),
        "quarter": (HEATMAP, "unrounded, quarter step", _heatmap(stride, _unrounded(stride))),
        "dark": (HEATMAP, "unrounded, DARK", _heatmap(stride, _unrounded(stride, decode="dark"))),
        "enlarged": (HEATMAP, "unrounded, enlarged to 64×48, quarter step",
                     _heatmap(stride, _unrounded(stride, upsample=stride // 4))),
        "expectation": (HEATMAP, "unrounded, expectation", _heatmap(stride, _unrounded(stride, decode="expectation"))),
        "integral": (HEATMAP, "with a coordinate loss, expectation",
                     _heatmap(stride, _unrounded(stride, decode="expectation"), BOTH)),
    }
    for bins in (1, 2, 4):
        for decode in ("argmax", "expectation"):
            label = f"{bins} bin{'s' if bins > 1 else ''} per cell, {decode}"
            methods[f"bins{bins}_{decode}"] = (CLASSES, label, _simcc(stride, _per_cell(stride, bins, decode=decode)))
    for decode in ("argmax", "expectation"):
        wide = SimCCCodecConfig(split_ratio=2.0, sigma=2.0 * stride, decode=decode, border="crop",
                                score_threshold=0.03 / stride)  # a peak is as much lower as the label is wider
        methods[f"wide_{decode}"] = (CLASSES, f"2 bins per pixel, label one cell wide, {decode}", _simcc(stride, wide))
    methods["published"] = (CLASSES, "2 bins per pixel, argmax (as published)", published)
    methods["published_expectation"] = (CLASSES, "2 bins per pixel, expectation",
                                        replace(published, codec=replace(published.codec, decode="expectation")))
    regression = BaselineConfig(num_deconvs=STRIDES[stride], head="regression")
    methods["regression"] = (COORDINATES, "regression",
                             coco_run(model=regression, codec=RegressionCodecConfig(), loss=L1))
    return methods


SHOWN = ("hrnet", "expectation", "integral", "bins1_argmax", "wide_argmax", "published")
"""Methods that the plot shows; the table has all."""


def _series(group: str, label: str) -> str:
    """Name of a method in tables and plots."""
    return {HEATMAP: f"heatmap, {label}", CLASSES: f"SimCC, {label}"}.get(group, label)


EXPERIMENT = Experiment(
    id="why",
    title="Paradigm, number of bins, or read-out",
    source="our own experiment on the motivation of section 1",
    question="Does the heatmap collapse because it is a heatmap, because its bins are coarse, or because of how it is "
             "read?",
    rows=tuple(Row(id=f"{name}_s{stride}", label=f"{group}: {label}, stride {stride}", run=run, group=group,
                   series=_series(group, label), x=stride)
               for stride in STRIDES for name, (group, label, run) in _methods(stride).items()),
    profiles={**PROFILES, COCO_MINI.name: COCO_MINI},
    figure=Figure(x_label="feature-map stride (pixels per cell)",
                  curves=tuple(_series(*_methods(32)[name][:2]) for name in SHOWN)),
    seeds=(0, 1, 2),
    finding=(
        "On 8×6 cells HRNet's heatmap has {hrnet_s32} AP (on 64×48 {hrnet_s4}) and SimCC as published {published_s32}. "
        "SimCC with one bin per cell has {bins1_argmax_s32}, with the published bins and a label one cell wide "
        "{wide_argmax_s32}; the heatmap read by expectation has {expectation_s32}, with a coordinate loss too "
        "{integral_s32}.",
        "One network, another read-out: by expectation instead of the quarter step the heatmap changes by "
        "{expectation_s32 - quarter_s32}, by expectation instead of argmax SimCC with one bin per cell by "
        "{bins1_expectation_s32 - bins1_argmax_s32} and SimCC as published by "
        "{published_expectation_s32 - published_s32}.",
        "One read-out (argmax), other bins: the published bins instead of one per cell, with a label that stays one "
        "cell wide, change SimCC by {wide_argmax_s32 - bins1_argmax_s32}, the published label of 6 bins instead of 64 "
        "by a further {published_s32 - wide_argmax_s32}. Coordinates in the loss change the heatmap by "
        "{integral_s32 - expectation_s32}.",
        "HRNet's heatmap has an AP50 of {hrnet_s32:AP50} and an AP75 of {hrnet_s32:AP75}.",
    ),
    notes=(
        "Methods that differ in the read-out alone are one trained network. The first row keeps HRNet's flip shift.",
        "Sigma of the label in cells of the 8×6 map: heatmap 2; n bins per cell 1/n; one cell wide 1; as published "
        "0.09 (6 bins of 64 per cell). Bins per pixel are those of a 256×192 input.",
        "The coordinate loss is that of integral regression (Sun et al. 2018): the mean distance of the expected "
        "coordinate, as a share of the map. The heatmap's own loss, a mean over cells, is the smaller beside it the "
        "finer the map: that may be why this network has less AP on 64×48, and why its seeds lie far apart there.",
        "Heatmaps are read by expectation at a softmax temperature of 0.05. On 8×6 cells DARK refines at most 8 of 48 "
        "cells and the quarter step 15, as in their authors' code ([docs/codecs.md](../docs/codecs.md)).",
        "Regression gives every keypoint the score 1, so that nothing ranks persons in ground-truth boxes: that costs "
        "AP and not OKS.",
        "All start from one trunk, trained under a heatmap head on 16×12 cells and a SimCC head on 8×6; "
        "[controls](controls.md) changes that, label width and temperature.",
        "A trained heatmap can pass the ceiling of a rounded one ([fig1](fig1.md)).",
    ),
)
