"""Fig. 6: predicted poses beside the annotation, for every system of Table 2 that is trained here.

Source: Fig. 6, appendix B: poses of FlatPose-L on test-dev, without comparison. Command: ``make fig6``. Cost: seconds
after ``make table2``, whose runs these are; else eight runs of about a minute (quick).
"""

from __future__ import annotations

from dataclasses import replace

from experiments.table2 import EXPERIMENT as TABLE2
from experiments.table2 import MEMBERS
from flatpose.harness.spec import Experiment, Picture

EXPERIMENT = Experiment(
    id="fig6",
    title="Predicted poses",
    source="Fig. 6, appendix B",
    question="What do predictions look like on persons that were not chosen, beside those of other systems?",
    rows=tuple(replace(row, published=None, group="") for row in TABLE2.rows if row.id in MEMBERS),
    profiles={name: replace(profile, left_out={}) for name, profile in TABLE2.profiles.items()},
    picture=Picture(kind="poses", caption=(
        "Limbs: left blue, right orange, middle yellow. Every predicted keypoint is drawn, whatever its score; the "
        "number is the OKS of the prediction over the labelled keypoints.")),
    notes=(
        "The paper shows chosen examples of FlatPose-L on test-dev, whose annotation is not public. Here the persons "
        "are evenly spaced over the validation split and the annotation stands above.",
        "Labels are those of Table 2; at `quick` the networks are small members of the same families.",
        "OKS uses COCO's sigmas and the annotated area.",
    ),
)
