"""One run from its configuration to the measured part of its record."""

from __future__ import annotations

import hashlib
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from safetensors.torch import load_file
from torch import nn
from torch.optim.swa_utils import update_bn

from flatpose.ceiling import ceiling
from flatpose.codecs import Codec, build_codec
from flatpose.complexity import measure
from flatpose.config import AugmentConfig, RunConfig, TrainConfig
from flatpose.data import PoseData, find_file, load
from flatpose.data.loader import Crops, normalise
from flatpose.evaluate import box_sources, data_facts, evaluate, main_metric
from flatpose.losses import build_loss
from flatpose.models import build_model, untrained
from flatpose.progress import SILENT, Relay, Reporter
from flatpose.train import Trained, Trainer, build_accelerator, save_weights, step_batch

WEIGHTS = "weights.safetensors"
CALIBRATION_CROPS, CALIBRATION_BATCH = 256, 64
TIMED_STEPS = 6


def execute(run: RunConfig, *, seed: int, data_root: Path | None, work_dir: Path, reporter: Reporter,
            trained_weights: Path | None = None) -> dict[str, Any]:
    """Train (or go on training), evaluate and measure one run.

    Args:
        run: What to do.
        seed: Of initialisation, data order and augmentation.
        data_root: Folder of the data on disk.
        work_dir: Holds the checkpoint, the log and the weights.
        reporter: Told about progress.
        trained_weights: ``weights.safetensors`` of a run with the same training (:func:`training_hash`), which is then
            not repeated.

    Returns:
        The record's "data", "train" (unless weights were given), "cost" and "results", and "start" when a file of start
        weights was read.

    Raises:
        DataError: Data is missing or damaged.
        RunError: Training cannot go on, or the start weights are missing or do not fit.
    """
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    data = load(run.data, data_root, reporter=reporter)
    box_sources(run.eval, data)  # refuses unusable detections before anything is trained
    accelerator, precision_reason = build_accelerator(run.train)
    set_seed(seed)
    codec = build_codec(run.codec, run.image_size, len(data.keypoint_set))
    model, facts = _network(run, data, _start_file(run, data_root))
    if trained_weights is None:
        trained = _train(run, seed, data, codec, model, accelerator, work_dir, reporter)
        networks = trained.networks
        facts["train"] = {**_train_facts(run.train, trained, accelerator, precision_reason),
                          **_batch_facts(run.train, len(data.train.persons), accelerator)}
    else:
        model.load_state_dict(load_file(trained_weights))
        networks = {"raw" if run.train.ema_decay is None else "ema": model}
    if accelerator.is_main_process:
        save_weights(work_dir / WEIGHTS, next(iter(networks.values())))
    results = evaluate(run, data, codec, networks, accelerator, reporter)
    trained_on = {"train_images": len(data.train.image_ids), "train_persons": len(data.train.persons)}
    return {"data": {**data_facts(run, data), **trained_on}, "results": [*results, _ceiling(run, data)], **facts}


def _network(run: RunConfig, data: PoseData, start: Path | None) -> tuple[nn.Module, dict[str, Any]]:
    """The network before training, and the record's "cost" and, with a file of start weights, "start"."""
    config: Any = run.model
    model = build_model(replace(config, weights=str(start)) if start else config, run.codec, run.image_size,
                        len(data.keypoint_set))
    cost = measure(model, run.image_size)
    facts: dict[str, Any] = {"cost": {"params_m": cost.params_m, "gflops": cost.gflops}}
    if start:
        recalibrate(model, Crops(data.train.persons[:CALIBRATION_CROPS], data.keypoint_set, run.image_size,
                                 udp=run.codec.udp))
        facts["start"] = {"weights": start.name, "sha256": hashlib.sha256(start.read_bytes()).hexdigest()}
    return model, facts


def _train(run: RunConfig, seed: int, data: PoseData, codec: Codec, model: nn.Module, accelerator: Accelerator,
           work_dir: Path, reporter: Reporter) -> Trained:
    """The trained network and its average."""
    crops = Crops(data.train.persons, data.keypoint_set, run.image_size, udp=run.codec.udp, augment=run.augment,
                  seed=seed, final=_final_augment(run), by_image=run.data.by_image)
    set_seed(seed)  # the counters before may have drawn random numbers
    loss = build_loss(run.loss, run.codec, data.keypoint_set)
    batch = _batch_facts(run.train, len(crops), accelerator)
    if batch["processes"] > 1 or batch["effective_batch"] != run.train.batch_size:
        reporter.message(_in_words(batch))
    judge = partial(main_metric, run=run, data=data, codec=codec, accelerator=accelerator, reporter=reporter)
    return Trainer(run.train, crops, codec, loss, model, accelerator, work_dir, seed, reporter, judge).run()


