"""The training loop: one straight line from batch to optimiser step, resumable after every epoch."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DataLoaderConfiguration, broadcast
from safetensors.torch import save
from torch import Tensor, nn
from torch.utils.data import DataLoader

from flatpose.codecs.base import Encoder, Outputs
from flatpose.config import TrainConfig
from flatpose.data.loader import Crops, EpochSampler, normalise
from flatpose.errors import AllRanksError, RunError
from flatpose.io import write_bytes
from flatpose.losses import Loss
from flatpose.optim import build_optimizer, build_scheduler
from flatpose.progress import SILENT, Reporter
from flatpose.training_files import LOG, LogRow, TrainState, start_trackers, stop_trackers, track, write_log

CHECKPOINT_SECONDS = 20.0  # short epochs are cheaper to repeat than to save
BEST = "best.safetensors"
Batch = dict[str, Tensor]
Judge = Callable[[nn.Module], float]
"""The main metric of a network, higher is better."""


@dataclass(frozen=True)
class Trained:
    """A trained network, its moving average and the decay this reached (None without EMA), one log row per epoch."""

    model: nn.Module
    ema: nn.Module | None
    ema_decay: float | None
    log: list[LogRow]

    @property
    def best(self) -> nn.Module:
        """The averaged network, or the raw one where there is no average."""
        return self.model if self.ema is None else self.ema

    @property
    def networks(self) -> dict[str, nn.Module]:
        """What is evaluated: the averaged weights first, where there are any, then the raw ones."""
        return {**({} if self.ema is None else {"ema": self.ema}), "raw": self.model}


class MovingAverage:
    """Exponential moving average of a network's weights and buffers, as mmengine's ExpMomentumEMA.

    After update n = 1, 2, ... the new weights enter with (1 - m) exp(-n / gamma) + m, where m = 1 - decay; the first
    update copies them. Tensors are updated in place and paired once, so the network's must stay the same objects.
    """

    def __init__(self, model: nn.Module, decay: float, gamma: float) -> None:
        self.momentum, self.gamma = 1 - decay, gamma
        self.module = deepcopy(model).eval().requires_grad_(False)
        pairs = list(zip(self.module.state_dict().values(), model.state_dict().values(), strict=True))
        self._blended = [pair for pair in pairs if pair[0].is_floating_point()]
        self._copied = [pair for pair in pairs if not pair[0].is_floating_point()]

    def weight(self, update: int) -> float:
        """Share of the new weights at that update, counted from 1."""
        return 1.0 if update == 1 else (1 - self.momentum) * math.exp(-update / self.gamma) + self.momentum

    def update(self, update: int) -> None:
        """Blend the network's present weights in."""
        torch._foreach_lerp_([a for a, _ in self._blended], [b for _, b in self._blended], weight=self.weight(update))
        for ours, theirs in self._copied:
            ours.copy_(theirs)

    def state_dict(self) -> dict[str, Tensor]:
        """For accelerate's checkpoint."""
        return self.module.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """From accelerate's checkpoint."""
        self.module.load_state_dict(state)


def build_accelerator(config: TrainConfig) -> tuple[Accelerator, str]:
    """accelerate for this run's precision, and why that precision was chosen.

    Batches are split over processes: the effective batch is ``batch_size`` whatever their number.
    """
    precision, reason = config.precision, "asked for by the spec"
    if precision == "auto":
        bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        precision, reason = ("bf16", "the GPU has bfloat16") if bf16 else ("no", "no GPU with bfloat16")
    # Without a GPU accelerate does not detect torchrun's process group unless cpu is set.
    several_on_cpu = not torch.cuda.is_available() and int(os.environ.get("WORLD_SIZE", "1")) > 1
    # Both are singletons that outlive a run; the next run of a sweep may have another precision.
    AcceleratorState._reset_state()
    GradientState._reset_state()
    accelerator = Accelerator(cpu=several_on_cpu, mixed_precision=precision, step_scheduler_with_optimizer=False,
                              dataloader_config=DataLoaderConfiguration(split_batches=True))
    return accelerator, reason


def step_batch(config: TrainConfig, persons: int, processes: int) -> int:
    """Persons of one forward and backward pass over all processes; ``accumulate`` of them make one update.

    Raises:
        RunError: They cannot be shared evenly.
    """
    batch = min(config.batch_size, persons) // config.accumulate
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


