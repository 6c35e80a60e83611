"""``run``: which runs start, what is kept of them, and how they end."""

from __future__ import annotations

import json
import shutil
import signal
import time

import pytest
from fake_runs import SPEC

import flatpose
from flatpose.harness import provenance
from flatpose.harness.store import OWNER, RunDir


def test_rows_of_one_configuration_share_a_run_and_finished_runs_are_skipped(cli):
    assert cli.run("--seeds", "0,1").code == 0
    assert cli.calls == ["1 0", "2 0", "3 0", "1 1", "2 1", "3 1"]
    plan = cli("plan", cli.spec, "--json").json
    assert [r["rows"] for r in plan["runs"]] == [["one", "again"], ["two"], ["three"]]
    assert cli.states() == dict.fromkeys(("one", "two", "three"), ("done", False)) and plan["due"] == 0
    again = cli.run("--seeds", "0,1")
    assert again.code == 0 and len(cli.calls) == 6 and "6 of 6 runs are done" in again.err


def test_a_record_holds_its_identity_and_no_folder_of_this_machine(cli):
    cli.run("--row", "two")
    record = RunDir(cli.folder(2)).record()
    assert record.status == "done" and record.profile == "quick" and record.provenance.versions["numpy"]
    assert record.numerics == flatpose.NUMERICS and record.spec_hash == cli.folder(2).parents[1].name
    assert str(cli.root) not in json.dumps(record.model_dump(mode="json"))
    assert record.provenance.command == "flatpose-exp run tiny.py --no-report --jobs 1 --row two"


@pytest.mark.parametrize("behaviour, reason", [
    ("fail", "RUN: the loss is not finite"), ("crash", "RuntimeError: oh"), ("memory", "MemoryError"),
    ("nan", "results.0.metrics.AP")])
def test_a_failure_is_kept_and_shown_and_the_others_run(cli, behaviour, reason):
    answer = cli.run(fake=f"2={behaviour}")
    assert answer.code == 1 and cli.calls == ["1 0", "2 0", "3 0"]
    record = RunDir(cli.folder(2)).record()
    assert f"failed, two seed 0: {record.reason}\n  → try again: --rerun failed" in answer.err
    assert "2 of 3 runs are done" in answer.err
    assert record.status == "failed" and reason in record.reason and not record.results
    assert "Traceback" in (cli.folder(2) / "error.txt").read_text()
    assert cli.states()["two"] == ("failed", False)


def test_rerun_policies(cli):
    cli.run(fake="2=fail")
    cli.edit(1, numerics=0)
    assert cli.run().code == 1 and len(cli.calls) == 3, "missing: neither failed nor stale runs start"
    assert cli.states()["one"] == ("stale", False)
    assert cli.run("--rerun", "failed").code == 0 and cli.calls[3:] == ["2 0"]
    assert not (cli.folder(2) / "error.txt").exists() and cli.records()[2]["status"] == "done"
    assert cli.run("--rerun", "stale").code == 0 and cli.calls[4:] == ["1 0"]
    assert cli.records()[1]["numerics"] == flatpose.NUMERICS
    assert cli.run("--rerun", "all").code == 0 and cli.calls[5:] == ["1 0", "2 0", "3 0"]


def test_a_changed_default_makes_a_record_stale(cli):
    cli.run("--row", "one")
    spec = cli.records()[1]["spec"]
    cli.edit(1, spec={**spec, "train": {**spec["train"], "lr": 0.5}})
    assert cli.states()["one"] == ("stale", False)


def test_a_failed_run_resumes_but_a_checkpoint_of_other_numbers_is_dropped(cli):
    cli.run(fake="2=fail")
    (cli.folder(2) / "checkpoint" / "half").touch()
    cli.run("--rerun", "failed", fake="2=fail")
    assert (cli.folder(2) / "checkpoint" / "half").exists()
    (cli.folder(2) / "numerics").write_text("0")
    cli.run("--rerun", "failed", fake="2=fail")
    assert not (cli.folder(2) / "checkpoint" / "half").exists()


def test_missing_data_block_with_one_message(cli):
    shutil.rmtree(cli.data)
    assert set(cli.states().values()) == {("blocked", False)}
    answer = cli.run()
    assert answer.code == 2 and cli.calls == [] and answer.err.count("blocked, 3 of 3 runs") == 1
    elsewhere = cli.run("--data-root", "nowhere")
    assert elsewhere.code == 2 and "nowhere" in elsewhere.err


def test_bad_data_met_in_training_are_no_failure_of_the_run(cli):
    answer = cli.run(fake="2=bad data")
    assert answer.code == 2 and answer.err.count("7.jpg: cannot be decoded\n  → fetch it again") == 1
    assert cli.calls == ["1 0", "2 0"] and set(cli.records()) == {1}
    assert cli.run().code == 0 and cli.calls[2:] == ["2 0", "3 0"]


def test_a_profile_for_gpus_is_blocked_without_one(cli):
    cli.monkeypatch.setattr(provenance, "has_gpu", lambda: False)
    answer = cli.run("--profile", "big")
    assert answer.code == 2 and "profile big needs a GPU" in answer.err and cli.calls == []
    cli.monkeypatch.setattr(provenance, "has_gpu", lambda: True)
    assert cli.run("--profile", "big", "--row", "one").code == 0
    cli.monkeypatch.setattr(provenance, "has_gpu", lambda: False)
    assert cli.states("--profile", "big")["one"] == ("done", False), "a record counts wherever it is read"


