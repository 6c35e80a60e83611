"""A user's own keypoint set: read, refused, trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from accelerate import Accelerator
from tiny import RUN, annotations, edit, write, write_coco

from flatpose import benchmarks
from flatpose.codecs import build_codec
from flatpose.config import DataConfig, EvalConfig, HeatmapCodecConfig
from flatpose.data import load
from flatpose.errors import DataError
from flatpose.evaluate import evaluate
from flatpose.keypoints import COCO17, CROWDPOSE14, DEFAULT_SIGMA, MPII16, read_keypoint_set
from flatpose.models import build_model
from flatpose.pipeline import execute
from flatpose.progress import SILENT

SIX = {"name": "six", "keypoints": ["head", "neck", "left_hand", "right_hand", "left_foot", "right_foot"],
       "flip_pairs": [["left_hand", "right_hand"], ["left_foot", "right_foot"]],
       "skeleton": [["head", "neck"], ["neck", "left_hand"]], "upper_body": ["head", "neck"],
       "sigmas": [0.03, 0.05, 0.06, 0.06, 0.09, 0.09]}
OWN = replace(RUN, data=DataConfig(source="disk", task="custom"), codec=HeatmapCodecConfig(),
              model=replace(RUN.model, num_deconvs=3, deconv_dim=16))


def written(folder: Path, content: object) -> Path:
    return write(folder / "keypoints.json", content)


def test_names_become_indices_and_only_name_and_keypoints_are_needed(tmp_path):
    found = read_keypoint_set(written(tmp_path, SIX))
    assert found.flip_index.tolist() == [0, 1, 3, 2, 5, 4]
    assert found.skeleton == ((0, 1), (1, 2)) and found.lower_body == (2, 3, 4, 5)
    assert found.sigmas == tuple(SIX["sigmas"])
    found = read_keypoint_set(written(tmp_path, {"name": "one", "keypoints": ["tip"]}))
    assert found.sigmas == (DEFAULT_SIGMA,) and found.flip_index.tolist() == [0]


@pytest.mark.parametrize("names, lost", [
    (("head", "left_paw", "right_paw"), ("left_paw", "right_paw")),
    (("paw_l", "paw_r"), ("paw_l", "paw_r")), (("leftPaw", "rightPaw"), ("leftPaw", "rightPaw")),
    (("L_paw", "R_paw"), ("L_paw", "R_paw")), (("lefteye", "righteye"), ("lefteye", "righteye")),
    (("Lhip", "Rhip"), ("Lhip", "Rhip")), (("left_paw_l", "left_paw_r"), ("left_paw_l", "left_paw_r")),
    (("left_over", "tail", "rail", "tall"), ()), (("a", "b"), ())])
def test_sides_in_names_without_flip_pairs_are_noticed(tmp_path, names, lost):
    found = read_keypoint_set(written(tmp_path, {"name": "n", "keypoints": list(names)}))
    assert found.unpaired == lost and found.can_flip is not bool(lost)
    assert COCO17.can_flip and CROWDPOSE14.can_flip and MPII16.can_flip


def test_flip_pairs_that_join_the_wrong_partners_are_noticed(tmp_path):
    names = ["left_eye", "right_eye", "left_ear", "right_ear"]
    pairs = [["left_eye", "right_ear"], ["right_eye", "left_ear"]]
    found = read_keypoint_set(written(tmp_path, {"name": "n", "keypoints": names, "flip_pairs": pairs}))
    assert found.unpaired == tuple(names) and not found.can_flip


@pytest.mark.parametrize(("change", "message"), [
    ({"keypoints": []}, "keypoints: List should have at least 1"),
    ({"keypoints": ["a", "a"]}, "'a' is named twice"),
    ({"sigmas": [0.1]}, "1 values for 6 keypoints"),
    ({"sigmas": [0.0] * 6}, "sigmas.0"),
    ({"flip_pairs": [["left_hand", "right_hnad"]]}, "right_hand"),
    ({"flip_pairs": [["left_hand"]]}, "flip_pairs.0"),
    ({"flip_pairs": [["left_hand", "left_hand"]]}, "two places"),
    ({"upper_body": ["torso"]}, "'torso' is not among"),
    ({"name": "../up"}, "name"),
    ({"skelton": []}, "skeleton"),
])
def test_what_is_wrong_is_named(tmp_path, change, message):
    with pytest.raises(DataError, match="write"):
        read_keypoint_set(tmp_path / "keypoints.json")
    with pytest.raises(DataError) as caught:
        read_keypoint_set(written(tmp_path, {**SIX, **change}))
    assert message in str(caught.value) and "keypoints.json" in str(caught.value)


@pytest.fixture
def own_tree(tmp_path) -> Path:
    """A COCO-like tree whose persons keep six of their keypoints."""
    root = write_coco(tmp_path / "data", images={"train": 4, "val": 2})
    for split in ("train", "val"):
        edit(annotations(root, split), lambda c: [c["categories"][0].update(keypoints=SIX["keypoints"]), *(
            a.update(keypoints=a["keypoints"][:18], num_keypoints=6) for a in c["annotations"])])
    written(root, SIX)
    return root


def test_it_trains_and_is_scored_with_its_own_sigmas(own_tree, tmp_path):
    data = load(OWN.data, own_tree)
    assert data.keypoint_set.name == "six" and data.notes == (), "all detections are used, and nothing about mirrors"
    measured = execute(OWN, seed=0, data_root=own_tree, work_dir=tmp_path / "run", reporter=SILENT)
    assert measured["data"]["task"] == "custom"
    ceiling = next(r for r in measured["results"] if r["kind"] == "ceiling")
    assert 0 < ceiling["metrics"]["AP"] <= 1


def test_without_flip_pairs_it_is_trained_and_tested_without_the_mirror(own_tree):
    """A perfect network would fall from .900 to .253 AP under the flip test."""
    written(own_tree, {k: v for k, v in SIX.items() if k != "flip_pairs"})
    data = load(OWN.data, own_tree)
    assert any("mirror images are not used: left_hand, right_hand" in note for note in data.notes)
    assert [f.severity for f in benchmarks.get("custom").check(own_tree)].count("warning") == 1
    network = build_model(OWN.model, OWN.codec, OWN.image_size, 6)
    codec, accelerator = build_codec(OWN.codec, OWN.image_size, 6), Accelerator(cpu=True)
    found = [evaluate(replace(OWN, eval=EvalConfig(flip_test=flip)), data, codec, {"raw": network}, accelerator,
                      SILENT)[0] for flip in (True, False)]
    assert found[0] == found[1] and found[0]["flip_test"] is False
