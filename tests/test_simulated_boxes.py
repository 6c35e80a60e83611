"""Simulated networks on both box sources, at limits where the answer is known."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from tiny import write_coco

from flatpose.benchmarks import COCO
from flatpose.errors import DataError
from flatpose.studies import simulated_boxes as simulated


@pytest.fixture
def data(tmp_path):
    return COCO.load(write_coco(tmp_path))


def test_every_box_shows_its_person_and_far_boxes_nobody(data):
    found = simulated.targets(data.val.persons, data)
    assert [p.person_id for p in found] == [p.person_id for p in data.val.persons]
    shown = simulated.targets(data.detections, data)
    assert {p.person_id for p in shown} == {p.person_id for p in data.val.persons}
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


def test_two_boxes_of_a_person_are_answered_nearly_alike(data):
    """A detector that returns a person several times gives no several tries at one answer."""
    person = data.val.persons[0]
    twice = [person] * 40
    found = simulated.predict(simulated.Network(0.02, 0.5, 1.0), twice, twice, data)
    error = (found.keypoints - person.keypoints)[:, (found.keypoints != person.keypoints).any((0, 2))]
    between, overall = error.std(axis=0).mean(), np.sqrt((error**2).mean())
    assert 0.2 < between / overall < 0.7  # sqrt(1 - SHARED**2) = 0.44


def test_one_line_per_network_with_both_box_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(simulated, "SPREADS", (0.22,))
    monkeypatch.setattr(simulated, "SEEDS", 2)
    root = write_coco(tmp_path)
    found = simulated.measure(root)
    assert len(found) == 4 and found["data"].str.contains("COCO subset").all()
    assert all((found[f"AP_{box}"] <= found[f"AP50_{box}"]).all() for box in ("gt", "det"))
    shutil.rmtree(root / "coco" / "person_detection_results")
    with pytest.raises(DataError, match="no detector file"):
        simulated.measure(root)