def save_weights(path: Path, network: nn.Module) -> None:
    """The weights and buffers of a network as one file."""
    write_bytes(path, save({name: value.contiguous().cpu() for name, value in network.state_dict().items()}))


class Trainer:
    """One training: ``Trainer(...).run()`` resumes from the checkpoint in ``work_dir`` when there is one.

    Args:
        config: Optimiser and schedule.
        crops: The training persons.
        codec: Encodes the targets.
        loss: Of outputs and targets.
        model: Trained in place.
        accelerator: From :func:`build_accelerator`.
        work_dir: Checkpoints and log.
        seed: Of the order of persons.
        reporter: Shows the progress.
        judge: Called every ``config.eval_every`` epochs and after the last one; the weights with its highest value
            are kept as ``best.safetensors``.

    Raises:
        RunError: The batch cannot be split over the processes.
    """

    def __init__(self, config: TrainConfig, crops: Crops, codec: Encoder, loss: Loss, model: nn.Module,
                 accelerator: Accelerator, work_dir: Path, seed: int, reporter: Reporter = SILENT,
                 judge: Judge | None = None) -> None:
        self.config, self.crops, self.codec, self.loss, self.accelerator = config, crops, codec, loss, accelerator
        self.work_dir, self.reporter, self.judge = work_dir, reporter, judge
        self.log: list[LogRow] = []
        self.sampler = EpochSampler(len(crops), shuffle=True, seed=seed,
                                    groups=crops.image_numbers() if crops.by_image else None)
        batch = step_batch(config, len(crops), accelerator.num_processes)
        self.updates_per_epoch = len(crops) // (batch * config.accumulate)
        self.loader = accelerator.prepare(
            DataLoader(crops, batch, sampler=self.sampler, drop_last=True, **loader_options()))
        model = model.to(accelerator.device)
        self.model = model.to(memory_format=torch.channels_last) if config.channels_last else model
        self.ema = None if config.ema_decay is None else MovingAverage(model, config.ema_decay, config.ema_gamma)
        optimizer = build_optimizer(model, config)
        self.scheduler = build_scheduler(optimizer, config, self.updates_per_epoch)
        self.net, self.optimizer = accelerator.prepare(torch.compile(model) if config.compile else model, optimizer)
        if self.ema is not None:
            accelerator.register_for_checkpointing(self.ema)

    def run(self) -> Trained:
        """Train to the last epoch.

        Raises:
            AllRanksError: The loss is no longer finite, in whichever process; the message names the step and the
                persons of that process's batch. Or the checkpoint was damaged (CheckpointError) and has been removed.
            KeyboardInterrupt: The reporter requested a stop; the checkpoint is at most one epoch and
                CHECKPOINT_SECONDS older.
        """
        start_trackers(self.accelerator, self.work_dir)
        checkpoints = TrainState(self.work_dir, self.accelerator)
        self.log = (checkpoints.restore() or {"log": []})["log"]
        self._show_progress()
        saved = time.monotonic()
        for epoch in range(len(self.log), self.config.epochs):
            last = epoch + 1 == self.config.epochs
            self.log.append(self._epoch(epoch))
            if self.judge and self.config.eval_every and (last or (epoch + 1) % self.config.eval_every == 0):
                self._evaluate(self.judge)
            track(self.accelerator, self.log[-1])
            if last or self._due(time.monotonic() - saved):
                checkpoints.save({"log": self.log})
                saved = time.monotonic()
                if self.accelerator.is_main_process:
                    write_log(self.work_dir / LOG, self.log)
        self.reporter.finish()
        stop_trackers(self.accelerator)
        self._share_buffers()
        return self._trained()

    def _epoch(self, epoch: int) -> LogRow:
        """One pass over the persons; the last ones, too few for an update, are left out."""
        self.sampler.epoch = epoch
        self.net.train()
        started, total, images = time.perf_counter(), 0.0, 0
        first = update = epoch * self.updates_per_epoch
        for batches in zip(*[iter(self.loader)] * self.config.accumulate, strict=False):
            update += 1
            value = self._update(batches, epoch, update)
            total += value
            images += sum(len(batch["index"]) for batch in batches) * self.accelerator.num_processes
            self.reporter.advance(1, **{"loss": value, "img/s": images / (time.perf_counter() - started)})
        return {"epoch": epoch + 1, "step": update, "loss": total / (update - first),
                "lr": self.optimizer.param_groups[-1]["lr"], "images": images,
                "seconds": time.perf_counter() - started}

    def _update(self, batches: tuple[Batch, ...], epoch: int, update: int) -> float:
        """One optimiser step on batches that together are the effective batch; returns its loss."""
        targets = [self._targets(batch, epoch) for batch in batches]
        counts = self._counts(targets)
        parts = []
        for batch, target in zip(batches, targets, strict=True):
            with nullcontext() if batch is batches[-1] else self.accelerator.no_sync(self.net):
                with self.accelerator.autocast():
                    outputs = self.net(normalise(batch["image"]))
                part = self.loss(outputs, target, counts)
                parts.append(part.detach())
                self.accelerator.backward(part * self.accelerator.num_processes)  # DDP averages over processes
        value = self._whole_loss(parts, batches, epoch, update)
        if self.config.clip_grad is not None:
            self.accelerator.clip_grad_norm_(self.net.parameters(), self.config.clip_grad)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.scheduler.step_update(update)
        if self.ema is not None:
            self.ema.update(update)
        return value

    def _targets(self, batch: Batch, epoch: int) -> Outputs:
        targets = self.codec.encode(batch["keypoints"], batch["weights"])
        return {**targets, "progress": torch.tensor(epoch / self.config.epochs)}

    def _counts(self, targets: list[Outputs]) -> list[Tensor]:
        """The loss's divisors for the effective batch: summed over accumulated batches and processes."""
        counts = torch.stack([torch.stack(self.loss.counts(target)) for target in targets]).sum(0)
        if self.accelerator.num_processes > 1:
            counts = self.accelerator.reduce(counts, "sum")
        return list(counts)

    def _whole_loss(self, parts: list[Tensor], batches: tuple[Batch, ...], epoch: int, update: int) -> float:
        """The sum over all parts, known to all processes.

        All of them raise together: one that went on alone would wait for the others for ever.
        """
        found = self.accelerator.gather(torch.stack(parts)).reshape(-1, len(parts))  # (processes, accumulated batches)
        value = float(found.sum())
        if not math.isfinite(value):
            self._refuse(found, batches, epoch, update)
        return value

    def _refuse(self, found: Tensor, batches: tuple[Batch, ...], epoch: int, update: int) -> NoReturn:
        index = torch.stack([batch["index"] for batch in batches])
        persons = self.accelerator.gather(index).reshape(*found.shape, -1)[~found.isfinite()].flatten().tolist()
        names = ", ".join(str(self.crops.persons[i].person_id) for i in persons)
        value = found[~found.isfinite()][0].item() if persons else math.nan
        raise AllRanksError(f"the loss is {value} in epoch {epoch + 1}, step {update}",
                            where=f"batch of annotations {names}", hint="lower train.lr, set train.clip_grad, or use "
                            "precision 'no'; the last checkpoint is kept")

    def _evaluate(self, judge: Judge) -> None:
        """Add the metric to the epoch's row, and keep the weights when no epoch before was as good."""
        self._share_buffers()
        network = self._trained().best
        before = [row["metric"] for row in self.log[:-1] if "metric" in row]
        self.log[-1]["metric"] = found = judge(network)
        if self.accelerator.is_main_process and found > max(before, default=-math.inf):
            save_weights(self.work_dir / BEST, network)
        self._show_progress()

    def _trained(self) -> Trained:
        ema = self.ema
        decay = None if ema is None else 1 - ema.weight(len(self.log) * self.updates_per_epoch)
        return Trained(self.model, None if ema is None else ema.module, decay, self.log)

    def _show_progress(self) -> None:
        epochs, updates = self.config.epochs, self.updates_per_epoch
        self.reporter.start("train", epochs * updates, len(self.log) * updates)

    def _share_buffers(self) -> None:
        """Give every process the batch statistics of the first one.

        Each has seen its own part of the last batch, and would evaluate its share of the persons with a network that
        is not quite the one that is saved.
        """
        if self.accelerator.num_processes > 1:
            for network in self._trained().networks.values():
                for buffer in network.buffers():
                    buffer.copy_(broadcast(buffer))

    def _due(self, seconds: float) -> bool:
        """Whether to save now; the first process decides for all, since their clocks differ."""
        return broadcast(torch.tensor(seconds, device=self.accelerator.device)).item() >= CHECKPOINT_SECONDS
