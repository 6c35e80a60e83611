"""Atomic files: every write goes to a temporary name in the same folder, which is then renamed."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from flatpose.errors import DataError, nearest

T = TypeVar("T")
LARGEST_JSON = 4 << 30
"""Bytes; Python needs up to ten times as much to hold it. COCO's largest annotation file has a sixteenth of this."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write atomically: after a kill or on a full disk the old file (or none) is there, never half of a new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_text(path: Path, content: str) -> None:
    """Atomic UTF-8 text, newlines as given."""
    write_bytes(path, content.encode())


def write_json(path: Path, value: Any, *, indent: int | None = 1) -> None:
    """Atomic JSON with sorted keys; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=indent, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Parsed JSON; raises DataError naming the file and the position when it is missing or malformed."""
    try:
        size = path.stat().st_size
        if size > LARGEST_JSON:
            raise DataError(f"{size / 2**30:.1f} GB of JSON; at most {LARGEST_JSON >> 30} are read", where=str(path))
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("no such file", where=str(path)) from None
    except (ValueError, RecursionError) as error:  # also integers and nesting beyond what Python reads
        raise DataError(f"not valid JSON ({error})", where=str(path), hint="was the download cut off?") from None
    except MemoryError:
        raise DataError("does not fit into memory", where=str(path)) from None
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=str(path)) from None


def parsed(value: Any, wanted: TypeAdapter[T], where: str, hint: str | None = None) -> T:
    """A JSON value in the wanted form; raises DataError naming the first place where it differs, and what is there."""
    try:
        return wanted.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    place, what = first["loc"], first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        place, what = place[:-1], f"no field {place[-1]!r}"
    elif said := re.match(r"\w+ should (?:be|have) (.+?)(?: after validation.*)?$", what):
        form = said[1].replace("a valid dictionary", "an object").replace("valid ", "")
        what = f"{show(first['input'])}, expected {form}"
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    raise DataError(what, where=f"{where}: {path}" if path else where, hint=hint)


def invalid(error: ValidationError, fields: Iterable[str] = ()) -> tuple[str, str | None]:
    """The first error that pydantic found, with its place, and a hint from ``fields`` where the field is unknown."""
    first = error.errors(include_url=False)[0]
    hint = nearest(str(first["loc"][-1]), fields) if first["type"] == "extra_forbidden" else None
    return f"{'.'.join(map(str, first['loc'])) or 'the whole file'}: {first['msg']}", hint


def show(value: Any) -> str:
    """A value for a message: the kind of a container, or the start of a long text."""
    if isinstance(value, (list, dict)):
        return f"a list of {len(value)}" if isinstance(value, list) else "an object"
    return repr(value) if len(repr(value)) < 40 else f"{repr(value)[:37]}..."
