from __future__ import annotations

import json
import os
import shutil
import signal
import time

import pytest
from fake_runs import Cli

from flatpose.harness import provenance


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys) -> Cli:
    return Cli(tmp_path, monkeypatch, capsys)


def test_rows_of_one_configuration_share_a_run_and_finished_runs_are_skipped(cli):
    assert cli.run("--seeds", "0,1").code == 0
    assert cli.calls == ["1 0", "2 0", "3 0", "1 1", "2 1", "3 1"]
    plan = cli("plan", cli.spec, "--json").json
    assert [r["rows"] for r in plan["runs"]] == [["one", "again"], ["two"], ["three"]]
    assert cli.states() == dict.fromkeys(("one", "two", "three"), ("done", False)) and plan["due"] == 0
    again = cli.run("--seeds", "0,1")
    assert again.code == 0 and len(cli.calls) == 6 and "6 of 6 runs are done" in again.err


def test_record_holds_its_identity_and_provenance(cli):
    cli.run("--row", "two")
    record = cli.records()[2]
    assert {"spec_hash", "seed", "data_id", "code_hash", "profile", "status", "reason", "spec", "data", "train", "cost",
            "results", "provenance", "schema_version"} == set(record)
    assert record["status"] == "done" and record["profile"] == "quick" and record["provenance"]["versions"]["numpy"]
    assert str(cli.root) not in json.dumps(record)
    assert record["provenance"]["command"] == "flatpose-exp run tiny.py --no-report --row two"


@pytest.mark.parametrize("behaviour, reason", [
    ("fail", "RUN: the loss is not finite"), ("crash", "RuntimeError: oh"), ("nan", "not JSON compliant")])
def test_a_failure_is_kept_and_shown_and_the_others_run(cli, behaviour, reason):
    answer = cli.run(fake=f"2={behaviour}")
    assert answer.code == 1 and cli.calls == ["1 0", "2 0", "3 0"]
    assert "failed: two seed 0\n  → try again: --rerun failed" in answer.err and "2 of 3 runs are done" in answer.err
    assert cli.records()[2]["status"] == "failed" and reason in cli.records()[2]["reason"]
    assert "results" not in cli.records()[2] and "Traceback" in (cli.folder(2) / "error.txt").read_text()
    assert cli.states()["two"] == ("failed", False)


def test_rerun_policies(cli):
    cli.run(fake="2=fail")
    old = cli.records()[1]
    _edit(cli, 1, code_hash="0")
    assert cli.run().code == 1 and len(cli.calls) == 3, "missing: neither failed nor stale runs start"
    assert cli.states()["one"] == ("stale", False)
    assert cli.run("--rerun", "failed").code == 0 and cli.calls[3:] == ["2 0"]
    assert not (cli.folder(2) / "error.txt").exists() and cli.records()[2]["status"] == "done"
    assert cli.run("--rerun", "stale").code == 0 and cli.calls[4:] == ["1 0"]
    assert cli.records()[1]["code_hash"] == old["code_hash"]
    assert cli.run("--rerun", "all").code == 0 and cli.calls[5:] == ["1 0", "2 0", "3 0"]


def _edit(cli, epochs, **changes):
    path = cli.folder(epochs) / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_changed_default_makes_a_record_stale(cli):
    cli.run()
    spec = cli.records()[1]["spec"]
    _edit(cli, 1, spec={**spec, "train": {**spec["train"], "lr": 0.5}})
    assert cli.states()["one"] == ("stale", False)


def test_a_failed_run_goes_on_but_a_checkpoint_of_other_code_is_dropped(cli):
    cli.run(fake="2=fail")
    (cli.folder(2) / "checkpoint" / "half").touch()
    cli.run("--rerun", "failed", fake="2=fail")
    assert (cli.folder(2) / "checkpoint" / "half").exists()
    (cli.folder(2) / "code").write_text("older")
    cli.run("--rerun", "failed", fake="2=fail")
    assert not (cli.folder(2) / "checkpoint" / "half").exists()


def test_missing_data_blocks_with_one_message(cli):
    shutil.rmtree(cli.data)
    assert set(cli.states().values()) == {("blocked", False)}
    answer = cli.run()
    assert answer.code == 2 and cli.calls == [] and answer.err.count("$FLATPOSE_DATA") == 1
    assert "blocked, 3 of 3 runs" in answer.err
    elsewhere = cli.run("--data-root", "nowhere")
    assert elsewhere.code == 2 and "nowhere/coco/annotations" in elsewhere.err


def test_truncated_annotations_stop_before_training_and_nothing_is_lost(cli):
    cli.run("--row", "one")
    path = cli.data / "coco" / "annotations" / "person_keypoints_train2017.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    answer = cli.run()
    assert answer.code == 2 and answer.err.count("not valid JSON") == 1 and cli.calls == ["1 0"]
    path.write_bytes(whole)
    assert cli.states()["one"] == ("done", False)


