"""Fig. 3: which tokens does salience select?

Source: Fig. 3, section 3.3.1, eq. 11: one drawing, no measurement. Command: ``make fig3``. Expected: selected tokens on
the body. Cost: seconds after ``make table5``, whose runs these are; else two runs of a minute (quick).
"""

from __future__ import annotations

from dataclasses import replace

from experiments.table5 import EXPERIMENT as TABLE5
from flatpose.harness.spec import Experiment, Picture, Row

LABELS = {"ours": "FlatPose-B, K = 4", "k2": "FlatPose-B, K = 2"}


def rows(labels: dict[str, str]) -> tuple[Row, ...]:
    """Rows of Table 5 by their ids, under other labels and without published numbers, which a picture does not have."""
    known = {row.id: row for row in TABLE5.rows}
    return tuple(replace(known[name], label=label, published=None, group="") for name, label in labels.items())


EXPERIMENT = Experiment(
    id="fig3",
    title="Tokens selected for refinement",
    source="Fig. 3, section 3.3.1",
    question="Are the tokens that salience selects those that hold keypoints, and do they depend on the person?",
    rows=rows(LABELS),
    profiles=TABLE5.profiles,
    picture=Picture(kind="tokens", caption=(
        "Tokens coloured by their salience (each panel on its own scale: black lowest, yellow highest), the K selected "
        "ones framed and numbered by rank.")),
    notes=(
        "By eye, in the picture of one seed: the selected tokens lie around hips and knees, with K = 4 in the first "
        "iteration in one row of the grid for all six persons; head and hands are rarely among them, and a few lie on "
        "the backdrop.",
        "The literal text of section 3.3 passes no gradient to the salience head (reading R6). Here a gate trains it: "
        "the sigmoid of a token's score mixes its old and its refined value.",
    ),
)
