"""Exported networks answer as PyTorch does, for every system, at any batch size."""

from __future__ import annotations

import importlib.util
import json

import cv2
import numpy as np
import pytest
import torch
from test_golden import CASES
from tiny import ROOT, python

from flatpose import benchmarks
from flatpose.checkpoints.described import Checkpoint, load_checkpoint, save_checkpoint
from flatpose.config import RunConfig
from flatpose.errors import FlatPoseError
from flatpose.export import export
from flatpose.models import build_model
from flatpose.predict import Pose

HAS_ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))
REDUCED = {run.model.kind: run for run in CASES.values()}
"""One size-reduced member of every system."""
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="needs the extra onnx")


def untrained(run: RunConfig) -> Checkpoint:
    torch.manual_seed(0)
    points = benchmarks.get(run.data.task).keypoints()
    network = build_model(run.model, run.codec, run.image_size, len(points), pretrained=False)
    return Checkpoint(run=run, keypoint_set=points, network=network.eval(), record={})


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(REDUCED))
def test_onnx_of_every_system(kind, tmp_path):
    save_checkpoint(untrained(REDUCED[kind]), tmp_path)
    facts = export(load_checkpoint(tmp_path), tmp_path / "model.onnx")
    assert facts["parity"]["batches"] == [1, 3]
    assert facts["parity"]["max_abs_difference"] < 1e-3
    assert facts["parity"]["max_keypoint_difference_px"] < 0.5


@needs_onnx
@pytest.mark.slow
def test_onnx_and_the_example_without_torch(tmp_path):
    path = tmp_path / "pose.onnx"
    facts = export(load_checkpoint(), path)
    assert json.loads((tmp_path / "pose.onnx.json").read_text()) == facts
    assert facts["parity"]["max_abs_difference"] < 1e-3
    image = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    image = cv2.resize(image, (160, 120), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    code = (f"import sys, runpy; sys.argv = ['x', {str(path)!r}, {str(tmp_path / 'a.png')!r}, '--out', "
            f"{str(tmp_path / 'b.jpg')!r}, '--box', '20', '10', '60', '90']\n"
            f"runpy.run_path({str(ROOT / 'examples' / 'onnx_pose.py')!r}, run_name='__main__')\n"
            "assert not {'torch', 'flatpose'} & set(sys.modules)")
    answer = python(tmp_path, "-c", code)
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    keypoints, scores = Pose.load()(image, [[20, 10, 60, 90]])
    assert np.abs(np.array(found["keypoints"]) - keypoints).max() < 0.05
    assert np.abs(np.array(found["scores"]) - scores).max() < 1e-3
    assert (tmp_path / "b.jpg").is_file()


def test_torch_export(tmp_path):
    facts = export(load_checkpoint(), tmp_path / "pose.pt2")
    assert facts["parity"]["max_abs_difference"] < 1e-4 and facts["parity"]["max_keypoint_difference_px"] < 0.01


def test_a_wrong_ending_and_a_missing_package(tmp_path, monkeypatch):
    with pytest.raises(FlatPoseError, match=r"no export to \.txt"):
        export(load_checkpoint(), tmp_path / "pose.txt")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FlatPoseError, match="onnx, onnxscript, onnxruntime not installed"):
        export(load_checkpoint(), tmp_path / "pose.onnx")
    assert list(tmp_path.iterdir()) == []


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("pack, system", [("simplebaseline_r50_256x192", "simplebaseline_r50"),
                                          ("rtmpose_m_256x192", "rtmpose_m"), ("vitpose_s_256x192", "vitpose_s")])
def test_a_published_file_is_packed_predicts_and_is_exported(pack, system, compare, shared_data, tmp_path):
    """One network and one answer on real pictures: as loaded, and as packed; the first is fed BGR."""
    from flatpose.harness.networks import resolve_network

    torch.save({"state_dict": compare.weights(compare.load(pack))}, tmp_path / "official.pth")
    loaded = resolve_network(str(tmp_path / "official.pth"), system)
    assert loaded.bgr == (system == "simplebaseline_r50")
    save_checkpoint(loaded, tmp_path / "packed")
    packed = resolve_network(str(tmp_path / "packed"))
    images = sorted(p for p in shared_data.rglob("*.jpg"))[:2]
    before, after = (Pose(found, device="cpu")(images) for found in (loaded, packed))
    for (a, s), (b, t) in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(s, t)
    assert export(packed, tmp_path / "pose.onnx")["parity"]["max_keypoint_difference_px"] < 0.5


def test_a_network_of_an_unknown_number_of_keypoints_is_refused(cli, tmp_path):
    """The rows of a custom experiment: how many keypoints there are stands beside the data."""
    spec = ROOT / "examples" / "own_experiment.py"
    for command in (["export", spec, "--row", "simcc", "-o", tmp_path / "a.onnx"], ["cost", spec]):
        answer = cli(*command)
        assert answer.code == 2 and "keypoints.json" in answer.err
