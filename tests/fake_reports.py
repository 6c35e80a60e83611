"""A made-up Fig. 1 and records for it: nothing here was measured."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

from flatpose.config import BaselineConfig, DataConfig, FlatPoseConfig, HeatmapCodecConfig, RunConfig, SimCCCodecConfig
from flatpose.config.run import EvalConfig, spec_hash, to_dict
from flatpose.harness.spec import Experiment, Figure, Profile, Published, Row, at_profile

STRIDES = {4: 3, 8: 2, 16: 1, 32: 0}
TRUTH = {"heatmap": (0.42, 0.36, 0.19, 0.03), "SimCC": (0.41, 0.41, 0.40, 0.38), "FlatPose": (0.43, 0.43, 0.42, 0.42)}
CEILING = {"heatmap": (0.995, 0.97, 0.82, 0.31), "SimCC": (0.999,) * 4, "FlatPose": (0.999,) * 4}
EMBEDDED = ("embedded v1 (2000/300 images)", "embedded0000")
SUBSET = ("COCO subset (1829/338 images)", "subset000000")
COCO = ("COCO 2017", "coco20170000")


def row(series: str, stride: int) -> Row:
    n = STRIDES[stride]
    base = RunConfig(data=DataConfig(source="disk"), eval=EvalConfig(box_sources=("gt", "det")))
    run = {
        "heatmap": replace(base, model=BaselineConfig(num_deconvs=n), codec=HeatmapCodecConfig(stride=stride)),
        "SimCC": replace(base, model=BaselineConfig(num_deconvs=n, head="simcc"), codec=SimCCCodecConfig()),
        "FlatPose": replace(base, model=FlatPoseConfig(num_deconvs=n), codec=SimCCCodecConfig()),
    }[series]
    published = {("heatmap", 4): 71.8, ("heatmap", 32): 17.2}.get((series, stride))
    return Row(id=f"{series.lower()}_s{stride}", label=f"{series}, stride {stride}", run=run, series=series, x=stride,
               readings=("fig1-sigma",),
               published=published and Published(source="Fig. 1(b)", metrics={"AP": published}))


PROFILES = {
    "smoke": Profile(name="smoke", description="seconds", image_size=(64, 64), data=DataConfig()),
    "quick": Profile(name="quick", description="CPU minutes: embedded data, small networks", image_size=(96, 128),
                     backbones={"resnet50": "resnet_quick"}, data=DataConfig()),
    "paper": Profile(name="paper", description="real data and the paper's recipe"),
}


def experiment() -> Experiment:
    return Experiment(
        id="fig1", title="Accuracy against feature-map resolution", source="Fig. 1(b), section 1",
        question="Does the heatmap baseline collapse as its map shrinks?", profiles=PROFILES,
        rows=tuple(row(series, stride) for series in TRUTH for stride in STRIDES),
        figure=Figure(x_label="feature-map stride (pixels per cell)", x_log2=True, ceiling=True),
        notes=("Only the two ends of the heatmap curve are known.",))


def result(value: float, box: str = "gt", kind: str = "trained", weights: str | None = "ema") -> dict:
    return {"kind": kind, "weights": None if kind == "ceiling" else weights, "box_source": box,
            "flip_test": kind == "trained", "score_rule": "box x mean keypoint score > 0.2, OKS-NMS 0.9",
            "metrics": {"AP": value, "AP50": min(1.0, value + 0.2)}, "images": 300, "predictions": 700,
            "bootstrap": {"AP": [value - 0.02, value + 0.01]}}


def record(run: RunConfig, *, seed: int = 0, data: tuple[str, str] = EMBEDDED, ap: float = 0.4,
           ceiling: float | None = None, ended: str = "2031-02-03T04:05:06+00:00", code_hash: str = "c0de") -> dict:
    """A finished record of one run."""
    results = [result(ap), result(ap - 0.04, weights="raw"), result(ap - 0.03, "det:person_boxes.json")]
    results += [] if ceiling is None else [result(ceiling, kind="ceiling")]
    return {
        "schema_version": 1, "spec_hash": spec_hash(run), "seed": seed, "data_id": data[1], "code_hash": code_hash,
        "profile": run.profile, "status": "done", "reason": None, "spec": to_dict(run),
        "data": {"label": data[0], "task": "coco", "source": run.data.source, "train_images": 2000,
                 "train_persons": 5213, "val_images": 300, "val_persons": 784, "detector_file": "person_boxes.json"},
        "train": {"effective_batch": 32, "lr": 0.002, "lr_rule": "as given", "epochs": 6, "steps": 978,
                  "seconds": 55.0 + seed, "images_per_s": 570.0, "peak_memory_mb": None, "loss_first": 1.0,
                  "loss_last": 0.2, "precision": "fp32", "precision_reason": "CPU"},
        "cost": {"params_m": 1.234, "gflops": 0.1234}, "results": results,
        "provenance": {"git_sha": "0123456789abcdef", "dirty_diff_hash": None,
                       "versions": {"torch": "2.15.0", "numpy": "2.4.6"}, "platform": "Linux x86_64", "device": "cpu",
                       "cpu": "a CPU", "threads": 2, "command": "run fig1", "started": ended, "ended": ended,
                       "seconds": 60.0, "host_class": "laptop"}}


def failed(run: RunConfig, *, seed: int = 0, data: tuple[str, str] = EMBEDDED,
           reason: str = "loss became NaN | at step 7") -> dict:
    """A record of a run that did not finish."""
    values = record(run, seed=seed, data=data)
    return {**values, "status": "failed", "reason": reason, "results": [], "train": None, "cost": None}


def run_of(r: Row, profile: str = "quick", source: str | None = None) -> RunConfig:
    return at_profile(r.run, PROFILES[profile], source=source)


def full(data: tuple[str, str] = EMBEDDED, *, profile: str = "quick", seeds: tuple[int, ...] = (0, 1, 2)) -> list[dict]:
    """Records of all twelve rows: seeds scatter by about 0.6 AP."""
    source = "embedded" if data is EMBEDDED else "disk"
    noise, made = random.Random(1), []
    for r in experiment().rows:
        index = list(STRIDES).index(int(r.x))
        run = run_of(r, profile, source)
        made += [record(run, seed=s, data=data, ap=TRUTH[r.series][index] + noise.gauss(0, 0.006),
                        ceiling=CEILING[r.series][index]) for s in seeds]
    return made


def costs() -> list[dict]:
    return [{"experiment": "fig1", "row": r.id, "label": r.label, "params_m": 34.0 + i, "gflops": 5.45,
             "gflops_hrnet_tool": 8.9} for i, r in enumerate(experiment().rows)]


def store(runs: Path, records: list[dict]) -> None:
    """Puts records where a run would have left them."""
    for r in records:
        path = runs / r["spec_hash"] / f"seed{r['seed']}" / r["data_id"] / "record.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(r))


def current(record: dict, run: object) -> bool:
    """Stands for identity.is_current: "c0de" is today's code."""
    return record.get("code_hash") == "c0de"
