"""GPU-hours of a plan: persons x epochs over the measured images per second and GPU."""

from __future__ import annotations

import fake_reports as fake
import pytest

from flatpose.harness.plan import make_plan


def on_gpu(run, *, images_per_s: float, processes: int, seed: int = 0) -> dict:
    record = fake.record(run, seed=seed, data=fake.EMBEDDED)
    record["train"] |= {"images_per_s": images_per_s, "processes": processes}
    record["provenance"]["device"] = "cuda: a GPU"
    return record


def hours(tmp_path, monkeypatch, records) -> float | None:
    experiment, runs = fake.experiment(), tmp_path / "runs"
    monkeypatch.setattr("flatpose.harness.plan.identity", lambda *_: (fake.EMBEDDED[1], None))
    fake.store(runs, records)
    rows = experiment.rows[:2]
    return make_plan(experiment, fake.PROFILES["quick"], runs, rows=list(rows), seeds=(0, 1)).gpu_hours


def test_hours_are_persons_times_epochs_over_the_speed_of_one_gpu(tmp_path, monkeypatch):
    rows = fake.experiment().rows[:2]
    first = on_gpu(fake.run_of(rows[0]), images_per_s=800.0, processes=8)  # 100 images/s and GPU
    epochs = [fake.run_of(row).train.epochs for row in rows]
    # Due: seed 1 of the first row at its own speed, both seeds of the second at the only speed that is known.
    expected = 5213 * (epochs[0] + 2 * epochs[1]) / 100 / 3600
    assert hours(tmp_path, monkeypatch, [first]) == pytest.approx(expected)


def test_without_a_run_on_a_gpu_there_are_no_hours(tmp_path, monkeypatch):
    assert hours(tmp_path, monkeypatch, [fake.record(fake.run_of(fake.experiment().rows[0]))]) is None
