"""Alternatives: what each open reading of the paper would change, one row for each alternative of experiments/readings.

Source: none in the paper; our own. Commands: ``flatpose-exp cost alternatives``, ``flatpose-exp run alternatives``.
The base is the FlatPose of Fig. 1 at stride 8. Cost: 20 runs of about five minutes of a core (quick).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from experiments import fig1
from experiments.readings import READINGS, Reading
from experiments.recipes import PROFILES
from flatpose.harness.spec import Experiment, Row

BASE = next(row for row in fig1.EXPERIMENT.rows if row.id == "flatpose_s8").run
APART = ("R10", "R15", "R16", "R17", "R18", "R19", "R20")
"""Readings about another row, about boxes, or about a value that the profiles replace."""


def changed(part: Any, field: str, value: Any) -> Any:
    """A run, or a part of one, with one nested field ("model.readings.gamma") set."""
    first, _, rest = field.partition(".")
    return replace(part, **{first: changed(getattr(part, first), rest, value) if rest else value})


def _row(reading: Reading, value: Any) -> Row:
    assert reading.field is not None
    name = f"{reading.id}_{value}".lower().replace(".", "_")
    changes, run = ((reading.field, value), *reading.along), BASE
    for field, chosen in changes:
        run = changed(run, field, chosen)
    return Row(id=name, label=" with ".join(f"{field} = {chosen}" for field, chosen in changes), run=run,
               group=f"{reading.id}: {reading.question}", readings=(reading.id,))


EXPERIMENT = Experiment(
    id="alternatives",
    title="What each open reading would change",
    source="our own experiment on the readings of the paper",
    question="Which of the choices that the paper leaves open change the result?",
    reference="base",
    rows=(Row(id="base", label="our reading (Fig. 1's FlatPose, stride 8)", run=BASE),
          *(_row(reading, value) for reading in READINGS if reading.field and reading.id not in APART
            for value in reading.alternatives)),
    profiles=PROFILES,
    finding=(
        "Against our reading, decoding by expectation changes AP by {r13_expectation - base}, leaving out ICA by "
        "{r27_false - base}. Rows of one seed are not compared: it cannot show a difference.",
    ),
    notes=(
        "Each row differs from the base in one field, and with `loss.beta` in the temperature that belongs to it. "
        "Costs are of the network at the paper's size. With `codec.split_ratio` the label keeps its 6 bins, so its "
        "width in pixels changes too.",
        "At `quick` every network is trained for four epochs. A difference shows that a reading matters early in "
        "training; the absence of a difference says nothing about a whole training.",
    ),
)
