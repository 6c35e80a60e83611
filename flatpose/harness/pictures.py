"""Draws Figs. 3 to 6 from finished runs into runs/pictures/, and publishes what may be published in reports/.

A picture cannot be rendered from a record, because that takes weights and data. Its facts therefore hold the hash of
the file, and ``report --check`` compares the committed picture with it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, Optional

from flatpose import NUMERICS, benchmarks
from flatpose.errors import DataError, SpecError
from flatpose.harness import provenance
from flatpose.harness.plan import Plan, PlannedRun
from flatpose.harness.record import SCHEMA_VERSION, Part, Record, parse
from flatpose.harness.runner import folder_of
from flatpose.harness.spec import Experiment
from flatpose.harness.tables import document
from flatpose.io import write_bytes, write_json
from flatpose.progress import Reporter

FOLDER = "pictures"
PERSONS = 6
"""Columns of a picture."""


class ShownNetwork(Part):
    """A network of the figure and its accuracy on ground-truth boxes, in points."""

    row: str
    label: str
    spec_hash: str
    seed: int
    metric: str
    value: Optional[float] = None


class Drawing(Part):
    """What a figure shows: reports/data/figN.json. ``file`` is the picture beside the page, ``sha256`` its hash."""

    schema_version: Literal[2] = SCHEMA_VERSION
    experiment: str
    file: str
    sha256: str
    numerics: int
    profile: str
    source: Literal["embedded", "disk"]
    data: str
    data_id: str
    val_persons: int
    images: tuple[int, ...]
    networks: tuple[ShownNetwork, ...]
    ended: str
    git_sha: Optional[str] = None

    def matches(self, picture: Path) -> bool:
        """Whether a file is the picture that this record was made with."""
        return picture.is_file() and hashlib.sha256(picture.read_bytes()).hexdigest() == self.sha256


def draw(plan: Plan, runs_dir: Path, data_root: Path | None, reporter: Reporter) -> Path:
    """Draw the finished runs of a plan's first seed; returns the picture's path. Its facts lie beside it as .json.

    Raises SpecError where rows have different data, and DataError with the next command where weights are missing.
    """
    from flatpose.checkpoints.described import RUN_WEIGHTS
    from flatpose.data import load
    from flatpose.figures.draw import draw as draw_picture
    from flatpose.figures.sight import Network

    experiment, picture, runs = plan.experiment, plan.experiment.picture, plan.runs
    assert picture is not None
    if len({planned.run.data for planned in runs}) > 1:
        raise SpecError("one picture shows one data set, and its rows ask for several", where=experiment.id)
    found = _finished(plan, runs_dir, data_root)
    data = load(runs[0].run.data, data_root, reporter=reporter)
    reporter.message(f"drawing {experiment.id} from {len(found)} trained networks")
    labels = {row.id: row.label for row in experiment.rows}
    networks = [Network(row, labels[row], planned.run, folder / RUN_WEIGHTS)
                for planned, folder, _ in found for row in planned.rows]
    png, persons = draw_picture(picture.kind, networks, data, PERSONS)
    path = runs_dir / FOLDER / experiment.id / f"{plan.profile.name}-{data.data_id}.png"
    facts = Drawing(
        experiment=experiment.id, file=f"{experiment.id}.png", sha256=hashlib.sha256(png).hexdigest(),
        numerics=NUMERICS, profile=plan.profile.name, source=runs[0].run.data.source, data=data.label,
        data_id=data.data_id, val_persons=len(data.val.persons), images=tuple(p.image_id for p in persons),
        networks=tuple(_shown(row, labels[row], planned, record)
                       for planned, _, record in found for row in planned.rows),
        ended=provenance.now(), git_sha=provenance.git("rev-parse", "HEAD"))
    write_bytes(path, png)
    write_json(path.with_suffix(".json"), facts.model_dump(mode="json"))
    return path


def _finished(plan: Plan, runs_dir: Path, data_root: Path | None) -> list[tuple[PlannedRun, Path, Record]]:
    """Every run of the first seed with its folder and its record."""
    from flatpose.checkpoints.described import RUN_WEIGHTS

    found, runs = [], [planned for planned in plan.runs if planned.seed == plan.runs[0].seed]
    for planned in runs:
        folder = folder_of(planned, runs_dir, data_root)
        record = folder.record()
        if record is not None and record.status == "done" and (folder.path / RUN_WEIGHTS).is_file():
            found.append((planned, folder.path, record))
    done = [planned for planned, _, _ in found]
    if missing := [planned for planned in runs if planned not in done]:
        options = " ".join(f"--row {p.rows[0]}" for p in missing) + f" --profile {plan.profile.name}"
        options += " --data-root DIR" if missing[0].run.data.source == "disk" else ""
        raise DataError(f"no trained weights of {', '.join(f'{p.rows[0]} seed {p.seed}' for p in missing)}",
                        where=f"{plan.experiment.id} at profile {plan.profile.name}",
                        hint=f"flatpose-exp run {plan.experiment.id} {options} --seeds {missing[0].seed} --rerun all "
                             "trains them")
    return found


def _shown(row: str, label: str, planned: PlannedRun, record: Record) -> ShownNetwork:
    metric = benchmarks.get(planned.run.data.task).main_metric
    values = [100 * r.metrics[metric] for r in record.results if r.kind == "trained" and r.box_source == "gt"]
    return ShownNetwork(row=row, label=label, spec_hash=record.spec_hash, seed=planned.seed, metric=metric,
                        value=round(values[0], 2) if values else None)


def files(experiment: Experiment, reports: Path, runs_dir: Path) -> dict[str, bytes]:
    """A figure's files below reports/: ID.md, and where it has been drawn ID.png and data/ID.json.

    The latest drawing of the default profile on embedded data is published: other people's images are not ours to show.
    Raises DataError where neither the committed picture nor one of runs/ is the picture of its facts.
    """
    committed = reports / "data" / f"{experiment.id}.json"
    places = [(path, path.with_suffix(".png")) for path in sorted((runs_dir / FOLDER / experiment.id).glob("*.json"))]
    places += [(committed, reports / f"{experiment.id}.png")] if committed.is_file() else []
    drawn = [(parse(Drawing, facts), picture) for facts, picture in places]
    own = [(d, p) for d, p in drawn if d.profile == experiment.default_profile and d.source == "embedded"]
    if not own:
        return {f"{experiment.id}.md": page(experiment, None).encode()}
    latest, _ = max(own, key=lambda pair: pair[0].ended)
    picture = next((path for _, path in own if latest.matches(path)), None)
    if picture is None:
        raise DataError("not the picture that its facts were made with", where=str(reports / latest.file),
                        hint=f"git checkout reports, or flatpose-exp run {experiment.id} draws it again")
    facts = latest.model_dump_json(indent=1) + "\n"
    return {f"{experiment.id}.md": page(experiment, latest).encode(), latest.file: picture.read_bytes(),
            f"data/{experiment.id}.json": facts.encode()}


def page(experiment: Experiment, drawing: Drawing | None) -> str:
    """The page of a figure as markdown; None: not drawn yet."""
    assert experiment.picture is not None
    title, run = f"{experiment.id}: {experiment.title}", f"flatpose-exp run {experiment.id}"
    question = f"{experiment.question} ({experiment.source})"
    if drawing is None:
        return document(title, question, f"Nothing has been drawn yet: `{run}` trains the networks and draws.")
    seeds = ",".join(str(seed) for seed in sorted({n.seed for n in drawing.networks}))
    shown = [f"{n.label} {n.metric} {'?' if n.value is None else f'{n.value:.1f}'}" for n in drawing.networks]
    stale = "" if drawing.numerics == NUMERICS else " (stale: the core has changed since)"
    facts = f"""\
- Networks (profile `{drawing.profile}`, seed {seeds}, ground-truth boxes): {"; ".join(shown)}.
- Data: {drawing.data}. Persons evenly spaced over the {drawing.val_persons} of the validation split (images \
{", ".join(map(str, drawing.images))}), not chosen; no flip test.
- Drawn {drawing.ended[:10]} by git `{str(drawing.git_sha)[:10]}`, numerics {drawing.numerics}{stale}; picture sha256 \
`{drawing.sha256[:16]}`."""
    return document(
        title, question, f"![{experiment.title}]({drawing.file})", f"*{experiment.picture.caption}*", facts,
        "\n".join(["## Notes", "", *(f"- {note}" for note in experiment.notes)]) if experiment.notes else "",
        f"`{run} --profile {drawing.profile} --seeds {seeds}` trains what is missing and draws; with `--data-root DIR` "
        "it draws your own images below runs/.")
