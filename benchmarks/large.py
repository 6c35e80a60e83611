"""Large inputs: how long and how much memory they take, each step in a process of its own.

    python benchmarks/large.py [--annotations FILE] [--write]      # prints; also keeps benchmarks/results/large.md

An annotation file of COCO train2017's size is made by repeating annotations under new ids: those of FILE, or generated
ones. Seconds are CPU seconds; memory is the largest resident size of the process, imports included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from evaluation import enlarged, generated

from flatpose.io import write_text

RESULTS = Path(__file__).parent / "results" / "large.md"
PERSONS, SEEDS, PREDICTIONS = 149_813, 100, 1_000_000
SPEC = '''
from flatpose.config import DataConfig, RunConfig, TrainConfig
from flatpose.harness.spec import Experiment, Profile, Row

ROWS = tuple(Row(id=f"r{i}", label=f"{i} epochs", run=RunConfig(train=TrainConfig(epochs=i + 1))) for i in range(100))
EXPERIMENT = Experiment(id="many", title="100 rows", source="s", question="q", rows=ROWS, seeds=tuple(range(100)),
                        profiles={"quick": Profile(name="quick", description="d")})
'''
LOAD = """
from pathlib import Path
from flatpose.data.annotations import read
from flatpose.data.coco import split_of
from flatpose.keypoints import COCO17
split_of(read(Path({path!r}), COCO17), Path("images"))
"""
COMMAND = "import sys; from flatpose.harness.cli import main; sys.argv = ['flatpose-exp', *{words!r}]; main()"


def make_annotations(folder: Path, source: dict[str, Any]) -> Path:
    """``PERSONS`` persons with keypoints."""
    usable = sum(bool(p["num_keypoints"]) and not p.get("iscrowd") for p in source["annotations"])
    path = folder / "person_keypoints_train2017.json"
    path.write_text(json.dumps(enlarged(source, int(PERSONS * len(source["images"]) / usable))))
    return path


def make_results(folder: Path, source: dict[str, Any]) -> tuple[Path, Path]:
    """Truth of 5,000 images, and ``PREDICTIONS`` results: 5,000 noisy persons, each under 200 scores."""
    content = enlarged(source, 5000)
    truth, path = folder / "val.json", folder / "results.json"
    truth.write_text(json.dumps(content))
    rng = np.random.default_rng(0)
    people = [p for p in content["annotations"] if p["num_keypoints"]]
    chosen = [people[i] for i in rng.integers(0, len(people), 5000)]
    noisy = np.array([p["keypoints"] for p in chosen]) + rng.normal(0, 2, (5000, 51))
    starts = [json.dumps({"image_id": p["image_id"], "category_id": 1, "keypoints": flat})[:-1]
              for p, flat in zip(chosen, noisy.round(1).tolist(), strict=True)]
    with open(path, "w") as file:
        for number, score in enumerate(rng.uniform(0, 1, PREDICTIONS)):
            file.write(f"{'[' if not number else ','}\n{starts[number % 5000]}, \"score\": {score:.5f}}}")
        file.write("]")
    return truth, path


def make_records(root: Path) -> None:
    """A finished run of each of 100 rows and 100 seeds, as ``run`` leaves it."""
    import flatpose
    from flatpose.config import spec_hash, to_dict
    from flatpose.harness import catalog
    from flatpose.harness.record import Provenance, Record, Result
    from flatpose.harness.spec import at_profile
    from flatpose.harness.store import RunDir

    (root / "reports").mkdir()
    (root / "many.py").write_text(SPEC)
    experiment = catalog.load(str(root / "many.py"))
    for row in experiment.rows:
        run = at_profile(row.run, experiment.profiles["quick"])
        for seed in experiment.seeds:
            result = Result(kind="trained", weights="ema", box_source="gt", flip_test=True, score_rule="box", images=9,
                            metrics={"AP": 0.1 + seed / 1e4}, predictions=30)
            record = Record(numerics=flatpose.NUMERICS, spec_hash=spec_hash(run), seed=seed, data_id="ba9876543210",
                            profile="quick", spec=to_dict(run), status="done", results=(result,),
                            provenance=Provenance(ended="2026-01-01T00:00:00Z", seconds=60.0))
            RunDir.of(root / "runs", record.spec_hash, seed, record.data_id).save(record)


def measured(code: str, cwd: Path) -> tuple[float, float]:
    """CPU seconds and largest resident size in GB of some code in a process of its own."""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=cwd, stdout=subprocess.DEVNULL,
                               env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {code}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (1e6 if sys.platform.startswith("linux") else 1e9)


def main() -> None:
    """Measure everything and print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    source = json.loads(given.annotations.read_text()) if given.annotations else generated()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        steps = {f"load {PERSONS} annotated persons": LOAD.format(path=str(make_annotations(folder, source)))}
        truth, results = map(str, make_results(folder, source))
        words = ["score", "--task", "coco", "--annotations", truth, "--predictions", results]
        steps[f"score {PREDICTIONS} results"] = COMMAND.format(words=words)
        make_records(folder)
        for line in ("list", "status", "plan many.py", "report many.py", "report many.py --check"):
            steps[f"{100 * SEEDS} records: {line}"] = COMMAND.format(words=line.split())
        lines = [f"| {what} | {seconds:.1f} | {memory:.2f} |" for what, code in steps.items()
                 for seconds, memory in [measured(code, folder)]]
    text = "\n".join(("# Large inputs", "", "`python benchmarks/large.py`, one thread.", "",
                      "| what | CPU seconds | GB |", "|---|--:|--:|", *lines, ""))
    print(text)
    if given.write:
        write_text(RESULTS, text)


if __name__ == "__main__":
    main()
