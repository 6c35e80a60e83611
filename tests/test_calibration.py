"""``pack --calibrate``: scores that are shares of right answers, stored with the weights."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from tiny_pose import IMAGE, tiny_checkpoint

from flatpose.calibration import fit
from flatpose.checkpoints.described import load_checkpoint, save_checkpoint
from flatpose.errors import FlatPoseError
from flatpose.predict import Pose

BOXES = [[10.0, 5.0, 40.0, 70.0], [60.0, 20.0, 30.0, 60.0]]


def test_the_map_gives_the_share_of_right_answers_on_other_keypoints():
    rng = np.random.default_rng(0)
    scores = rng.random((2, 4000))
    right = rng.random((2, 4000)) < scores**2
    knots = fit(scores[0], right[0])
    found = np.interp(scores[1], *zip(*knots, strict=True))
    assert all(low <= high for low, high in pairwise(knots))
    for low in np.arange(0.1, 0.9, 0.2):
        here = (found >= low) & (found < low + 0.2)
        assert abs(found[here].mean() - right[1][here].mean()) < 0.05


def test_scores_follow_the_stored_map_and_keypoints_stay(tmp_path):
    checkpoint = tiny_checkpoint()
    plain = Pose(checkpoint, device="cpu")(IMAGE, BOXES)
    save_checkpoint(checkpoint.model_copy(update={"calibration": ((0.0, 0.25), (1.0, 0.75))}), tmp_path)
    keypoints, scores = Pose.load(tmp_path, device="cpu")(IMAGE, BOXES)
    np.testing.assert_array_equal(keypoints, plain[0])
    np.testing.assert_allclose(scores, 0.25 + plain[1] / 2)


@pytest.mark.parametrize("knots", [((0.5, 0.1), (0.2, 0.4)), ((0.1, 0.5), (0.2, 0.4)), ((0.0, 0.0), (1.0, 2.0)),
                                   ((0.0, float("nan")),)])
def test_a_map_that_does_not_rise_within_0_to_1_is_refused(tmp_path, knots):
    from safetensors.torch import load_file, save_file

    weights, *_ = save_checkpoint(tiny_checkpoint(), tmp_path)
    facts = json.loads((tmp_path / "config.json").read_text()) | {"calibration": knots}
    save_file(load_file(weights), weights, {"flatpose": json.dumps(facts)})
    with pytest.raises(FlatPoseError, match="calibration"):
        load_checkpoint(tmp_path)
