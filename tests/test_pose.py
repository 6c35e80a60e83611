"""``Pose`` and checkpoints that explain themselves."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from flatpose.config import BaselineConfig, RunConfig
from flatpose.config.codec import SimCCCodecConfig
from flatpose.errors import FlatPoseError
from flatpose.keypoints import COCO17
from flatpose.models import build_model
from flatpose.pose_checkpoint import CONFIG, WEIGHTS, Checkpoint, load_checkpoint, model_card, save_checkpoint
from flatpose.predict import Pose

RUN = RunConfig(image_size=(96, 96), codec=SimCCCodecConfig(), profile="smoke",
                model=BaselineConfig(backbone="resnet_quick", pretrained=False, num_deconvs=0, head="simcc"))
IMAGE = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
BOXES = [[10.0, 5.0, 40.0, 70.0], [60.0, 20.0, 30.0, 60.0], [-5.0, -5.0, 200.0, 40.0]]


@pytest.fixture(scope="module")
def tiny() -> Checkpoint:
    torch.manual_seed(0)
    return Checkpoint(RUN, COCO17, build_model(RUN.model, RUN.codec, RUN.image_size, 17).eval(), {"seed": 3})


def test_save_and_load_give_the_same_answers(tiny, tmp_path):
    before = Pose(tiny, device="cpu")
    before.save_pretrained(tmp_path)
    for place in (tmp_path, tmp_path / WEIGHTS):
        after = Pose.from_pretrained(place, device="cpu")
        assert after.checkpoint.run == RUN and after.keypoint_set == COCO17 and after.checkpoint.record == {"seed": 3}
        for a, b in zip(before(IMAGE, BOXES), after(IMAGE, BOXES), strict=True):
            np.testing.assert_array_equal(a, b)
    assert json.loads((tmp_path / CONFIG).read_text())["run"]["image_size"] == [96, 96]


def test_batches_and_order_do_not_change_answers(tiny):
    pose = Pose(tiny, device="cpu")
    keypoints, scores = pose(IMAGE, BOXES)
    assert keypoints.shape == (3, 17, 2) and scores.shape == (3, 17)
    one = pose(IMAGE, BOXES[1:2])[0]
    np.testing.assert_allclose(one[0], keypoints[1], atol=1e-3)
    np.testing.assert_allclose(pose(IMAGE, BOXES, batch_size=1)[1], scores, atol=1e-5)
    assert [a.shape for a in pose(IMAGE, [])] == [(0, 17, 2), (0, 17)]


def test_keypoints_are_in_image_pixels(tiny):
    """Box and picture moved together move the answer with them."""
    pose = Pose(tiny, device="cpu")
    wide = np.zeros((190, 220, 3), np.uint8)
    wide[60:150, 30:150] = IMAGE
    box = np.array([[30.0, 20.0, 40.0, 40.0]])  # its padded crop lies inside the picture
    moved = pose(wide, box + np.array([30, 60, 0, 0]))[0]
    np.testing.assert_allclose(moved, pose(IMAGE, box)[0] + np.array([30, 60]), atol=0.1)


def test_flip_test_is_symmetric_under_mirroring(tiny):
    """Of the averaged outputs: mirrored picture, same scores with left and right exchanged."""
    square = np.ascontiguousarray(IMAGE[:90, :90])
    run = replace(RUN, codec=replace(RUN.codec, udp=True))
    pose = Pose(replace(tiny, run=run), device="cpu")
    scores = pose(square, flip_test=True)[1]
    mirrored = pose(np.ascontiguousarray(square[:, ::-1]), flip_test=True)[1]
    np.testing.assert_allclose(mirrored, scores[:, COCO17.flip_index], rtol=0.02, atol=1e-4)
    assert not np.allclose(pose(square)[1], scores, rtol=1e-3)


@pytest.mark.parametrize("image, boxes, message", [
    (IMAGE.astype(float), None, "an image of form float64"), ("a.jpg", None, "an image of form str"),
    (IMAGE, [[1, 2, 3]], r"boxes of shape \(1, 3\)"), (IMAGE, [[1, 2, 0, 3]], "has no area"),
    (IMAGE, [[1, 2, float("nan"), 3]], "has no area"), (IMAGE, [["a"] * 4], "not numbers")])
def test_wrong_arguments_are_named(tiny, image, boxes, message):
    with pytest.raises(FlatPoseError, match=message):
        Pose(tiny)(image, boxes)


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_a_hostile_pickle_is_refused(tmp_path):
    torch.save({"a": _Trap(tmp_path / "sprung")}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(_Trap(tmp_path / "sprung")))
    (tmp_path / "c.safetensors").write_bytes(pickle.dumps(_Trap(tmp_path / "sprung")))
    for name in ("a.pth", "b.pth", "c.safetensors"):
        with pytest.raises(FlatPoseError) as caught:
            Pose.load(tmp_path / name)
        assert name in str(caught.value)
    assert not (tmp_path / "sprung").exists()


def _described(tiny: Checkpoint, path: Path, **changes: object) -> Path:
    facts = {**tiny.describe(), **changes}
    save_file(tiny.network.state_dict(), path, {"flatpose": json.dumps(facts)})
    return path


@pytest.mark.parametrize("changes, message", [
    ({"format": "flatpose-pose/9"}, "a checkpoint of form 'flatpose-pose/9'"), ({"run": {"profil": 1}}, "not whole"),
    ({"keypoint_set": {}}, "not whole"), ({"record": 3}, "not whole")])
def test_a_description_that_is_not_whole_is_named(tiny, tmp_path, changes, message):
    with pytest.raises(FlatPoseError, match=message):
        load_checkpoint(_described(tiny, tmp_path / "a.safetensors", **changes))


def test_weights_of_another_network_or_of_none(tiny, tmp_path):
    save_checkpoint(tiny, tmp_path)
    state = load_file(tmp_path / WEIGHTS)
    save_file(state, tmp_path / "bare.safetensors")
    with pytest.raises(FlatPoseError, match="weights alone"):
        load_checkpoint(tmp_path / "bare.safetensors")
    state.pop(next(name for name in state if name.endswith("weight")))
    save_file(state, tmp_path / "less.safetensors", {"flatpose": json.dumps(tiny.describe())})
    with pytest.raises(FlatPoseError, match="not those of the network"):
        load_checkpoint(tmp_path / "less.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / WEIGHTS).read_bytes()[:5000])
    for name, message in (("cut.safetensors", "no readable weights"), ("none.safetensors", "no such file")):
        with pytest.raises(FlatPoseError, match=message):
            load_checkpoint(tmp_path / name)


def test_half_is_half_the_size_and_answers_alike(tiny, tmp_path):
    save_checkpoint(tiny, tmp_path / "full")
    save_checkpoint(tiny, tmp_path / "half", half=True)
    sizes = [(tmp_path / name / WEIGHTS).stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    scores = [Pose.load(tmp_path / name)(IMAGE)[1] for name in ("full", "half")]
    np.testing.assert_allclose(*scores, rtol=0.02)


def test_the_network_that_comes_along_has_a_current_card():
    found = load_checkpoint()
    folder = Path(sys.modules["flatpose.pose_checkpoint"].__file__).parent / "weights"
    facts = json.loads((folder / CONFIG).read_text())
    assert (folder / "README.md").read_text() == model_card(facts)
    assert "**Cost** 1.50 M parameters, 0.038 G multiply-adds" in model_card(facts)
    assert {k: facts[k] for k in ("run", "record")} == {k: json.loads(json.dumps(found.describe()))[k]
                                                       for k in ("run", "record")}
    assert (folder / WEIGHTS).stat().st_size <= 6 << 20
    assert any(r["kind"] == "trained" and r["metrics"]["AP"] > 0 for r in found.record["results"])


def test_pose_is_there_and_torch_is_not_until_asked():
    code = "import sys, flatpose; assert 'torch' not in sys.modules; from flatpose import Pose; assert Pose.load"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_description_of_a_giant_takes_no_memory(tiny, tmp_path):
    facts = tiny.describe()
    facts["run"]["model"] |= {"num_deconvs": 3, "deconv_dim": 1 << 19}
    with pytest.raises(FlatPoseError, match=r"describes a network of .* parameters and holds"):
        load_checkpoint(_described(tiny, tmp_path / "a.safetensors", run=facts["run"]))
