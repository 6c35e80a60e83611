"""Fig. 1(b): accuracy against feature-map resolution, heatmap against coordinate classification.

Source: section 1, Fig. 1(b). The text gives two points of the figure, 71.8 AP at 64x48 and 17.2 AP at 8x6, both of the
heatmap baseline. Command: ``make fig1``. Cost: 12 runs of two to six minutes of a CPU core (quick).
"""

from __future__ import annotations

from experiments.recipes import COCO_MINI, KL, PROFILES, SIMCC, coco_run
from flatpose.config import BaselineConfig, FlatPoseConfig, FlatPoseReadings, HeatmapCodecConfig
from flatpose.harness.spec import Experiment, Figure, Published, Row

STRIDES = {4: 3, 8: 2, 16: 1, 32: 0}  # feature-map stride: number of deconvolutions

PUBLISHED = {
    4: Published(source="section 1, Fig. 1(b)", metrics={"AP": 71.8},
                 note="Table 5 (1) prints 72.0 for what seems to be the same network; 72.0 is ResNet-152's number."),
    32: Published(source="section 1, Fig. 1(b)", metrics={"AP": 17.2}),
}


def _heatmap(stride: int) -> Row:
    run = coco_run(model=BaselineConfig(num_deconvs=STRIDES[stride]),
                   codec=HeatmapCodecConfig(stride=stride, flip_shift=1))
    return Row(id=f"heatmap_s{stride}", label=f"ResNet-50, heatmap, stride {stride}", run=run, series="heatmap",
               x=stride, published=PUBLISHED.get(stride), readings=("R19",))


def _simcc(stride: int) -> Row:
    run = coco_run(model=BaselineConfig(num_deconvs=STRIDES[stride], head="simcc"), codec=SIMCC, loss=KL)
    return Row(id=f"simcc_s{stride}", label=f"ResNet-50, SimCC, stride {stride}", run=run, series="SimCC", x=stride)


def _flatpose(stride: int) -> Row:
    readings = FlatPoseReadings(classifier="wide") if STRIDES[stride] else FlatPoseReadings()
    model = FlatPoseConfig(backbone="resnet50", num_deconvs=STRIDES[stride], readings=readings)
    return Row(id=f"flatpose_s{stride}", label=f"FlatPose (ResNet-50), stride {stride}",
               run=coco_run(model=model, codec=SIMCC, loss=KL), series="FlatPose", x=stride,
               readings=("R20",))


EXPERIMENT = Experiment(
    id="fig1",
    title="Accuracy against feature-map resolution",
    source="Fig. 1(b), section 1",
    question="Does the heatmap baseline lose accuracy as the map shrinks, while coordinate classification keeps it?",
    rows=tuple(make(stride) for make in (_heatmap, _simcc, _flatpose) for stride in STRIDES),
    profiles={**PROFILES, COCO_MINI.name: COCO_MINI},
    figure=Figure(x_label="feature-map stride (pixels per cell)"),
    finding=(
        "FlatPose against SimCC on one backbone, from 64×48 to 8×6 cells: {flatpose_s4 - simcc_s4}, "
        "{flatpose_s8 - simcc_s8}, {flatpose_s16 - simcc_s16} and {flatpose_s32 - simcc_s32} AP.",
        "From 64×48 to 8×6 cells the heatmap changes by {heatmap_s32 - heatmap_s4} AP, SimCC by "
        "{simcc_s32 - simcc_s4} and FlatPose by {flatpose_s32 - flatpose_s4}; from 16×12 to 8×6 by "
        "{heatmap_s32 - heatmap_s16}, {simcc_s32 - simcc_s16} and {flatpose_s32 - flatpose_s16}.",
        "The heatmap has {heatmap_s4} AP on 64×48 and {heatmap_s32} on 8×6 cells (AP50 {heatmap_s32:AP50}, AP75 "
        "{heatmap_s32:AP75} there), SimCC {simcc_s4} and {simcc_s32}.",
        "FlatPose has {flatpose_s4} AP on 64×48 and {flatpose_s32} on 8×6 cells.",
    ),
    notes=(
        "The paper gives only the two end points of the heatmap curve; the other ten points have no published number.",
        "Strides finer than 32 are made by deconvolutions: in the baseline between backbone and head, in FlatPose "
        "after its transformer, which always works on the stride-32 tokens.",
        "At `quick` input, strides and widths are halved: every map and token grid has the paper's number of cells "
        "(docs/decisions/0150-quick-is-the-paper-at-half-scale.md).",
        "A ceiling decodes the target itself, whose peak is at a cell's centre. In a trained heatmap the neighbouring "
        "cells tell on which side of the centre the keypoint lies, and the quarter step uses that: it can pass this "
        "ceiling, without flip test too.",
        "At `quick` and `coco_mini` every row starts from one trunk, trained under a heatmap head on 16×12 cells and a "
        "SimCC head on 8×6. [controls](controls.md) has a start without the SimCC head, from which SimCC and FlatPose "
        "have less AP on 8×6.",
        "All twelve rows share data, input size, optimiser, schedule and number of samples; their FLOPs differ.",
    ),
)
