"""Sweeps on a queue: one job per run, taken over after the launcher's death, again after a preemption."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import hostile
import pytest
from tiny import write_coco

from flatpose.errors import SpecError
from flatpose.harness import catalog
from flatpose.harness.launch_slurm import LEDGER, SUBMISSIONS, Job, Slurm, _join_tasks, launch, parse_options
from flatpose.harness.plan import Plan, make_plan
from flatpose.harness.store import LOCK, RunDir
from flatpose.io import write_json
from flatpose.progress import SILENT

SPEC = '''
from dataclasses import replace
from flatpose.config import BaselineConfig, DataConfig, HeatmapCodecConfig, RunConfig, TrainConfig
from flatpose.harness.spec import Experiment, Profile, Row

RUN = RunConfig(data=DataConfig(source="disk"), image_size=(64, 64), codec=HeatmapCodecConfig(stride=32),
                model=BaselineConfig(backbone="resnet_quick", pretrained=False, num_deconvs=0),
                train=TrainConfig(epochs=1, batch_size=4, ema_decay=None, warmup_epochs=0))
OTHER = replace(RUN, train=replace(RUN.train, epochs=2))
EXPERIMENT = Experiment(id="queued", title="t", source="s", question="q",
                        rows=(Row(id="a", label="a", run=RUN), Row(id="b", label="b", run=OTHER)),
                        profiles={"quick": Profile(name="quick", description="d")})
'''


class Queue:
    """A queue in this process: a job ends as soon as somebody asks, by a record, or (``lost`` times) without one."""

    def __init__(self, lost: int = 0) -> None:
        self.jobs: dict[str, Job] = {}
        self.over: set[str] = set()
        self.lost = lost

    def submit(self, job: Job, logs: Path) -> str:
        name = str(len(self.jobs) + 1)
        self.jobs[name] = job
        return name

    def active(self, ids: set[str]) -> set[str]:
        still = (ids & self.jobs.keys()) - self.over
        for name in sorted(still):
            self.over.add(name)
            if self.lost > 0:
                self.lost -= 1
            else:
                finish(self.jobs[name])
        return still


def finish(job: Job) -> None:
    (planned,) = job.plan.runs
    folder(job.runs_dir, planned).save({"status": "done", "reason": None, "spec_hash": planned.to_dict()["spec_hash"],
                                        "seed": planned.seed, "data_id": planned.data_id, "provenance": {}})


def folder(runs: Path, planned) -> RunDir:
    return RunDir(runs / planned.to_dict()["spec_hash"] / f"seed{planned.seed}" / planned.data_id)


@pytest.fixture
def site(tmp_path: Path) -> tuple[Path, Path, Path]:
    (tmp_path / "queued.py").write_text(SPEC)
    return tmp_path / "queued.py", tmp_path / "runs", write_coco(tmp_path / "data")


def plan(site: tuple[Path, Path, Path]) -> Plan:
    spec, runs, data = site
    found = catalog.load(str(spec))
    return make_plan(found, found.profiles["quick"], runs, data_root=data, seeds=(0, 1))


def go(site: tuple[Path, Path, Path], queue: Queue) -> list[str]:
    return [o.status for o in launch(plan(site), site[1], site[2], SILENT, queue, poll=0.0, grace=0.0)]


def test_one_job_per_run_and_none_for_what_is_done(site):
    queue = Queue()
    assert go(site, queue) == ["done"] * 4
    assert len(queue.jobs) == 4 and all(len(job.plan.runs) == 1 for job in queue.jobs.values())
    assert go(site, queue) == [] and len(queue.jobs) == 4


def test_a_job_that_left_no_record_is_submitted_again(site):
    queue = Queue(lost=2)
    assert go(site, queue) == ["done"] * 4 and len(queue.jobs) == 6


def test_a_run_that_never_leaves_a_record_is_given_up(site):
    queue = Queue(lost=1000)
    assert go(site, queue) == ["failed"] * 4 and len(queue.jobs) == 4 * SUBMISSIONS


def test_jobs_of_a_dead_launcher_are_followed_not_repeated(site):
    class Dies(Queue):
        def active(self, ids: set[str]) -> set[str]:
            raise KeyboardInterrupt

    first = Dies()
    with pytest.raises(KeyboardInterrupt):
        go(site, first)
    assert len(first.jobs) == 4
    second = Queue()
    second.jobs = dict(first.jobs)
    assert go(site, second) == ["done"] * 4 and len(second.jobs) == 4


def test_the_lock_of_a_lost_node_does_not_keep_its_run(site):
    _, runs, _ = site
    planned = plan(site).runs[0]
    where = folder(runs, planned)
    where.path.mkdir(parents=True)
    write_json(where.path / LOCK, {"host": "a-node-that-is-gone", "pid": 1, "since": "then"})
    write_json(where.path / LEDGER, {"job": "77"})
    assert plan(site).runs[0].status == "running"
    assert go(site, Queue()) == ["done"] * 4
    assert not (where.path / LOCK).exists()


def test_a_job_that_is_put_back_into_the_queue_takes_over_its_own_lock(site, monkeypatch):
    """On another node, from where the dead process cannot be looked up."""
    where = folder(site[1], plan(site).runs[0])
    for name, value in (("SLURM_JOB_ID", "77"), ("SLURM_STEP_ID", "0"), ("SLURM_PROCID", "0")):
        monkeypatch.setenv(name, value)
    with where.lock():
        mine = where.owner()
    lost = {**mine, "host": "a-node-that-is-gone"}
    for name in ("SLURM_JOB_ID", "SLURM_PROCID"):  # another job, another task of this one
        with monkeypatch.context() as patch:
            write_json(where.path / LOCK, lost)
            patch.setenv(name, "5")
            assert plan(site).runs[0].status == "running"
    assert plan(site).runs[0].status == "not run"
    with where.lock():
        assert where.owner()["host"] == mine["host"]


@pytest.mark.parametrize("name, good, wrong", [(LOCK, hostile.lock(), hostile.LOCK),
                                               (LEDGER, hostile.ledger(), hostile.LEDGER)])
def test_a_damaged_lock_or_ledger_counts_for_nothing(site, name, good, wrong):
    def submitted(content: bytes) -> int:
        """How many jobs are needed when this lies in the run's folder and job 77 still waits."""
        queue, first = Queue(), replace(plan(site), runs=plan(site).runs[:1])
        where = folder(site[1], first.runs[0])
        where.path.mkdir(parents=True, exist_ok=True)
        (where.path / name).write_bytes(content)
        first = replace(first, runs=plan(site).runs[:1])
        queue.jobs["77"] = Job(first, site[1], site[2])
        launch(first, site[1], site[2], SILENT, queue, poll=0.0, grace=0.0)
        for path in (where.path / LOCK, where.path / LEDGER, where.path / "record.json"):
            path.unlink(missing_ok=True)
        return len(queue.jobs) - 1

    assert submitted(json.dumps(good).encode()) == 0, "or the rest would show nothing"
    assert {label for label, content in hostile.cases(good, wrong) if submitted(content) != 1} == set()


