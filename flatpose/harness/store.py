"""Runs on disk: runs/<spec hash>/seed<k>/<data id>/, complete when record.json exists, which is written last."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatpose.errors import FlatPoseError
from flatpose.harness.ranks import rank
from flatpose.harness.record_form import problem
from flatpose.io import read_json, write_json

SCHEMA_VERSION = 1
RECORD, LOCK, ERROR = "record.json", "lock", "error.txt"


class Busy(FlatPoseError):
    """Another process is working on this run."""


@dataclass(frozen=True)
class RunDir:
    """The folder of one run on one data set."""

    path: Path

    @classmethod
    def of(cls, runs_dir: Path, spec_hash: str, seed: int, data_id: str) -> RunDir:
        """Where a run lives."""
        return cls(runs_dir / spec_hash / f"seed{seed}" / data_id)

    def record(self) -> dict[str, Any] | None:
        """The finished record, or None when there is none or it is damaged (a damaged one counts as not run)."""
        try:
            record = read_json(self.path / RECORD)
        except FlatPoseError:
            return None
        valid = isinstance(record, dict) and record.get("schema_version") == SCHEMA_VERSION and problem(record) is None
        return record if valid else None

    def save(self, record: dict[str, Any]) -> None:
        """Write the record; the run is complete from this moment on."""
        write_json(self.path / RECORD, {"schema_version": SCHEMA_VERSION, **record})

    def discard_record(self) -> None:
        """Before a rerun: the old answer no longer stands."""
        (self.path / RECORD).unlink(missing_ok=True)

    def damaged(self) -> bool:
        """Whether a record is there that cannot be read."""
        return (self.path / RECORD).exists() and self.record() is None

    def running(self) -> str | None:
        """Which live process holds the lock, for people; None when nobody does, or when it is rank 0 of this job."""
        if rank():
            return None
        owner = self.owner()
        return _name(owner) if owner is not None and _alive(owner) else None

    def owner(self) -> dict[str, Any] | None:
        """What the lock says of its holder, dead or alive; None without a lock, or when it is damaged."""
        return _owner(self.path / LOCK)

    def abandoned(self) -> bool:
        """Whether a process that held the lock died without giving it back."""
        owner = self.owner()
        return owner is not None and not _alive(owner)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold this run; raises Busy when a live process has it. A dead process's lock is taken over."""
        self.path.mkdir(parents=True, exist_ok=True)
        _acquire(self.path / LOCK)
        try:
            yield
        finally:
            (self.path / LOCK).unlink(missing_ok=True)


def _acquire(lock: Path) -> None:
    """Write our name into the lock file unless a live process stands there."""
    me = {"host": socket.gethostname(), "pid": os.getpid(), "process_start": _process_start(os.getpid()),
          "job": _job(), "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    with one_at_a_time(lock.with_name("lock.guard")):
        owner = _owner(lock)
        if owner is not None and _alive(owner):
            raise Busy(f"{_name(owner)} works on it", where=str(lock.parent),
                       hint=f"wait for it, its record will be reused; if it died with its machine, delete {lock}")
        write_json(lock, me)


@contextmanager
def one_at_a_time(guard: Path) -> Iterator[None]:
    """Wait until no other process is inside; the system frees this guard when its holder dies.

    Two processes must not take over the same dead lock. The lock itself is a file that names its owner, because a guard
    of the system does not reach every shared folder of a cluster, and cannot say who holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows: nothing is guarded
        yield
        return
    with open(guard, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _name(owner: dict[str, Any]) -> str:
    return f"process {owner['pid']} on {owner['host']} (since {owner['since']})"


def _owner(lock: Path) -> dict[str, Any] | None:
    try:
        owner = json.loads(lock.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    form = {"host": str, "pid": int, "since": str}
    whole = isinstance(owner, dict) and all(type(owner.get(name)) is kind for name, kind in form.items())
    return owner if whole and 0 < owner["pid"] < 2**31 else None


def _job() -> str | None:
    """This process's place in a Slurm job, which is the same again when the job is put back into the queue."""
    names = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_PROCID")
    return ".".join(os.environ.get(name, "") for name in names) if names[0] in os.environ else None


def _alive(owner: dict[str, Any]) -> bool:
    """A process of this machine is looked up; one of another is taken to be alive, unless it stood in our place."""
    if owner["host"] != socket.gethostname():
        return owner.get("job") is None or owner["job"] != _job()
    if os.name == "nt":  # there the question would be a signal
        return True
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # The number may have been given to another process since: then the start times differ.
    return owner.get("process_start") in (None, _process_start(owner["pid"]))


def _process_start(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot, where /proc tells it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None
