"""Reading 10: how much AP do ground-truth boxes give away, for each system trained here?

Source: Table 2. Every FlatPose row there has an AP50 of 93.6 or 93.7 and an AR only 2.7 to 3.0 above its AP; every
other row has an AP50 near 90.5 and an AR 4.9 to 5.8 above its AP; FlatPose's row of Table 3 (test-dev, no ground truth
there) has 5.0. Command: ``flatpose-exp run boxes``. Cost: none after the figures and tables
whose runs these are.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.controlled import EXPERIMENT as CONTROLLED
from experiments.fig1 import EXPERIMENT as FIG1
from experiments.recipes import COCO_MINI, PAPER, QUICK, SMALL_BACKBONES, SMOKE, SYNTH
from experiments.systems import FROM_SCRATCH, SMALL_MODELS
from experiments.table1 import BOXES
from experiments.table1 import EXPERIMENT as TABLE1
from experiments.table2 import EXPERIMENT as TABLE2
from experiments.table4 import EXPERIMENT as TABLE4
from experiments.table4 import SMALL_SETS
from experiments.table5 import EXPERIMENT as TABLE5
from flatpose.harness.spec import Experiment, Profile, Published, Row

PARTS = {"Fig. 1": FIG1, "Table 1": TABLE1, "Table 5": TABLE5, "Table 2": TABLE2,
         "Table 2's systems under one recipe": CONTROLLED, "Table 4, CrowdPose": TABLE4}
PUBLISHED = {
    "table1_b": Published(source="Table 2, FlatPose-B 256x192", boxes=BOXES,
                          metrics={"AP": 75.4, "AP50": 93.6, "AR": 78.4}),
    "table1_l": Published(source="Table 2, FlatPose-L 256x192", boxes=BOXES,
                          metrics={"AP": 77.4, "AP50": 93.6, "AR": 80.2}),
    "table1_l_384": Published(source="Table 2, FlatPose-L 384x288", boxes=BOXES,
                              metrics={"AP": 78.2, "AP50": 93.7, "AR": 80.9}),
}


def _rows() -> tuple[Row, ...]:
    """Every different run of the experiments that has two box sources, under its own name there."""
    found: dict[object, Row] = {}
    for group, experiment in PARTS.items():
        for row in experiment.rows:
            name = f"{experiment.id}_{row.id}"
            label = f"{row.label} {row.group}" if row.group == "384x288" else row.label
            if len(row.run.eval.box_sources) == 2:
                found.setdefault(row.run, Row(id=name, label=label, group=group, run=row.run, readings=("R15",),
                                              published=PUBLISHED.get(name)))
    return tuple(found.values())


ELSEWHERE = dict.fromkeys(("table1_l", "table1_l_384"), "its small stand-in runs on the page of table1 alone")


def _left_out(profile: str) -> dict[str, str]:
    """Rows that their own experiment does not run at this scale, or whose small stand-in is another's here."""
    missing = {f"{e.id}_{row.id}": f"{e.id} has no profile {profile!r}" for e in PARTS.values()
               if profile not in e.profiles for row in e.rows}
    return ELSEWHERE | missing | {f"{e.id}_{row}": why for e in PARTS.values() if profile in e.profiles
                              for row, why in e.profiles[profile].left_out.items()}


def _profiles() -> dict[str, Profile]:
    """The scales of the experiments, in one form that gives each row the run it has at home.

    Fig. 1 and Tables 1 and 5 map backbones, Tables 2 and 4 whole systems. SimpleBaseline and FlatPose are in both: for
    these two backbones are mapped, the large ones as in Tables 2 and 4, where one small network stands for a family.
    """
    systems = {kind: change for kind, change in SMALL_MODELS.items() if kind not in ("baseline", "flatpose")}
    backbones = {**SMALL_BACKBONES, "resnet152": "resnet_quick_os16", "convnextv2_tiny": "convnext_quick_os16"}
    smoke, quick = (replace(p, backbones=backbones, models=systems, left_out=_left_out(p.name))
                    for p in (SMOKE, QUICK))
    # 64x64 pixels are four tokens, fewer than K = 8 of Table 5.
    found = (replace(smoke, image_size=(96, 96)), replace(quick, data_by_task={"crowdpose": SMALL_SETS}), SYNTH)
    own = [replace(p, train={**p.train, **FROM_SCRATCH}) for p in found]
    return {p.name: p for p in (*own, PAPER, replace(COCO_MINI, left_out=_left_out("mini")))}


EXPERIMENT = Experiment(
    id="boxes",
    title="Ground-truth against detector boxes",
    source="Table 2 and reading 10 of the paper",
    question="How much AP separates the two box sources, and do AP50 and AR tell which one a table used?",
    rows=_rows(),
    profiles=_profiles(),
    headline="boxes",
    notes=(
        "One network, one set of weights, two sets of boxes: nothing else differs between the two numbers of a row.",
        "The signature: with detector boxes a table's AR lies further above its AP, because false boxes cost AP but "
        "not AR. Table 2 prints AR - AP of 3.0, 2.8 and 2.7 for FlatPose and of 4.9 to 5.8 for the systems it is "
        "compared with; Table 3 (test-dev, where nobody has ground truth) prints 5.0 for FlatPose.",
        "What the boxes alone do at the accuracy of Table 2 is in boxes_simulated.md, on real boxes.",
        "Each group shows its experiment's own runs. At small scales rows that differ at full size can share one (the "
        "SimpleBaseline of one recipe is Fig. 1's at stride 4), which the finding counts once.",
        "The embedded detector is simulated; the COCO subset has the boxes of the well-known 56.4-AP file.",
    ),
)
