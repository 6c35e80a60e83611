"""The fault matrix of docs/reliability.md: for each fault what the user sees, what is kept, what the next run does."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_runs import SPEC, Cli
from tiny import write_coco

from flatpose.errors import FlatPoseError
from flatpose.harness import collect, provenance
from flatpose.io import write_bytes

PIPELINE = "flatpose.pipeline"
# A real training of a second, with one row that behaves and one that does not.
REAL = '''
from dataclasses import replace
from flatpose.config import BaselineConfig, DataConfig, EvalConfig, HeatmapCodecConfig, RunConfig, TrainConfig
from flatpose.harness.spec import Experiment, Profile, Row

TRAIN = TrainConfig(epochs=2, batch_size=4, ema_decay=0.9, warmup_epochs=0)
RUN = RunConfig(data=DataConfig(source="disk"), image_size=(64, 64), codec=HeatmapCodecConfig(stride=32), train=TRAIN,
                model=BaselineConfig(backbone="resnet_quick", pretrained=False, num_deconvs=0))
ROWS = (Row(id="wild", label="w", run=replace(RUN, train=replace(TRAIN, optimizer="sgd", lr=1e30))),
        Row(id="tame", label="t", run=RUN))
EXPERIMENT = Experiment(id="real", title="t", source="s", question="q", rows=ROWS,
                        profiles={"quick": Profile(name="quick", description="d")})
'''


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys) -> Cli:
    return Cli(tmp_path, monkeypatch, capsys)


@pytest.fixture
def real(cli) -> Cli:
    """The same with the real pipeline; ``spec`` has the rows wild and tame."""
    cli.monkeypatch.delitem(sys.modules, PIPELINE)
    cli.monkeypatch.setenv("OMP_NUM_THREADS", "1")
    cli.spec = cli.write("real.py", REAL)
    return cli


@contextlib.contextmanager
def mounted(folder: Path, options: str):
    """A file system of its own in ``folder``; skips where mounting is not allowed."""
    folder.mkdir(exist_ok=True)
    if not sys.platform.startswith("linux") or os.geteuid() or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "flatpose-test", str(folder)], capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob("*.tmp"))  # half-written files


def test_a_full_disk_stops_the_sweep_and_loses_nothing(cli, tmp_path):
    with mounted(tmp_path / "runs", "size=256k") as runs:
        assert cli.run("--row", "one").code == 0
        ballast = runs / "ballast"
        with contextlib.suppress(OSError), open(ballast, "wb") as file:
            while file.write(b"0" * 4096):
                file.flush()
        answer = cli.run()
        assert answer.code == 2 and "nothing more can be written" in answer.err and "make room" in answer.err
        assert "Traceback" not in answer.err and not leftovers(runs) and set(cli.records()) == {1}
        ballast.unlink()
        assert cli.run().code == 0 and set(cli.records()) == {1, 2, 3}
        assert cli.calls.count("1 0") == 1


def test_a_disk_that_fills_up_in_training_is_no_failure_of_the_row(real, tmp_path):
    with mounted(tmp_path / "runs", "size=3m") as runs:
        (runs / "ballast").write_bytes(b"0" * (2 << 20))
        answer = real.run("--row", "tame")
        assert answer.code == 2 and "nothing more can be written" in answer.err and "Traceback" not in answer.err
        assert not real.records() and real.states()["tame"] == ("not run", True) and not leftovers(runs)
    assert real.run("--row", "tame").code == 0


def test_a_folder_that_cannot_be_written(cli, tmp_path):
    with mounted(tmp_path / "runs", "size=256k") as runs:
        cli.run("--row", "one")
        subprocess.run(["mount", "-o", "remount,ro", str(runs)], check=True)
        answer = cli.run()
        assert answer.code == 2 and "Read-only" in answer.err and "Traceback" not in answer.err
        assert cli.states()["one"] == ("done", False), "what is there can still be read"
        subprocess.run(["mount", "-o", "remount,rw", str(runs)], check=True)
        assert cli.run().code == 0 and cli.calls.count("1 0") == 1


def test_reports_that_cannot_be_written(cli, tmp_path):
    cli.run()
    shutil.rmtree(tmp_path / "reports")
    with mounted(tmp_path / "reports", "size=64k,ro"):
        answer = cli("report", cli.spec)
        assert answer.code == 2 and "Read-only" in answer.err and "Traceback" not in answer.err
    assert cli("report", cli.spec).code == 0


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_bytes(path, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    for function in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, full)
            with pytest.raises(OSError, match="No space"):
                write_bytes(path, b"new")
        assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["record.json"]


def test_what_a_killed_writer_left_is_removed_by_the_next_run(cli):
    cli.run("--row", "one")
    torn = cli.folder(1) / ".record.json.x1y2.tmp"
    torn.write_text('{"schema_ver')
    assert cli.states()["one"] == ("done", False) and cli("report", cli.spec).code == 0
    assert cli.run("--row", "one", "--rerun", "all").code == 0 and not torn.exists()


class _Earlier(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) - datetime.timedelta(days=400)


def test_a_clock_set_back_changes_no_state_and_no_duration(cli, monkeypatch):
    cli.run("--row", "one")
    real_time = time.time
    monkeypatch.setattr(provenance, "datetime", _Earlier)
    monkeypatch.setattr(time, "time", lambda: real_time() - 400 * 86400)
    assert cli.states()["one"] == ("done", False), "being finished or current is no matter of time"
    assert cli.run().code == 0 and cli.calls == ["1 0", "2 0", "3 0"]
    records = cli.records()
    assert records[2]["provenance"]["ended"] < records[1]["provenance"]["ended"]
    assert all(0 <= r["provenance"]["seconds"] < 60 for r in records.values())
    assert cli("report", cli.spec).code == 0
    assert len(collect.load(cli.root / "reports" / "data" / "tiny.json", "tiny").records) == 3


def test_a_lock_of_a_live_process_holds_when_the_clock_is_set_back(cli, monkeypatch):
    process = cli.start("--row", "two", fake="2=hang")
    for _ in range(600):
        if list(cli.root.glob("runs/*/*/*/hanging")):
            break
        time.sleep(0.05)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert cli.states("--row", "two")["two"] == ("running", False)
    process.kill()
    process.communicate()
    assert cli.states("--row", "two")["two"] == ("not run", True)


def test_a_run_that_took_its_process_with_it_comes_last(cli):
    """What the system kills for its memory leaves no exception: the other rows must get their turn first."""
    process = cli.start("--row", "one", fake="1=hang")
    for _ in range(600):
        if list(cli.root.glob("runs/*/*/*/hanging")):
            break
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert cli.run().code == 0 and cli.calls == ["1 0", "2 0", "3 0", "1 0"] and set(cli.records()) == {1, 2, 3}


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")])
def test_out_of_memory_in_one_row_leaves_the_others(cli, error):
    module = sys.modules[PIPELINE]
    execute = module.execute

    def greedy(run, **rest):
        if run.train.epochs == 2:
            raise error
        return execute(run, **rest)

    cli.monkeypatch.setattr(module, "execute", greedy)
    answer = cli.run()
    assert answer.code == 1 and set(cli.records()) == {1, 2, 3} and "--rerun failed" in answer.err
    assert cli.records()[2]["status"] == "failed" and type(error).__name__ in cli.records()[2]["reason"]
    cli.monkeypatch.setattr(module, "execute", execute)
    assert cli.run("--rerun", "failed").code == 0 and cli.records()[2]["status"] == "done"


def test_a_loss_that_is_nan_fails_its_row_and_keeps_the_others(real):
    answer = real.run()
    assert answer.code == 1 and "Traceback" not in answer.err
    by_status = {r["status"]: r for r in (json.loads(p.read_text()) for p in
                                          real.root.glob("runs/*/seed0/*/record.json"))}
    assert "the loss is" in by_status["failed"]["reason"] and "results" not in by_status["failed"]
    assert by_status["done"]["results"][0]["metrics"]["AP"] >= 0
    assert real("report", real.spec).code == 0 and "failed" in (real.root / "reports" / "real.md").read_text()


def test_an_image_that_vanishes_in_mid_epoch_blocks_and_the_next_run_goes_on(real, monkeypatch):
    from flatpose.data import loader

    image = next((real.data / "coco" / "train2017").iterdir())
    kept, read = image.read_bytes(), loader.read_image

    def vanishing(path, *options):
        image.unlink(missing_ok=True)  # the first image that is read takes this one away
        return read(path, *options)

    monkeypatch.setattr(loader, "read_image", vanishing)
    answer = real.run("--row", "tame")
    assert answer.code == 2 and image.name in answer.err and "Traceback" not in answer.err and not real.records()
    monkeypatch.setattr(loader, "read_image", read)
    image.write_bytes(kept)
    assert real.run("--row", "tame").code == 0


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.bin", "custom_checkpoint_0.pkl", "state.json"])
def test_a_damaged_checkpoint_is_removed_and_its_run_starts_afresh(real, name):
    assert real.run("--row", "tame").code == 0
    (path,) = real.root.glob("runs/*/*/*/record.json")
    record = json.loads(path.read_text())
    os.truncate(path.parent / "checkpoint" / name, 40)
    path.unlink()
    answer = real.run("--row", "tame")
    assert answer.code == 0 and answer.err.count("has been removed; this run starts afresh") == 1
    assert json.loads(path.read_text())["results"] == record["results"]


def test_a_data_loading_process_that_dies_fails_its_row_with_a_reason(real, monkeypatch):
    import flatpose.train
    from flatpose.data.loader import Crops

    fetch, parent = Crops.__getitem__, os.getpid()

    def dying(self, address):
        return os._exit(9) if os.getpid() != parent else fetch(self, address)

    monkeypatch.setattr(flatpose.train, "loader_options", lambda: {"num_workers": 1})
    with monkeypatch.context() as patch:
        patch.setattr(Crops, "__getitem__", dying)
        answer = real.run("--row", "tame")
    assert answer.code == 1 and "Traceback" not in answer.err and "tame seed 0" in answer.err
    assert "DataLoader worker" in next(real.root.glob("runs/*/*/*/error.txt")).read_text()
    assert real.run("--row", "tame", "--rerun", "failed").code == 0


def test_a_process_that_renders_data_and_dies_is_replaced(tmp_path, monkeypatch):
    from concurrent.futures.process import BrokenProcessPool

    from flatpose.config import EmbeddedConfig
    from flatpose.data import synthetic
    from flatpose.data.synthetic import dataset

    class Broken:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

        def map(self, *_):
            raise BrokenProcessPool("a child process terminated abruptly")

    monkeypatch.setattr(dataset, "ProcessPoolExecutor", Broken)
    monkeypatch.setattr(dataset, "_CHUNK", 2)
    root = synthetic.ensure(EmbeddedConfig(train_images=6, val_images=2), tmp_path, workers=2)
    assert dataset.problem(root, verify=True) is None


def test_annotations_that_the_evaluator_cannot_read_stop_before_training(cli):
    path = cli.data / "coco" / "annotations" / "person_keypoints_val2017.json"
    path.write_text(path.read_text().replace('"area"', '"aera"', 1))
    answer = cli.run()
    assert answer.code == 2 and answer.err.count("no field 'area'") == 1 and cli.calls == []


RANKS = '''
import json, os, sys
from pathlib import Path
import flatpose.train
from flatpose.config import BaselineConfig, DataConfig, EvalConfig, HeatmapCodecConfig, RunConfig, TrainConfig
from flatpose.pipeline import execute
from flatpose.progress import SILENT

flatpose.train.CHECKPOINT_SECONDS = 0.0
step = flatpose.train._step
def dying(loop, batch, epoch, update):
    if epoch == 2 and os.environ["RANK"] == "1" and "DIE" in os.environ:
        os._exit(9)
    return step(loop, batch, epoch, update)
flatpose.train._step = dying
run = RunConfig(data=DataConfig(source="disk"), image_size=(64, 64), codec=HeatmapCodecConfig(stride=32),
                model=BaselineConfig(backbone="resnet_quick", pretrained=False, num_deconvs=0),
                train=TrainConfig(epochs=4, batch_size=4, ema_decay=0.9, warmup_epochs=0))
work = Path(sys.argv[2])
work.mkdir(exist_ok=True)
measured = execute(run, seed=0, data_root=Path(sys.argv[1]), work_dir=work, reporter=SILENT)
if os.environ["RANK"] == "0":
    (work / "answer.json").write_text(json.dumps(measured["results"]))
'''


@pytest.mark.slow
def test_a_rank_that_dies_ends_all_and_the_next_start_goes_on_to_the_same_numbers(tmp_path):
    """torchrun takes the other ranks down; nothing is recorded; two ranks that go on equal two that never stopped."""
    data, script = write_coco(tmp_path / "data"), tmp_path / "ranks.py"
    script.write_text(RANKS)

    def ranks(folder: str, **environment: str) -> int:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script),
                   str(data), str(tmp_path / folder)]
        return subprocess.run(command, capture_output=True, timeout=250, env={
            **os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "1",
            "PYTHONPATH": str(Path(__file__).parents[1]), **environment}).returncode

    assert ranks("dies", DIE="1") != 0 and not (tmp_path / "dies" / "answer.json").exists()
    assert (tmp_path / "dies" / "checkpoint" / "state.json").is_file()
    assert ranks("dies") == 0 and ranks("whole") == 0
    assert (tmp_path / "dies" / "answer.json").read_text() == (tmp_path / "whole" / "answer.json").read_text()


def test_the_spec_of_a_stranger_is_checked_as_data(cli):
    trap = cli.root / "trap"
    found = cli("show", cli.spec, "--json").json
    for text in (json.dumps(found), json.dumps(found["rows"][0]["run"])):
        assert cli("validate", "--json-spec", cli.write("good.json", text)).code == 0
    code = f"__import__('pathlib').Path({str(trap)!r}).touch()"
    for name, text in (("spec.py", code), ("a.json", code), ("b.json", json.dumps({"profile": code, "data": code})),
                       ("c.json", json.dumps({"rows": [{"id": "1", "run": {"__reduce__": code}}]}))):
        answer = cli("validate", "--json-spec", cli.write(name, text))
        assert answer.code == 2 and "Traceback" not in answer.err and not trap.exists()
    assert "executed" in cli("validate", "--help").out and "Python code" in cli("--help").out
    with pytest.raises(FlatPoseError):
        cli("--debug", "plan", cli.write("bad.py", SPEC + "\nraise ValueError"))
