"""Reading weights from a file that may come from anywhere: tensors are read, code is not run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file as load_safetensors

from flatpose.errors import FlatPoseError

# mmpose stores arrays and numpy numbers beside the weights: plain data, under numpy 1 and numpy 2 names.
_BUILDERS: list[Any] = [np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]]
NUMPY_DATA: list[Any] = [
    np.ndarray, np.dtype, *_BUILDERS, *((f, f"numpy.core.multiarray.{f.__name__}") for f in _BUILDERS),
    *(type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "uint8", "bool")),
]
RESAVE = "where you trust the file, load it and save its state dict alone: safetensors.torch.save_file(state, PATH)"


def load_file(path: Path | str) -> dict[str, Any]:
    """The content of a ``.safetensors`` file or of a ``torch.save`` file, with its wrappers, on the CPU.

    Raises:
        FlatPoseError: There is no such file, it is damaged, or reading it would run code it carries.
    """
    path = Path(path)
    if not path.is_file():
        raise FlatPoseError("no such file", where=str(path), hint="give the path of a .pth or .safetensors file")
    try:
        content = load_safetensors(path) if path.suffix == ".safetensors" else _load_torch(path)
    except pickle.UnpicklingError as error:
        raise FlatPoseError(f"not loaded: the file holds more than tensors ({_reason(error)})", where=str(path),
                            hint=RESAVE) from None
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise FlatPoseError(f"no readable weights in this file ({_reason(error)})", where=str(path),
                            hint="it may be cut off, or be no checkpoint: compare its size with the source") from None
    if not isinstance(content, dict):
        raise FlatPoseError(f"holds a {type(content).__name__}, not a state dict", where=str(path), hint=RESAVE)
    return content


def _load_torch(path: Path) -> Any:
    with torch.serialization.safe_globals(NUMPY_DATA):
        return torch.load(path, map_location="cpu", weights_only=True)


def _reason(error: Exception) -> str:
    """The line of torch's long message that names the refused object, or its first line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in lines if "GLOBAL" in line or "Unsupported" in line), lines[0])[:200]