def test_a_run_waits_for_its_start_weights(cli):
    """It is blocked and leaves no failure behind, so the same command goes on once the file is there."""
    cli.spec = cli.write("started.py", SPEC.replace('"quick": Profile(name="quick",', '"quick": Profile(name="quick", '
                                                    'model={"weights": "weights/start.safetensors"},'))
    answer = cli.run("--data-root", str(cli.data))
    assert answer.code == 2 and "weights/start.safetensors" in answer.err and cli.calls == []
    (cli.data / "weights").mkdir()
    (cli.data / "weights" / "start.safetensors").touch()
    assert cli.run("--data-root", str(cli.data)).code == 0 and len(cli.calls) == 3


def test_a_torn_record_counts_for_nothing(cli):
    cli.run()
    path = cli.folder(2) / "record.json"
    path.write_bytes(path.read_bytes()[:40])
    assert cli.states()["two"] == ("not run", True)
    assert cli.run().code == 0 and cli.calls[3:] == ["2 0"] and cli.records()[2]["status"] == "done"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_process_stops_between_two_steps(cli, number):
    process = cli.start("--row", "two", "--jobs", "1", fake="2=hang")
    wait_for(cli, "hanging")
    process.send_signal(number)
    assert "Kept: 0 finished runs and 1 checkpoints" in process.communicate(timeout=200)[1]
    assert process.returncode == 130 and not (cli.folder(2) / OWNER).exists()


def test_side_by_side_gives_the_records_of_one_by_one(cli):
    process = cli.start("--jobs", "2", fake="2=fail")
    error = process.communicate(timeout=200)[1]
    assert process.returncode == 1 and "2 of 3 runs are done" in error, error
    assert sorted(cli.calls) == ["1 0", "2 0", "3 0"]
    several = cli.records()
    assert cli.run("--rerun", "all", fake="2=fail").code == 1
    for epochs, record in cli.records().items():
        assert record["provenance"].pop("ended") and several[epochs].pop("provenance")
        record.pop("provenance")
        assert record == several[epochs]


def test_a_child_that_is_killed_is_a_failure_of_its_run_only(cli):
    process = cli.start("--jobs", "2", fake="1=die")
    error = process.communicate(timeout=200)[1]
    assert process.returncode == 1 and "SIGKILL (out of memory?)" in error, error
    assert cli.states() == {"one": ("failed", False), "two": ("done", False), "three": ("done", False)}
    assert cli.run("--rerun", "failed").code == 0


def test_an_interruption_stops_all_children(cli):
    process = cli.start("--jobs", "2", fake="1=hang,2=hang")
    wait_for(cli, "hanging", 2)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=200)[1]
    assert process.returncode == 130 and "Kept: 0 finished runs and 2 checkpoints" in error, error
    assert cli.run().code == 0 and sorted(cli.calls[2:]) == ["1 0", "2 0", "3 0"], "the locks are free"


def test_children_of_a_killed_parent_end(cli):
    process = cli.start("--jobs", "2", fake="1=hang,2=hang")
    wait_for(cli, "hanging", 2)
    process.kill()
    process.wait()
    for _ in range(1000):
        if {state for state, _ in cli.states().values()} == {"not run"}:
            return
        time.sleep(0.1)
    raise AssertionError("still running")


def test_a_killed_process_leaves_a_run_that_starts_again_last(cli):
    process = cli.start("--row", "one", "--jobs", "1", fake="1=hang")
    wait_for(cli, "hanging")
    assert cli.states()["one"] == ("running", False) and f"process {process.pid}" in cli("plan", cli.spec).out
    process.kill()
    process.communicate()
    assert cli.states()["one"] == ("not run", True)
    assert cli.run().code == 0 and cli.calls[1:] == ["2 0", "3 0", "1 0"]


def test_two_processes_share_the_work(cli):
    first = cli.start("--jobs", "1", fake="1=hang")
    wait_for(cli, "hanging")
    answer = cli.run()
    assert answer.code == 0 and cli.calls == ["1 0", "2 0", "3 0"]
    assert f"process {first.pid}" in answer.err and set(cli.records()) == {2, 3}
    first.kill()
    first.communicate()


def wait_for(cli, name, count=1):
    for _ in range(4000):
        if len(list(cli.root.glob(f"runs/*/*/*/{name}"))) == count:
            return
        time.sleep(0.05)
    raise AssertionError(f"{name} did not appear")


def test_pages_are_written_after_the_sweep_also_when_a_run_failed(cli):
    cli.monkeypatch.setenv("FAKE", "2=fail")
    answer = cli("run", cli.spec, "--jobs", "1")
    assert answer.code == 1 and "written: reports/tiny.md" in answer.err
    kept = json.loads((cli.root / "reports" / "data" / "tiny.json").read_text())["records"]
    assert sorted(r["status"] for r in kept) == ["done", "done", "failed"]
    assert cli("report", cli.spec, "--check").code == 0
    (cli.root / "reports" / "tiny.md").write_text("edited by hand")
    assert cli("report", cli.spec, "--check").code == 1
