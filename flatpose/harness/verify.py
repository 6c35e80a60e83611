"""Runs recorded runs again: does this machine, with today's code, give the same numbers, to the bit?

Where it does, the code of the records and today's code are equivalent for these runs, and reports/data/verified.json
keeps the fact with its evidence: records then stay current although a file they passed through was edited.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatpose.config import from_dict
from flatpose.errors import RunError
from flatpose.harness import collect, provenance
from flatpose.harness.collect import Record
from flatpose.harness.identity import EQUIVALENT, code_hash, equivalents
from flatpose.io import write_json
from flatpose.progress import Reporter


@dataclass(frozen=True)
class Verdict:
    """One run made again, and every number of it that came out otherwise: name -> (recorded, now)."""

    run_id: str
    kind: str
    codec: str
    recorded_code: str
    code: str
    differences: dict[str, tuple[float | None, float | None]]

    def to_dict(self) -> dict[str, Any]:
        """JSON form for ``verify --json``."""
        return {"run": self.run_id, "model": self.kind, "codec": self.codec, "recorded_code": self.recorded_code,
                "code": self.code, "equal": not self.differences, "differences": self.differences}


def representatives(records: Iterable[Record]) -> list[Record]:
    """One finished record for each way through the code: each code hash, network, codec and loss; the quickest."""
    chosen: dict[tuple[str, ...], Record] = {}
    for record in sorted(records, key=lambda r: r["provenance"]["seconds"] if r["status"] == "done" else 0.0):
        if record["status"] == "done":
            chosen.setdefault(_way(record), record)
    return list(chosen.values())


def _way(record: Record) -> tuple[str, ...]:
    spec = record["spec"]
    return (record["code_hash"], spec["model"]["kind"], spec["codec"]["kind"], spec["loss"]["kind"],
            spec["data"]["task"], spec["data"]["source"])


def verify(records: Iterable[Record], data_root: Path | None, reporter: Reporter) -> Iterator[Verdict]:
    """Run each record again in an empty folder and compare losses and metrics exactly.

    Raises:
        RunError: The data here is not the data of the record.
    """
    for record in records:
        again = _again(record, data_root, reporter)
        found, now = _numbers(record), _numbers(again)
        differences = {name: (found.get(name), now.get(name)) for name in sorted({*found, *now})
                       if found.get(name) != now.get(name)}
        run = from_dict(record["spec"])
        yield Verdict(collect.run_id(record), run.model.kind, run.codec.kind, record["code_hash"], code_hash(run),
                      differences)


def _again(record: Record, data_root: Path | None, reporter: Reporter) -> Record:
    import torch

    from flatpose.data import identity
    from flatpose.harness.runner import measure

    run = from_dict(record["spec"])
    # Sums are split over threads, whose number therefore moves last bits.
    torch.set_num_threads(record["provenance"]["threads"] or torch.get_num_threads())
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(run, record["seed"], data_root, Path(folder), reporter)
    data_id = identity(run.data, data_root)[0]
    if data_id != record["data_id"]:
        raise RunError(f"the data here are {data_id}, the record's are {record['data_id']}",
                       where=collect.run_id(record), hint="--data-root DIR with the data of the record")
    return measured


def _numbers(record: Record) -> dict[str, float]:
    """Every number that the run computed, by name; times are not among them."""
    numbers = {name: float(record["train"][name]) for name in ("loss_first", "loss_last", "steps")}
    for result in record["results"]:
        where = " ".join(str(result[part]) for part in ("kind", "weights", "box_source"))
        numbers |= {f"{name}, {where}": float(value) for name, value in result["metrics"].items()}
    return numbers


def accept(verdicts: Iterable[Verdict], reports: Path) -> list[str]:
    """Note the codes whose every verified run with a codec came out equal; returns the notes in words.

    An edited codec ages its own runs and leaves those with other codecs as they were.
    """
    grouped: dict[tuple[str, str, str], list[Verdict]] = {}
    for verdict in verdicts:
        grouped.setdefault((verdict.recorded_code, verdict.code, verdict.codec), []).append(verdict)
    found: list[dict[str, Any]] = [
        {"code": old, "same_as": new, "codecs": [codec], "runs": [v.run_id for v in group], "cpu": provenance.cpu(),
         "torch": provenance.versions().get("torch"), "verified": provenance.now()}
        for (old, new, codec), group in grouped.items() if old != new and not any(v.differences for v in group)]
    if found:
        write_json(reports / "data" / EQUIVALENT, {"schema_version": 2, "equivalent": [*equivalents(reports), *found]})
    equivalents.cache_clear()
    return [f"code {pair['code']} and {pair['same_as']} give the same numbers with {pair['codecs'][0]} "
            f"({len(pair['runs'])} runs made again)" for pair in found]
