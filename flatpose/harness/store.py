"""Runs on disk: ``runs/<spec hash>/seed<k>/<data id>/`` is complete when record.json exists, which is written last."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flatpose.errors import DataError, FlatPoseError
from flatpose.harness.provenance import now
from flatpose.harness.record import Record, read_record
from flatpose.io import read_json, write_json

RECORD, LOCK, OWNER, ERROR = "record.json", "lock", "owner.json", "error.txt"
LOCK_SECONDS = 1.0
"""How long to wait for a lock: a status query holds one for an instant."""
SPECS = "specs.json"
"""Below runs/: experiment id -> spec file, of the experiments that do not come with the program."""

Rerun = Literal["missing", "failed", "stale", "all"]
"""Which runs are made besides unfinished ones."""


class Busy(FlatPoseError):
    """Another process holds the lock of this run."""


def root() -> Path:
    """The folder that holds reports/: the current one or one of its parents, else the current one."""
    here = Path.cwd()
    return next((p for p in (here, *here.parents) if (p / "reports").is_dir()), here)


def runs_dir() -> Path:
    """$FLATPOSE_RUNS, else runs/ beside reports/."""
    return Path(os.environ["FLATPOSE_RUNS"]) if os.environ.get("FLATPOSE_RUNS") else root() / "runs"


def rank() -> int:
    """This process's rank among those that train one run together (torchrun); rank 0 keeps the records."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """The number of those processes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@dataclass(frozen=True)
class RunDir:
    """The folder of one run on one data set."""

    path: Path

    @classmethod
    def of(cls, runs_dir: Path, spec_hash: str, seed: int, data_id: str) -> RunDir:
        return cls(runs_dir / spec_hash / f"seed{seed}" / data_id)

    def record(self) -> Record | None:
        """The finished record, or None when there is none or it is damaged (which counts as not run)."""
        try:
            return read_record(self.path / RECORD)
        except DataError:
            return None

    def save(self, record: Record) -> None:
        """Write the record atomically; from then on the run is complete."""
        write_json(self.path / RECORD, record.to_json())

    def discard_record(self) -> None:
        """Remove the record before a rerun."""
        (self.path / RECORD).unlink(missing_ok=True)

    def damaged(self) -> bool:
        """Whether a record exists that cannot be read."""
        return (self.path / RECORD).exists() and self.record() is None

    def running(self) -> str | None:
        """The process that holds the lock, for messages; None when there is none, or when it is rank 0 of this job."""
        if rank() or not (self.path / OWNER).exists():
            return None
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.path / LOCK, timeout=0):
                return None
        except (Timeout, OSError):  # OSError: somebody else's folder, which cannot be locked
            return self._owner()

    def abandoned(self) -> bool:
        """Whether a process that held the lock was killed before it could release it."""
        return (self.path / OWNER).exists() and self.running() is None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of this run, which the system releases when the process dies; raises Busy when it is held."""
        from filelock import FileLock, Timeout

        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / LOCK)
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except Timeout:
            raise Busy(f"{self._owner()} is working on it", where=str(self.path),
                       hint="wait for it: its record will be reused") from None
        try:
            write_json(self.path / OWNER, {"host": socket.gethostname(), "pid": os.getpid(), "since": now()})
            yield
        finally:
            (self.path / OWNER).unlink(missing_ok=True)
            lock.release()

    def _owner(self) -> str:
        try:
            owner = json.loads((self.path / OWNER).read_text(encoding="utf-8"))
            return f"process {owner['pid']} on {owner['host']} (since {owner['since']})"
        except (OSError, ValueError, RecursionError, KeyError, TypeError):
            return "another process"


def scan(runs_dir: Path) -> list[Record]:
    """The records of finished runs and evaluated checkpoints; raises DataError for one that is damaged."""
    return [read_record(path) for path in sorted(runs_dir.glob(f"*/*/*/{RECORD}"))]


def own_specs(runs_dir: Path) -> dict[str, Path]:
    """Experiment id -> spec file, of the user's experiments that were run into this folder and still exist."""
    try:
        known = read_json(runs_dir / SPECS)
    except DataError:
        return {}
    paths = known.items() if isinstance(known, dict) else ()
    return {name: Path(path) for name, path in paths if isinstance(path, str) and Path(path).is_file()}


def remember_spec(runs_dir: Path, name: str, path: Path) -> None:
    """Note where the spec of a user's experiment is, so that ``status`` and the index list it."""
    known = own_specs(runs_dir)
    if known.get(name) != path:
        write_json(runs_dir / SPECS, {n: str(p) for n, p in (known | {name: path}).items()})
