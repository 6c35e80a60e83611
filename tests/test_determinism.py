"""The determinism ledger of docs/reliability.md: what is equal to the bit, and what only nearly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from test_train import fit
from tiny import write_coco
from torch import Tensor
from torch.utils.data import DataLoader

from flatpose.codecs import build_codec
from flatpose.config import BaselineConfig, EvalConfig, HeatmapCodecConfig, RunConfig, TrainConfig
from flatpose.data import PoseData, load_coco
from flatpose.data.loader import Crops, EpochSampler
from flatpose.evaluate import predict
from flatpose.models import build_model
from flatpose.progress import SILENT

RUN = RunConfig(image_size=(64, 64), codec=HeatmapCodecConfig(stride=32), eval=EvalConfig(batch_size=4),
                model=BaselineConfig(backbone="resnet_quick", pretrained=False, num_deconvs=0),
                train=TrainConfig(epochs=2, batch_size=4, ema_decay=None, warmup_epochs=0))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PoseData:
    return load_coco(write_coco(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def crops(data: PoseData) -> Crops:
    return Crops(data.train.persons, data.keypoint_set, RUN.image_size, udp=False, augment=RUN.augment, seed=3)


def weights(data: PoseData, folder: Path) -> dict[str, Tensor]:
    """Of a short training with the current number of threads."""
    return fit(RUN, crops(data), folder).model.state_dict()


def test_batches_are_equal_to_the_bit_for_any_number_of_workers(data):
    def batches(workers: int) -> list[dict[str, Tensor]]:
        sampler = EpochSampler(len(data.train.persons), shuffle=True, seed=3)
        sampler.epoch = 2
        return list(DataLoader(crops(data), 4, sampler=sampler, num_workers=workers))

    alone, shared = batches(0), batches(2)
    assert len(alone) == len(shared) > 1
    assert all(torch.equal(a[name], b[name]) for a, b in zip(alone, shared, strict=True) for name in a)


def test_training_twice_is_equal_to_the_bit(data, tmp_path):
    first, second = weights(data, tmp_path / "a"), weights(data, tmp_path / "b")
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow  # two threads that wait for one busy core do so actively
def test_another_number_of_threads_gives_nearly_the_same(data, tmp_path, threads):
    """The order in which torch adds up may change with it; this is why a record names its threads."""
    torch.set_num_threads(1)
    one = weights(data, tmp_path / "one")
    torch.set_num_threads(2)
    two = weights(data, tmp_path / "two")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4)


def test_another_evaluation_batch_gives_nearly_the_same(data):
    """Convolutions of another batch size may add up in another order."""
    torch.manual_seed(0)
    model = build_model(RUN.model, RUN.codec, RUN.image_size, 17)
    codec = build_codec(RUN.codec, RUN.image_size, 17)
    found = [predict(model, codec, data.val.persons, data, replace(RUN, eval=EvalConfig(batch_size=size)),
                     Accelerator(cpu=True), SILENT) for size in (1, 4)]
    assert found[0].scores == pytest.approx(found[1].scores, abs=1e-5)
