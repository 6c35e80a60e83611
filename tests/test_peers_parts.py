"""Parts of the convolutional systems: checkpoint files, SAR's codec, the losses, the two-stage augmentation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import systems_cnn as systems
from flatpose.checkpoints import convert, load_into
from flatpose.codecs import build_codec
from flatpose.complexity import ShapesOnly
from flatpose.config import (
    AugmentConfig,
    BaselineConfig,
    HeatmapCodecConfig,
    HRNetConfig,
    LossConfig,
    SARCodecConfig,
)
from flatpose.data import transforms
from flatpose.data.instances import Person
from flatpose.data.loader import Crops
from flatpose.errors import FlatPoseError
from flatpose.keypoints import COCO17
from flatpose.losses import build_loss
from flatpose.models import build_model
from flatpose.pipeline import _final_augment

CONFIG = BaselineConfig(backbone="resnet18", pretrained=False)


@pytest.fixture(scope="module")
def network():
    """A small network with weights that are not all equal."""
    torch.manual_seed(0)
    return build_model(CONFIG, HeatmapCodecConfig(), (64, 64), 17).eval()


@pytest.fixture
def empty():
    """The same network with other weights."""
    with ShapesOnly():
        return build_model(CONFIG, HeatmapCodecConfig(), (64, 64), 17).eval()


def official(network, style="official"):
    """The network's state under the names of SimpleBaseline's repository, or of mmpose."""
    trunk, head = ("backbone.", "head.") if style == "mmpose" else ("", "")
    names = (("backbone.net.", trunk), ("deconvs.", head + "deconv_layers."), ("head.", head + "final_layer."))
    return {next(new + key.removeprefix(old) for old, new in names if key.startswith(old)): value
            for key, value in network.state_dict().items()}


@pytest.mark.parametrize("wrap", [
    lambda state: state,
    lambda state: {"model": "pose_resnet", "state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3},
    lambda state: {"model": state},
    lambda state: {"state_dict": state, "meta": {"sigmas": np.ones(17), "AP": np.float64(0.7), "flip": np.arange(17)}},
    lambda state: {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")},
], ids=["plain", "training checkpoint", "under model", "numpy beside it", "without counters"])
@pytest.mark.parametrize("style", ["official", "mmpose"])
def test_wrappers_are_recognised(network, empty, tmp_path, wrap, style):
    torch.save(wrap(official(network, style)), tmp_path / "weights.pth")
    note = load_into(empty, CONFIG, tmp_path / "weights.pth").note
    assert note == ("mmpose names" if style == "mmpose" else "official names, BGR input")
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), empty.parameters(), strict=True))


def test_official_resnets_get_their_bgr_input(network, empty, tmp_path):
    """The repository swaps the channels and then subtracts the RGB means in RGB order; so must we."""
    torch.save(official(network), tmp_path / "weights.pth")
    load_into(empty, CONFIG, tmp_path / "weights.pth")
    pixels = torch.rand(1, 3, 64, 64) * 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))
    theirs = network((pixels.flip(1) - mean) / std)["heatmap"]
    torch.testing.assert_close(empty((pixels - mean) / std)["heatmap"], theirs, rtol=1e-4, atol=1e-6)


def test_differences_are_listed(network, empty, tmp_path):
    state = official(network)
    state["layer1.0.conv9.weight"] = state.pop("layer1.0.conv1.weight")
    state["final_layer.weight"] = torch.zeros(14, 256, 1, 1)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(FlatPoseError) as caught:
        load_into(empty, CONFIG, tmp_path / "weights.pth")
    text = str(caught.value)
    assert "weights.pth" in text and "missing (1 of " in text and "unknown (1 of " in text
    assert "conv9.weight (near: backbone.net.layer1.0.conv1.weight)" in text
    assert "head.weight (14, 256, 1, 1) in the file, (17, 256, 1, 1) in the network" in text
    assert empty.head.weight.shape[0] == 17 and not empty.head.weight.any()


def test_a_checkpoint_of_another_system_is_refused(network):
    with pytest.raises(FlatPoseError, match="unknown names"):
        convert(systems.rtmpose("m").model, official(network))
    with pytest.raises(FlatPoseError, match="no published checkpoint"):
        convert(replace(CONFIG, head="regression"), official(network))
    with pytest.raises(FlatPoseError, match="no tensors"):
        convert(HRNetConfig(), {"epoch": 3})
    with pytest.raises(FlatPoseError, match="two entries"):
        convert(HRNetConfig(), {"backbone.conv1.weight": torch.zeros(1), "head.conv1.weight": torch.zeros(1)})


def test_spatial_aware_loss_by_hand():
    """Two cells, weights 0.6 and 0.2: the first misses by 1/32 in x, the second is right."""
    outputs = {"logit": torch.tensor([[[[0.6, 0.2]]]]), "heatmap": torch.full((1, 1, 1, 2), -50.0),
               "keypoint": torch.tensor([[[[[0.5 + 1 / 32, 0.5]], [[0.5, 0.5]]]]])}
    targets = {"coords": torch.full((1, 1, 2), 0.5), "heatmap": torch.zeros(1, 1, 1, 2), "weights": torch.ones(1, 1)}
    loss = build_loss(LossConfig(kind="sar"), SARCodecConfig(), COCO17)
    assert loss(outputs, targets).item() == pytest.approx(-np.log(0.75 * np.exp(-0.5) + 0.25), abs=1e-5)
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


@pytest.fixture
def person(tmp_path):
    points = np.random.default_rng(0).uniform(60, 140, (17, 2))
    return Person(image_id=1, image_path=tmp_path / "none.jpg", person_id=1, bbox_xywh=np.array([50.0, 50, 100, 100]),
                  keypoints=points, keypoints_visible=np.full(17, 2), area=5000.0)


def test_truncated_changes_stay_within_one_deviation(person):
    config = AugmentConfig(rotation=80.0, rotation_probability=1.0, scale=0.4, shift=0.16, half_body=0.0,
                           truncated=True)
    plain = transforms.plain_view(person, (96, 128))
    views = [transforms.random_view(person, (96, 128), config, COCO17, np.random.default_rng(i)) for i in range(400)]
    turns = np.array([view.rotation for view in views])
    ratios = np.array([(view.scale / plain.scale)[0] for view in views])
    shifts = np.array([(view.center - plain.center) / (1.25 * person.bbox_xywh[2:]) for view in views])
    assert np.abs(turns).max() <= 80 and np.abs(turns).max() > 70
    assert ratios.min() >= 0.6 and ratios.max() <= 1.4 and not np.isin(ratios, [0.6, 1.4]).any()
    assert np.abs(shifts).max() <= 0.16
    assert 0.2 < (shifts[:, 0] != 0).mean() < 0.4  # the probability of a shift is 0.3
    # A normal distribution cut at one deviation has deviation 0.5396 of the uncut one's.
    assert turns.std() == pytest.approx(0.5396 * 80, rel=0.08)


def test_blur_changes_pixels_only_when_asked():
    pixels = np.random.default_rng(0).integers(0, 256, (128, 96, 3), dtype=np.uint8)
    off = transforms.change_pixels(pixels.copy(), AugmentConfig(), np.random.default_rng(0))
    assert np.array_equal(off, pixels)
    blurred = transforms.change_pixels(pixels.copy(), AugmentConfig(blur=1.0), np.random.default_rng(0))
    assert blurred.shape == pixels.shape and blurred.std() < pixels.std()


def test_the_final_stage_starts_at_its_epoch():
    run = systems.rtmpose("m")
    assert _final_augment(run) == (390, systems.AUGMENT_RTMPOSE_FINAL)
    assert _final_augment(systems.hrnet()) is None
    still = AugmentConfig(flip=0.0, rotation_probability=0.0, scale=0.0, half_body=0.0)
    mirror = replace(still, flip=1.0)
    someone = Person(image_id=1, image_path=Path("drawn"), person_id=1, bbox_xywh=np.array([10.0, 10, 50, 80]),
                     keypoints=np.full((17, 2), 20.0), keypoints_visible=np.full(17, 2), area=1.0)
    crops = Crops([someone], COCO17, (64, 64), udp=False, augment=still, final=(5, mirror))
    crops.cache.images[Path("drawn")] = np.zeros((100, 100, 3), np.uint8)
    before, after = crops[(4, 0)]["keypoints"], crops[(5, 0)]["keypoints"]
    np.testing.assert_allclose(after[:, 0], 63 - before[:, 0], atol=1e-4)
