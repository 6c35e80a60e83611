"""Simulated networks on both box sources: the limits are known, and the committed page says what its data say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny import write_coco

from flatpose.data import load_coco
from flatpose.harness import boxes_simulated as simulated
from flatpose.io import read_json

REPORTS = Path(__file__).parents[1] / "reports"


@pytest.fixture
def data(tmp_path):
    return load_coco(write_coco(tmp_path))


def test_overlap_by_hand():
    a = np.array([0.0, 0.0, 10.0, 10.0])
    assert simulated.overlap(a, a) == pytest.approx(1)
    assert simulated.overlap(a, np.array([5.0, 0.0, 10.0, 10.0])) == pytest.approx(1 / 3)
    assert simulated.overlap(a, np.array([20.0, 20.0, 5.0, 5.0])) == 0


def test_every_box_shows_its_person_and_far_boxes_nobody(data):
    found = simulated.targets(data.val.persons, data)
    assert [p.person_id for p in found] == [p.person_id for p in data.val.persons]
    shown = simulated.targets(data.detections, data)
    assert {p.person_id for p in shown} == {p.person_id for p in data.val.persons}
    from dataclasses import replace
    far = [replace(p, bbox_xywh=np.array([150.0, 110.0, 5.0, 5.0])) for p in data.detections]
    assert simulated.targets(far, data) == [None] * len(far)


def test_without_error_the_keypoints_are_the_truth_and_the_same_on_both_boxes(data):
    network = simulated.Network(1e-9, 0.5, 1.0)
    shown = simulated.targets(data.val.persons, data)
    found = simulated.predict(network, data.val.persons, shown, data)
    assert np.allclose(found.keypoints, np.stack([p.keypoints for p in data.val.persons]), atol=1e-3)
    assert found.scores.min() > 0.8


def test_the_error_is_the_persons_and_scales_with_the_spread(data):
    shown = simulated.targets(data.val.persons, data)
    errors = []
    for spread in (0.05, 0.1):
        found = simulated.predict(simulated.Network(spread, 0.5, 1.0), data.val.persons, shown, data)
        errors.append(found.keypoints - np.stack([p.keypoints for p in data.val.persons]))
    inside = np.abs(errors[1]) > 0
    assert np.median(np.abs(errors[1][inside])) == pytest.approx(2 * np.median(np.abs(errors[0][inside])), rel=0.1)


def test_the_committed_page_is_what_its_data_say():
    found = read_json(REPORTS / simulated.DATA)
    assert simulated.page(found) == (REPORTS / simulated.PAGE).read_text(encoding="utf-8")
    assert "COCO subset" in found["data"] and len(found["rows"]) == 18
    assert all(0 < r[s]["AP"] < r[s]["AP50"] <= 1 for r in found["rows"] for s in ("gt", "det"))


def test_the_verdict_needs_the_gap(data):
    found = read_json(REPORTS / simulated.DATA)
    assert "evidence, not proof" in simulated.page(found)
    close = {**found, "rows": [{**r, "det": r["gt"]} for r in found["rows"]]}
    assert "this alone does not decide" in simulated.page(close)
