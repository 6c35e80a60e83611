"""The page of a picture: what it shows, what was measured beside it on many persons, and where both come from."""

from __future__ import annotations

import hashlib

from flatpose.harness import page as pages
from flatpose.harness import page_notes, pictures_table
from flatpose.harness.collect import Record, RecordSet, Stale
from flatpose.harness.render import to_markdown
from flatpose.harness.spec import Experiment


def page(experiment: Experiment, records: RecordSet, stale: Stale | None = None) -> str:
    """The whole page as markdown."""
    sections = [f"# {experiment.id}: {experiment.title}", f"**Question.** {experiment.question}",
                f"**Source.** {experiment.source}", _finding(experiment, records)]
    for drawing in records.drawings:
        made = pictures_table.tables(experiment, [drawing], stale)
        sections += [_picture(experiment, drawing), _conditions(experiment, drawing),
                     *(f"## {table.title}\n\n{to_markdown(table)}" for _, table in made)]
    sections += [page_notes.notes(experiment), page_notes.readings(experiment), _reproduce(experiment, records),
                 _provenance(experiment, records)]
    return "\n\n".join(s.strip() for s in sections if s) + "\n"


def _finding(experiment: Experiment, records: RecordSet) -> str:
    found = pictures_table.findings(experiment, records.drawings)
    if not found:
        return f"**Finding.** Nothing has been drawn yet: `flatpose-exp run {experiment.id}` does."
    return "\n".join(["**Finding.**", "", *(f"- {text}" for text in found)])


def _picture(experiment: Experiment, drawing: Record) -> str:
    assert experiment.picture is not None
    return (f"![{experiment.title}: {pictures_table.title(drawing)}]({drawing['file']})\n\n"
            f"*{experiment.picture.caption}*")


def _conditions(experiment: Experiment, drawing: Record) -> str:
    """What was drawn and measured, and on whom."""
    name, seeds = drawing["profile"], sorted({n["seed"] for n in drawing["networks"]})
    images = ", ".join(str(p["image"]) for p in drawing["persons"])
    lines = [
        f"**Profile** `{name}`: {experiment.profiles[name].description}",
        *(f"**Network** `{small}` stands in for {big}" for big, small in pages.stand_ins(experiment, name)),
        f"**Data** {drawing['data']['label']}; no image of others is shown",
        f"**Picture** networks of seed {seeds[0]}; {len(drawing['persons'])} persons evenly spaced over those of the "
        f"validation split that have at least ten labelled keypoints (images {images}): nobody chose them",
        f"**Table** {drawing['measured_on']} of {drawing['data']['val_persons']} validation persons, evenly spaced; "
        f"{_seeds(seeds)}",
        "**Evaluation** ground-truth boxes, no flip test, in the frame of the crop the network sees",
    ]
    return "\n".join([f"## {pictures_table.title(drawing)}", "", *(f"- {line}" for line in lines)])


def _seeds(seeds: list[int]) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]} only: no interval, so that no difference between rows can be called significant"
    return f"mean over seeds {', '.join(map(str, seeds))} ± half-width of the 95 % t-interval"


def _reproduce(experiment: Experiment, records: RecordSet) -> str:
    seeds = sorted({n["seed"] for d in records.drawings for n in d["networks"]}) or list(experiment.seeds)
    run = f"flatpose-exp run {experiment.id} --seeds {','.join(map(str, seeds))}"
    return "\n".join(["## Reproduce", "", "```bash", f"{run}  # trains what is missing, then draws",
                      f"flatpose-exp report {experiment.id}", "```", "",
                      f"On your own images: `flatpose-exp run {experiment.id} --data-root DIR` draws below runs/, not "
                      "here."])


def _provenance(experiment: Experiment, records: RecordSet) -> str:
    name, digest = experiment.id, hashlib.sha256(records.dump().encode()).hexdigest()[:16]
    lines = [f"- Drawn and measured {str(d['provenance']['ended'])[:10]} by code `{d['code_hash']}`: "
             f"{pages.origin(d)}. Picture: sha256 {d['sha256'][:16]}…" for d in records.drawings]
    trained = sorted({str(n["git_sha"])[:10] for d in records.drawings for n in d["networks"] if n.get("git_sha")})
    lines += [f"- The networks were trained by git {', '.join(f'`{sha}`' for sha in trained)}."] if trained else []
    head = (f"Rendered from [data/{name}.json](data/{name}.json) (sha256 {digest}…); every number with the runs behind "
            f"it: [{name}.csv]({name}.csv).")
    return "\n".join(["## Provenance", "", head, "", *lines]) if records.drawings else ""
