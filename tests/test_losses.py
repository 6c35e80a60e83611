"""Losses: zero at the target, blind to unlabelled keypoints, as their equations say."""

from __future__ import annotations

import math

import pytest
import torch

from flatpose.codecs import build_codec
from flatpose.config import (
    HeatmapCodecConfig,
    LossConfig,
    RegressionCodecConfig,
    SARCodecConfig,
    SimCCCodecConfig,
)
from flatpose.errors import SpecError
from flatpose.keypoints import COCO17, KeypointSet
from flatpose.losses import LOSSES, build_loss

CASES = [(LossConfig(kind="mse"), HeatmapCodecConfig()), (LossConfig(kind="kl"), SimCCCodecConfig()),
         (LossConfig(kind="l1"), RegressionCodecConfig())]


def perfect(codec_config):
    codec = build_codec(codec_config, (96, 128), 3)
    keypoints = torch.tensor([[[40.0, 50.0], [20.0, 90.0], [70.0, 30.0]]])
    targets = codec.encode(keypoints, torch.ones(1, 3))
    return codec.perfect(keypoints), targets


@pytest.mark.parametrize(("loss", "codec"), CASES, ids=lambda c: c.kind)
def test_loss_vanishes_at_the_target_and_grows_away_from_it(loss, codec):
    outputs, targets = perfect(codec)
    function = build_loss(loss, codec, COCO17)
    assert function(outputs, targets).item() == pytest.approx(0, abs=1e-5)
    moved = {name: value.roll(3, -1) if name != "coords" else value + 0.1 for name, value in outputs.items()}
    assert function(moved, targets).item() > 1e-5


@pytest.mark.parametrize(("loss", "codec"), CASES, ids=lambda c: c.kind)
def test_unlabelled_keypoints_give_no_gradient(loss, codec):
    outputs, targets = perfect(codec)
    targets["weights"] = torch.tensor([[1.0, 0.0, 1.0]])
    outputs = {name: (value + torch.randn_like(value)).requires_grad_() for name, value in outputs.items()
               if name not in ("weights", "centre")}
    build_loss(loss, codec, COCO17)(outputs, targets).backward()
    for value in outputs.values():
        assert value.grad[:, 1].abs().max() == 0 and value.grad[:, 0].abs().max() > 0


def test_mse_is_half_the_mean_square():
    targets = {"heatmap": torch.zeros(1, 2, 4, 4), "weights": torch.ones(1, 2)}
    loss = build_loss(LossConfig(kind="mse"), HeatmapCodecConfig(), COCO17)
    assert loss({"heatmap": torch.full((1, 2, 4, 4), 3.0)}, targets).item() == pytest.approx(4.5)


def test_kl_of_uniform_logits_by_hand():
    label = torch.tensor([[[1.0, 0.0]]])
    outputs = {"simcc_x": torch.zeros(1, 1, 2), "simcc_y": torch.zeros(1, 1, 2)}
    targets = {"simcc_x": label, "simcc_y": label, "weights": torch.ones(1, 1)}
    for persons in (1, 64):  # mmpose sums over the persons of one GPU
        loss = build_loss(LossConfig(kind="kl", summed_persons=persons), SimCCCodecConfig(), COCO17)
        assert loss(outputs, targets).item() == pytest.approx(persons * math.log(2))


def outputs_of(kind, batch):
    """Random outputs of a network whose loss is of that kind, for K = 17."""
    maps = {"heatmap": torch.randn(batch, 17, 16, 12)}
    axes = {"simcc_x": torch.randn(batch, 17, 96), "simcc_y": torch.randn(batch, 17, 128)}
    return {
        "mse": maps, "mse_coordinate": maps, "multi_mse": {**maps, "heatmap_coarse": torch.randn(batch, 17, 8, 6)},
        "kl": axes, "kl_coordinate": axes, "l1": {"coords": torch.rand(batch, 17, 2)},
        "sar": {**maps, "logit": torch.rand(batch, 17, 16, 12), "keypoint": torch.rand(batch, 17, 2, 16, 12)},
        "two_stage_mse": {**maps, "heatmap_coarse": torch.randn(batch, 17, 16, 12), "quality": torch.rand(batch)},
    }[kind]


