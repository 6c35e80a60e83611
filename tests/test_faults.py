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

from flatpose.io import write_bytes, write_json

PIPELINE = "flatpose.pipeline"


@pytest.fixture
def real(cli) -> Cli:
    """The same with the real pipeline."""
    cli.monkeypatch.delitem(sys.modules, PIPELINE)
    cli.spec = cli.write("real.py", spec(tame={"epochs": 2}))
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
