"""The published numbers in the specs are those that the paper prints."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from flatpose.harness import catalog

TABLES = ("table1", "table2", "table3", "table4", "table5", "fig1")
CHECKED = "c3f0d9ff80ca"
"""Digest of all published numbers, taken when every one of them had been compared with the paper's text."""
NUMBER = re.compile(r"(?<![\w.])\d+\.? ?\d*")


def published() -> dict[str, dict[str, float]]:
    found = {}
    for name in TABLES:
        for row in catalog.load(name).rows:
            if row.published:
                values = {"params_m": row.published.params_m, "gflops": row.published.gflops, **row.published.metrics}
                found[f"{name}/{row.id}"] = {k: v for k, v in values.items() if v is not None}
    return found


def test_no_published_number_changed_since_they_were_compared_with_the_paper():
    text = json.dumps(published(), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == CHECKED, "compare the changed number with the paper first"


def _lines(text: str, table: int) -> list[str]:
    """The rows of a table in the paper's text: tab-separated, after its caption."""
    start = text.index(f"\nTable {table}:")
    rows = []
    for line in text[start:].splitlines()[2:]:
        if "\t" in line:
            rows.append(line)
        elif rows and line.strip():
            break
    return rows


@pytest.mark.parametrize(("name", "source"), [(f"table{n}", n) for n in range(1, 6)])
def test_each_published_number_stands_in_its_row_of_the_paper(shared, name, source):
    lines = _lines((shared / "paper" / "flatpose.txt").read_text(), source)
    heads = {1: 1, 2: 1, 3: 1, 4: 2, 5: 1}
    for row in catalog.load(name).rows:
        said = row.published.source
        assert said.startswith(f"Table {source}")
        if match := re.fullmatch(r"Table 5 \((\d+)\)", said):
            line = next(x for x in lines if x.startswith(f"({match[1]})"))
        else:
            line = lines[heads[source] - 1 + int(re.search(r"row (\d+)", said)[1])]
        printed = {float(x.replace(" ", "").rstrip(".")) for x in NUMBER.findall(re.sub(r"</?u>|↓.*?%", "", line))}
        values = [row.published.params_m, row.published.gflops, *row.published.metrics.values()]
        missing = [v for v in values if v is not None and v not in printed]
        assert not missing, f"{row.id}: {missing} not in {line!r}"
