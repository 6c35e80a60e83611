"""The facts of a figure, stored as reports/data/figN.json, and the page rendered from them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal, Optional

from pydantic import BaseModel, ConfigDict, ValidationError

from flatpose import NUMERICS
from flatpose.errors import DataError
from flatpose.io import read_json


class ShownNetwork(BaseModel):
    """A network of the figure and its accuracy on ground-truth boxes, in points."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    row: str
    label: str
    spec_hash: str
    seed: int
    metric: str = "AP"
    value: Optional[float] = None


class Drawing(BaseModel):
    """What a figure shows. ``file`` is the picture beside the page and ``sha256`` its hash."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[2] = 2
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


def read_drawing(path: Path) -> Drawing:
    """The facts in a file.

    Raises:
        DataError: It is missing or damaged, or was written by another version.
    """
    try:
        return Drawing.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(f"not the facts of a figure: {place}: {first['msg']}", where=str(path),
                        hint="flatpose-exp run with the figure's id draws it again") from None


def page(experiment: Any, drawing: Drawing | None) -> str:
    """The page of a figure (a ``flatpose.harness.spec.Experiment`` with a picture) as markdown; None: not drawn yet."""
    run = f"flatpose-exp run {experiment.id}"
    head = f"# {experiment.id}: {experiment.title}\n\n{experiment.question} ({experiment.source})"
    if drawing is None:
        return f"{head}\n\nNothing has been drawn yet: `{run}` trains the networks and draws.\n"
    seeds = ",".join(str(seed) for seed in sorted({n.seed for n in drawing.networks}))
    shown = [f"{n.label} {n.metric} {'?' if n.value is None else f'{n.value:.1f}'}" for n in drawing.networks]
    stale = "" if drawing.numerics == NUMERICS else " (stale: the core has changed since)"
    notes = "## Notes\n\n" + "\n".join(f"- {note}" for note in experiment.notes) + "\n\n" if experiment.notes else ""
    return f"""{head}

![{experiment.title}]({drawing.file})

*{experiment.picture.caption}*

- Networks (profile `{drawing.profile}`, seed {seeds}, ground-truth boxes): {"; ".join(shown)}.
- Data: {drawing.data}. Persons evenly spaced over the {drawing.val_persons} of the validation split (images \
{", ".join(map(str, drawing.images))}), not chosen; no flip test.
- Drawn {drawing.ended[:10]} by git `{str(drawing.git_sha)[:10]}`, numerics {drawing.numerics}{stale}; picture sha256 \
`{drawing.sha256[:16]}`.

{notes}`{run} --profile {drawing.profile} --seeds {seeds}` trains what is missing and draws; with `--data-root DIR` it \
draws your own images below runs/.
"""
