"""A made-up experiment in a spec file of its own, and records for it: nothing here was measured."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from fake_runs import DATA, RESULT, TRAIN

from flatpose.config import RunConfig
from flatpose.config.run import spec_hash, to_dict
from flatpose.harness import catalog, frame
from flatpose.harness.record import Record, RecordFile
from flatpose.harness.spec import Experiment, Row, at_profile
from flatpose.io import write_text

SPEC = '''
from dataclasses import replace
from flatpose.config import BaselineConfig, DataConfig, HeatmapCodecConfig, RunConfig, SimCCCodecConfig
from flatpose.config.run import EvalConfig
from flatpose.harness.spec import Experiment, Figure, Profile, Published, Row

BASE = RunConfig(data=DataConfig(source="disk"), eval=EvalConfig(box_sources=("gt", "det")))
SAID = {4: 71.8, 32: 17.2}

def row(series, stride, convs):
    head = {"model": BaselineConfig(num_deconvs=convs, head="heatmap" if series == "heatmap" else "simcc"),
            "codec": HeatmapCodecConfig(stride=stride) if series == "heatmap" else SimCCCodecConfig()}
    said = Published(source="Fig. 1(b)", metrics={"AP": SAID[stride]}, params_m=34.0, gflops=5.5)
    return Row(id=f"{series}_s{stride}", label=f"{series}, stride {stride}", run=replace(BASE, **head), series=series,
               x=stride, published=said if series == "heatmap" and stride in SAID else None)

SMALL = {"image_size": (96, 128), "backbones": {"resnet50": "resnet_quick"}, "data": DataConfig()}
EXPERIMENT = Experiment(
    id="mine", title="Made up", source="nowhere", question="Does it fall?", reference="simcc_s4",
    rows=tuple(row(s, stride, n) for s in ("heatmap", "simcc") for stride, n in ((4, 3), (32, 0))),
    profiles={"smoke": Profile(name="smoke", description="seconds", **{**SMALL, "image_size": (64, 64)}),
              "quick": Profile(name="quick", description="minutes", **SMALL),
              "paper": Profile(name="paper", description="all of it")},
    FIGURE notes=("A note.",))
'''
FIGURE = 'figure=Figure(x_label="feature-map stride (pixels per cell)"),'
TRUTH = {"heatmap_s4": 0.42, "heatmap_s32": 0.03, "simcc_s4": 0.41, "simcc_s32": 0.40}
EMBEDDED, SUBSET, COCO = (("embedded v1 (2000/300 images)", "embedded0000"),
                          ("COCO subset (1829/338 images)", "subset000000"), ("COCO 2017", "coco20170000"))
DET = "det:person_boxes.json"


def experiment(folder: Path, figure: bool = True) -> Experiment:
    """The experiment, from a spec file that is written into ``folder``."""
    write_text(folder / "mine.py", SPEC.replace("FIGURE", FIGURE if figure else ""))
    return catalog.load(str(folder / "mine.py"))


def run_of(row: Row, made_in: Experiment, profile: str = "quick", source: Any = None) -> RunConfig:
    return at_profile(row.run, made_in.profiles[profile], source=source)


def result(value: float, box: str = "gt", kind: str = "trained", weights: str | None = "ema") -> dict[str, Any]:
    return {**RESULT, "kind": kind, "weights": None if kind == "ceiling" else weights, "box_source": box,
            "flip_test": kind == "trained", "score_rule": "a rule",
            "metrics": {"AP": value, "AP50": min(1.0, value + 0.2), "AR": min(1.0, value + 0.05)},
            "bootstrap": {} if kind == "ceiling" else {"AP": (value - 0.02, value + 0.01)}}


def record(run: RunConfig, *, seed: int = 0, data: tuple[str, str] = EMBEDDED, ap: float = 0.4, ended: str = "2031",
           numerics: int = 1, reason: str | None = None, **changes: Any) -> Record:
    """A record of one run; a failed one with ``reason``."""
    results = [result(ap), result(ap - 0.04, weights="raw"), result(ap - 0.03, DET), result(0.95, kind="ceiling")]
    values = {
        "numerics": numerics, "spec_hash": spec_hash(run), "seed": seed, "data_id": data[1], "profile": run.profile,
        "spec": to_dict(run), "status": "done", "results": results, "cost": {"params_m": 1.25, "gflops": 0.125},
        "data": {**DATA, "label": data[0], "source": run.data.source}, "train": {**TRAIN, "epochs": 6, "seconds": 55.0},
        "provenance": {"ended": ended, "seconds": 60.0, "device": "cpu", "git_sha": "0123456789abcdef"}}
    if reason is not None:
        values |= {"status": "failed", "reason": reason, "results": [], "train": None, "cost": None}
    return Record.model_validate(values | changes)


def full(made_in: Experiment, data: tuple[str, str] = EMBEDDED, *, profile: str = "quick",
         seeds: tuple[int, ...] = (0, 1, 2)) -> list[Record]:
    """Records of all rows, whose seeds scatter by about 0.6 AP."""
    noise = random.Random(1)
    source = "embedded" if data is EMBEDDED else "disk"
    return [record(run_of(row, made_in, profile, source), seed=seed, data=data,
                   ap=TRUTH[row.id] + noise.gauss(0, 0.006)) for row in made_in.rows for seed in seeds]


def frames(made_in: Experiment, records: list[Record], **parts: Any) -> frame.Frames:
    """The frames of these records alone."""
    file = RecordFile.model_validate({"experiment": made_in.id, "records": records, **parts})
    return frame.Frames({made_in.id: made_in}, {made_in.id: file})


def costs() -> list[dict[str, Any]]:
    return [{"row": row, "input_hw": (256, 192), "params_m": 34.0, "params_leaf_m": 33.9, "gflops": 5.0,
             "gflops_executed": 5.0, "gflops_torch": 5.0} for row in TRUTH]


def store(runs: Path, records: list[Record]) -> None:
    """Puts records where a run would have left them."""
    for r in records:
        write_text(runs / r.run_id / "record.json", r.model_dump_json())
