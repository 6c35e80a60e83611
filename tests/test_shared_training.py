"""Runs that differ in decoding alone share one training."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tiny import RUN, write_coco

from flatpose.config import LossConfig, RunConfig, from_dict, training_hash
from flatpose.harness.plan import PlannedRun
from flatpose.harness.runner import run_one
from flatpose.progress import SILENT

READ_TWICE = replace(RUN, codec=replace(RUN.codec, decode="expectation", temperature=0.2))


def test_what_is_trained_decides_who_shares():
    assert training_hash(READ_TWICE) == training_hash(RUN) != training_hash(replace(RUN, image_size=(96, 96)))
    for codec in (replace(RUN.codec, sigma=1.0), replace(RUN.codec, encode="exact")):
        assert training_hash(replace(RUN, codec=codec)) != training_hash(RUN)
    both = replace(RUN, loss=LossConfig(kind="mse_coordinate"))
    assert training_hash(both) != training_hash(replace(both, codec=READ_TWICE.codec)), "the loss reads the map too"
    assert training_hash(both) == training_hash(replace(both, codec=replace(both.codec, decode="expectation")))


@pytest.fixture
def made(tmp_path):
    """A function that makes a run below a folder and gives its record."""
    data = write_coco(tmp_path / "data")

    def make(run: RunConfig, folder: str, status: str = "not run"):
        planned = PlannedRun(("row",), run, 0, "data", status, "", True)
        return run_one(planned, tmp_path / folder, data, SILENT).record

    return make


def test_a_shared_training_gives_the_results_of_an_own_one(made):
    first, shared, alone = made(RUN, "runs"), made(READ_TWICE, "runs"), made(READ_TWICE, "elsewhere")
    assert first.train.shared_with is None and alone.train.shared_with is None
    assert shared.train.shared_with == first.run_id and shared.train.loss_last == first.train.loss_last
    own = [result for result in alone.results if result.weights != "raw"]  # raw weights are not kept on disk
    assert list(shared.results) == own and from_dict(shared.spec) == READ_TWICE


def test_a_run_that_is_to_be_repeated_is_trained(made):
    made(RUN, "runs")
    assert made(READ_TWICE, "runs", "done").train.shared_with is None
