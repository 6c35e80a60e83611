"""The commands as a user types them: what they print, where, and their exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from fake_runs import SPEC
from tiny import EXP, ROOT, python

import flatpose
from flatpose.harness import catalog, console
from flatpose.harness import cli as cli_module


def commands(group, path=()):
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


def test_every_command_has_help_with_an_example():
    found = dict(commands(typer.main.get_command(cli_module.app)))
    assert {("run",), ("plan",), ("cost",), ("score",), ("data", "check"), ("systems",), ("pack",)} <= found.keys()
    assert [path for path, command in found.items() if "Example" not in (command.help or "")] == []


@pytest.mark.parametrize("command", ["list", "show SPEC", "plan SPEC", "validate SPEC", "status", "compare SPEC",
                                     "systems"])
def test_json_is_one_document_on_stdout(cli, command):
    answer = cli(*command.replace("SPEC", cli.spec).split(), "--json")
    assert answer.code == 0 and isinstance(answer.json, (list, dict)) and answer.err == ""


def test_list_and_show_print_what_the_specs_say(cli):
    assert cli("--version").out.strip() == flatpose.__version__
    found = cli("list", "--json").json
    assert [e["id"] for e in found] == catalog.ids() and {"fig1", "table5"} <= {e["id"] for e in found}
    shown = cli("show", "fig1", "--profile", "paper", "--json").json
    assert shown["rows"][0]["published"]["AP"] == 71.8 and shown["rows"][0]["run"]["image_size"] == [192, 256]
    assert "AP 71.8" in cli("show", "fig1").out


def test_every_spec_is_valid(cli):
    answer = cli("validate")
    assert answer.code == 0, answer.err


@pytest.mark.parametrize("arguments, words", [
    ("run fgi1", ["no experiment 'fgi1'", "did you mean 'fig1'?"]),
    ("plan SPEC --profile quik", ["tiny: no profile 'quik'", "did you mean 'quick'?"]),
    ("run SPEC --row tow", ["tiny: no row 'tow'", "did you mean 'two'?"]),
    ("run SPEC --seeds 0,x", ["--seeds: '0,x' is not a list of seeds", "write 0,1,2"]),
    ("run SPEC --jobs 0", ["--jobs"]),
    ("run nowhere.py", ["nowhere.py: no such spec file"]),
    ("run SPEC --lr 3", ["No such option", "--lr"]),
    ("run SPEC --launcher slurm --slurm x", ["'x' is not NAME=VALUE"]),
    ("data check", ["--data-root: no data root", "FLATPOSE_DATA"]),
    ("polt fig1", ["No such command"]),
])
def test_mistakes_get_one_message_and_exit_2(cli, arguments, words):
    (cli.root / "data").rename(cli.root / "other")
    answer = cli(*arguments.replace("SPEC", cli.spec).split())
    assert answer.code == 2 and answer.out == "" and "Traceback" not in answer.err
    assert all(word in answer.err for word in words), answer.err


BIG = 'Profile(name="big", description="slow", '


@pytest.mark.parametrize("old, new, words", [
    ("epochs=epochs)", "epoch=epochs)", ["TrainConfig.epoch:", "did you mean 'epochs'?", "spec.py:6"]),
    ('question="Does it run?"', 'qestion="?"', ["Experiment", "qestion", "did you mean 'question'?"]),
    ('label="2 epochs"', "label=2", ["Row.label: Input should be a valid string"]),
    ("from flatpose.config import", "from flatpose.confgi import", ["ModuleNotFoundError", "spec.py:2"]),
    ("def run(epochs):", "def run(epochs)", ["SyntaxError", "spec.py"]),
    ("EXPERIMENT =", "EXPERIMENTS =", ["does not define EXPERIMENT"]),
    ('id="two"', 'id="one"', ["row ids that occur twice: one"]),
    ('id="tiny"', 'id="fig1"', ["'fig1' belongs to an experiment that comes with the program"]),
    ('id="tiny"', 'id="../tiny"', ["'../tiny' may hold letters"]),
    (BIG, BIG + 'train={"epoch": 1}, ', ["profile 'big', train: no field 'epoch'", "you mean 'epochs'?", "spec.py:14"]),
    (BIG, BIG + 'model={"num_deconv": 1}, ', ["profile 'big', model: no field 'num_deconv'", "'num_deconvs'"]),
    (BIG, BIG + 'models={"flatpos": {}}, ', ["models: no kind 'flatpos'", "'flatpose'"]),
    (BIG, BIG + 'models={"hrnet": {"top_k": 1}}, ', ["models['hrnet']: no field 'top_k'"]),
    (BIG, BIG + 'codec={"simcc": {"ratio": 1}}, ', ["codec['simcc']: no field 'ratio'", "split_ratio"]),
    (BIG, BIG + 'left_out={"thre": "x"}, ', ["left_out: no row 'thre'", "'three'"]),
    ('id="tiny",', 'id="tiny", reference="on",', ["reference: no row 'on'", "did you mean 'one'?"]),
])
def test_a_broken_spec_names_file_field_and_nearest_name(cli, old, new, words):
    path = cli.write("spec.py", SPEC.replace(old, new))
    answer = cli("plan", path)
    assert answer.code == 2 and answer.out == "" and path in answer.err
    assert all(word in answer.err for word in words), answer.err
    checked = cli("validate", path, "--json")
    assert checked.code == 2 and checked.json[0]["experiment"] == path


def test_a_spec_that_is_json_is_never_executed(cli):
    found, trap = cli("show", cli.spec, "--json").json, cli.root / "trap"
    for text in (json.dumps(found), json.dumps(found["rows"][0]["run"])):
        assert cli("validate", cli.write("good.json", text)).code == 0
    code = f"__import__('pathlib').Path({str(trap)!r}).touch()"
    for text in (code, json.dumps({"profile": code, "data": code}), json.dumps({"rows": [{"run": {"train": 1}}]})):
        answer = cli("validate", cli.write("bad.json", text))
        assert answer.code == 2 and "Traceback" not in answer.err and not trap.exists()


def test_debug_shows_the_traceback_wherever_it_stands(cli):
    for arguments in (("--debug", "plan", "fgi1"), ("plan", "fgi1", "--debug")):
        with pytest.raises(flatpose.errors.SpecError):
            cli(*arguments)


def test_status_counts_runs_by_setting_of_own_experiments_too(cli):
    cli.monkeypatch.setattr(catalog, "ids", list)
    assert cli("status", "--json").json == []
    cli.run("--seeds", "0,1", fake="2=fail")
    cli.edit(1, numerics=0)
    assert cli("status", "--json").json == [
        {"experiment": "tiny", "setting": "quick · COCO subset (6/3 images)", "rows": 4, "rows_done": 3, "done": 3,
         "stale": 1, "failed": 2, "running": 0, "seeds": [0, 1]}]
    assert "3/4" in cli("status").out


def test_data_make_and_check(cli):
    cli.monkeypatch.setenv("FLATPOSE_CACHE", str(cli.root / "cache"))
    made = Path(cli("data", "make", "--profile", "smoke").out.strip())
    assert (made / "coco").is_dir() and made.is_relative_to(cli.root / "cache")
    good = cli("data", "check", "--data-root", str(cli.data), "--json")
    assert good.code == 0 and all(f["severity"] != "error" for f in good.json)
    (cli.data / "coco" / "val2017").rename(cli.data / "coco" / "somewhere")
    bad = cli("data", "check")
    assert bad.code == 2 and "coco/images/val2017" in bad.out


def test_doctor_finds_what_is_too_old_or_missing(cli, monkeypatch):
    from importlib import metadata

    assert cli("doctor").code == 0 and cli("doctor", "--data-root", "/nowhere").code == 1
    real = metadata.version

    def version(name: str) -> str:
        if name == "tabulate":
            raise metadata.PackageNotFoundError
        return "1.0.0" if name == "timm" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    answer = cli("doctor", "--json")
    found = {f["name"]: f for f in answer.json}
    assert answer.code == 1 and found["timm"]["state"] == found["tabulate"]["state"] == "error"
    assert found["timm"]["fix"] == "pip install -c constraints.txt timm" and found["numpy"]["state"] == "ok"


def test_pipes_get_whole_uncoloured_lines(tmp_path):
    answer = python(tmp_path, *EXP, "plan", "fig1", "--profile", "paper", FLATPOSE_DATA="/nowhere/at/all")
    assert answer.returncode == 2 and "\x1b" not in answer.stdout + answer.stderr
    assert answer.stdout.count("blocked, 12 of 12 runs") == 1 and "/nowhere/at/all" in answer.stdout
    closed = f"'{sys.executable}' -m flatpose.harness.cli show table5 --json | true"
    assert subprocess.run(["bash", "-c", closed], text=True, capture_output=True, cwd=ROOT).stderr == ""


@pytest.mark.parametrize("command", ["list", "show fig1", "status", "show fgi1", "cost --help"])
def test_pipes_of_another_encoding_crash_no_command(tmp_path, command):
    answer = python(tmp_path, *EXP, *command.split(), PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert answer.returncode in (0, 2) and "Traceback" not in answer.stderr, answer.stderr[-500:]


def test_plan_knows_of_records_that_came_without_their_run_folders(cli):
    cli.run("--row", "one")
    cli("report", cli.spec)  # reports/data/tiny.json: what a clone has
    shutil.rmtree(cli.root / "runs")
    runs = {r["rows"][0]: r for r in cli("plan", cli.spec, "--json").json["runs"]}
    assert runs["one"]["reason"] == "recorded in reports/data, no run folder here" and runs["one"]["due"]
    assert runs["two"]["reason"] == "no record"


def test_the_time_left_counts_only_the_steps_of_this_start(monkeypatch, capsys):
    """90 of 100 steps were made before; one more in 20 s leaves nine of 20 s."""
    clock = iter((0.0, 20.0))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    reporter = console.TaskReporter("run")
    reporter.start("train", 100, 90)
    reporter.advance()
    assert "91 %, 3 min left" in capsys.readouterr().err
