"""The training loop: one straight line from batch to step, resumable after every epoch."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DataLoaderConfiguration, broadcast
from safetensors.torch import save
from timm.scheduler.scheduler import Scheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from flatpose.checkpoint import TrainState
from flatpose.codecs.base import Encoder
from flatpose.config import TrainConfig
from flatpose.data.loader import Crops, EpochSampler, normalise
from flatpose.errors import AllRanksError, RunError
from flatpose.io import write_bytes
from flatpose.losses import Loss
from flatpose.optim import build_optimizer, build_scheduler
from flatpose.progress import Reporter
from flatpose.training_log import LOG, LogRow, start_trackers, stop_trackers, track, write_log

CHECKPOINT_SECONDS = 20.0  # short epochs are cheaper to repeat than to save
BEST = "best.safetensors"
Judge = Callable[[dict[str, nn.Module]], float]
"""The main metric of the first of some networks, higher is better."""


@dataclass(frozen=True)
class Trained:
    """A trained network, its running average (None without EMA), and the log with one row per epoch."""

    model: nn.Module
    ema: nn.Module | None
    log: list[LogRow]

    @property
    def networks(self) -> dict[str, nn.Module]:
        """What is evaluated: the averaged weights first, where there are any, then the raw ones."""
        return _networks(self.model, self.ema)


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


class _Average(ModelEmaV3):
    """timm's running average of a network; which tensors belong together is looked up once, not at every step.

    So buffers must stay the objects that they are, which ``.to(device)`` leaves them when they are there already. Of
    accelerate's CPU processes that holds because the harness gives them "cpu" and not "cpu:0" (harness/ranks.py).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, decay=decay, use_warmup=True)
        pairs = list(zip(self.module.state_dict().values(), model.state_dict().values(), strict=True))
        self.blended = [pair for pair in pairs if pair[0].is_floating_point()]
        self.copied = [pair for pair in pairs if not pair[0].is_floating_point()]

    def apply_update_(self, model: nn.Module, decay: float) -> None:
        """One step of the average; ``model`` is the one that was given at first, whose tensors never move."""
        torch._foreach_lerp_([a for a, _ in self.blended], [b for _, b in self.blended], weight=1.0 - decay)
        for ours, theirs in self.copied:
            ours.copy_(theirs)


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
    # Both are singletons that outlive a run: the next one of a sweep may have another precision or accumulation.
    AcceleratorState._reset_state()
    GradientState._reset_state()
    accelerator = Accelerator(cpu=not alone, mixed_precision=precision, gradient_accumulation_steps=config.accumulate,
                              step_scheduler_with_optimizer=False,
                              dataloader_config=DataLoaderConfiguration(split_batches=True))
    return accelerator, reason


def train(config: TrainConfig, crops: Crops, codec: Encoder, loss: Loss, model: nn.Module, accelerator: Accelerator,
          work_dir: Path, seed: int, reporter: Reporter, judge: Judge | None = None) -> Trained:
    """Train ``model``, going on from the checkpoint in ``work_dir`` when there is one.

    ``judge`` is asked every ``config.eval_every`` epochs and after the last one; the weights that it liked best are
    kept as ``best.safetensors``.

    Raises:
        AllRanksError: The loss is no longer finite, in whichever process; the message names the step and the persons
            of that process's batch. Or the checkpoint was damaged (CheckpointError) and has been removed.
        RunError: The batch cannot be split over the processes.
    """
    start_trackers(accelerator, work_dir)
    loop = _prepare(config, crops, codec, loss, model, accelerator, seed)
    checkpoints = TrainState(work_dir, accelerator)
    log: list[LogRow] = (checkpoints.restore() or {"log": []})["log"]
    reporter.start("train", config.epochs * len(loop.loader))
    reporter.advance(len(log) * len(loop.loader))
    saved = time.monotonic()
    for epoch in range(len(log), config.epochs):
        log.append(_epoch(loop, epoch, reporter))
        if judge is not None and config.eval_every and ((epoch + 1) % config.eval_every == 0
                                                        or epoch + 1 == config.epochs):
            _judge(loop, judge, log, work_dir)
            reporter.start("train", config.epochs * len(loop.loader))
            reporter.advance((epoch + 1) * len(loop.loader))
        track(accelerator, log[-1])
        if epoch + 1 == config.epochs or _due(time.monotonic() - saved, accelerator):
            checkpoints.save({"log": log})
            saved = time.monotonic()
            if accelerator.is_main_process:
                write_log(work_dir / LOG, log)
    reporter.finish()
    stop_trackers(accelerator)
    _share_buffers(loop)
    return Trained(loop.model, loop.ema.module if loop.ema else None, log)


def _networks(model: nn.Module, ema: nn.Module | None) -> dict[str, nn.Module]:
    return {**({} if ema is None else {"ema": ema}), "raw": model}