@pytest.mark.parametrize("kind", LOSSES)
def test_the_gradients_of_two_halves_add_up_to_that_of_the_batch(kind):
    """The halves differ in labelled keypoints, so a mean over each half would have another gradient."""
    torch.manual_seed(0)
    codec = {"heatmap": HeatmapCodecConfig(), "simcc": SimCCCodecConfig(split_ratio=2.0), "sar": SARCodecConfig(),
             "regression": RegressionCodecConfig()}[LOSSES[kind].codec]
    loss = build_loss(LossConfig(kind=kind), codec, COCO17)
    weights = (torch.rand(4, 17) < torch.tensor([[1.0], [0.9], [0.3], [0.0]])).float()
    targets = build_codec(codec, (48, 64), 17).encode(torch.rand(4, 17, 2) * torch.tensor([47.0, 63.0]), weights)
    outputs = {name: value.requires_grad_() for name, value in outputs_of(kind, 4).items()}

    def part(rows):
        return ({name: value[rows] for name, value in outputs.items()},
                {**{name: value[rows] for name, value in targets.items()}, "progress": torch.tensor(1.0)})

    whole = torch.autograd.grad(loss(*part(slice(4))), list(outputs.values()))
    halves = [part(slice(0, 2)), part(slice(2, 4))]
    counts = [sum(c) for c in zip(*(loss.counts(t) for _, t in halves), strict=True)]
    added = torch.autograd.grad(sum(loss(o, t, counts) for o, t in halves), list(outputs.values()))
    for one, two in zip(whole, added, strict=True):
        torch.testing.assert_close(two, one, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("kind", "codec"), [("kl", HeatmapCodecConfig()), ("sar", HeatmapCodecConfig()),
                                             ("multi_mse", SimCCCodecConfig()), ("mse", SARCodecConfig())])
def test_a_loss_that_does_not_fit_the_codec_is_refused(kind, codec):
    with pytest.raises(SpecError, match="needs codec"):
        build_loss(LossConfig(kind=kind), codec, COCO17)


def quality_error(sigmas: list[float]) -> float:
    """What SHaRPose's loss says of a coarse answer two cells off, in a 16x16 map, whose quality is given as 1."""
    names = tuple(f"point{i}" for i in range(len(sigmas)))
    own = KeypointSet("own", names, (), tuple(sigmas), (), ())
    label, coarse = torch.zeros(2, 1, len(sigmas), 16, 16)
    label[..., 5, 5] = coarse[..., 5, 7] = 1.0
    targets = {"heatmap": label, "weights": torch.ones(1, len(sigmas)), "progress": torch.tensor(1.0)}
    outputs = {"heatmap": label, "heatmap_coarse": coarse, "quality": torch.ones(1)}
    late, early = (build_loss(LossConfig(kind="two_stage_mse", quality_weight=1.0, quality_start=start),
                              HeatmapCodecConfig(), own)(outputs, targets).item() for start in (0.5, 1.0))
    return late - early


@pytest.mark.parametrize("count", [5, 14, 16, 17])
def test_quality_is_judged_by_the_sigmas_of_the_persons_own_keypoint_set(count):
    """Also where the set has as many keypoints as COCO, CrowdPose or MPII, but others."""
    expected = (1 - math.exp(-4 / (2 * 0.2 ** 2 * 256))) ** 2
    assert quality_error([0.1] * count) == pytest.approx(expected, rel=1e-4)


def test_spatial_aware_loss_by_hand():
    """Two cells, weights 0.6 and 0.2: the first misses by 1/32 in x, the second is right."""
    outputs = {"logit": torch.tensor([[[[0.6, 0.2]]]]), "heatmap": torch.full((1, 1, 1, 2), -50.0),
               "keypoint": torch.tensor([[[[[0.5 + 1 / 32, 0.5]], [[0.5, 0.5]]]]])}
    targets = {"coords": torch.full((1, 1, 2), 0.5), "heatmap": torch.zeros(1, 1, 1, 2), "weights": torch.ones(1, 1)}
    loss = build_loss(LossConfig(kind="sar"), SARCodecConfig(), COCO17)
    assert loss(outputs, targets).item() == pytest.approx(-math.log(0.75 * math.exp(-0.5) + 0.25), abs=1e-5)
    ignored = {**targets, "weights": torch.zeros(1, 1)}
    assert loss(outputs, ignored).item() == 0.0
    with_map = {**targets, "heatmap": torch.tensor([[[[1.0, 0.0]]]])}  # the first cell says 0 where 1 is right
    assert loss(outputs, with_map).item() == pytest.approx(loss(outputs, targets).item() + 50.0, rel=1e-4)


def test_multi_level_loss_pools_the_target():
    codec = build_codec(HeatmapCodecConfig(stride=1, sigma=8.0), (64, 96), 3)
    targets = codec.encode(torch.rand(2, 3, 2) * 60, torch.ones(2, 3))
    pooled = torch.nn.functional.adaptive_avg_pool2d(targets["heatmap"], (24, 16))
    loss = build_loss(LossConfig(kind="multi_mse"), HeatmapCodecConfig(stride=1), COCO17)
    assert loss({"heatmap": targets["heatmap"], "heatmap_level0": pooled}, targets).item() == pytest.approx(0, abs=1e-9)
    coarse = torch.nn.functional.adaptive_avg_pool2d(targets["heatmap"], (3, 2))
    off = {"heatmap": targets["heatmap"], "heatmap_coarse": coarse + 1.0}
    assert loss(off, targets).item() == pytest.approx(0.5e-4, rel=1e-4)
