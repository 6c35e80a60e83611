"""Full disks, bad numbers, damaged files: what the user sees, what is kept, and what the next run does."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from fake_runs import Cli
from hostile import Trap
from tiny import spec

from flatpose.harness.store import RunDir
from flatpose.io import write_bytes, write_json

PIPELINE = "flatpose.pipeline"
WILD, TAME = {"epochs": 2, "optimizer": "sgd", "lr": 1e30}, {"epochs": 2}  # the loss of the first explodes


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys) -> Cli:
    return Cli(tmp_path, monkeypatch, capsys)


@pytest.fixture
def real(cli) -> Cli:
    """The same with the real pipeline; the spec has the rows wild and tame."""
    cli.monkeypatch.delitem(sys.modules, PIPELINE)
    cli.spec = cli.write("real.py", spec(wild=WILD, tame=TAME))
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


def test_a_full_disk_stops_the_sweep_and_loses_nothing(cli, tmp_path):
    with mounted(tmp_path / "runs", "size=256k") as runs:
        assert cli.run("--row", "one").code == 0
        with contextlib.suppress(OSError), open(runs / "ballast", "wb") as file:
            while file.write(b"0" * 4096):
                file.flush()
        answer = cli.run()
        assert answer.code == 2 and "nothing more can be written" in answer.err and "free some space" in answer.err
        assert "Traceback" not in answer.err and not list(runs.rglob("*.tmp")) and set(cli.records()) == {1}
        (runs / "ballast").unlink()
        assert cli.run().code == 0 and cli.calls.count("1 0") == 1


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


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")])
def test_out_of_memory_in_one_row_leaves_the_others(cli, error):
    module = sys.modules[PIPELINE]
    execute = module.execute

    def greedy(run, **rest):
        if run.train.epochs == 2:
            raise error
        return execute(run, **rest)

    cli.monkeypatch.setattr(module, "execute", greedy)
    assert cli.run().code == 1 and set(cli.records()) == {1, 2, 3}
    assert cli.records()[2]["status"] == "failed" and type(error).__name__ in cli.records()[2]["reason"]


def test_a_loss_that_is_not_finite_fails_its_row_and_keeps_the_others(real):
    answer = real.run()
    assert answer.code == 1 and "Traceback" not in answer.err
    found = [RunDir(p.parent).record() for p in real.root.glob("runs/*/seed0/*/record.json")]
    by_status = {r.status: r for r in found}
    assert "the loss is" in by_status["failed"].reason and not by_status["failed"].results
    assert by_status["done"].results[0].metrics["AP"] >= 0


def test_an_image_that_vanishes_in_mid_epoch_blocks_and_the_next_run_continues(real, monkeypatch):
    from flatpose.data import images

    image = next((real.data / "coco" / "train2017").iterdir())
    kept, read = image.read_bytes(), images.read_image

    def vanishing(path, *options):
        image.unlink(missing_ok=True)  # reading the first image removes this one
        return read(path, *options)

    monkeypatch.setattr(images, "read_image", vanishing)
    answer = real.run("--row", "tame")
    assert answer.code == 2 and image.name in answer.err and "Traceback" not in answer.err and not real.records()
    monkeypatch.setattr(images, "read_image", read)
    image.write_bytes(kept)
    assert real.run("--row", "tame").code == 0


def test_a_damaged_or_hostile_checkpoint_is_removed_and_its_run_starts_from_the_beginning(real):
    assert real.run("--row", "tame").code == 0
    (path,) = real.root.glob("runs/*/*/*/record.json")
    record, folder, trap = json.loads(path.read_text()), path.parent / "checkpoint", real.root / "trap"

    def damage() -> None:
        os.truncate(folder / "model.safetensors", 40)

    def poison() -> None:
        """With a correct check sum: whoever writes the file writes that too."""
        content = pickle.dumps(Trap(trap))
        (folder / "custom_checkpoint_0.pkl").write_bytes(content)
        state = json.loads((folder / "state.json").read_text())
        files = {**state["files"], "custom_checkpoint_0.pkl": zlib.crc32(content)}
        write_json(folder / "state.json", {**state, "files": files})

    for spoil in (damage, poison):
        spoil()
        path.unlink()
        answer = real.run("--row", "tame")
        assert answer.code == 0 and answer.err.count("from the beginning") == 1 and not trap.exists(), answer.err
        assert json.loads(path.read_text())["results"] == record["results"]
