"""GPU-hours of a plan: persons x epochs over the measured images per second and GPU."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import fake_reports as fake
import pytest

from flatpose.harness import provenance
from flatpose.harness.plan import Plan, make_plan
from flatpose.harness.plan_view import estimate

PERSONS = 5213


def on_gpu(run, *, images_per_s: float, processes: int, seed: int = 0) -> dict:
    record = fake.record(run, seed=seed, data=fake.EMBEDDED)
    record["train"] |= {"images_per_s": images_per_s, "processes": processes}
    record["provenance"]["device"] = "cuda: a GPU"
    return record


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """The plan of Fig. 1's first two rows and two seeds, after these records."""
    data = SimpleNamespace(train=SimpleNamespace(persons=[None] * PERSONS))
    monkeypatch.setattr("flatpose.harness.plan.identity", lambda *_: (fake.EMBEDDED[1], None))
    monkeypatch.setattr("flatpose.harness.throughput.load", lambda *_: data)
    monkeypatch.setattr(provenance, "has_gpu", lambda: False)

    def plan(records: list[dict], profile: str = "quick", **options: bool) -> Plan:
        experiment = fake.experiment()
        fake.store(tmp_path / "runs", records)
        chosen = replace(fake.PROFILES[profile], gpu=profile == "paper")
        return make_plan(experiment, chosen, tmp_path / "runs", rows=list(experiment.rows[:2]), seeds=(0, 1), **options)

    return plan


def first(profile: str = "quick"):
    return fake.run_of(fake.experiment().rows[0], profile)


def test_hours_are_persons_times_epochs_over_the_speed_of_one_gpu(planned):
    made = planned([on_gpu(first(), images_per_s=800.0, processes=8)])  # 100 images/s and GPU
    assert made.gpu_hours == pytest.approx(PERSONS * first().train.epochs / 100 / 3600)
    assert made.gpu_runs == 1, "seed 1 of the first row; nothing says how fast the second row's network is"
    assert "GPU-hours: 3.0 at the measured throughput (runs of known speed: 1)" in estimate(made)


def test_the_speed_of_a_network_counts_at_any_profile_and_on_any_data(planned):
    other = replace(first("paper"), profile="synth", train=replace(first("paper").train, epochs=3))
    made = planned([on_gpu(other, images_per_s=50.0, processes=1)], "paper")
    assert made.gpu_hours == pytest.approx(2 * PERSONS * first("paper").train.epochs / 50 / 3600) and made.gpu_runs == 2
    assert not made.due, "there is no GPU here, which is why the hours are asked for"


def test_another_input_size_says_nothing(planned):
    larger = replace(first("paper"), image_size=(288, 384))
    assert planned([on_gpu(larger, images_per_s=50.0, processes=1)], "paper").gpu_hours is None


def test_without_a_run_on_a_gpu_there_are_no_hours(planned):
    made = planned([fake.record(first("paper"))], "paper")
    assert made.gpu_hours is None and "GPU-hours: no measured throughput yet" in estimate(made)
    assert "GPU-hours" not in estimate(planned([])), "a profile for the CPU has none"


def test_jobs_for_other_machines_need_no_gpu_on_this_one(planned):
    assert len(planned([], "paper", elsewhere=True).due) == 4 and not planned([], "paper").due
