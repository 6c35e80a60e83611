"""Run configurations: a typo is an error, JSON comes back, and the hash sees every difference and nothing else."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from flatpose.config import (
    BaselineConfig,
    FlatPoseConfig,
    HeatmapCodecConfig,
    RunConfig,
    SimCCCodecConfig,
    TrainConfig,
    from_dict,
    spec_hash,
    to_dict,
)

RUNS = [RunConfig(), RunConfig(model=FlatPoseConfig()), RunConfig(codec=SimCCCodecConfig()), RunConfig(profile="quick"),
        RunConfig(model=BaselineConfig(num_deconvs=2)), RunConfig(train=TrainConfig(lr=2e-3)),
        RunConfig(model=FlatPoseConfig(pretrained=False)), RunConfig(model=BaselineConfig(pretrained=False)),
        RunConfig(image_size=(256, 192))]


@pytest.mark.parametrize("run", RUNS, ids=lambda r: spec_hash(r))
def test_json_comes_back(run):
    assert from_dict(to_dict(run)) == run and spec_hash(from_dict(to_dict(run))) == spec_hash(run)


def test_every_difference_changes_the_identity():
    assert len({spec_hash(run) for run in RUNS}) == len(RUNS)


def test_writing_a_default_out_does_not_change_the_identity():
    assert spec_hash(RunConfig(train=TrainConfig(lr=1e-3))) == spec_hash(RunConfig())


@pytest.mark.parametrize("make", [
    lambda: HeatmapCodecConfig(strid=4), lambda: TrainConfig(lr="fast"), lambda: TrainConfig(epochs=0),
    lambda: RunConfig(image_size=(192, 256, 3)), lambda: BaselineConfig(head="heatmaps"),
    lambda: BaselineConfig(num_deconvs=4), lambda: from_dict({"model": {"kind": "resnet"}}),
    lambda: from_dict({"epoch": 3}),
])
def test_typos_and_impossible_values_are_refused(make):
    with pytest.raises(ValidationError):
        make()
