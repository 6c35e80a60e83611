"""Draws Figs. 3 to 6 from trained networks into runs/pictures/, and brings what may be published to reports/.

A picture cannot be rendered from a record: that takes weights and data. So the record holds the table measured beside
it and the hash of the file, and a report checks the committed file against that hash.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flatpose.config import spec_hash
from flatpose.data import identity as data_identity
from flatpose.errors import DataError, SpecError
from flatpose.harness import provenance
from flatpose.harness.collect import Record, ended
from flatpose.harness.identity import hash_of
from flatpose.harness.plan import Plan, PlannedRun
from flatpose.harness.record_form import checked
from flatpose.harness.spec import Experiment
from flatpose.harness.store import RunDir
from flatpose.io import read_json, write_bytes, write_json
from flatpose.progress import Reporter

FOLDER = "pictures"
WEIGHTS = "weights.safetensors"
DIGITS = 6
"""Decimals kept of a measured value: far below what a page prints, above what a sum's last bit changes."""


def code_hash(kind: str) -> str:
    """Hash over the code that draws and measures this kind of picture."""
    return hash_of(f"figures/{kind}.py")


def draw(plan: Plan, runs_dir: Path, data_root: Path | None, reporter: Reporter) -> Path:
    """Draw and measure the finished runs of a plan; the picture's path. Its record lies beside it as .json.

    Raises:
        SpecError: Rows ask for different data, or a network has nothing of the kind.
        DataError: Weights are missing; the message says which command makes them.
    """
    from flatpose.data import load
    from flatpose.figures import draw as draw_picture

    experiment, picture = plan.experiment, plan.experiment.picture
    assert picture is not None
    configs = list(dict.fromkeys(planned.run.data for planned in plan.runs))
    if len(configs) > 1:
        raise SpecError("one picture shows one data set, and its rows ask for several", where=experiment.id)
    started, clock = provenance.now(), time.monotonic()
    folders = _finished(plan, runs_dir, data_root)
    data = load(configs[0], data_root, reporter=reporter)
    reporter.message(f"drawing {experiment.id} from {len(folders)} trained networks")
    drawing = draw_picture(picture.kind, _networks(plan, folders), data, picture.persons)
    path = runs_dir / FOLDER / experiment.id / f"{plan.profile.name}-{data.data_id}.png"
    write_bytes(path, drawing.png)
    write_json(path.with_suffix(".json"), {
        "profile": plan.profile.name, "data_id": data.data_id, "code_hash": code_hash(picture.kind),
        "data": {"label": data.label, "source": configs[0].source, "val_persons": len(data.val.persons)},
        "file": f"{experiment.id}.png", "sha256": hashlib.sha256(drawing.png).hexdigest(),
        "persons": [{"image": p.image_id, "person": p.person_id} for p in drawing.persons],
        "measured_on": drawing.measured_on, "measures": [asdict(m) for m in drawing.measures],
        "lines": [_rounded(asdict(line)) for line in drawing.lines],
        "networks": [_origin(planned, record, row) for planned, _, record in folders for row in planned.rows],
        "provenance": provenance.describe(started, time.monotonic() - clock)})
    return path


def _finished(plan: Plan, runs_dir: Path, data_root: Path | None) -> list[tuple[PlannedRun, Path, Record]]:
    """Every run with the file of its weights and its record."""
    found, missing = [], []
    for planned in plan.runs:
        data_id, _ = data_identity(planned.run.data, data_root)
        folder = RunDir.of(runs_dir, spec_hash(planned.run), planned.seed, data_id or "-")
        record, weights = folder.record(), folder.path / WEIGHTS
        if record is None or record["status"] != "done" or not weights.is_file():
            missing.append(planned)
        else:
            found.append((planned, weights, record))
    if missing:
        raise DataError(f"no trained weights of {', '.join(f'{p.rows[0]} seed {p.seed}' for p in missing)}",
                        where=f"{plan.experiment.id} at profile {plan.profile.name}", hint=_training(plan, missing))
    return found


def _training(plan: Plan, missing: Sequence[PlannedRun]) -> str:
    """The command that makes those weights, also where a record without them says that the run is done."""
    rows = " ".join(f"--row {row}" for row in dict.fromkeys(p.rows[0] for p in missing))
    seeds = ",".join(str(seed) for seed in dict.fromkeys(p.seed for p in missing))
    root = " --data-root DIR" if missing[0].run.data.source == "disk" else ""
    return (f"flatpose-exp run {plan.experiment.id} {rows} --profile {plan.profile.name}{root} --seeds {seeds} "
            "--rerun all trains them")


def _networks(plan: Plan, folders: Sequence[tuple[PlannedRun, Path, Record]]) -> list[Any]:
    from flatpose.figures import Network

    labels = {row.id: row.label for row in plan.experiment.rows}
    return [Network(row, labels[row], planned.run, planned.seed, weights)
            for planned, weights, _ in folders for row in planned.rows]


def _rounded(line: dict[str, Any]) -> dict[str, Any]:
    return {**line, "values": {k: None if v is None else round(v, DIGITS) for k, v in line["values"].items()}}


def _origin(planned: PlannedRun, record: Record, row: str) -> Record:
    """Which run a network comes from, and how good it is."""
    scores = [r for r in record["results"] if r["kind"] == "trained" and r["box_source"] == "gt"]
    return {"row": row, "seed": planned.seed, **{k: record.get(k) for k in ("spec_hash", "data_id", "code_hash")},
            "metrics": scores[0]["metrics"] if scores else {},
            "git_sha": (record.get("provenance") or {}).get("git_sha")}


def merged(experiment: Experiment, committed: Sequence[Record], runs_dir: Path) -> tuple[Record, ...]:
    """The drawing to publish, if any: the committed one, or a later one from ``runs_dir``.

    Only the default profile on embedded data is published: a picture shows images, and others' are not ours to show.
    """
    drawn = [_checked(path) for path in sorted((runs_dir / FOLDER / experiment.id).glob("*.json"))]
    own = [d for d in (*committed, *drawn) if publishable(experiment, d)]
    return (max(own, key=ended),) if own else ()


def _checked(path: Path) -> Record:
    drawing = read_json(path)
    checked("drawings", [drawing], path)
    return dict(drawing)


def publishable(experiment: Experiment, drawing: Record) -> bool:
    """Whether reports/ may hold it."""
    return bool(drawing["profile"] == experiment.default_profile and drawing["data"]["source"] == "embedded")


def files(experiment: Experiment, drawings: Sequence[Record], reports: Path, runs_dir: Path) -> dict[str, bytes]:
    """The picture of each drawing by its name below reports/, found there or in ``runs_dir`` by its hash.

    Raises:
        DataError: Neither place has the file that the record speaks of.
    """
    found = {}
    for drawing in drawings:
        places = (reports / drawing["file"], *sorted((runs_dir / FOLDER / experiment.id).glob("*.png")))
        contents = (path.read_bytes() for path in places if path.is_file())
        content = next((c for c in contents if hashlib.sha256(c).hexdigest() == drawing["sha256"]), None)
        if content is None:
            raise DataError("not the picture that its record was made with", where=str(reports / drawing["file"]),
                            hint=f"git checkout reports, or flatpose-exp run {experiment.id} draws it anew")
        found[drawing["file"]] = content
    return found
