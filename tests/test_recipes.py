"""Recipes as data: each system's own training as its authors publish it, and score thresholds by input height.

The numbers are copied from the official configurations, not from the code under test.
"""

from __future__ import annotations

import pytest
import torch

from experiments import systems_cnn as cnn
from experiments import systems_vit as vit
from flatpose.config import RunConfig
from flatpose.harness import catalog
from flatpose.harness.spec import at_profile
from flatpose.models import build_model

HIGH, SQUARE = cnn.HIGH, cnn.SQUARE
COCO_PERSONS = 149_813
# run, optimiser, rate, weight decay, batch, epochs, epochs of the drops (None: cosine), warm-up iterations
PUBLISHED = {
    "SimpleBaseline R50": (cnn.simplebaseline(50), "adam", 1e-3, 0, 128, 140, (90, 120), 0),
    "SimpleBaseline R152, 384": (cnn.simplebaseline(152, HIGH), "adam", 1e-3, 0, 128, 140, (90, 120), 0),
    "SimpleBaseline R50, MPII (mmpose)": (cnn.simplebaseline(50, SQUARE, "mpii"), "adam", 5e-4, 0, 512, 210,
                                          (170, 200), 500),
    "HRNet-W32": (cnn.hrnet(32), "adam", 1e-3, 0, 128, 210, (170, 200), 0),
    "HRNet-W48, 384": (cnn.hrnet(48, HIGH), "adam", 1e-3, 0, 96, 210, (170, 200), 0),
    "HRNet-W32, CrowdPose (mmpose)": (cnn.hrnet(32, task="crowdpose"), "adam", 5e-4, 0, 512, 210, (170, 200), 500),
    "SimCC HRNet-W48": (cnn.simcc(), "adam", 1e-3, 0, 128, 210, (170, 200), 0),
    "SimCC R50 (mmpose)": (cnn.simcc_resnet50(), "adam", 1e-3, 0, 512, 210, (170, 200), 500),
    "SimCC R50, 384 (mmpose)": (cnn.simcc_resnet50(HIGH), "adam", 1e-3, 0, 8 * 32, 140, (90, 120), 500),
    "SimCC R50, upsample-free": (cnn.simcc_upsample_free(), "adam", 1e-3, 0, 128, 140, (90, 120), 0),
    "TokenPose-B": (vit.tokenpose("B"), "adam", 1e-3, 0, 128, 300, (200, 260), 0),
    "TokenPose-L/D24": (vit.tokenpose("L/D24"), "adam", 1e-3, 0, 64, 300, (200, 260), 0),
    "TokenPose-L/D24, 384": (vit.tokenpose("L/D24", HIGH), "adam", 1e-3, 0, 256, 300, (200, 260), 0),
    "TokenPose-L/D6, MPII": (vit.tokenpose("L/D6", SQUARE, "mpii"), "adam", 1e-3, 0, 64, 300, (200, 260), 0),
    "ViTPose-S": (vit.vitpose("S"), "adamw", 5e-4, 0.1, 512, 210, (170, 200), 500),
    "ViTPose-B": (vit.vitpose("B"), "adamw", 5e-4, 0.1, 512, 210, (170, 200), 500),
    "SHaRPose-Small": (vit.sharpose("Small"), "adamw", 5e-4, 0.1, 512, 250, (170, 200), 500),
    "SHaRPose-Base": (vit.sharpose("Base"), "adamw", 5e-4, 0.1, 256, 210, (170, 200), 500),
    "SHaRPose-Base, 384": (vit.sharpose("Base", HIGH), "adamw", 5e-4, 0.1, 256, 210, (170, 200), 500),
    "SAR R50": (cnn.sar("resnet50"), "adam", 5e-4, 0, 2 * 96, 210, (170, 200), 500),
    "SAR HRNet-W48": (cnn.sar("hrnet_w48"), "adam", 5e-4, 0, 2 * 36, 210, (170, 200), 500),
    "SRPose R50": (cnn.srpose(), "adam", 5e-4, 0, 8 * 32, 210, (170, 200), 500),
    "RTMPose-m": (cnn.rtmpose("m"), "adamw", 4e-3, 0.05, 1024, 420, None, 1000),
    "RTMPose-l, 384": (cnn.rtmpose("l", HIGH), "adamw", 4e-3, 0.05, 1024, 420, None, 1000),
    "GatedUniPose, MPII (mmpose)": (vit.gatedunipose(), "adam", 5e-4, 0, 512, 210, (170, 200), 500),
}
LAYER_DECAY = {"ViTPose-S": 0.8, "ViTPose-B": 0.75, "SHaRPose-Small": 0.8, "SHaRPose-Base": 0.75,
               "SHaRPose-Base, 384": 0.7}