def training_minutes(run: RunConfig, data_root: Path | None) -> float:
    """Minutes that training takes on this machine, from the median time of a few steps on a few persons."""
    embedded, count, share = run.data.embedded, TIMED_STEPS * run.train.batch_size, 1.0
    if run.data.source == "embedded" and count < embedded.train_images:  # generate no more than is timed
        share = count / embedded.train_images
        run = replace(run, data=replace(run.data, embedded=replace(embedded, train_images=count, val_images=1)))
    data = load(run.data, data_root, reporter=SILENT)
    few = replace(data, train=replace(data.train, persons=data.train.persons[:count]))
    codec = build_codec(run.codec, run.image_size, len(data.keypoint_set))
    model = untrained(run, len(data.keypoint_set))
    twice = replace(run, augment_final=None, train=replace(run.train, epochs=2, warmup_epochs=0.0, eval_every=None))
    ends: list[float] = []
    clock = Relay(lambda name, *_: ends.append(time.monotonic()) if name == "advance" else None)
    with TemporaryDirectory() as folder:
        _train(twice, 0, few, codec, model, build_accelerator(run.train)[0], Path(folder), clock)
    steps = run.train.epochs * max(1.0, len(data.train.persons) / run.train.batch_size / share)
    return float(np.median(np.diff(ends[1:]))) * steps / 60  # the first call comes before the first step


def _start_file(run: RunConfig, data_root: Path | None) -> Path | None:
    """The file of start weights that the model names."""
    name = getattr(run.model, "weights", None)
    return None if name is None else find_file(name, data_root)


def recalibrate(network: nn.Module, crops: Crops) -> None:
    """Estimate the statistics of batch normalisation anew: the mean over batches of ``crops``, in order.

    Start weights may have been trained on input of another scale, or have lost precision to quantisation.
    """
    images = torch.stack([torch.as_tensor(crops[(0, i)]["image"]) for i in range(len(crops))])
    update_bn(map(normalise, images.split(CALIBRATION_BATCH)), network)


def _final_augment(run: RunConfig) -> tuple[int, AugmentConfig] | None:
    """The epoch from which the run augments differently, and how."""
    final = run.augment_final
    return (run.train.epochs - round(final.fraction * run.train.epochs), final.augment) if final else None


def _ceiling(run: RunConfig, data: PoseData) -> dict[str, Any]:
    """What a perfect network would score through this codec: the part of an error that is representation alone."""
    return {"kind": "ceiling", "weights": None, "box_source": "gt", "flip_test": False,
            "score_rule": "ground truth encoded and decoded", "metrics": ceiling(run.codec, run.image_size, data),
            "images": len(data.val.image_ids), "predictions": len(data.val.persons)}


def _batch_facts(config: TrainConfig, persons: int, accelerator: Accelerator) -> dict[str, Any]:
    """The batch as it is, which fewer persons than the spec's batch make smaller."""
    together = step_batch(config, persons, accelerator.num_processes)
    return {"effective_batch": together * config.accumulate, "accumulate": config.accumulate,
            "batch_per_process": together // accelerator.num_processes, "processes": accelerator.num_processes,
            "lr": config.lr,
            "lr_rule": "the spec's rate at the spec's batch; batches are split over processes, never scaled"}


def _in_words(batch: dict[str, Any]) -> str:
    return (f"effective batch {batch['effective_batch']} = {batch['processes']} processes x "
            f"{batch['batch_per_process']} persons x {batch['accumulate']} accumulated; "
            f"learning rate {batch['lr']:g}: {batch['lr_rule']}")


def _train_facts(config: TrainConfig, trained: Trained, accelerator: Accelerator, reason: str) -> dict[str, Any]:
    log = trained.log
    seconds, images = sum(row["seconds"] for row in log), sum(row["images"] for row in log)
    curve = {int(row["epoch"]): row["metric"] for row in log if "metric" in row}
    best = max(curve, key=curve.__getitem__, default=None)
    judged = {} if best is None else {"curve": curve, "best_epoch": best, "best_metric": curve[best]}
    return {"epochs": config.epochs, **judged, "steps": int(log[-1]["step"]), "seconds": round(seconds, 1),
            "images_per_s": round(images / seconds, 1),
            "peak_memory_mb": round(_peak_memory_mb()), "loss_first": log[0]["loss"], "loss_last": log[-1]["loss"],
            "ema_decay": trained.ema_decay,
            "precision": accelerator.mixed_precision,
            "precision_reason": reason}


def _peak_memory_mb() -> float:
    """Largest allocation of the run on the GPU, else the largest resident size of this process so far."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    try:
        import resource
    except ImportError:  # Windows has no such module
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
