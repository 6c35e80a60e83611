"""The scales of Tables 2, 3 and 4: every row at full size, or one small member of each family.

One member, because all variants of a system would shrink to the same small network. Width and depth are reduced;
targets, loss, decoding and flip test stay the system's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from importlib.resources import files
from typing import Any

from experiments.recipes import PAPER, QUICK, SMOKE, SYNTH
from flatpose.harness.spec import Profile, Row

ONE_MEMBER = "quick runs one row per family"
SMALL_HRNET: dict[str, Any] = {"backbone": "hrnet_quick"}
SMALL_VIT: dict[str, Any] = {"backbone": "vit_quick", "drop_path": 0.0}
SMALL_MODELS: dict[str, dict[str, Any]] = {
    "baseline": {"backbone": "resnet_quick_os16"}, "srpose": {"backbone": "resnet_quick_os16"},
    "hrnet": SMALL_HRNET, "simcc": SMALL_HRNET, "sar": SMALL_HRNET,
    "tokenpose": {**SMALL_HRNET, "patch_size": (3, 4), "depth": 2, "groups": 1, "head_hidden": None,
                  "head_std": 0.001},
    "vitpose": SMALL_VIT, "sharpose": {**SMALL_VIT, "head_hidden": False, "head_std": 0.001, "token_std": 0.5},
    "gatedunipose": {"backbone": "unireplknet_quick", "drop_path": 0.0, "embed_dim": 48},
    "rtmpose": {"backbone": "resnet_quick_os16", "hidden_dim": 128},
}
"""By system. The small ResNet, ConvNeXt, HRNet and ViT have pre-trained weights of ours; UniRepLKNet starts at random.

RTMPose's head sits on the small ResNet, because timm's smallest CSPNeXt costs eight times as much. The heatmaps of
TokenPose and SHaRPose start near zero, as those of every other head do: else both end a short run at the floor.
"""
BACKBONES = {"ConvNeXt": "convnext_quick", "ViT": "vit_quick", "ResNet": "resnet_quick", "HRNet": "hrnet_quick"}


def start_ap(backbone: str) -> str:
    """SimCC AP x 100 of a small backbone after pre-training, from the card beside its weights."""
    card = files("flatpose") / "models" / "weights" / f"{BACKBONES[backbone]}.json"
    return f"{100 * json.loads(card.read_text())['validation_ap']['simcc']:.1f}"


STARTS = ("At `quick` every system but GatedUniPose, which is initialised randomly, starts from our weights of a small "
          "ResNet, ConvNeXt, HRNet or ViT, trained alike on embedded images that no experiment uses. They are not "
          "equally good (AP of the SimCC head under which each was trained: "
          f"{', '.join(f'{name} {start_ap(name)}' for name in BACKBONES)}), and backbone and "
          "start weights change together: compare systems on one backbone only.")
NO_RANKING = ("Backbone and start weights change together between most of these rows (notes), so no ranking is stated "
              "here; [controlled](controlled.md) compares systems on one backbone.")
FROM_SCRATCH: dict[str, Any] = {"layer_decay": None}
"""Layer-wise learning-rate decay is meant for pre-trained networks."""


def profiles(rows: Iterable[Row], members: Iterable[str], codec: dict[str, dict[str, Any]] | None = None
             ) -> dict[str, Profile]:
    """The four scales of a table; at quick only ``members`` (row ids) run, with ``codec`` fields replaced by kind.

    Smoke runs at 96x96, because 64x64 is no multiple of TokenPose's patches, and its half no multiple of a ViT's.
    """
    chosen = set(members)
    others = {row.id: ONE_MEMBER for row in rows if row.id not in chosen}
    smoke = replace(SMOKE, image_size=(96, 96), models=SMALL_MODELS, left_out=others,
                    train={**SMOKE.train, **FROM_SCRATCH})
    quick = replace(QUICK, models=SMALL_MODELS, left_out=others, codec=codec or {},
                    train={**QUICK.train, **FROM_SCRATCH}, minutes_per_run=5.5, finding=(NO_RANKING,))
    synth = replace(SYNTH, train={**SYNTH.train, **FROM_SCRATCH})
    # Which boxes a benchmark is scored with is the row's own: MPII has one kind.
    reduced = [replace(p, eval={k: v for k, v in p.eval.items() if k != "box_sources"}) for p in (smoke, quick, synth)]
    return {p.name: p for p in (*reduced, PAPER)}
