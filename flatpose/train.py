"""The training loop: one straight line from batch to step, resumable after every epoch."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, broadcast
from timm.scheduler.scheduler import Scheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from flatpose.checkpoint import TrainState
from flatpose.codecs.base import Encoder
from flatpose.config import TrainConfig
from flatpose.data.loader import Crops, EpochSampler, normalise
from flatpose.errors import RunError
from flatpose.io import write_text
from flatpose.losses import Loss
from flatpose.optim import build_optimizer, build_scheduler
from flatpose.progress import Reporter

LogRow = dict[str, float]

CHECKPOINT_SECONDS = 20.0  # short epochs are cheaper to repeat than to save


@dataclass(frozen=True)
class Trained:
    """A trained network, its running average (None without EMA), and the log with one row per epoch."""

    model: nn.Module
    ema: nn.Module | None
    log: list[LogRow]


@dataclass(frozen=True)
class _Loop:
    """Everything one epoch needs."""

    config: TrainConfig
    accelerator: Accelerator
    sampler: EpochSampler
    loader: DataLoader
    codec: Encoder
    loss: Loss
    model: nn.Module
    net: nn.Module
    optimizer: Optimizer
    scheduler: Scheduler
    ema: ModelEmaV3 | None
    crops: Crops

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.loader) / self.config.accumulate)


class _EmaState:
    """Lets accelerate save and load the averaged weights with its checkpoint."""

    def __init__(self, ema: ModelEmaV3) -> None:
        self.ema = ema

    def state_dict(self) -> dict[str, Tensor]:
        return self.ema.module.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.ema.module.load_state_dict(state)


def build_accelerator(config: TrainConfig) -> tuple[Accelerator, str]:
    """accelerate for this run's precision, and why that precision was chosen.

    Batches are split over processes: the effective batch is ``batch_size`` whatever their number.
    """
    precision, reason = config.precision, "asked for by the spec"
    if precision == "auto":
        bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        precision, reason = ("bf16", "the GPU has bfloat16") if bf16 else ("no", "no GPU with bfloat16")
    # Without a GPU accelerate takes the ranks of torchrun for strangers, each writing the same files, unless told so.
    alone = torch.cuda.is_available() or int(os.environ.get("WORLD_SIZE", "1")) == 1
    accelerator = Accelerator(cpu=not alone, mixed_precision=precision, gradient_accumulation_steps=config.accumulate,
                              step_scheduler_with_optimizer=False,
                              dataloader_config=DataLoaderConfiguration(split_batches=True))
    return accelerator, reason


def train(config: TrainConfig, crops: Crops, codec: Encoder, loss: Loss, model: nn.Module, accelerator: Accelerator,
          work_dir: Path, seed: int, reporter: Reporter) -> Trained:
    """Train ``model``, going on from the checkpoint in ``work_dir`` when there is one.

    Raises:
        RunError: The loss is no longer finite; the message names the epoch and the persons of the batch.
    """
    loop = _prepare(config, crops, codec, loss, model, accelerator, seed)
    checkpoints = TrainState(work_dir, accelerator)
    log: list[LogRow] = (checkpoints.restore() or {"log": []})["log"]
    reporter.start("train", config.epochs * len(loop.loader))
    reporter.advance(len(log) * len(loop.loader))
    saved = time.monotonic()
    for epoch in range(len(log), config.epochs):
        log.append(_epoch(loop, epoch, reporter))
        if epoch + 1 == config.epochs or _due(time.monotonic() - saved, accelerator):
            checkpoints.save({"log": log})
            saved = time.monotonic()
            if accelerator.is_main_process:
                write_log(work_dir / "log.csv", log)
    reporter.finish()
    return Trained(loop.model, loop.ema.module if loop.ema else None, log)


def _due(seconds: float, accelerator: Accelerator) -> bool:
    """Whether to save now; the first process decides for all, whose clocks differ."""
    return broadcast(torch.tensor(seconds, device=accelerator.device)).item() >= CHECKPOINT_SECONDS


def _prepare(config: TrainConfig, crops: Crops, codec: Encoder, loss: Loss, model: nn.Module, accelerator: Accelerator,
             seed: int) -> _Loop:
    sampler = EpochSampler(len(crops), shuffle=True, seed=seed)
    batch = min(config.batch_size // config.accumulate, len(crops))
    loader = accelerator.prepare(DataLoader(crops, batch, sampler=sampler, drop_last=True, **loader_options()))
    model = model.to(accelerator.device)
    if config.channels_last:
        model = model.to(memory_format=torch.channels_last)
    ema = None if config.ema_decay is None else ModelEmaV3(model, decay=config.ema_decay, use_warmup=True)
    optimizer = build_optimizer(model, config)
    scheduler = build_scheduler(optimizer, config, math.ceil(len(loader) / config.accumulate))
    net, optimizer = accelerator.prepare(torch.compile(model) if config.compile else model, optimizer)
    if ema is not None:
        accelerator.register_for_checkpointing(_EmaState(ema))
    return _Loop(config, accelerator, sampler, loader, codec, loss, model, net, optimizer, scheduler, ema, crops)


def loader_options() -> dict[str, Any]:
    """Worker processes where a GPU waits for data; on a CPU the network needs every core itself."""
    if not torch.cuda.is_available():
        return {"num_workers": 0}
    return {"num_workers": min(8, torch.get_num_threads()), "persistent_workers": True, "pin_memory": True}


def _epoch(loop: _Loop, epoch: int, reporter: Reporter) -> LogRow:
    """One pass over the persons; returns its row of the log."""
    loop.sampler.epoch = epoch
    loop.net.train()
    started, total, images = time.perf_counter(), 0.0, 0
    updates = epoch * loop.steps_per_epoch
    for batch in loop.loader:
        with loop.accelerator.accumulate(loop.net):
            value = _step(loop, batch, epoch)
        if loop.accelerator.sync_gradients:
            updates += 1
            loop.scheduler.step_update(updates)
            if loop.ema is not None:
                loop.ema.update(loop.model, step=updates)
        total += value
        images += len(batch["index"]) * loop.accelerator.num_processes
        reporter.advance(loss=value, **{"img/s": images / (time.perf_counter() - started)})
    return {"epoch": epoch + 1, "step": updates, "loss": total / len(loop.loader),
            "lr": loop.optimizer.param_groups[-1]["lr"], "images": images, "seconds": time.perf_counter() - started}


def _step(loop: _Loop, batch: dict[str, Tensor], epoch: int) -> float:
    """Forward, backward and (when gradients are complete) one optimiser step; returns the loss."""
    targets = loop.codec.encode(batch["keypoints"], batch["weights"])
    targets["progress"] = torch.tensor(epoch / loop.config.epochs)
    with loop.accelerator.autocast():
        outputs = loop.net(normalise(batch["image"]))
    loss = loop.loss(outputs, targets)
    value = loss.item()
    if not math.isfinite(value):
        raise RunError(f"the loss is {value} in epoch {epoch + 1}", where=_batch_names(loop.crops, batch["index"]),
                       hint="lower train.lr, set train.clip_grad, or use precision 'no'; the last checkpoint is kept")
    loop.accelerator.backward(loss)
    if loop.config.clip_grad is not None and loop.accelerator.sync_gradients:
        loop.accelerator.clip_grad_norm_(loop.net.parameters(), loop.config.clip_grad)
    loop.optimizer.step()
    loop.optimizer.zero_grad()
    return value


def _batch_names(crops: Crops, index: Tensor) -> str:
    persons = [crops.persons[i] for i in index.tolist()]
    return "batch of annotations " + ", ".join(str(p.person_id) for p in persons)


def write_log(path: Path, log: list[LogRow]) -> None:
    """The log as CSV, rewritten whole after every epoch."""
    names = list(log[-1])  # rows that were read from a checkpoint have their fields in another order
    lines = [",".join(names), *(",".join(f"{row[name]:.6g}" for name in names) for row in log)]
    write_text(path, "\n".join(lines) + "\n")
