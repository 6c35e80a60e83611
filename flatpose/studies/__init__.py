"""Measurements that train nothing: codec ceilings, readings of the paper's counts, simulated boxes.

Each module has ``measure(...) -> pandas.DataFrame``, one line per measured cell with its conditions. Every line carries
``numerics``, the :data:`flatpose.NUMERICS` that it was measured with.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from flatpose.errors import DataError
from flatpose.io import read_json, write_json

SCHEMA_VERSION = 2


def store(found: pd.DataFrame, path: Path) -> None:
    """Write a study's lines as JSON; a column is left out of the lines that have no value for it."""
    write_json(path, {"schema_version": SCHEMA_VERSION, "columns": list(found.columns), "rows": records(found)})


def load(path: Path) -> pd.DataFrame:
    """A stored study, empty where there is no file. Raises DataError for another form."""
    if not path.exists():
        return pd.DataFrame()
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        raise DataError(f"not a study of schema version {SCHEMA_VERSION}", where=str(path),
                        hint="delete the file and measure again")
    return pd.DataFrame(content["rows"], columns=content.get("columns"))


def records(found: pd.DataFrame) -> list[dict[str, object]]:
    """The lines as dicts, without missing values."""
    return [{str(name): value for name, value in line.items() if isinstance(value, (list, tuple)) or pd.notna(value)}
            for line in found.astype(object).to_dict("records")]
