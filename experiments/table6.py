"""Table 6: the hyper-parameters of Implicit Coordinate Attention.

Source: Table 6, appendix D. Nothing here is trained for its own sake: the values are read off the built network by
``flatpose.complexity.table6``; ``flatpose-exp cost table6`` prints them and a test compares them with
``PUBLISHED``. The one row is FlatPose-B, the run of Table 1's first row.
"""

from __future__ import annotations

from experiments.recipes import PROFILES
from experiments.table1 import FLATPOSE_B
from flatpose.harness.spec import Experiment, Published, Row

PUBLISHED = {
    "D": 256,
    "N_h": 8,
    "d_k": 32,
    "D'": 64,
    "gamma": 0.125,
    "S": 16,
    "D_bias": 64,
    "MLP_interp": [66, 128, 8],
}

EXPERIMENT = Experiment(
    id="table6",
    title="Hyper-parameters of Implicit Coordinate Attention",
    source="Table 6, appendix D",
    question="Is the network we build the one Table 6 describes?",
    rows=(Row(id="b", label="FlatPose-B", run=FLATPOSE_B, readings=("R1", "R2", "R3"),
              published=Published(source="Table 6", built=PUBLISHED)),),
    profiles=PROFILES,
    notes=("The cost command reads our values off the network built at the size of the paper.",),
)