def test_bad_data_met_in_training_is_no_failure_of_the_run(cli):
    answer = cli.run(fake="2=bad data")
    assert answer.code == 2 and answer.err.count("7.jpg: cannot be decoded\n  → fetch it again") == 1
    assert cli.calls == ["1 0", "2 0"] and set(cli.records()) == {1}
    assert cli.run().code == 0 and cli.calls[2:] == ["2 0", "3 0"]


def test_needs_gpu(cli):
    cli.monkeypatch.setattr(provenance, "has_gpu", lambda: False)
    answer = cli.run("--profile", "big")
    assert answer.code == 2 and "profile big needs a GPU" in answer.err and cli.calls == []
    cli.monkeypatch.setattr(provenance, "has_gpu", lambda: True)
    assert cli.run("--profile", "big", "--row", "one").code == 0
    cli.monkeypatch.setattr(provenance, "has_gpu", lambda: False)
    assert cli.states("--profile", "big")["one"] == ("done", False), "a record counts wherever it is read"


def test_a_torn_record_counts_for_nothing(cli):
    cli.run()
    path = cli.folder(2) / "record.json"
    path.write_bytes(path.read_bytes()[:40])
    assert cli.states()["two"] == ("not run", True)
    assert "damaged" in cli("plan", cli.spec).out
    assert cli.run().code == 0 and cli.calls[3:] == ["2 0"] and cli.records()[2]["status"] == "done"


def test_interrupt_says_how_to_go_on(cli):
    answer = cli.run(fake="2=stop")
    assert answer.code == 130 and f"flatpose-exp run {cli.spec} --no-report" in answer.err
    assert not (cli.folder(2) / "lock").exists() and "goes on from its checkpoint" in cli("plan", cli.spec).out
    assert cli.run().code == 0 and cli.calls[2:] == ["2 0", "3 0"]


def test_killed_process_leaves_a_lock_that_is_taken_over(cli):
    process = cli.start("--row", "two", fake="2=hang")
    _wait_for(cli, "hanging")
    assert cli.states("--row", "two")["two"] == ("running", False)
    assert f"process {process.pid}" in cli("plan", cli.spec, "--row", "two").out
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (cli.folder(2) / "lock").exists() and cli.states()["two"] == ("not run", True)
    assert cli.run().code == 0 and cli.records()[2]["status"] == "done" and not (cli.folder(2) / "lock").exists()


def test_a_lock_whose_process_number_was_given_away_is_dead(cli):
    cli.run("--row", "two")
    folder = cli.folder(2)
    (folder / "record.json").unlink()
    lock = {"host": os.uname().nodename, "pid": os.getpid(), "process_start": "1", "since": "long ago"}
    (folder / "lock").write_text(json.dumps(lock))
    assert cli.states()["two"] == ("not run", True)
    (folder / "lock").write_text(json.dumps({**lock, "host": "elsewhere"}))
    assert cli.states()["two"] == ("running", False)


def test_two_processes_at_once_share_the_work(cli):
    first = cli.start(fake="1=hang")
    _wait_for(cli, "hanging")
    answer = cli.run()
    assert answer.code == 0 and cli.calls == ["1 0", "2 0", "3 0"]
    assert f"process {first.pid}" in answer.err and set(cli.records()) == {2, 3}
    first.kill()
    first.communicate()


def test_no_two_processes_take_over_one_dead_lock(cli):
    cli.run("--row", "two")
    folder = cli.folder(2)
    (folder / "record.json").unlink()
    (folder / "lock").write_text(json.dumps({"host": os.uname().nodename, "pid": 2**22 + 1, "since": "long ago"}))
    (cli.root / "calls").unlink()
    processes = [cli.start("--row", "two") for _ in range(3)]
    errors = [p.communicate()[1] for p in processes]
    assert [p.returncode for p in processes] == [0, 0, 0], errors
    assert cli.calls == ["2 0"]


def _wait_for(cli, name):
    for _ in range(600):
        if list(cli.root.glob(f"runs/*/*/*/{name}")):
            return
        time.sleep(0.05)
    raise AssertionError(f"{name} did not appear")


def test_pages_are_written_after_the_sweep_also_when_a_run_failed(cli):
    cli.monkeypatch.setenv("FAKE", "2=fail")
    answer = cli("run", cli.spec)
    assert answer.code == 1 and "written: reports/tiny.md" in answer.err
    kept = json.loads((cli.root / "reports" / "data" / "tiny.json").read_text())["records"]
    assert sorted(r["status"] for r in kept) == ["done", "done", "failed"]
    assert cli("report", cli.spec, "--check").code == 0
    (cli.root / "reports" / "tiny.md").write_text("edited by hand")
    assert cli("report", cli.spec, "--check").code == 1


def test_runs_folder_can_be_elsewhere(cli):
    cli.monkeypatch.setenv("FLATPOSE_RUNS", str(cli.root / "scratch"))
    assert cli.run("--row", "one").code == 0
    assert list((cli.root / "scratch").glob("*/seed0/*/record.json")) and not (cli.root / "runs").exists()