def test_a_run_that_another_process_works_on_is_left_to_it(site):
    _, runs, _ = site
    with folder(runs, plan(site).runs[0]).lock():
        queue = Queue()
        assert sorted(go(site, queue)) == ["done", "done", "done", "running"] and len(queue.jobs) == 3


def test_an_option_that_submitit_does_not_have_is_named(site, monkeypatch, tmp_path):
    (tmp_path / "srun").write_text("")  # submitit asks whether there is one
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    first = replace(plan(site), runs=plan(site).runs[:1])
    with pytest.raises(SpecError, match="gpu_per_node"):
        launch(first, site[1], site[2], SILENT, Slurm({"gpu_per_node": 1}), poll=0.0, grace=0.0)


def test_options_are_names_and_values():
    assert parse_options(["timeout_min=5", "slurm_partition=gpu"]) == {"timeout_min": 5, "slurm_partition": "gpu"}
    with pytest.raises(SpecError, match="NAME=VALUE"):
        parse_options(["partition"])


def test_a_given_address_of_the_first_node_wins(monkeypatch):
    from submitit import helpers

    class Exported:
        def export(self) -> None:
            assert "MASTER_ADDR" not in os.environ, "submitit refuses what is set already"
            os.environ.update(MASTER_ADDR="n1", RANK="1")

    monkeypatch.setattr(helpers, "TorchDistributedEnvironment", Exported)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    for given, used in ((None, "n1"), ("10.0.0.7", "10.0.0.7")):
        os.environ.pop("MASTER_ADDR", None)
        if given:
            os.environ["MASTER_ADDR"] = given
        _join_tasks()
        assert os.environ["MASTER_ADDR"] == used and os.environ["RANK"] == "1"


@pytest.fixture
def slurm(shared: Path):
    """A Slurm of one node on this machine, or the test is skipped."""
    if not all(shutil.which(name) for name in ("slurmctld", "slurmd", "munged")):
        pytest.skip("Slurm is not installed")
    scripts, where = shared / "slurm", Path(tempfile.mkdtemp(prefix="slurm"))
    where.chmod(0o755)  # munge refuses a socket in a folder that is not open to all
    up = subprocess.run(["bash", str(scripts / "up.sh"), str(where)], capture_output=True, text=True, timeout=120)
    if up.returncode:
        pytest.skip(f"Slurm does not start here: {up.stderr[-200:]}")
    yield {**os.environ, "SLURM_CONF": str(where / "slurm.conf"), "OMP_NUM_THREADS": "1"}
    subprocess.run(["bash", str(scripts / "down.sh"), str(where)], capture_output=True)
    shutil.rmtree(where, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.slurm
def test_a_real_slurm_survives_its_launcher_and_a_killed_job(site, slurm):
    spec, runs, data = site
    command = [sys.executable, "-m", "flatpose.harness.cli", "run", str(spec), "--data-root", str(data), "--no-report",
               "--launcher", "slurm", "--slurm", "cpus_per_task=1", "--slurm", "mem_gb=1"]
    environment = {**slurm, "FLATPOSE_RUNS": str(runs)}
    first = subprocess.Popen(command, env=environment, cwd=spec.parent)
    until = time.monotonic() + 90
    while len(list(runs.rglob(LEDGER))) < 2 and time.monotonic() < until:
        time.sleep(0.2)
    first.kill()
    first.wait()
    jobs = [json.loads(path.read_text())["job"] for path in runs.rglob(LEDGER)]
    assert len(jobs) == 2
    subprocess.run(["scancel", "--signal=KILL", jobs[0]], env=environment, check=True)
    second = subprocess.run(command, env=environment, cwd=spec.parent, capture_output=True, text=True, timeout=250)
    assert second.returncode == 0, second.stderr
    assert len(list(runs.rglob("record.json"))) == 2
    after = {json.loads(path.read_text())["job"] for path in runs.rglob(LEDGER)}
    assert jobs[1] in after, "the job that was alive was followed"
