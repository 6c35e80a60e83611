"""All runs of a plan, several side by side, each of them in a child process; Ctrl-C stops them between two steps."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

from flatpose.config import DataConfig, training_hash
from flatpose.data import load
from flatpose.errors import DataError, RunError
from flatpose.harness import provenance
from flatpose.harness.plan import Plan, PlannedRun
from flatpose.harness.runner import Outcome, folder_of, leave, make_record, run_one, share, text_of
from flatpose.harness.store import world
from flatpose.progress import Relay, Reporter

if TYPE_CHECKING:
    from flatpose.harness.console import Display

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
GRACE_SECONDS = 20.0
"""How long children that are stopped may finish their step and write their checkpoint; a run itself has half of it."""


def run_plan(plan: Plan, runs_dir: Path, data_root: Path | None, display: Display, jobs: int = 1) -> list[Outcome]:
    """Make every run that is due and say how each ended.

    All data are checked before the first run starts. Bad data block their runs: nothing is recorded, and once they are
    repaired the same command continues. Runs start in the plan's order, but those whose process died before come last,
    so that a run which needs too much memory does not keep the others from running. Of several processes (torchrun)
    rank 0 decides what starts.

    With several ``jobs`` each run has a process with one thread; with one job runs use all cores, in this process.

    Raises:
        RunError: Nothing more can be written. That is no failure of a run.
        KeyboardInterrupt: Ctrl-C or SIGTERM; every run that was started has been stopped.
    """
    with StopRequest(GRACE_SECONDS / 2 if jobs == 1 else None) as stop:
        bad: dict[DataConfig, str] = {}
        for data in dict.fromkeys(planned.run.data for planned in plan.due):
            try:
                load(data, data_root, reporter=stop.between_steps(display.reporter("data")))
            except DataError as error:
                bad[data] = str(error)
        due, bad = share((sorted(plan.due, key=lambda planned: planned.folder(runs_dir).abandoned()), bad))
        sweep = _Sweep(due, bad, runs_dir, data_root, display, stop)
        return sweep.one_by_one() if jobs == 1 else sweep.side_by_side(jobs)


class StopRequest:
    """SIGINT and SIGTERM request a stop between two steps; a second signal, or ``grace`` seconds later, forces it.

    A child ignores Ctrl-C, which the terminal sends to its parent too, and is stopped by SIGTERM. Outside the main
    thread, where no handlers are allowed, signals are left alone.
    """

    def __init__(self, grace: float | None, child: bool = False) -> None:
        self.asked, self.grace = False, grace
        self.timer: threading.Timer | None = None
        self.handlers: dict[int, Any] = {signal.SIGINT: signal.SIG_IGN if child else self.handle,
                                         signal.SIGTERM: self.handle}

    def __enter__(self) -> StopRequest:
        here = threading.current_thread() is threading.main_thread()
        self.old = {number: signal.signal(number, handler) for number, handler in self.handlers.items() if here}
        return self

    def __exit__(self, *_: object) -> None:
        if self.timer is not None:
            self.timer.cancel()
        for number, handler in self.old.items():
            signal.signal(number, handler)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Signal handler."""
        self.check()
        self.asked = True
        if self.grace is not None:
            self.timer = threading.Timer(self.grace, os.kill, (os.getpid(), number))
            self.timer.start()

    def check(self) -> None:
        """Raise KeyboardInterrupt when a stop was requested."""
        if self.asked:
            raise KeyboardInterrupt

    def between_steps(self, reporter: Reporter) -> Reporter:
        """The reporter, whose ``advance`` raises KeyboardInterrupt after a stop request."""

        def send(name: str, arguments: tuple[Any, ...], info: Mapping[str, Any]) -> None:
            getattr(reporter, name)(*arguments, **info)
            if name == "advance":
                self.check()

        return Relay(send)


def _child(planned: PlannedRun, runs_dir: Path, data_root: Path | None, pipe: Connection) -> None:
    """One run in a process of its own. It sends calls of its reporter, then its outcome or what ends the sweep."""

    def send(name: str, arguments: tuple[Any, ...], info: Mapping[str, Any]) -> None:
        try:
            pipe.send((name, arguments, info))
        except OSError:  # the parent is gone
            raise KeyboardInterrupt from None

    logging.disable(logging.WARNING)  # of libraries, which would tear the bars
    warnings.simplefilter("ignore", FutureWarning)
    with StopRequest(GRACE_SECONDS / 2, child=True) as stop:
        try:
            send("outcome", (_outcome(planned, runs_dir, data_root, stop.between_steps(Relay(send))),), {})
        except RunError as error:
            send("error", (error.what, error.where, error.hint), {})
        except KeyboardInterrupt:
            sys.exit(130)


def _outcome(planned: PlannedRun, runs_dir: Path, data_root: Path | None, reporter: Reporter) -> Outcome:
    """The outcome of a run, also where its data turn out to be bad: some images are decoded in training only."""
    try:
        return run_one(planned, runs_dir, data_root, reporter)
    except DataError as error:
        if world() > 1:
            leave(error)
        return Outcome(planned, "blocked", text_of(error))


