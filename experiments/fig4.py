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
        "mean (blue less, red more attention; a constant would change nothing). The token is the one that holds the "
        "person's outermost keypoint.")),
    notes=(
        "The paper shows attention only; the bias is part of it and cannot be seen there.",
        "Attention is softmax(content + bias), so both parts are known from the attention and the bias. \"Moved\" is "
        "half the summed difference between the attention with and without the bias: 0 when ICA does nothing, 100 % "
        "when every bit of attention goes elsewhere. The deviations are over keys, in units of the softmax's input.",
        "\"Tokens attended to, effectively\" is exp(entropy): all tokens when attention is uniform, 1 when it is one "
        "token. \"Variance between persons\": of all variance of a query's map over keys and persons, the share that "
        "is between persons at one key; 0 when everybody gets the same map.",
        "All numbers are means over heads, queries and persons.",
        "At `quick` there are 12 tokens, about half of which hold a keypoint: there is little to focus on.",
    ),
)
