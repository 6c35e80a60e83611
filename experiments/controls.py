"""Controls of ``why`` on 8×6 cells: label width, read-out, coordinate loss and start weights, one changed at a time.

Source: none in the paper. Command: ``flatpose-exp run controls``. The first rows are runs of why.py and fig1.py; each
of the others changes one condition of one of them. Cost: 8 trainings of three to five minutes of a core for each seed
(quick).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from experiments.recipes import COCO_MINI, PROFILES, SIMCC, coco_run
from experiments.why import EXPERIMENT as WHY
from experiments.why import FIG1_RUNS
from flatpose.config import BaselineConfig, LossConfig, RunConfig
from flatpose.harness.spec import Experiment, Row

STRIDE = 32
FLATPOSE = FIG1_RUNS[f"flatpose_s{STRIDE}"]
RUNS = {row.id.removesuffix(f"_s{STRIDE}"): row.run for row in WHY.rows if row.x == STRIDE}
SAME, LABEL, READ_OUT = "As in why and fig1", "Label width", "Read-out"
COORDINATE, START = "Coordinate loss", "Start weights of a heatmap head alone"
HEATMAP_START = "resnet_quick_heatmap_os16"
"""The small ResNet of every other row, pre-trained alike but without the SimCC head."""


def _with_codec(name: str, **changes: Any) -> RunConfig:
    """The run of that name with some fields of its codec replaced."""
    return replace(RUNS[name], codec=replace(RUNS[name].codec, **changes))


def _started(run: RunConfig) -> RunConfig:
    """The run from start weights that were trained without a SimCC head."""
    return replace(run, model=replace(run.model, backbone=HEATMAP_START))  # type: ignore[arg-type]


SIMCC_BOTH = coco_run(model=BaselineConfig(num_deconvs=0, head="simcc"), codec=replace(SIMCC, decode="expectation"),
                      loss=LossConfig(kind="kl_coordinate"))
ROWS = (
    (SAME, {
        "hrnet": ("heatmap, as in HRNet", RUNS["hrnet"]),
        "quarter": ("heatmap, unrounded, quarter step", RUNS["quarter"]),
        "expectation": ("heatmap, unrounded, expectation", RUNS["expectation"]),
        "integral": ("heatmap, coordinate loss, expectation", RUNS["integral"]),
        "published": ("SimCC, as published", RUNS["published"]),
        "published_expectation": ("SimCC, expectation", RUNS["published_expectation"]),
        "flatpose": ("FlatPose on this backbone, argmax", FLATPOSE),
    }),
    (LABEL, {
        "narrow": ("heatmap, label one cell wide, quarter step", _with_codec("quarter", sigma=1.0)),
        "narrow_expectation": ("heatmap, label one cell wide, expectation", _with_codec("expectation", sigma=1.0)),
        "narrow_warm": ("heatmap, label one cell wide, expectation at temperature 0.1",
                        _with_codec("expectation", sigma=1.0, temperature=0.1)),
        "narrow_hot": ("heatmap, label one cell wide, expectation at temperature 0.2",
                       _with_codec("expectation", sigma=1.0, temperature=0.2)),
    }),
    (READ_OUT, {
        "cool": ("heatmap, expectation at temperature 0.02", _with_codec("expectation", temperature=0.02)),
        "warm": ("heatmap, expectation at temperature 0.1", _with_codec("expectation", temperature=0.1)),
        "hot": ("heatmap, expectation at temperature 0.2", _with_codec("expectation", temperature=0.2)),
        "integral_quarter": ("heatmap, coordinate loss, quarter step", _with_codec("integral", decode="quarter")),
        "flatpose_expectation": ("FlatPose on this backbone, expectation",
                                 replace(FLATPOSE, codec=replace(FLATPOSE.codec, decode="expectation"))),
    }),
    (COORDINATE, {
        "simcc_integral": ("SimCC, coordinate loss, expectation", SIMCC_BOTH),
        "simcc_integral_argmax": ("SimCC, coordinate loss, argmax", replace(SIMCC_BOTH, codec=SIMCC)),
    }),
    (START, {
        "start_hrnet": ("heatmap, as in HRNet", _started(RUNS["hrnet"])),
        "start_integral": ("heatmap, coordinate loss, expectation", _started(RUNS["integral"])),
        "start_published": ("SimCC, as published", _started(RUNS["published"])),
        "start_published_expectation": ("SimCC, expectation", _started(RUNS["published_expectation"])),
        "start_flatpose": ("FlatPose on this backbone, argmax", _started(FLATPOSE)),
        "start_hrnet_s4": ("heatmap, as in HRNet, on 64×48", _started(FIG1_RUNS["heatmap_s4"])),
        "start_published_s4": ("SimCC, as published, on 64×48", _started(FIG1_RUNS["simcc_s4"])),
    }),
)
"""Group, then id -> label and run."""
SMALL_ONLY = {name: "a control of quick's start weights" for group, rows in ROWS if group == START for name in rows}

EXPERIMENT = Experiment(
    id="controls",
    title="Start weights, label width and softmax temperature on 8×6 cells",
    source="our own experiment",
    question="On 8×6 cells: does the answer of why depend on the label's width, the softmax temperature, the "
             "coordinate loss, or on start weights that were trained under a SimCC head too?",
    rows=tuple(Row(id=name, label=label + ", other start" * (group == START), run=run, group=group)
               for group, rows in ROWS for name, (label, run) in rows.items()),
    profiles={name: profile if name in ("smoke", "quick") else replace(profile, left_out=SMALL_ONLY)
              for name, profile in {**PROFILES, COCO_MINI.name: COCO_MINI}.items()},
    seeds=(0, 1, 2),
    finding=(
        "From start weights that were trained without a SimCC head, HRNet's heatmap has {start_hrnet} AP, SimCC as "
        "published {start_published} and the heatmap with a coordinate loss {start_integral}; from those of why "
        "{hrnet}, {published} and {integral}.",
        "There FlatPose differs from SimCC by {start_flatpose - start_published}, and the heatmap with a coordinate "
        "loss from SimCC, each read by its expectation, by {start_integral - start_published_expectation} (from why's "
        "by {integral - published_expectation}).",
        "From 64×48 to 8×6 cells, both from that start, SimCC changes by {start_published - start_published_s4} and "
        "HRNet's heatmap by {start_hrnet - start_hrnet_s4}.",
        "Read by expectation, FlatPose has {flatpose_expectation} (by argmax {flatpose}) and differs from SimCC by "
        "{flatpose_expectation - published_expectation}.",
        "A heatmap label one cell wide instead of two changes the AP of the quarter step by {narrow - quarter}.",
        "By expectation at temperatures of 0.02, 0.05, 0.1 and 0.2 the heatmap has {cool}, {expectation}, {warm} and "
        "{hot}.",
        "With the narrower label it has {narrow_expectation}, {narrow_warm} and {narrow_hot} at the last three.",
        "A coordinate loss changes the heatmap by {integral - expectation} and SimCC by "
        "{simcc_integral - published_expectation}, both by expectation; by their peaks these networks have "
        "{integral_quarter} and {simcc_integral_argmax}.",
    ),
    notes=(
        "The start weights of `quick` are trained under a heatmap head on 16×12 cells and a SimCC head on 8×6, which "
        "has the codec of SimCC as published here. Those of the last rows are trained alike, under the heatmap head "
        "alone.",
        "A coordinate loss adds the mean distance of the expected coordinate, as a share of the map, with weight 1, "
        "which was not tuned.",
        "Near its peak the softmax of a Gaussian of height 1 over a temperature is a Gaussian that is narrower by the "
        "square root of the temperature: low temperatures approach the highest cell, high ones the middle of the map.",
        "Rows that differ in the read-out alone are one trained network. The temperature of why, 0.05, was chosen "
        "before the others were tried.",
    ),
)
