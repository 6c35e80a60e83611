"""The page that every run leaves in its own folder."""

from __future__ import annotations

import re

import fake_reports as fake

from flatpose.harness import run_page

LOG = ("epoch,step,loss,lr,images,seconds,images_per_s,metric\n1,10,0.5,0.001,320,2,160,\n"
       "2,20,0.4,0.0005,320,1.6,200,0.123\n3,30,0.3,0,320,1.6,200,\n")


def test_a_page_shows_state_curves_and_every_result(tmp_path):
    (tmp_path / "log.csv").write_text(LOG)
    record = fake.record(fake.run_of(fake.experiment().rows[0]), seed=4)
    run_page.write(tmp_path, record)
    text, svg = (tmp_path / "run.md").read_text(), (tmp_path / "curves.svg").read_text()
    assert "**State** done" in text and "seed 4" in text and "](curves.svg)" in text
    assert sum(line.startswith("| ") for line in text.splitlines()) == 2 + len(record["results"])
    for title in ("training loss", "learning rate", "images/s", "metric"):
        assert title in svg
    first = (tmp_path / "curves.svg").read_bytes()
    run_page.write(tmp_path, record)
    assert (tmp_path / "curves.svg").read_bytes() == first


def test_a_failed_run_without_a_log_has_its_reason(tmp_path):
    run_page.write(tmp_path, fake.failed(fake.run_of(fake.experiment().rows[0])))
    text = (tmp_path / "run.md").read_text()
    assert re.search(r"\*\*State\*\* failed: .+", text) and "curves.svg" not in text
    assert not (tmp_path / "curves.svg").exists()


def test_fields_that_an_epoch_does_not_have_are_left_out(tmp_path):
    (tmp_path / "log.csv").write_text(LOG)
    log = run_page.read_log(tmp_path / "log.csv")
    assert len(log) == 3 and "metric" not in log[0] and log[1]["metric"] == 0.123
