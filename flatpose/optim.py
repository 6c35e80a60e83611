"""Optimiser and learning-rate schedule, both timm's."""

from __future__ import annotations

from typing import Any

from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler, MultiStepLRScheduler
from timm.scheduler.scheduler import Scheduler
from torch import nn
from torch.optim import Optimizer

from flatpose.config import TrainConfig
from flatpose.errors import SpecError


class FlatCosineLRScheduler(CosineLRScheduler):
    """Constant after the warm-up, cosine over the second half of the run (RTMPose)."""

    def __init__(self, optimizer: Optimizer, *, flat_t: int, **options: Any) -> None:
        self.flat_t = flat_t
        super().__init__(optimizer, **options)

    def _get_lr(self, t: int) -> list[float]:
        if self.warmup_t <= t < self.flat_t:
            return list(self.base_values)
        return super()._get_lr(t if t < self.warmup_t else t - self.flat_t + self.warmup_t)


def build_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """The optimiser with no weight decay on biases and norms, and layer-wise decay where configured.

    Raises:
        SpecError: Layer-wise decay of a network that does not say what its layers are: timm would ignore it.
    """
    if config.layer_decay is not None and not hasattr(model, "group_matcher"):
        raise SpecError(f"{type(model).__name__} has no layer groups", where="train.layer_decay",
                        hint="set train.layer_decay=None; ViTPose and SHaRPose have them")
    return create_optimizer_v2(model, opt=config.optimizer, lr=config.lr, weight_decay=config.weight_decay,
                               layer_decay=config.layer_decay, fused=True)


def build_scheduler(optimizer: Optimizer, config: TrainConfig, steps_per_epoch: int) -> Scheduler:
    """Linear warm-up, then the schedule of the run; ``step_update(n)`` sets the rate after n optimiser steps."""
    total = config.epochs * steps_per_epoch
    warmup = min(round(config.warmup_epochs * steps_per_epoch), total - 1)
    common: dict[str, Any] = {"warmup_t": warmup, "warmup_lr_init": min(config.warmup_lr, config.lr),
                              "t_in_epochs": False}
    if config.schedule == "step":
        drops = [round(fraction * total) for fraction in config.milestones]
        scheduler: Scheduler = MultiStepLRScheduler(optimizer, decay_t=drops, decay_rate=0.1, warmup_prefix=False,
                                                    **common)
    elif config.schedule == "flat_cosine":
        flat = max(warmup, total // 2)
        scheduler = FlatCosineLRScheduler(optimizer, flat_t=flat, t_initial=total - flat, lr_min=config.min_lr,
                                          warmup_prefix=True, **common)
    else:
        scheduler = CosineLRScheduler(optimizer, t_initial=total - warmup, lr_min=config.min_lr, warmup_prefix=True,
                                      **common)
    scheduler.step_update(0)
    return scheduler
