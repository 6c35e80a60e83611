"""The commands as a user types them: what they print, where, and their exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from fake_runs import SPEC, Cli

import flatpose
from flatpose.harness import catalog, console, provenance
from flatpose.harness import cli as cli_module

ROOT = Path(__file__).parents[1]


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys) -> Cli:
    return Cli(tmp_path, monkeypatch, capsys)


def test_version_and_help(cli):
    assert cli("--version").out.strip() == flatpose.__version__
    for command in ("", "list", "show", "validate", "plan", "status", "run", "report", "compare", "cost", "score",
                    "data", "data make", "data check", "doctor"):
        answer = cli(*command.split(), "--help")
        assert answer.code == 0 and "Usage: " in answer.out and answer.err == "", command
    assert "Python code" in cli("--help").out and "Examples:" in cli("run", "--help").out
    assert "mini" in cli("plan", "--help").out  # a profile of Fig. 1 alone


@pytest.mark.parametrize("command", ["list", "show SPEC", "plan SPEC", "validate SPEC", "status", "doctor",
                                     "compare SPEC"])
def test_json_is_one_document_on_stdout(cli, command):
    answer = cli(*command.replace("SPEC", cli.spec).split(), "--json")
    assert answer.code == 0 and isinstance(answer.json, (list, dict)) and answer.err == ""


def test_list_and_show_tell_what_the_specs_say(cli):
    found = cli("list", "--json").json
    assert [e["id"] for e in found] == catalog.ids() and {"fig1", "table5"} <= {e["id"] for e in found}
    assert "fig1" in cli("list").out
    shown = cli("show", "fig1", "--profile", "paper", "--json").json
    assert shown["rows"][0]["published"]["AP"] == 71.8 and shown["rows"][0]["run"]["image_size"] == [192, 256]
    assert "AP 71.8" in cli("show", "fig1").out


def test_data_check_names_what_is_missing_and_where_it_looked(cli):
    pytest.importorskip("flatpose.data.check")
    good = cli("data", "check", "--data-root", str(cli.data), "--json")
    assert good.code == 0 and all(f["severity"] != "error" for f in good.json)
    (cli.data / "coco" / "val2017").rename(cli.data / "coco" / "somewhere")
    bad = cli("data", "check")
    assert bad.code == 2 and "coco/images/val2017" in bad.out


def test_data_make_prints_where_the_embedded_set_is(cli):
    from flatpose.data import synthetic

    cli.monkeypatch.setattr(synthetic, "ensure", lambda config, reporter: Path("/made") / str(config.train_images))
    assert cli("data", "make", "--profile", "smoke").out == "/made/12\n"


def test_score_reads_a_results_file(cli):
    pytest.importorskip("flatpose.metrics.score")
    truth = cli.data / "coco" / "annotations" / "person_keypoints_val2017.json"
    found = [{"image_id": a["image_id"], "category_id": 1, "keypoints": a["keypoints"], "score": 1.0}
             for a in json.loads(truth.read_text())["annotations"]]
    results = cli.write("results.json", json.dumps(found))
    answer = cli("score", "--task", "coco", "--annotations", str(truth), "--predictions", results)
    assert answer.code == 0 and answer.json["AP"] > 0.99


def test_every_spec_is_valid(cli):
    answer = cli("validate")
    assert answer.code == 0, answer.err


@pytest.mark.parametrize("arguments, words", [
    ("run fgi1", ["unknown experiment 'fgi1'", "did you mean 'fig1'?"]),
    ("plan SPEC --profile quik", ["tiny has no profile 'quik'", "did you mean 'quick'?"]),
    ("run SPEC --row tow", ["tiny has no row 'tow'", "did you mean 'two'?"]),
    ("run SPEC --seeds 0,x", ["--seeds: '0,x' is not a list of seeds", "write 0,1,2"]),
    ("run nowhere.py", ["nowhere.py: no such spec file"]),
    ("run SPEC --lr 3", ["No such option", "--lr"]),
    ("run SPEC --rerun sometimes", ["'sometimes' is not one of"]),
    ("data check", ["--data-root: no data root", "FLATPOSE_DATA"]),
    ("polt fig1", ["No such command"]),
])
def test_mistakes_get_one_message_and_exit_2(cli, arguments, words):
    (cli.root / "data").rename(cli.root / "other")
    answer = cli(*arguments.replace("SPEC", cli.spec).split())
    assert answer.code == 2 and answer.out == "" and "Traceback" not in answer.err
    assert all(word in answer.err for word in words), answer.err


@pytest.mark.parametrize("old, new, words", [
    ("epochs=epochs)", "epoch=epochs)", ["TrainConfig.epoch:", "did you mean 'epochs'?", "row 'one'", "spec.py:6"]),
    ('question="Does it run?"', 'qestion="?"', ["Experiment", "qestion", "did you mean 'question'?"]),
    ('label="2 epochs"', "label=2", ["Row.label: Input should be a valid string", "row 'two'"]),
    ("TrainConfig(epochs", "TrainConfig(schedule='linear', epochs", ["TrainConfig.schedule", "cosine"]),
    ("from flatpose.config import", "from flatpose.confgi import", ["ModuleNotFoundError", "spec.py:2"]),
    ("def run(epochs):", "def run(epochs)", ["SyntaxError", "spec.py"]),
    ("EXPERIMENT =", "EXPERIMENTS =", ["does not define EXPERIMENT"]),
    ('id="two"', 'id="one"', ["row ids occur twice: one"]),
    ('id="tiny"', 'id="fig1"', ["'fig1' belongs to a file that comes with the program"]),
    ('id="tiny"', 'id="../tiny"', ["'../tiny' is not made of letters"]),
])
def test_a_broken_spec_names_file_row_field_and_nearest_name(cli, old, new, words):
    path = cli.write("spec.py", SPEC.replace(old, new))
    answer = cli("plan", path)
    assert answer.code == 2 and answer.out == "" and path in answer.err
    assert all(word in answer.err for word in words), answer.err
    checked = cli("validate", path, "--json")
    assert checked.code == 2 and checked.json[0]["experiment"] == path


def test_debug_shows_the_traceback_wherever_it_stands(cli):
    for arguments in (("--debug", "plan", "fgi1"), ("plan", "fgi1", "--debug")):
        with pytest.raises(flatpose.errors.SpecError):
            cli(*arguments)


def test_quiet_says_only_what_went_wrong(cli):
    assert cli.run("-q").err == ""
    cli.monkeypatch.setenv("FAKE", "2=fail")
    assert cli("-q", "run", cli.spec, "--no-report", "--rerun", "all").err.splitlines()[-1].startswith("  → try again")
    console.OPTIONS.quiet = False


def test_status_counts_runs_by_setting(cli):
    cli.monkeypatch.setattr(catalog, "ids", lambda: ["tiny"])
    cli.monkeypatch.setattr(catalog, "FOLDER", cli.root)
    assert cli("status", "--json").json == [
        {"experiment": "tiny", "setting": "-", "rows": 4, "rows_done": 0, "done": 0, "stale": 0, "failed": 0,
         "running": 0, "seeds": []}]
    cli.run("--seeds", "0,1", fake="2=fail")
    assert cli("status", "--json").json == [
        {"experiment": "tiny", "setting": "quick · COCO subset (6/3 images)", "rows": 4, "rows_done": 3, "done": 4,
         "stale": 0, "failed": 2, "running": 0, "seeds": [0, 1]}]
    assert "3/4" in cli("status").out


def test_plan_knows_of_records_that_came_without_their_run_folders(cli):
    cli.run("--row", "one")
    cli("report", cli.spec)  # reports/data/tiny.json: what a clone has
    shutil.rmtree(cli.root / "runs")
    runs = {r["rows"][0]: r for r in cli("plan", cli.spec, "--json").json["runs"]}
    assert runs["one"]["reason"] == "recorded in reports/data, no run folder here" and runs["one"]["due"]
    assert runs["two"]["reason"] == "no record"


def test_plan_without_data_says_so_once_and_exits_as_run_does(cli):
    answer = cli("plan", cli.spec, "--data-root", "/no/such")
    assert answer.code == 2 == cli.run("--data-root", "/no/such").code
    assert answer.out.count("no COCO data under /no/such") == 1 and "blocked, 3 of 3 runs" in answer.out
    assert cli("plan", cli.spec, "--data-root", "/no/such", "--json").code == 2


def test_plan_estimates_from_what_was_measured_on_this_kind_of_machine(cli):
    assert cli("plan", cli.spec, "--json").json["minutes_per_run"] == 2.0
    cli.run("--row", "one")
    path = cli.folder(1) / "record.json"
    record = json.loads(path.read_text())
    for cpu, expected in ((provenance.cpu(), (5.0, True)), ("another", (2.0, False))):
        record["provenance"] |= {"seconds": 300.0, "cpu": cpu}
        path.write_text(json.dumps(record))
        plan = cli("plan", cli.spec, "--json").json
        assert (plan["minutes_per_run"], plan["measured"]) == expected


def test_doctor_finds_what_is_too_old_or_missing(cli, monkeypatch):
    from importlib import metadata

    assert cli("doctor").code == 0
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "1.0.0" if name == "timm" else real(name))
    monkeypatch.setitem(sys.modules, "tabulate", None)
    answer = cli("doctor", "--json")
    found = {f["name"]: f for f in answer.json}
    assert answer.code == 1 and found["timm"]["state"] == found["tabulate"]["state"] == "error"
    assert found["timm"]["mend"] == "pip install -c constraints.txt timm" and found["numpy"]["state"] == "ok"


def test_plain_progress_speaks_now_and_then(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    reporter = console.PlainReporter()
    reporter.title = "[1/2] one seed 0"
    reporter.start("train", 100)
    for step in range(60):
        now[0] = step / 2
        reporter.advance(loss=0.5)
    reporter.finish()
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines() == [
        "[1/2] one seed 0 train: 21 %, 38 s left loss 0.5", "[1/2] one seed 0 train: 41 %, 29 s left loss 0.5",
        "[1/2] one seed 0 train: done in 30 s loss 0.5"]


@pytest.mark.parametrize("value, text", [(None, "unknown"), (0.5, "30 s"), (12.2, "12 min"), (150.0, "2.5 h")])
def test_durations(value, text):
    assert console.minutes(value) == text


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "flatpose.harness.cli", *arguments], text=True, capture_output=True,
                          cwd=ROOT, env={**os.environ, **environment})


def test_pipes_get_whole_uncoloured_lines():
    for environment in ({}, {"NO_COLOR": "1", "FORCE_COLOR": ""}):
        answer = process("plan", "fig1", "--profile", "paper", FLATPOSE_DATA="/nowhere/at/all", **environment)
        assert answer.returncode == 2 and "\x1b" not in answer.stdout + answer.stderr
        assert answer.stdout.count("looked for") == 1  # and not once per row
        assert "looked for /nowhere/at/all/coco/annotations and /nowhere/at/all/annotations" in answer.stdout
    unknown = process("show", "fgi1")
    assert (unknown.returncode, unknown.stdout) == (2, "") and "\x1b" not in unknown.stderr


def test_a_closed_pipe_is_no_error():
    command = f"'{sys.executable}' -m flatpose.harness.cli show table5 --json | true"
    answer = subprocess.run(["bash", "-c", command], text=True, capture_output=True, cwd=ROOT)
    assert answer.stderr == ""


def test_list_answers_at_once():
    process("list")
    fastest = min(_seconds("list") for _ in range(3))
    assert fastest < 1.5, "0.5 s on an idle machine"


def _seconds(*arguments: str) -> float:
    started = time.monotonic()
    process(*arguments)
    return time.monotonic() - started


def test_every_command_shows_an_example():
    def lacking(group, path):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from lacking(command, [*path, name])
            if "Example" not in (command.help or ""):
                yield " ".join([*path, name])

    assert list(lacking(typer.main.get_command(cli_module.app), [])) == []
