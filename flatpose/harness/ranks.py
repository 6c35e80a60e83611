"""Several processes that train one run together (torchrun, tasks of a Slurm job): rank 0 decides, the others follow."""

from __future__ import annotations

import os
import sys
from typing import NoReturn, TypeVar

T = TypeVar("T")


def rank() -> int:
    """This process's number among those that train one run together; 0 is the one that keeps the records."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many they are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def share(value: T) -> T:
    """Rank 0's value, in every process; all of them must ask at the same place."""
    if world() == 1:
        return value
    import torch
    from accelerate.state import PartialState
    from accelerate.utils import broadcast_object_list, parse_flag_from_env

    # Starts the process group when there is none yet, in the way of the trainer's Accelerator, which takes it over.
    state = PartialState(cpu=not torch.cuda.is_available() or parse_flag_from_env("ACCELERATE_USE_CPU"))
    if state.device.type == "cpu":  # "cpu:0" is another name: a network that is sent there is copied, each time
        state.device = torch.device("cpu")
    return broadcast_object_list([value])[0]


def leave(message: str) -> NoReturn:
    """End this process at once, because it failed alone: the others wait for it, and end with it.

    A normal end would wait in turn, for the communication that the others will never answer.
    """
    sys.stderr.write(f"error: rank {rank()} of {world()}: {message}\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
