"""``--launcher slurm``: one array of jobs, which survives its launcher."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from tiny import EXP, ROOT, python, records, spec, write_coco

from flatpose.errors import SpecError
from flatpose.harness import catalog, slurm
from flatpose.harness.console import Display
from flatpose.harness.plan import make_plan


@pytest.fixture
def made(tmp_path):
    """The plan of four runs: two rows, two seeds."""
    (tmp_path / "queued.py").write_text(spec(a={"epochs": 2}, b={"epochs": 1}))
    write_coco(tmp_path / "data")
    found = catalog.load(str(tmp_path / "queued.py"))
    return make_plan(found, found.profiles["quick"], tmp_path / "runs", data_root=tmp_path / "data", seeds=(0, 1))


def test_jobs_that_leave_the_queue_are_judged_by_their_records(made, tmp_path, monkeypatch):
    runs, queue = tmp_path / "runs", [{"7_0", "7_1"}, None, {"7_0"}, set()]
    jobs = {f"7_{i}": planned for i, planned in enumerate(made.due)}
    job = slurm.Job(runs, tmp_path / "data")
    assert job(made.due[0]) == "done" and made.due[0].folder(runs).record().status == "done"
    monkeypatch.setattr(slurm, "_queue", lambda: queue.pop(0))
    found = {o.planned: o for o in slurm.follow(jobs, runs, Display(), poll=0.0, grace=0.0)}
    assert found[made.due[0]].status == "done" and queue == []
    lost = found[made.due[1]]
    assert lost.status == "failed" and "job 7_1 left no record" in lost.reason


def test_an_option_that_submitit_does_not_have_is_named(made, monkeypatch, tmp_path):
    (tmp_path / "srun").write_text("")  # submitit looks for it
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(SpecError, match="gpu_per_node"):
        slurm.submit(made, tmp_path / "runs", tmp_path / "data", {"gpu_per_node": 1})
    made.due[0].folder(tmp_path / "runs").path.mkdir(parents=True)
    old = made.due[0].folder(tmp_path / "runs").path / "record.json"
    old.write_text("{}")
    with pytest.raises(SpecError):
        slurm.submit(made, tmp_path / "runs", tmp_path / "data", {"gpu_per_node": 1})
    assert old.exists(), "nothing was submitted, so no record is replaced"
    assert slurm.parse_options(["timeout_min=5", "slurm_partition=gpu"]) == {"timeout_min": 5, "slurm_partition": "gpu"}


@pytest.fixture
def cluster(shared: Path):
    """The environment of a Slurm of one node on this machine, or the test is skipped."""
    if not all(shutil.which(name) for name in ("slurmctld", "slurmd", "munged")):
        pytest.skip("Slurm is not installed")
    scripts, where = shared / "slurm", Path(tempfile.mkdtemp(prefix="slurm"))
    where.chmod(0o755)  # munge refuses a socket in a folder that is not open to all
    up = subprocess.run(["bash", str(scripts / "up.sh"), str(where)], capture_output=True, text=True, timeout=120)
    if up.returncode:
        pytest.skip(f"Slurm does not start here: {up.stderr[-200:]}")
    yield {"SLURM_CONF": str(where / "slurm.conf")}
    subprocess.run(["bash", str(scripts / "down.sh"), str(where)], capture_output=True)
    shutil.rmtree(where, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.slurm
def test_a_real_slurm_survives_its_launcher(made, tmp_path, cluster):
    command = [*EXP, "run", "queued.py", "--data-root", str(tmp_path / "data"), "--no-report", "--launcher", "slurm",
               "--slurm", "cpus_per_task=1", "--slurm", "mem_gb=1"]
    environment = {**os.environ, **cluster, "FLATPOSE_RUNS": str(tmp_path / "runs"), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, *command], env=environment, cwd=tmp_path, stderr=subprocess.PIPE,
                          text=True) as first:
        for line in first.stderr:
            if "job" in line:
                break
        time.sleep(1)
        first.kill()
    second = python(tmp_path, *command, **cluster)
    assert second.returncode == 0, second.stderr
    assert len(records(tmp_path)) == 2