LABEL_WIDTHS = {"RTMPose-m": (4.9, 5.66), "RTMPose-l, 384": (6.0, 6.93)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_system_has_the_recipe_of_its_authors(name: str) -> None:
    run, optimizer, lr, decay, batch, epochs, drops, warmup = PUBLISHED[name]
    train = run.train
    assert (train.optimizer, train.lr, train.weight_decay, train.batch_size, train.epochs) == (
        optimizer, lr, decay, batch, epochs)
    if drops is None:
        assert train.schedule == "flat_cosine" and train.min_lr == pytest.approx(0.05 * lr) and train.ema_decay
    else:
        assert train.schedule == "step" and train.ema_decay is None
        assert [round(m * epochs, 6) for m in train.milestones] == list(drops)
    if run.data.task == "coco":
        assert train.warmup_epochs * COCO_PERSONS / batch == pytest.approx(warmup)
    assert train.layer_decay == LAYER_DECAY.get(name)
    assert train.clip_grad == (1.0 if name.startswith("ViTPose") else None)
    if name in LABEL_WIDTHS:
        assert run.codec.sigma == LABEL_WIDTHS[name]


def runs() -> list[tuple[str, RunConfig]]:
    """Every row of every experiment as the paper trains it."""
    return [(f"{e.id}/{row.id}", row.run) for e in map(catalog.load, catalog.ids()) for row in e.rows]


def test_simcc_scores_have_the_threshold_of_their_input_height() -> None:
    """More bins share a softmax, so that peaks are lower (docs/evaluation.md)."""
    expected = {256: 0.01, 384: 0.005}
    softmaxed = [(name, run) for name, run in runs() if run.codec.kind == "simcc" and run.codec.score == "min_softmax"
                 and not name.startswith("why/wide_")]  # the threshold of a wide label is as much lower as its peak
    wrong = {name: run.codec.score_threshold for name, run in softmaxed
             if run.codec.score_threshold != expected[run.image_size[1]]}
    assert not wrong
    assert {run.image_size[1] for _, run in softmaxed} == set(expected)


def test_small_inputs_keep_the_threshold_of_256() -> None:
    """At 128x96 both sizes of FlatPose-L have the same bins: a threshold for more of them would be another variable."""
    experiment = catalog.load("table1")
    for profile in ("quick", "smoke"):
        made = [at_profile(row.run, experiment.profiles[profile]) for row in experiment.rows]
        assert {run.codec.score_threshold for run in made} == {0.01}


@pytest.mark.parametrize("row", ["tokenpose_b", "sharpose_base"])
def test_heatmaps_drawn_from_tokens_start_near_zero_at_reduced_scales(row: str) -> None:
    experiment = catalog.load("table2")
    run = at_profile(catalog.find_row(experiment, row).run, experiment.profiles["smoke"])
    torch.manual_seed(0)
    model = build_model(run.model, run.codec, run.image_size, 17, pretrained=False).eval()
    with torch.no_grad():
        found = model(torch.randn(2, 3, *run.image_size[::-1]))["heatmap"]
    assert found.std() < 0.1  # the peak of a target is 1; with the official initial weights it is 0.2