@dataclass
class _Job:
    """A child process."""

    number: int
    process: SpawnProcess
    reporter: Reporter
    started: str = field(default_factory=provenance.now)
    clock: float = field(default_factory=time.monotonic)
    outcome: Outcome | None = None

    def handle(self, name: str, arguments: tuple[Any, ...], info: Mapping[str, Any]) -> None:
        """One message of the child."""
        if name == "error":
            what, where, hint = arguments
            raise RunError(what, where=where, hint=hint)
        if name == "outcome":
            (self.outcome,) = arguments
        else:
            getattr(self.reporter, name)(*arguments, **info)


@dataclass
class _Sweep:
    """The runs that are due, and what is known so far."""

    due: Sequence[PlannedRun]
    bad: dict[DataConfig, str]
    runs_dir: Path
    data_root: Path | None
    display: Display
    stop: StopRequest
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    def one_by_one(self) -> list[Outcome]:
        """Run them one after another in this process."""
        for number, planned in enumerate(self.due):
            if not self._blocked(number):
                reporter = self.stop.between_steps(self.display.reporter(self._title(number)))
                self._ended(number, _outcome(planned, self.runs_dir, self.data_root, reporter))
        return list(self.outcomes.values())

    def side_by_side(self, jobs: int) -> list[Outcome]:
        """Run them in ``jobs`` child processes at a time. One that dies without an outcome fails its own run only."""
        waiting, active = deque(range(len(self.due))), dict[Connection, _Job]()
        try:
            while waiting or active:
                while len(active) < jobs and (number := self._next(waiting, active)) is not None:
                    if not self._blocked(number):
                        pipe, job = self._start(number)
                        active[pipe] = job
                for pipe in _ready(active):
                    try:
                        active[pipe].handle(*pipe.recv())
                    except (EOFError, OSError):
                        job = active.pop(pipe)
                        job.process.join()
                        self._ended(job.number, job.outcome or self._died(job))
                self.stop.check()
        except BaseException:
            _stop(active)
            raise
        return [self.outcomes[number] for number in sorted(self.outcomes)]

    def _next(self, waiting: deque[int], active: Mapping[Connection, _Job]) -> int | None:
        """Take the first run whose training is not under way in another run, whose weights it will then use."""
        under_way = {(training_hash(self.due[j.number].run), self.due[j.number].seed) for j in active.values()}
        free = (n for n in waiting if (training_hash(self.due[n].run), self.due[n].seed) not in under_way)
        number = next(free, None)
        if number is not None:
            waiting.remove(number)
        return number

    def _title(self, number: int) -> str:
        return f"[{number + 1}/{len(self.due)}] {self.due[number].title}"

    def _blocked(self, number: int) -> bool:
        problem = self.bad.get(self.due[number].run.data)
        if problem is not None:
            self.outcomes[number] = Outcome(self.due[number], "blocked", problem)
        return problem is not None

    def _ended(self, number: int, outcome: Outcome) -> None:
        self.outcomes[number] = outcome
        if outcome.status == "blocked":
            self.bad.setdefault(outcome.planned.run.data, outcome.reason)
        elif outcome.status == "done" and outcome.record is not None:
            metric, value = next(iter(outcome.record.results[0].metrics.items()), ("", 0.0))
            self.display.message(f"{self._title(number)}: {metric} {100 * value:.1f} in {outcome.seconds:.0f} s "
                                 f"({len(self.outcomes)} of {len(self.due)})")

    def _start(self, number: int) -> tuple[Connection, _Job]:
        context = multiprocessing.get_context("spawn")
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(target=_child, args=(self.due[number], self.runs_dir, self.data_root, sending))
        before = {name: os.environ.get(name) for name in THREADS}
        os.environ.update(dict.fromkeys(THREADS, "1"))  # read by the child's libraries when they are loaded
        try:
            process.start()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        sending.close()  # the child has the only other copy, so its death ends the stream
        return receiving, _Job(number, process, self.display.reporter(self._title(number)))

    def _died(self, job: _Job) -> Outcome:
        """Record the run as failed after its process died."""
        planned, code = self.due[job.number], job.process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        reason = f"its process {how}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
        folder = folder_of(planned, self.runs_dir, self.data_root)
        with folder.lock():
            folder.save(make_record(planned.run, planned.seed, folder.path.name, job.started, job.clock, reason))
        return Outcome(planned, "failed", reason, time.monotonic() - job.clock)


def _ready(active: Mapping[Connection, _Job]) -> list[Connection]:
    """Pipes with something to read; waits for at most half a second, so that a stop request is noticed."""
    return cast(list[Connection], wait(list(active), timeout=0.5))


def _stop(active: dict[Connection, _Job]) -> None:
    """Ask every child to stop between two steps, wait for its checkpoint, then end those that are left."""
    try:
        for job in active.values():
            job.process.terminate()
        until = time.monotonic() + GRACE_SECONDS
        while active and time.monotonic() < until:
            for pipe in _ready(active):  # a child that could not write its progress would never end
                try:
                    pipe.recv()
                except (EOFError, OSError):
                    active.pop(pipe).process.join()
    finally:
        for job in active.values():
            job.process.kill()
            job.process.join()
