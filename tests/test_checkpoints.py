"""Files of weights: prefixes, averages and damage are recognised; described checkpoints load as they were saved."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_pose import IMAGE, RUN, tiny_checkpoint

from flatpose.checkpoints.described import (
    BUNDLED,
    CONFIG,
    WEIGHTS,
    Checkpoint,
    load_checkpoint,
    model_card,
    save_checkpoint,
)
from flatpose.checkpoints.fit import load_into
from flatpose.errors import FlatPoseError
from flatpose.keypoints import COCO17
from flatpose.models import build_model
from flatpose.predict import Pose


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
    state.pop(next(name for name in state if name.endswith("running_mean")))
    save_file(state, tmp_path / "less.safetensors", {"flatpose": json.dumps(tiny.model_dump(mode="json"))})
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / WEIGHTS).read_bytes()[:5000])
    for name, message in (("cut", "no readable weights"), ("none", "no such file"), ("bare", "without a description"),
                          ("less", "describes a network of|do not fit")):
        with pytest.raises(FlatPoseError, match=message):
            load_checkpoint(tmp_path / f"{name}.safetensors")


def test_the_bundled_network_has_a_current_card_and_stays_small():
    facts = json.loads((BUNDLED.parent / CONFIG).read_text())
    assert (BUNDLED.parent / "README.md").read_text() == model_card(facts)
    assert facts["record"] == load_checkpoint().record
    assert BUNDLED.stat().st_size <= 6 << 20
