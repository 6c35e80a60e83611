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
    question="What do predictions look like on persons that nobody picked, beside those of other systems?",
    rows=tuple(replace(row, published=None, group="", note="") for row in TABLE2.rows if row.id in MEMBERS),
    profiles={name: replace(profile, left_out={}) for name, profile in TABLE2.profiles.items()},
    picture=Picture(kind="poses", caption=(
        "Limbs: left blue, right orange, middle yellow. Every predicted keypoint is drawn, whatever its score; the "
        "number is the OKS of the prediction over the labelled keypoints.")),
    notes=(
        "The paper shows chosen examples of FlatPose-L on test-dev, where nobody outside has the annotation. Here the "
        "persons are evenly spaced over the validation split and the annotation stands above.",
        "Names are those of Table 2; what was trained are small members of the same families, minutes each.",
        "Two systems have not left the plateau that token-based networks start on, after 600 steps without ImageNet: "
        "TokenPose-B answers the mean pose (over 48 persons its keypoints move by 1 pixel of the 128x96 crop, "
        "ViTPose-B's by 7), SHaRPose-Base one and the same place for all keypoints (0.04 pixels apart). Both learn "
        "four persons by heart in tests/test_peers_vit.py.",
        "OKS uses COCO's sigmas and the annotated area.",
    ),
)
