"""Options of data and engine: what they promise, and that the faster way to a pixel is the same pixel."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_train import RUN, fit
from tiny import write_coco

from flatpose.benchmarks import COCO
from flatpose.config import AugmentConfig, BaselineConfig, LossConfig, RegressionCodecConfig, TrainConfig
from flatpose.data import transforms
from flatpose.data.loader import IMAGENET_MEAN, IMAGENET_STD, Crops, EpochSampler, normalise
from flatpose.errors import RunError, SpecError
from flatpose.losses import Loss, all_keypoints
from flatpose.models import build_model
from flatpose.models.backbones import Trunk
from flatpose.optim import build_optimizer
from flatpose.train import BEST, step_batch
from flatpose.training_files import TRACKERS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory):
    return COCO.load(write_coco(tmp_path_factory.mktemp("tiny"), images={"train": 12, "val": 3}))


def crops_of(data, **options) -> Crops:
    return Crops(data.train.persons, data.keypoint_set, RUN.image_size, udp=False, augment=RUN.augment, **options)


def test_by_image_keeps_the_persons_of_an_image_together(data):
    crops = crops_of(data, by_image=True)
    numbers = crops.image_numbers()
    sampler = EpochSampler(len(crops), shuffle=True, seed=3, groups=numbers)
    order = [index for _, index in sampler]
    assert sorted(order) == list(range(len(crops)))
    changes = 1 + np.count_nonzero(np.diff(numbers[order]))
    assert changes == len(set(numbers)) < len(crops)
    sampler.epoch = 1
    assert [index for _, index in sampler] != order


def test_colour_tables_equal_the_arithmetic():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        draw = rng.random(7)
        gain, offset = np.float32(1 + 0.4 * (2 * draw[0] - 1)), np.float32(128 * 0.4 * (2 * draw[1] - 1))
        expected = np.clip(pixels * gain + offset, 0, 255).astype(np.uint8)
        shift = (np.array((5, 30, 30)) * (2 * rng.random(3) - 1) * (rng.random(3) < 0.5)).astype(np.int16)
        hsv = cv2.cvtColor(expected, cv2.COLOR_RGB2HSV).astype(np.int16) + shift
        hsv[..., 0] %= 180
        expected = cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)
        config = AugmentConfig(brightness=0.4, hsv=(5, 30, 30))
        assert np.array_equal(transforms.change_pixels(pixels, config, np.random.default_rng(seed)), expected)


def test_normalise_is_its_formula_to_the_bit():
    images = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).repeat(2, 1, 1, 3)
    expected = (images.float() - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
    assert torch.equal(normalise(images), expected.permute(0, 3, 1, 2))


def test_the_best_weights_are_kept(data, tmp_path):
    shown, answers = [], iter([0.1, 0.5, 0.3])

    def judge(network: torch.nn.Module) -> float:
        shown.append({key: value.clone() for key, value in network.state_dict().items()})
        return next(answers)

    run = replace(RUN, train=replace(RUN.train, eval_every=1))
    trained = fit(run, crops_of(data), tmp_path, judge=judge)
    best = load_file(tmp_path / BEST)
    assert all(torch.equal(best[name], value) for name, value in shown[1].items())
    assert not all(torch.equal(best[name], value) for name, value in shown[2].items())
    assert [row["metric"] for row in trained.log] == [0.1, 0.5, 0.3]


def test_trackers_get_the_same_losses(data, tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv(TRACKERS, "tensorboard")
    trained = fit(RUN, crops_of(data), tmp_path)
    events = EventAccumulator(str(tmp_path / "tracker")).Reload()
    assert [e.value for e in events.Scalars("train/loss")] == pytest.approx([row["loss"] for row in trained.log])


def test_a_tracker_that_is_not_there_is_named(data, tmp_path, monkeypatch):
    monkeypatch.setenv(TRACKERS, "tensorbord")
    with pytest.raises(RunError, match="tensorbord"):
        fit(RUN, crops_of(data), tmp_path)


def test_a_batch_that_processes_cannot_share_is_refused():
    assert step_batch(TrainConfig(batch_size=12, accumulate=2), 100, 3) == 6
    assert step_batch(TrainConfig(batch_size=12), 5, 1) == 5 and step_batch(
        TrainConfig(batch_size=32, accumulate=2), 18, 1) == 9
    with pytest.raises(RunError, match="8 persons, which 3 processes cannot share"):
        step_batch(TrainConfig(batch_size=8), 100, 3)


def test_accumulating_two_halves_is_one_step(data, tmp_path):
    """Without batch statistics. L1 divides by the labelled keypoints of the whole batch."""
    base = replace(RUN, codec=RegressionCodecConfig(), loss=LossConfig(kind="l1"),
                   model=BaselineConfig(backbone="convnext_quick", pretrained=False, num_deconvs=0, head="regression"),
                   train=replace(RUN.train, epochs=1, batch_size=8, ema_decay=None, optimizer="sgd", lr=0.1,
                                 warmup_epochs=0))
    one = fit(base, crops_of(data), tmp_path / "one")
    two = fit(replace(base, train=replace(base.train, accumulate=2)), crops_of(data), tmp_path / "two")
    assert one.log[-1]["step"] == two.log[-1]["step"] == 2
    for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_clipping_bounds_the_step(data, tmp_path):
    config = replace(RUN.train, epochs=1, batch_size=18, optimizer="sgd", lr=1.0, warmup_epochs=0, clip_grad=1e-3,
                     weight_decay=0, ema_decay=None, schedule="step")
    torch.manual_seed(0)
    before = build_model(RUN.model, RUN.codec, RUN.image_size, 17).state_dict()
    run = replace(RUN, train=config)
    loss = Loss(lambda outputs, targets: (1e4 * outputs["heatmap"].square().mean((2, 3)).sum(),), all_keypoints)
    trained = fit(run, crops_of(data), tmp_path, loss)
    distances = [(p.detach() - before[name]).square().sum() for name, p in trained.model.named_parameters()]
    moved = float(torch.stack(distances).sum().sqrt())
    assert 0 < moved <= 2e-3 * trained.log[-1]["step"]


def test_layer_decay_without_layers_is_refused():
    with pytest.raises(SpecError, match="no layer groups"):
        build_optimizer(torch.nn.Sequential(torch.nn.Linear(2, 2)), TrainConfig(layer_decay=0.5))


@pytest.mark.parametrize("options", [{"precision": "bf16"}, {"precision": "fp16"}, {"channels_last": False},
                                     pytest.param({"compile": True}, marks=pytest.mark.slow)], ids=str)
def test_precision_memory_format_and_compiling_reach_nearly_the_same_loss(data, tmp_path, options):
    plain = fit(RUN, crops_of(data), tmp_path / "plain")
    other = fit(replace(RUN, train=replace(RUN.train, **options)), crops_of(data), tmp_path / "other")
    assert other.log[-1]["loss"] == pytest.approx(plain.log[-1]["loss"], rel=0.05)


def test_drop_path_skips_blocks_in_training_alone():
    """Each sample loses its own blocks; evaluation has all of them."""
    torch.manual_seed(0)
    trunk = Trunk("convnextv2_atto", False, drop_path=0.9)
    plain = Trunk("convnextv2_atto", False)
    plain.load_state_dict(trunk.state_dict())
    images = torch.randn(1, 3, 64, 64).expand(8, -1, -1, -1)
    torch.testing.assert_close(trunk.eval()(images), plain.eval()(images))
    apart = trunk.train()(images).std(dim=0).max()
    assert apart > 1e-3 and plain.train()(images).std(dim=0).max() < 1e-5
