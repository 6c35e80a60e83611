"""Reading 10: how much AP do ground-truth boxes give away, for each system trained here?

Source: Table 2. Every FlatPose row there has an AP50 of 93.6 or 93.7 and an AR only 2.7 to 3.0 above its AP; every
other row has an AP50 near 90.5 and an AR 4.9 to 5.8 above its AP; FlatPose's row of Table 3 (test-dev, no ground truth
there) has 5.0. Command: ``flatpose-exp run boxes``. Cost: none after fig1 and table5, whose runs these are.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.fig1 import EXPERIMENT as FIG1
from experiments.recipes import PROFILES
from experiments.table1 import BOXES
from experiments.table1 import EXPERIMENT as TABLE1
from experiments.table5 import EXPERIMENT as TABLE5
from flatpose.harness.spec import Experiment, Published, Row

PUBLISHED = {
    "table1_b": Published(source="Table 2, FlatPose-B 256x192", boxes=BOXES,
                          metrics={"AP": 75.4, "AP50": 93.6, "AR": 78.4}),
    "table1_l": Published(source="Table 2, FlatPose-L 256x192", boxes=BOXES,
                          metrics={"AP": 77.4, "AP50": 93.6, "AR": 80.2}),
    "table1_l_384": Published(source="Table 2, FlatPose-L 384x288", boxes=BOXES,
                              metrics={"AP": 78.2, "AP50": 93.7, "AR": 80.9}),
}


def _rows() -> tuple[Row, ...]:
    """Every different run of the experiments, under its own name there."""
    found: dict[object, Row] = {}
    for experiment, group in ((FIG1, "Fig. 1"), (TABLE1, "Table 1"), (TABLE5, "Table 5")):
        for row in experiment.rows:
            name = f"{experiment.id}_{row.id}"
            found.setdefault(row.run, Row(id=name, label=row.label, group=group, run=row.run, readings=("R15",),
                                          published=PUBLISHED.get(name)))
    return tuple(found.values())


EXPERIMENT = Experiment(
    id="boxes",
    title="Ground-truth against detector boxes",
    source="Table 2 and reading 10 of the paper",
    question="How much AP separates the two box sources, and do AP50 and AR tell which one a table used?",
    rows=_rows(),
    # 64x64 pixels are four tokens, fewer than K = 8 of Table 5.
    profiles={**PROFILES, "smoke": replace(PROFILES["smoke"], image_size=(96, 96))},
    headline="boxes",
    notes=(
        "One network, one set of weights, two sets of boxes: nothing else differs between the two numbers of a row.",
        "The signature: with detector boxes a table's AR lies further above its AP, because false boxes cost AP but "
        "not AR. Table 2 prints AR - AP of 3.0, 2.8 and 2.7 for FlatPose and of 4.9 to 5.8 for the systems it is "
        "compared with; Table 3 (test-dev, where nobody has ground truth) prints 5.0 for FlatPose.",
        "What the boxes alone do at the accuracy of Table 2 is in boxes_simulated.md, on real boxes.",
        "The embedded detector is simulated; the COCO subset has the boxes of the well-known 56.4-AP file.",
    ),
)
