"""Several processes of one command stay together whatever one of them meets: they all go on, or they all end."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess

import pytest
from tiny import TORCHRUN, python, spec, write_coco

from flatpose.harness import catalog
from flatpose.harness.plan import make_plan
from flatpose.harness.record import Record
from flatpose.harness.store import RunDir

# On rank 1 alone, in the first run alone, the loss of the second step does what $WHAT says.
SCRIPT = '''
import os
import flatpose.pipeline
from flatpose.harness.cli import main

build, runs, steps = flatpose.pipeline.build_loss, [], []

def build_bad(*arguments):
    loss = build(*arguments)
    runs.append(loss)

    def bad(outputs, targets, counts):
        steps.append(1)
        if os.environ["RANK"] == "1" and len(runs) == 1 and len(steps) == 2:
            if os.environ["WHAT"] == "nan":
                return loss(outputs, targets, counts) * float("nan")
            if os.environ["WHAT"] == "raise":
                raise ValueError("only here")
        return loss(outputs, targets, counts)

    bad.counts = loss.counts
    return bad

flatpose.pipeline.build_loss = build_bad
main()
'''


class Pair:
    """Two ranks of one command, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs, self.data = folder, folder / "runs", write_coco(folder / "data")
        (folder / "reports").mkdir()
        (folder / "pair.py").write_text(spec(a={"epochs": 1}, b={"epochs": 2}))
        (folder / "script.py").write_text(SCRIPT)

    def run(self, what: str = "", *arguments: str) -> CompletedProcess[str]:
        """Fails the test when they wait for each other."""
        return python(self.folder, *TORCHRUN, "script.py", "run", "pair.py", "--data-root", self.data, *arguments,
                      CUDA_VISIBLE_DEVICES="", WHAT=what)

    def run_dir(self, row: int) -> RunDir:
        found = catalog.load(str(self.folder / "pair.py"))
        return make_plan(found, found.profiles["quick"], self.runs, data_root=self.data).runs[row].folder(self.runs)

    def record(self, row: int) -> Record | None:
        return self.run_dir(row).record()


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


@pytest.mark.slow
def test_a_loss_that_is_nan_on_one_rank_fails_its_row_on_both_and_the_next_row_runs(pair):
    done = pair.run("nan")
    assert done.returncode == 1, done.stderr[-3000:]
    failed, other = pair.record(0), pair.record(1)
    assert failed.status == "failed" and "the loss is nan in epoch 1, step 2" in failed.reason
    persons = failed.reason.split("annotations ")[1].split(":")[0].split(", ")
    assert len(persons) == 2, "those of rank 1, not all four of the batch"
    assert other.status == "done" and other.train.processes == 2
    assert done.stderr.count("failed, a seed 0") == 1, "rank 0 speaks for both"
    assert "failed" in (pair.folder / "reports" / "tiny.md").read_text(), "rank 1's end did not cut rank 0 off"


@pytest.mark.slow
def test_any_other_error_on_one_rank_ends_both_and_the_next_run_goes_on(pair):
    done = pair.run("raise")
    assert done.returncode == 1 and "rank 1 of 2: ValueError: only here" in done.stderr, done.stderr[-3000:]
    folder = pair.run_dir(0).path
    assert "only here" in (folder / "error-rank1.txt").read_text()
    assert pair.record(0) is None and pair.record(1) is None, "no record of what only one of them met"
    assert pair.run().returncode == 0
    assert {pair.record(row).status for row in (0, 1)} == {"done"} and not list(folder.glob("error*"))


@pytest.mark.slow
def test_a_damaged_checkpoint_makes_both_start_afresh(pair):
    assert pair.run("", "--row", "a").returncode == 0
    whole, folder = pair.record(0), pair.run_dir(0)
    (folder.path / "checkpoint" / "model.safetensors").write_bytes(b"torn")
    folder.discard_record()
    done = pair.run("", "--row", "a")
    assert done.returncode == 0 and done.stderr.count("the checkpoint was damaged") == 1, done.stderr[-3000:]
    assert pair.record(0).results == whole.results


@pytest.mark.slow
def test_both_skip_a_row_that_another_process_works_on(pair):
    with pair.run_dir(0).lock():
        done = pair.run()
    assert done.returncode == 0 and "running" in done.stderr, done.stderr[-3000:]
    assert pair.record(0) is None and pair.record(1).status == "done"
