"""Fig. 4: where does attention look, and how much of it is the bias of Implicit Coordinate Attention?

Source: Fig. 4, section 4.2: "ability to adaptively focus on relevant body regions", one drawing, no measurement.
Command: ``make fig4``. Cost: seconds after ``make table5``, whose runs these are; else two runs of a minute (quick).
"""

from __future__ import annotations

from experiments.fig3 import rows
from experiments.table5 import EXPERIMENT as TABLE5
from flatpose.harness.spec import Experiment, Picture

EXPERIMENT = Experiment(
    id="fig4",
    title="Attention maps and the ICA bias",
    source="Fig. 4, section 4.2",
    question="Does attention focus on the body, differently for every person, and does the ICA bias contribute to it?",
    rows=rows({"ours": "FlatPose-B", "no_ica": "without ICA"}),
    profiles=TABLE5.profiles,
    picture=Picture(kind="attention", caption=(
        "The framed token's attention (mean over heads; black 0, yellow the row's highest) and its ICA bias around its "
        "mean (blue less, red more attention). The framed token holds the person's outermost keypoint.")),
    notes=(
        "By eye, in the picture of one seed: the brightest token is a thigh or a knee in some panels and backdrop in "
        "others, with and without ICA, and the bias has no visible relation to the body.",
        "The paper shows attention only. The bias is a summand of its logits (eq. 10) and is drawn apart here; its "
        "mean over keys is subtracted because the softmax ignores a constant.",
    ),
)
