"""Training: resuming equals never having stopped, schedules have their shape, a bad loss stops the run."""

from __future__ import annotations

import copy
import csv
import itertools
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import write_coco

import flatpose.train
from flatpose.benchmarks import COCO
from flatpose.codecs import build_codec
from flatpose.config import BaselineConfig, HeatmapCodecConfig, RunConfig, TrainConfig
from flatpose.data.loader import Crops
from flatpose.errors import RunError
from flatpose.keypoints import COCO17
from flatpose.losses import Loss, all_keypoints, build_loss
from flatpose.models import build_model
from flatpose.optim import build_optimizer, build_scheduler
from flatpose.progress import SILENT, Reporter
from flatpose.train import Judge, MovingAverage, Trained, Trainer, build_accelerator

RUN = RunConfig(
    image_size=(64, 64), codec=HeatmapCodecConfig(stride=16),
    model=BaselineConfig(backbone="resnet_quick", pretrained=False, num_deconvs=1, deconv_dim=16),
    train=TrainConfig(epochs=3, batch_size=4, warmup_epochs=0.5, ema_decay=0.9, ema_gamma=2.0),
)


@pytest.fixture(autouse=True)
def _save_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flatpose.train, "CHECKPOINT_SECONDS", 0.0)


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Crops:
    data = COCO.load(write_coco(tmp_path_factory.mktemp("tiny")))
    return Crops(data.train.persons, data.keypoint_set, RUN.image_size, udp=False, augment=RUN.augment)


def fit(run: RunConfig, crops: Crops, work_dir: Path, loss: Loss | None = None, reporter: Reporter = SILENT,
        judge: Judge | None = None) -> Trained:
    torch.manual_seed(0)
    model = build_model(run.model, run.codec, run.image_size, 17)
    accelerator, _ = build_accelerator(run.train)
    codec = build_codec(run.codec, run.image_size, 17)
    loss = loss or build_loss(run.loss, run.codec, COCO17)
    return Trainer(run.train, crops, codec, loss, model, accelerator, work_dir, 0, reporter, judge).run()


def same(a: Trained, b: Trained) -> bool:
    pairs = [*zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True),
             *zip(a.ema.state_dict().values(), b.ema.state_dict().values(), strict=True)]
    return all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("stop_in_epoch", [1, 2])