def _judge(loop: _Loop, judge: Judge, log: list[LogRow], work_dir: Path) -> None:
    """Add the metric to the epoch's row, and keep the weights when no epoch before was as good."""
    _share_buffers(loop)
    networks = _networks(loop.model, loop.ema.module if loop.ema else None)
    before = [row["metric"] for row in log[:-1] if "metric" in row]
    log[-1]["metric"] = found = judge(networks)
    if loop.accelerator.is_main_process and found > max(before, default=-math.inf):
        save_weights(work_dir / BEST, next(iter(networks.values())))


def save_weights(path: Path, network: nn.Module) -> None:
    """The weights and buffers of a network as one file."""
    write_bytes(path, save({name: value.contiguous().cpu() for name, value in network.state_dict().items()}))


def _share_buffers(loop: _Loop) -> None:
    """Every process goes on with the first one's batch statistics.

    Each has seen its own part of the last batch, and would evaluate its share of the persons with a network that is
    not quite the one that is saved.
    """
    if loop.accelerator.num_processes > 1:
        for network in _networks(loop.model, loop.ema.module if loop.ema else None).values():
            for buffer in network.buffers():
                buffer.copy_(broadcast(buffer))


def _due(seconds: float, accelerator: Accelerator) -> bool:
    """Whether to save now; the first process decides for all, whose clocks differ."""
    return broadcast(torch.tensor(seconds, device=accelerator.device)).item() >= CHECKPOINT_SECONDS


def _prepare(config: TrainConfig, crops: Crops, codec: Encoder, loss: Loss, model: nn.Module, accelerator: Accelerator,
             seed: int) -> _Loop:
    groups = crops.image_numbers() if crops.by_image else None
    sampler = EpochSampler(len(crops), shuffle=True, seed=seed, groups=groups)
    batch = step_batch(config, len(crops), accelerator.num_processes)
    loader = accelerator.prepare(DataLoader(crops, batch, sampler=sampler, drop_last=True, **loader_options()))
    model = model.to(accelerator.device)
    if config.channels_last:
        model = model.to(memory_format=torch.channels_last)
    ema = None if config.ema_decay is None else _Average(model, config.ema_decay)
    optimizer = build_optimizer(model, config)
    scheduler = build_scheduler(optimizer, config, math.ceil(len(loader) / config.accumulate))
    net, optimizer = accelerator.prepare(torch.compile(model) if config.compile else model, optimizer)
    if ema is not None:
        accelerator.register_for_checkpointing(_EmaState(ema))
    return _Loop(config, accelerator, sampler, loader, codec, loss, model, net, optimizer, scheduler, ema, crops)


def step_batch(config: TrainConfig, persons: int, processes: int) -> int:
    """Persons of one forward and backward pass over all processes; raises RunError when they do not share evenly."""
    batch = min(config.batch_size // config.accumulate, persons)
    if batch < 1 or batch % processes:
        raise RunError(f"a batch of {config.batch_size} in {config.accumulate} steps is {batch} persons, which "
                       f"{processes} processes cannot share", where="train.batch_size",
                       hint="use a number of processes that divides it")
    return batch


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
            value = _step(loop, batch, epoch, updates + 1)
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


def _step(loop: _Loop, batch: dict[str, Tensor], epoch: int, step: int) -> float:
    """Forward, backward and, when gradients are complete, optimiser step number ``step``.

    Returns the loss of the whole batch, of which each process has a part.
    """
    targets = loop.codec.encode(batch["keypoints"], batch["weights"])
    targets["progress"] = torch.tensor(epoch / loop.config.epochs)
    with loop.accelerator.autocast():
        outputs = loop.net(normalise(batch["image"]))
    loss = loop.loss(outputs, targets)
    parts = loop.accelerator.gather(loss.detach()).reshape(-1).tolist()  # one per process, known to all of them
    if not all(map(math.isfinite, parts)):
        _refuse(loop, parts, batch["index"], epoch, step)
    loop.accelerator.backward(loss)
    if loop.config.clip_grad is not None and loop.accelerator.sync_gradients:
        loop.accelerator.clip_grad_norm_(loop.net.parameters(), loop.config.clip_grad)
    loop.optimizer.step()
    loop.optimizer.zero_grad()
    return sum(parts) / len(parts)


def _refuse(loop: _Loop, parts: list[float], index: Tensor, epoch: int, step: int) -> NoReturn:
    """End the run in all processes at once: one that went on alone would wait for the others for ever."""
    bad = [number for number, part in enumerate(parts) if not math.isfinite(part)]
    persons = loop.accelerator.gather(index).reshape(len(parts), -1)[bad]
    raise AllRanksError(f"the loss is {parts[bad[0]]} in epoch {epoch + 1}, step {step}",
                        where=_batch_names(loop.crops, persons.flatten()),
                        hint="lower train.lr, set train.clip_grad, or use precision 'no'; the last checkpoint is kept")


def _batch_names(crops: Crops, index: Tensor) -> str:
    persons = [crops.persons[i] for i in index.tolist()]
    return "batch of annotations " + ", ".join(str(p.person_id) for p in persons)
