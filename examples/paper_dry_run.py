"""Every stage of ``--profile paper`` in a minute of CPU: the paper's rows with small networks, few persons, 2 epochs.

    torchrun --nproc-per-node 2 --module flatpose.harness.cli run examples/paper_dry_run.py --data-root DIR
"""

from __future__ import annotations

from experiments.recipes import PAPER, SMALL_BACKBONES, SMALL_MODEL
from experiments.table1 import FLATPOSE_B
from experiments.table5 import SIMPLE_BASELINE
from flatpose.config import DataConfig, RunConfig
from flatpose.harness.spec import Experiment, Profile, Row, at_profile

TINY = Profile(
    name="quick", description="the paper profile with small networks, 24 persons and 2 epochs: proves every stage",
    image_size=(96, 96), shrink=2, backbones=SMALL_BACKBONES, pretrained=False, model=SMALL_MODEL,
    train={"epochs": 2, "batch_size": 8, "warmup_epochs": 0.5, "eval_every": 1, "ema_decay": 0.9,
           "ema_gamma": 2.0},
    data=DataConfig(source="disk", max_train_persons=24, max_val_images=5))


def _row(id: str, label: str, run: RunConfig) -> Row:
    """A row as profile paper has it: what TINY does not name stays the paper's."""
    return Row(id=id, label=label, run=at_profile(run, PAPER))


EXPERIMENT = Experiment(
    id="paper_dry_run", title="Dry run of profile paper", source="section 4.1.2",
    question="Does every stage of the paper's recipe run here?",
    rows=(_row("simplebaseline", "SimpleBaseline", SIMPLE_BASELINE), _row("flatpose", "FlatPose-B", FLATPOSE_B)),
    profiles={"quick": TINY})
