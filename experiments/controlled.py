"""Table 2's systems under one recipe: what is left of the ranking when only the networks differ?

Source: Table 2; we know of no published comparison of this kind. Command: ``flatpose-exp run controlled``. Every row is
trained like FlatPose (section 4.1.2 of the paper): AdamW, cosine schedule, EMA, and the same augmentation, batch size
and epochs. Each system keeps its network, starting weights, codec and loss. Cost: as Table 2; the FlatPose runs are
Table 2's.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.recipes import PAPER_EVAL, PAPER_TRAIN
from experiments.systems import STARTS, profiles
from experiments.table2 import MEMBERS, ROWS
from flatpose.config import AugmentConfig
from flatpose.harness.spec import Experiment, Row


def _one_recipe(row: Row) -> Row:
    run = replace(row.run, train=PAPER_TRAIN, augment=AugmentConfig(), augment_final=None, eval=PAPER_EVAL)
    return replace(row, run=run, published=None)


CONTROLLED = tuple(map(_one_recipe, ROWS))
SCALES = profiles(CONTROLLED, MEMBERS)
BY_BACKBONE = (
    "AP under one recipe, all on the small ResNet: RTMPose {rtmpose_l}, SimpleBaseline {simplebaseline}, FlatPose "
    "{table5/resnet50}, SimCC on the last map {fig1/simcc_s32}.",
    "RTMPose, which has no upsampling either, differs from SimpleBaseline by {rtmpose_l - simplebaseline}, from "
    "FlatPose by {rtmpose_l - table5/resnet50} and from SimCC by {rtmpose_l - fig1/simcc_s32}.",
    "On the small HRNet: SimCC {simcc}, heatmap {hrnet_w48} (difference {simcc - hrnet_w48}), TokenPose {tokenpose_b}; "
    "on the small ViT: ViTPose {vitpose_b}, SHaRPose {sharpose_base}; on the small ConvNeXt: FlatPose-B {flatpose_b}.",
    "Under the authors' optimisers and schedules (table2) these are RTMPose {table2/rtmpose_l}, SimpleBaseline "
    "{table2/simplebaseline}; SimCC {table2/simcc}, heatmap {table2/hrnet_w48}, TokenPose {table2/tokenpose_b}; "
    "ViTPose {table2/vitpose_b}, SHaRPose {table2/sharpose_base}.")

EXPERIMENT = Experiment(
    id="controlled",
    title="Table 2's systems under one recipe",
    source="Table 2, every row trained as section 4.1.2 trains FlatPose",
    question="How much of the ranking in Table 2 is due to the recipes, and how much to the networks?",
    rows=CONTROLLED,
    profiles={**SCALES, "quick": replace(SCALES["quick"], finding=BY_BACKBONE)},
    tradeoff=True,
    notes=(
        "Same data, boxes, augmentation, optimiser, schedule, batch, epochs and weight averaging in every row; input "
        "size, network, starting weights, codec and loss are the row's own.",
        "At `quick` the recipes of Table 2 differ from this one in optimiser, weight decay and schedule, and RTMPose's "
        "in augmentation too; learning rate, batch, epochs and weight averaging are the profile's in both tables.",
        "RTMPose differs from SimCC in label, loss, a 7×7 convolution and a gated attention unit; which of these "
        "matters was not measured.",
        "Rows are named after Table 2. At `quick` SimpleBaseline and RTMPose are on the small ResNet, HRNet, SimCC and "
        "TokenPose on the small HRNet, ViTPose and SHaRPose on the small ViT, FlatPose-B on the small ConvNeXt; the "
        "numbers of FlatPose and SimCC on the small ResNet are from [table5](table5.md) and [fig1](fig1.md).",
        STARTS,
    ),
)