def test_three_epochs_equal_k_plus_resume(crops, tmp_path, monkeypatch, stop_in_epoch):
    whole = fit(RUN, crops, tmp_path / "whole")
    one_epoch = Trainer._epoch

    def interrupted(trainer, epoch):
        if epoch == stop_in_epoch:
            raise KeyboardInterrupt
        return one_epoch(trainer, epoch)

    monkeypatch.setattr(Trainer, "_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(RUN, crops, tmp_path / "part")
    monkeypatch.setattr(Trainer, "_epoch", one_epoch)
    resumed = fit(RUN, crops, tmp_path / "part")
    assert same(whole, resumed)
    assert [row["loss"] for row in whole.log] == [row["loss"] for row in resumed.log]
    assert len((tmp_path / "part" / "log.csv").read_text().splitlines()) == 1 + 3
    columns = [_without_times(tmp_path / name / "log.csv") for name in ("whole", "part")]
    assert columns[0] == columns[1], "also the rows that were read from the checkpoint stand under their names"


def _without_times(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return [{name: row[name] for name in ("epoch", "step", "loss", "lr", "images")} for row in csv.DictReader(file)]


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.bin", "random_states_0.pkl", "state.json"])
def test_a_damaged_checkpoint_is_said_to_be_and_the_next_start_is_clean(crops, tmp_path, name):
    whole = fit(RUN, crops, tmp_path)
    path = tmp_path / "checkpoint" / name
    path.write_bytes(path.read_bytes()[:len(path.read_bytes()) // 2])
    with pytest.raises(RunError, match="the checkpoint was damaged"):
        fit(RUN, crops, tmp_path)
    assert same(whole, fit(RUN, crops, tmp_path))


@pytest.mark.parametrize("leftover", [None, "checkpoint.next", "checkpoint.old"])
def test_a_finished_training_is_not_repeated_also_after_a_kill_while_its_checkpoint_is_replaced(
        crops, tmp_path, leftover):
    whole = fit(RUN, crops, tmp_path)
    if leftover == "checkpoint.old":  # killed between the two renames
        (tmp_path / "checkpoint").rename(tmp_path / leftover)
    elif leftover:  # killed while the next one was being written
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "model.safetensors").write_bytes(b"torn")
    again = fit(RUN, crops, tmp_path)
    assert same(whole, again) and whole.log == again.log


def test_the_persons_left_out_are_too_few_for_an_effective_batch(crops, tmp_path):
    """Of 29 persons in batches of 8, five are left out whether or not a batch is accumulated."""
    many = copy.copy(crops)
    many.persons = [crops.persons[i % len(crops)] for i in range(29)]
    for accumulate in (1, 2):
        run = replace(RUN, train=replace(RUN.train, batch_size=8, accumulate=accumulate, epochs=1))
        (row,) = fit(run, many, tmp_path / str(accumulate)).log
        assert row["step"] == 3 and row["images"] == 24


def test_the_average_has_the_weights_of_mmengines_exponential_momentum():
    """(1 - m) exp(-(1 + step) / gamma) + m with m = 1 - decay, a copy at step 0; after 61,000 updates it is 0.9998."""
    model = torch.nn.Linear(1, 1, bias=False)
    average, expected = MovingAverage(model, decay=0.9998, gamma=2000.0), model.weight.item()
    for step in range(4):
        model.weight.data.fill_(float(step * step))
        weight = 0.9998 * math.exp(-(1 + step) / 2000) + 0.0002 if step else 1.0
        expected = (1 - weight) * expected + weight * step * step
        average.update(step + 1)
        assert average.module.weight.item() == pytest.approx(expected, rel=1e-6)
    assert 1 - average.weight(61_000) == pytest.approx(0.9998)


def test_the_decay_reached_is_that_of_the_last_update(crops, tmp_path):
    trained = fit(RUN, crops, tmp_path)
    last = trained.log[-1]["step"]
    assert trained.ema_decay == pytest.approx(1 - (0.9 * math.exp(-last / 2) + 0.1))


def test_the_loss_falls_and_the_average_differs_from_the_raw_weights(crops, tmp_path):
    trained = fit(replace(RUN, train=replace(RUN.train, epochs=12)), crops, tmp_path)
    assert trained.log[-1]["loss"] < trained.log[0]["loss"]
    assert not torch.equal(next(trained.model.parameters()), next(trained.ema.parameters()))


def test_a_loss_that_is_not_finite_names_the_batch(crops, tmp_path):
    with pytest.raises(RunError, match=r"batch of annotations \d+.*the loss is nan in epoch 1, step 1"):
        fit(RUN, crops, tmp_path, Loss(lambda outputs, targets: (outputs["heatmap"].mean() * float("nan"),),
                                       all_keypoints))


def rates(config: TrainConfig, steps_per_epoch: int = 10) -> list[float]:
    optimizer = build_optimizer(torch.nn.Linear(2, 2), config)
    scheduler = build_scheduler(optimizer, config, steps_per_epoch)
    values = []
    for step in range(config.epochs * steps_per_epoch):
        scheduler.step_update(step)
        values.append(optimizer.param_groups[0]["lr"])
    return values


@pytest.mark.parametrize("schedule", ["cosine", "step", "flat_cosine"])
def test_schedules_warm_up_linearly_to_the_rate_and_end_low(schedule):
    values = rates(TrainConfig(epochs=20, lr=1e-3, warmup_epochs=2, schedule=schedule, milestones=(0.5, 0.75)))
    warmup = values[:20]
    assert warmup[0] == pytest.approx(1e-6) and max(values) == pytest.approx(1e-3)
    steps = [b - a for a, b in itertools.pairwise(warmup)]
    assert max(steps) == pytest.approx(min(steps))
    assert values[-1] < 2e-5
    assert (values[90] == pytest.approx(1e-3)) == (schedule != "cosine")


def test_norms_and_biases_are_not_decayed():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    groups = build_optimizer(model, TrainConfig(weight_decay=0.1)).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decay[id(model[0].weight)] == 0.1
    assert decay[id(model[0].bias)] == decay[id(model[1].weight)] == 0
