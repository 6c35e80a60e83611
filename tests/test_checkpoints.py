"""Files of weights: prefixes, averages and damage are recognised; described checkpoints load as they were saved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_pose import IMAGE, RUN, tiny_checkpoint

from experiments import systems_cnn
from flatpose.checkpoints.described import (
    BUNDLED,
    CONFIG,
    WEIGHTS,
    Checkpoint,
    load_checkpoint,
    model_card,
    save_checkpoint,
)
from flatpose.checkpoints.fit import load_into, published
from flatpose.complexity import ShapesOnly
from flatpose.config import BaselineConfig, HeatmapCodecConfig, HRNetConfig
from flatpose.errors import FlatPoseError
from flatpose.keypoints import COCO17
from flatpose.models import build_model
from flatpose.predict import Pose

RESNET = BaselineConfig(backbone="resnet18", pretrained=False)


@pytest.fixture(scope="module")
def tiny() -> Checkpoint:
    return tiny_checkpoint()


def fresh() -> torch.nn.Module:
    return build_model(RUN.model, RUN.codec, RUN.image_size, 17)


def saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("prefix", ["module.", "model.", "module._orig_mod.", "_orig_mod.module.model.",
                                    "model.model._orig_mod."])
def test_prefixes_in_any_nesting_and_profiler_counters(tiny, tmp_path, prefix):
    state = {prefix + name.replace("backbone.", "backbone._orig_mod."): value  # a part of it compiled
             for name, value in tiny.network.state_dict().items()}
    counters = {f"{prefix}{name}": torch.zeros(1) for name in ("total_ops", "backbone.net.conv1.total_params")}
    network = fresh()
    fit = load_into(network, RUN.model, saved({"state_dict": {**state, **counters}, "n_averaged": torch.tensor(1)},
                                              tmp_path / "a.pth"))
    assert fit.note == "our own names"
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), tiny.network.parameters(), strict=True))


@pytest.mark.parametrize("ema, raw, taken", [("state_dict_ema", "state_dict", "state_dict_ema"),
                                             ("model_ema", "model", "model_ema"),
                                             ("state_dict", "ema_state_dict", "state_dict")])
def test_averaged_weights_are_taken_and_named(tmp_path, ema, raw, taken):
    """timm stores the average under a name of its own; mmengine exchanges the two."""
    network, average = fresh(), {name: torch.full_like(v, 2) for name, v in fresh().state_dict().items()}
    other = {name: torch.full_like(v, 1) for name, v in average.items()}
    fit = load_into(network, RUN.model, saved({raw: other, ema: average, "meta": {}}, tmp_path / "a.pth"))
    assert fit.note == f"our own names, averaged weights from {taken!r}"
    assert all((value == 2).all() for value in network.parameters())


@pytest.mark.parametrize("average", [{}, {"module": {}}], ids=["flat", "nested"])
def test_an_average_that_is_not_taken_is_named(tiny, tmp_path, average):
    content = {"model": tiny.network.state_dict(), "ema": average}
    fit = load_into(fresh(), RUN.model, saved(content, tmp_path / "a.pth"))
    assert fit.note == "our own names, weights from 'model', not from 'ema'"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tiny, tmp_path, value):
    state = {name: v.clone() for name, v in tiny.network.state_dict().items()}
    state["head.cls_x.weight"][0, 3] = value
    with pytest.raises(FlatPoseError, match=r"a\.pth: 1 of \d+ weights are NaN or infinite: head\.cls_x\.weight"):
        load_into(fresh(), RUN.model, saved(state, tmp_path / "a.pth"))
    save_file(state, tmp_path / "b.safetensors", {"flatpose": json.dumps(tiny.model_dump(mode="json"))})
    with pytest.raises(FlatPoseError, match=r"b\.safetensors: 1 of \d+ weights are NaN"):
        load_checkpoint(tmp_path / "b.safetensors")


def test_after_a_mismatch_the_naming_that_fits_best_is_reported(tiny, tmp_path):
    ours = dict(tiny.network.state_dict())
    del ours["head.cls_x.weight"]
    with pytest.raises(FlatPoseError, match=r"under our own names(.|\n)*missing \(1 of \d+\): head\.cls_x\.weight"):
        load_into(fresh(), RUN.model, saved(ours, tmp_path / "a.pth"))


def test_save_and_load_give_the_same_answers(tiny, tmp_path):
    before = Pose(tiny, device="cpu")
    before.save_pretrained(tmp_path)
    for place in (tmp_path, tmp_path / WEIGHTS):
        after = Pose.from_pretrained(place, device="cpu")
        assert after.checkpoint.run == RUN and after.keypoint_set == COCO17 and after.checkpoint.record == {"seed": 3}
        for a, b in zip(before(IMAGE), after(IMAGE), strict=True):
            np.testing.assert_array_equal(a, b)


def test_half_precision_halves_the_file_and_keeps_the_answers(tiny, tmp_path):
    for name, half in (("full", False), ("half", True)):
        save_checkpoint(tiny, tmp_path / name, half=half)
    sizes = [(tmp_path / name / WEIGHTS).stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    np.testing.assert_allclose(*[Pose.load(tmp_path / name)(IMAGE)[1] for name in ("full", "half")], rtol=0.02)


def test_the_folder_of_a_run_is_a_checkpoint(tiny, tmp_path):
    save_file(tiny.network.state_dict(), tmp_path / "weights.safetensors")
    record = {"status": "done", "seed": 3, "spec": tiny.model_dump(mode="json")["run"]}
    (tmp_path / "record.json").write_text(json.dumps(record))
    found = load_checkpoint(tmp_path)
    assert found.run == RUN and found.record == {"status": "done", "seed": 3}
    (tmp_path / "record.json").write_text(json.dumps({**record, "status": "failed"}))
    with pytest.raises(FlatPoseError, match="no finished run"):
        load_checkpoint(tmp_path)
    (tmp_path / "record.json").write_text(json.dumps({**record, "spec": {"size": 3}}))
    with pytest.raises(FlatPoseError, match="does not fit this version"):
        load_checkpoint(tmp_path)


def _giant(facts: dict) -> dict:
    return {**facts["run"], "model": {**facts["run"]["model"], "num_deconvs": 3, "deconv_dim": 1 << 19}}


@pytest.mark.parametrize("changes, message", [
    (lambda facts: {"format": "flatpose-pose/9"}, "description is incomplete .format"),
    (lambda facts: {"run": {"profil": 1}}, "description is incomplete"),
    (lambda facts: {"keypoint_set": {**facts["keypoint_set"], "skeleton": [[0, 99]]}}, "does not exist"),
    (lambda facts: {"run": _giant(facts)}, "describes a network of .* parameters and holds")])
def test_a_wrong_description_is_named(tiny, tmp_path, changes, message):
    facts = tiny.model_dump(mode="json")
    facts |= changes(facts)
    save_file(tiny.network.state_dict(), tmp_path / "a.safetensors", {"flatpose": json.dumps(facts)})
    with pytest.raises(FlatPoseError, match=message):
        load_checkpoint(tmp_path / "a.safetensors")


def test_weights_of_another_network_or_of_none(tiny, tmp_path):
    save_checkpoint(tiny, tmp_path)
    state = load_file(tmp_path / WEIGHTS)
    save_file(state, tmp_path / "bare.safetensors")
    assert load_into(fresh(), RUN.model, tmp_path / "bare.safetensors").note == "our own names"
    state.pop(next(name for name in state if name.endswith("running_mean")))
    save_file(state, tmp_path / "less.safetensors", {"flatpose": json.dumps(tiny.model_dump(mode="json"))})
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / WEIGHTS).read_bytes()[:5000])
    for name, message in (("cut", "no readable weights"), ("none", "no such file"), ("bare", "without a description"),
                          ("less", "describes a network of|do not fit")):
        with pytest.raises(FlatPoseError, match=message):
            load_checkpoint(tmp_path / f"{name}.safetensors")


def test_the_bundled_network_says_what_it_is_and_stays_small():
    facts = json.loads((BUNDLED.parent / CONFIG).read_text())
    assert (BUNDLED.parent / "README.md").read_text() == model_card(facts)
    assert facts["record"] == load_checkpoint().record
    assert BUNDLED.stat().st_size <= 6 << 20


@pytest.fixture(scope="module")
def network():
    """A small network with weights that are not all equal."""
    torch.manual_seed(0)
    return build_model(RESNET, HeatmapCodecConfig(), (64, 64), 17).eval()


@pytest.fixture
def empty():
    """The same network with other weights."""
    with ShapesOnly():
        return build_model(RESNET, HeatmapCodecConfig(), (64, 64), 17).eval()


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
    note = load_into(empty, RESNET, tmp_path / "weights.pth").note
    assert note == ("mmpose names" if style == "mmpose" else "official names, BGR input")
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), empty.parameters(), strict=True))


def test_official_resnets_get_their_bgr_input(network, empty, tmp_path):
    """The repository swaps the channels and then subtracts the RGB means in RGB order; so must we."""
    torch.save(official(network), tmp_path / "weights.pth")
    load_into(empty, RESNET, tmp_path / "weights.pth")
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
        load_into(empty, RESNET, tmp_path / "weights.pth")
    text = str(caught.value)
    assert "weights.pth" in text and "missing (1 of " in text and "unknown (1 of " in text
    assert "conv9.weight (near: backbone.net.layer1.0.conv1.weight)" in text
    assert "head.weight (14, 256, 1, 1) in the file, (17, 256, 1, 1) in the network" in text
    assert empty.head.weight.shape[0] == 17 and not empty.head.weight.any()


def test_a_checkpoint_of_another_system_is_refused(network, tmp_path):
    with pytest.raises(FlatPoseError, match="do not fit model 'rtmpose'"):
        load_into(network, systems_cnn.rtmpose("m").model, saved(official(network), tmp_path / "a.pth"))
    with pytest.raises(FlatPoseError, match="no tensors"):
        load_into(network, RESNET, saved({"epoch": 3}, tmp_path / "b.pth"))
    with pytest.raises(FlatPoseError, match="no published checkpoint"):
        published(replace(RESNET, head="regression"), official(network))
    with pytest.raises(FlatPoseError, match="two entries"):
        published(HRNetConfig(), {"backbone.conv1.weight": torch.zeros(1), "head.conv1.weight": torch.zeros(1)})
