"""Large inputs: how long and how much memory they take, each step in a process of its own.

    python benchmarks/large.py            # prints
    python benchmarks/large.py --write    # and keeps benchmarks/results/large.md

An annotation file of COCO train2017's size is made by repeating real annotations under new ids (``--annotations FILE``,
by default the development data beside the checkout), or generated ones where there are none. Seconds are of the wall
clock; memory is the largest resident size of the process, imports included.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from evaluation import enlarged, generated

from flatpose.io import write_text

RESULTS = Path(__file__).parent / "results" / "large.md"
ANNOTATIONS = Path(__file__).resolve().parents[2] / "shared/data/coco/annotations/person_keypoints_train2017.json"
PERSONS, RECORDS, PREDICTIONS, WORKERS = 149_813, 10_000, 1_000_000, 8
SPEC = '''
from flatpose.config import DataConfig, RunConfig, TrainConfig
from flatpose.harness.spec import Experiment, Profile, Row

ROWS = tuple(Row(id=f"r{i}", label=f"{i} epochs", run=RunConfig(train=TrainConfig(epochs=i + 1))) for i in range(100))
EXPERIMENT = Experiment(id="many", title="100 rows", source="s", question="q", rows=ROWS, seeds=tuple(range(100)),
                        profiles={"quick": Profile(name="quick", description="d")})
'''


def usable(persons: list[dict[str, Any]]) -> int:
    return sum(bool(p["num_keypoints"]) and not p.get("iscrowd") for p in persons)


def make_annotations(folder: Path, source: dict[str, Any]) -> Path:
    """``PERSONS`` persons with keypoints, and the outlines that the real file has for each."""
    share = usable(source["annotations"]) / len(source["images"])
    content = enlarged(source, int(PERSONS * 1.01 / share))
    outline = [round(float(v), 2) for v in np.random.default_rng(0).uniform(0, 640, 60)]
    for person in content["annotations"]:
        person["segmentation"] = [outline]
    path = folder / "person_keypoints_train2017.json"
    path.write_text(json.dumps(content))
    return path


def make_results(folder: Path, truth: Path) -> Path:
    """A results file of ``PREDICTIONS`` persons in up to 5,000 images: 5,000 noisy ones, each under 200 scores."""
    content = json.loads(truth.read_text())
    content = enlarged(content, 5000)
    (folder / "val.json").write_text(json.dumps(content))
    rng, path = np.random.default_rng(0), folder / "results.json"
    people = [p for p in content["annotations"] if p["num_keypoints"]]
    chosen = [people[i] for i in rng.integers(0, len(people), 5000)]
    noisy = np.array([p["keypoints"] for p in chosen]) + rng.normal(0, 2, (5000, 51))
    starts = [json.dumps({"image_id": p["image_id"], "category_id": 1, "keypoints": flat})[:-1]
              for p, flat in zip(chosen, noisy.round(1).tolist(), strict=True)]
    with open(path, "w") as file:
        for number, score in enumerate(rng.uniform(0, 1, PREDICTIONS)):
            file.write(f"{'[' if not number else ','}\n{starts[number % 5000]}, \"score\": {score:.5f}}}")
        file.write("]")
    return path


def make_records(root: Path) -> None:
    """A finished run of each of 100 rows and 100 seeds, as ``run`` leaves it."""
    from flatpose.config import spec_hash, to_dict
    from flatpose.harness import catalog
    from flatpose.harness.identity import code_hash
    from flatpose.harness.spec import at_profile

    (root / "many.py").write_text(SPEC)
    experiment = catalog.load(str(root / "many.py"))
    for row in experiment.rows:
        run = at_profile(row.run, experiment.profiles["quick"])
        key, code, spec = spec_hash(run), code_hash(run), to_dict(run)
        for seed in experiment.seeds:
            folder = root / "runs" / key / f"seed{seed}" / "ba9876543210"
            folder.mkdir(parents=True)
            result = {"kind": "trained", "weights": "ema", "box_source": "gt", "flip_test": True, "score_rule": "box",
                      "metrics": {"AP": 0.1 + seed / 1e4, "AP50": 0.3}, "images": 1000, "predictions": 3000}
            data = {"label": "embedded", "task": "coco", "source": "embedded", "train_images": 4000,
                    "val_images": 1000, "train_persons": 9000, "val_persons": 3000}
            train = {"effective_batch": 4, "lr": 0.1, "lr_rule": "as given", "epochs": run.train.epochs, "steps": 1,
                     "seconds": 1.0, "images_per_s": 9.0, "peak_memory_mb": 1, "loss_first": 1.0, "loss_last": 0.5,
                     "precision": "no", "precision_reason": "CPU"}
            (folder / "record.json").write_text(json.dumps({
                "schema_version": 1, "spec_hash": key, "seed": seed, "data_id": "ba9876543210", "code_hash": code,
                "profile": "quick", "spec": spec, "status": "done", "reason": None, "data": data, "train": train,
                "results": [result], "cost": {"params_m": 1.0, "gflops": 1.0},
                "provenance": {"ended": "2026-01-01T00:00:00Z", "seconds": 60.0, "versions": {}}}))


def measured(action: str, *arguments: str, cwd: Path | None = None) -> dict[str, Any]:
    """One action in a process of its own: what it answers, seconds, and its largest resident size."""
    started = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path[1:])), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, __file__, "--action", action, *arguments], capture_output=True, text=True,
                          cwd=cwd, env=environment)
    if done.returncode:
        raise SystemExit(f"{action}: {done.stderr[-2000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "wall": time.monotonic() - started}


def load(path: str) -> dict[str, Any]:
    """The split as training loads it, then processes that read every person in random order."""
    from flatpose.data.annotations import read
    from flatpose.data.coco import split_of
    from flatpose.data.packed import PackedPersons
    from flatpose.keypoints import COCO17

    started = time.process_time()
    split = split_of(read(Path(path), COCO17), Path("images"))
    seconds, count = time.process_time() - started, len(split.persons)
    answer: dict[str, Any] = {"persons": count, "seconds": seconds}
    for name, persons in (("as objects", split.persons), ("shared", PackedPersons(split.persons))):
        answer[name] = [_read_all(persons) for _ in range(2)]
    return answer


def _read_all(persons: Any) -> float:
    """MB that a forked process owns after reading everybody, beyond what it owned before."""
    read, write = os.pipe()
    if os.fork() == 0:
        before = _private()
        for index in np.random.default_rng(0).permutation(len(persons)):
            person = persons[int(index)]
            person.keypoints.sum(), person.keypoints_visible.sum(), person.bbox_xywh.sum(), str(person.image_path)
        os.write(write, f"{_private() - before}".encode())
        os._exit(0)
    os.wait()
    return float(os.read(read, 100))


def _private() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Dirty", "Private_Clean"))) / 1e3


def score(truth: str, results: str) -> dict[str, Any]:
    from flatpose.benchmarks import COCO

    started = time.process_time()
    return {"AP": COCO.score(Path(truth), Path(results))["AP"], "seconds": time.process_time() - started}


def command(*arguments: str) -> dict[str, Any]:
    """``flatpose-exp`` with its output thrown away."""
    import contextlib
    import io

    from flatpose.harness.cli import main

    started = time.process_time()
    sys.argv = ["flatpose-exp", *arguments]
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as stop:
            if stop.code:
                raise
    return {"seconds": time.process_time() - started}


ACTIONS: dict[str, Callable[..., dict[str, Any]]] = {"load": load, "score": score, "command": command}


def compare(source: dict[str, Any]) -> str:
    """All measurements, as the table of the page."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = make_annotations(folder, source)
        found = measured("load", str(path))
        rows.append([f"annotations, {path.stat().st_size / 1e6:.0f} MB, {found['persons']} persons: load",
                     f"{found['seconds']:.1f}", f"{found['memory']:.2f}", "target: below 15 s and 2 GB"])
        for kind in ("as objects", "shared"):
            each = float(np.median(found[kind]))
            rows.append([f"copied by one data-loading process in an epoch, persons {kind}", "", f"{each / 1e3:.3f}",
                         f"{WORKERS} processes: {WORKERS * each / 1e3:.2f} GB"])
        small = folder / "small.json"
        small.write_text(json.dumps(source))
        results = make_results(folder, small)
        found = measured("score", str(folder / "val.json"), str(results))
        rows.append([f"results file, {results.stat().st_size / 1e6:.0f} MB, {PREDICTIONS} persons: score",
                     f"{found['seconds']:.1f}", f"{found['memory']:.2f}", f"AP {found['AP']:.3f}"])
        make_records(folder)
        for line in ("list", "status", "plan many.py", "report many.py", "report many.py --check"):
            found = measured("command", *line.split(), cwd=folder)
            rows.append([f"{RECORDS} records: {line}", f"{found['seconds']:.1f}", f"{found['memory']:.2f}", ""])
    lines = ["| what | CPU seconds | GB | |", "|---|--:|--:|---|", *("| " + " | ".join(row) + " |" for row in rows)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=Path, default=ANNOTATIONS)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--action", nargs="+", help=argparse.SUPPRESS)
    given, rest = parser.parse_known_args()
    if given.action:
        name, *arguments = given.action
        answer = ACTIONS[name](*arguments, *rest)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({**answer, "memory": peak / 1e6 if sys.platform.startswith("linux") else peak / 1e9}))
        return
    real = given.annotations.is_file()
    source = json.loads(given.annotations.read_text()) if real else generated()
    origin = "real annotations repeated under new ids" if real else "generated annotations"
    text = (f"# Large inputs\n\n`python benchmarks/large.py`, {platform.machine()}, Python "
            f"{platform.python_version()}, one thread; {origin}. CPU seconds and the largest resident memory of a "
            f"process of its own.\n\n{compare(source)}\n")
    print(text)
    if given.write:
        write_text(RESULTS, text)


if __name__ == "__main__":
    main()
