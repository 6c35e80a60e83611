"""Reading weights from files of any origin: tensors are read, code is never run."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file as load_safetensors
from torch import Tensor

from flatpose.errors import RunError

State = dict[str, Tensor]

# mmpose stores numpy arrays and scalars beside the weights: plain data, under the names of numpy 1 and numpy 2.
_BUILDERS: list[Any] = [np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]]
NUMPY_DATA: list[Any] = [
    np.ndarray, np.dtype, *_BUILDERS, *((f, f"numpy.core.multiarray.{f.__name__}") for f in _BUILDERS),
    *(type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "uint8", "bool")),
]
RESAVE = "if you trust the file, load it and save its state dict alone: safetensors.torch.save_file(state, PATH)"
WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Entries that hold the weights, the preferred one first. timm stores the average beside the raw weights; mmengine
swaps the two, so that its ``state_dict`` is the average and its ``ema_state_dict`` the raw weights."""
COUNTERS = frozenset({"total_ops", "total_params", "n_averaged"})
"""Buffers that profilers (thop) and ``torch.optim.swa_utils`` add to modules."""
SHOWN = 4


@dataclass(frozen=True)
class Weights:
    """The weights in a checkpoint. ``taken`` names the entry where the file holds raw and averaged weights."""

    state: State
    taken: str = ""


def load_file(path: Path | str) -> dict[str, Any]:
    """The content of a ``.safetensors`` or ``torch.save`` file, with its wrappers, on the CPU.

    Raises:
        RunError: The file is missing or damaged, or reading it would run code that it carries.
    """
    path = Path(path)
    if not path.is_file():
        raise RunError("no such file", where=str(path), hint="give the path of a .pth or .safetensors file")
    try:
        with torch.serialization.safe_globals(NUMPY_DATA):
            content = load_safetensors(path) if path.suffix == ".safetensors" else torch.load(
                path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise RunError(f"not loaded: the file holds more than tensors ({_reason(error)})", where=str(path),
                       hint=RESAVE) from None
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise RunError(f"no readable weights in this file ({_reason(error)})", where=str(path),
                       hint="it may be truncated or no checkpoint: compare its size with the source") from None
    if not isinstance(content, dict):
        raise RunError(f"holds a {type(content).__name__}, not a state dict", where=str(path), hint=RESAVE)
    return content


def read_weights(path: Path) -> Weights:
    """The weights in a file; raises RunError like :func:`load_file` and :func:`unwrap`, naming the file."""
    content = load_file(path)
    try:
        return unwrap(content)
    except RunError as error:
        raise RunError(error.what, where=str(path), hint=error.hint) from None


def _reason(error: Exception) -> str:
    """The line of torch's long message that names the refused object, or its first line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in lines if "GLOBAL" in line or "Unsupported" in line), lines[0])[:200]


def unwrap(content: Mapping[str, Any]) -> Weights:
    """The weights of a checkpoint, without wrapping entries, ``module.``-like prefixes and profiler counters.

    Raises:
        RunError: There are no tensors, two entries get the same name, or a weight is NaN or infinite.
    """
    entry = next((name for name in WRAPPERS if _holds_tensors(content.get(name))), None)
    both = [name for name in (*WRAPPERS, "ema_state_dict") if _holds_tensors(content.get(name))]
    tensors = {str(k): v for k, v in (content[entry] if entry else content).items() if isinstance(v, Tensor)}
    state = unique((_bare(name), value) for name, value in tensors.items() if name.split(".")[-1] not in COUNTERS)
    if not state:
        raise RunError("there are no tensors in the checkpoint",
                       hint=f"expected a state dict, or one under {' or '.join(map(repr, WRAPPERS))}")
    broken = [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise RunError(f"{len(broken)} of {len(state)} weights are NaN or infinite: {some(broken)}",
                       hint="the training diverged or the file is damaged: use an earlier checkpoint")
    averaged = entry in ("state_dict_ema", "model_ema") or "ema_state_dict" in both
    if averaged and len(both) > 1:
        return Weights(state, f"averaged weights from {entry!r}")
    left = [name for name, v in content.items() if name != entry and "ema" in str(name) and isinstance(v, Mapping)]
    return Weights(state, f"weights from {entry!r}, not from {left[0]!r}" if entry and left else "")


def _holds_tensors(value: Any) -> bool:
    """Whether an entry is a state dict; some files store only the model's name there."""
    return isinstance(value, Mapping) and any(isinstance(v, Tensor) for v in value.values())


def _bare(name: str) -> str:
    """Without the prefixes of DataParallel, ``torch.compile`` and Lightning, however they are nested."""
    return re.sub(r"^(model\.)+", "", re.sub(r"(?:^|(?<=\.))(module|_orig_mod)\.", "", name))


def unique(entries: Iterable[tuple[str, Tensor]]) -> State:
    """A state dict; raises RunError when a name occurs twice."""
    state: State = {}
    for name, value in entries:
        if name in state:
            raise RunError(f"two entries of the checkpoint are {name!r}", hint="is it of another system?")
        state[name] = value
    return state


def some(names: list[str]) -> str:
    """The first few of many names, for a message."""
    return ", ".join(names[:SHOWN]) + (f", … and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
