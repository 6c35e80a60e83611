"""Every system in its published variants, for counting costs and for evaluating published checkpoints.

Source: each system's own paper and repository, and mmpose's tables; Tables 2 to 4 show a part of them. Command:
``flatpose-exp cost peers``; ``flatpose-exp run peers --row rtmpose_m --checkpoint FILE --data-root DIR``. Expected:
costs agree within 0.5 % and 5 %, each in the convention of its source. Cost: none, because nothing is trained at
``quick``; at ``paper`` every row is trained by its authors' recipe.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from experiments.systems import profiles
from experiments.systems_cnn import (
    HIGH,
    SQUARE,
    hrnet,
    rtmpose,
    sar,
    simcc,
    simcc_resnet50,
    simcc_upsample_free,
    simplebaseline,
    srpose,
)
from experiments.systems_vit import gatedunipose, sharpose, tokenpose, vitpose
from experiments.table2 import BY_HRNET_TOOL, Numbers, published
from flatpose.config import RunConfig
from flatpose.harness.spec import Experiment, Published, Row

BENCHMARKS = {"coco": "COCO", "crowdpose": "CrowdPose", "mpii": "MPII"}
NO_AP = (None, None, None, None)
MMPOSE = "mmpose 1.3"


def _row(id: str, label: str, run: RunConfig, said: Published | None = None) -> Row:
    (width, height), group = run.image_size, BENCHMARKS[run.data.task]
    where = "" if run.data.task == "coco" else f", {group}"
    return Row(id=id, label=f"{label} {height}x{width}{where}", run=run, group=group, published=said)


def _coco(id: str, label: str, run: RunConfig, source: str, cost: tuple[float | None, float | None], numbers: Numbers,
          **more: Any) -> Row:
    """``cost``: parameters in millions and GFLOPs; ``numbers``: AP, AP50, AP75, AR on val with the 56.4-AP boxes."""
    return _row(id, label, run, published(id, source, cost, numbers, **more))


def _crowd(id: str, label: str, run: RunConfig, source: str, numbers: tuple[float, float, float, float]) -> Row:
    names = ("AP", "AP_easy", "AP_medium", "AP_hard")
    return _row(id, label, run, Published(source=source, metrics=dict(zip(names, numbers, strict=True))))


def _mpii(id: str, label: str, run: RunConfig, source: str, pckh: float) -> Row:
    return _row(id, label, run, Published(source=source, metrics={"PCKh@0.5": pckh}))


CONVOLUTIONAL = (
    _coco("simplebaseline_r50", "SimpleBaseline (ResNet-50)", simplebaseline(50), "HRNet's repository", (34.0, 8.9),
          (70.4, None, None, None), note="mmpose's training reaches 71.8."),
    _coco("simplebaseline_r152", "SimpleBaseline (ResNet-152)", simplebaseline(152), "HRNet's repository", (68.6, 15.7),
          (72.0, None, None, None), note="mmpose's training reaches 73.6."),
    _coco("simplebaseline_r152_384", "SimpleBaseline (ResNet-152)", simplebaseline(152, HIGH), "HRNet's repository",
          (68.6, 35.3), (74.3, None, None, None), note="mmpose's training reaches 75.0."),
    _coco("hrnet_w32", "HRNet-W32", hrnet(32), "its repository", (28.5, 7.1), (74.4, None, None, None),
          note="mmpose's training reaches 74.9."),
    _coco("hrnet_w48", "HRNet-W48", hrnet(48), "its repository", (63.6, 14.6), (75.1, None, None, None),
          note="mmpose's training reaches 75.6."),
    _coco("hrnet_w32_384", "HRNet-W32", hrnet(32, HIGH), "its repository", (28.5, 16.0), (75.8, None, None, None),
          note="mmpose's training reaches 76.1."),
    _coco("hrnet_w48_384", "HRNet-W48", hrnet(48, HIGH), "its repository", (63.6, 32.9), (76.3, None, None, None),
          note="mmpose's training reaches 76.7."),
    _coco("simcc_r50", "SimCC (ResNet-50)", simcc_resnet50(), MMPOSE, (None, None), (72.1, None, None, None),
          note="The authors' own ResNet-50 is the same network; it was trained with one-hot labels."),
    _coco("simcc_r50_384", "SimCC (ResNet-50)", simcc_resnet50(HIGH), MMPOSE, (None, None), (73.5, None, None, None)),
    _coco("simcc_r50_upsample_free", "SimCC (ResNet-50, no upsampling)", simcc_upsample_free(), "its repository",
          (None, None), NO_AP),
    _coco("simcc_w48", "SimCC (HRNet-W48)", simcc(), "its repository", (66.3, 14.6), (75.9, None, None, 81.2)),
    _coco("simcc_w48_384", "SimCC (HRNet-W48)", simcc(HIGH), "its repository", (None, 32.9), (76.9, 90.9, 83.2, 82.0),
          note="70.6 M: the classifiers grow with the input (1.5 bins per pixel)."),
    _coco("sar_r50_384", "SAR (ResNet-50)", sar("resnet50"), "its repository", (None, None), NO_AP),
    _coco("sar_w48_384", "SAR (HRNet-W48)", sar("hrnet_w48"), "Table 3", (None, None), (76.3, 92.5, 83.6, 81.2),
          split="COCO test-dev"),
    _coco("srpose_r50", "SRPose (ResNet-50)", srpose(), "its repository", (24.80, 4.61), (73.3, None, None, 78.8)),
    _coco("srpose_w32", "SRPose (HRNet-W32)", srpose("hrnet_w32"), "its repository", (29.95, 8.28),
          (75.9, None, None, 81.0)),
    _coco("rtmpose_m", "RTMPose-m", rtmpose("m"), MMPOSE, (13.59, 1.93), (74.6, 89.9, 81.7, 79.5),
          note="75.8 when trained on AIC too."),
    _coco("rtmpose_l", "RTMPose-l", rtmpose("l"), MMPOSE, (27.66, 4.16), (75.8, 90.6, 82.6, 80.6),
          note="76.5 when trained on AIC too; 74.8, which Table 2 prints, when trained on HumanArt too."),
    _coco("rtmpose_m_384", "RTMPose-m", rtmpose("m", HIGH), MMPOSE, (13.72, 4.33), (77.0, None, None, None),
          note="Trained on AIC too."),
    _coco("rtmpose_l_384", "RTMPose-l", rtmpose("l", HIGH), MMPOSE, (27.79, 9.35), (77.3, None, None, None),
          note="Trained on AIC too."),
)
TRANSFORMERS = (
    _coco("tokenpose_b", "TokenPose-B", tokenpose("B"), "its repository", (13.5, 5.7), (74.7, None, None, None)),
    _coco("tokenpose_l_d24", "TokenPose-L/D24", tokenpose("L/D24"), "its repository", (27.5, 11.0),
          (75.8, None, None, None)),
    _coco("tokenpose_l_d24_384", "TokenPose-L/D24", tokenpose("L/D24", HIGH), "its repository", (29.8, 22.1),
          (75.9, None, None, None), split="COCO test-dev"),
    _coco("vitpose_s", "ViTPose-S", vitpose("S"), "its repository", (24.3, 5.6), (73.8, None, None, None),
          note="mmpose's training reaches 73.9."),
    _coco("vitpose_b", "ViTPose-B", vitpose("B"), "its repository", (89.9, 18.5), (75.8, None, None, 81.1),
          note="mmpose's training reaches 75.7. 89.99 M, truncated in print."),
    _coco("vitpose_b_384", "ViTPose-B", vitpose("B", HIGH), "SHaRPose's paper", (89.9, 44.1), (76.9, None, None, None),
          params_by="leaf"),
    _coco("sharpose_small", "SHaRPose-Small", sharpose("Small"), "its paper", (28.4, 4.9), (74.2, None, None, None)),
    _coco("sharpose_base", "SHaRPose-Base", sharpose("Base"), "its paper", (93.9, 17.1), (75.5, None, None, None),
          note="Parameters without free-standing ones (tokens, position codes); with them 94.1 M."),
    _coco("sharpose_base_384", "SHaRPose-Base", sharpose("Base", HIGH), "its paper", (93.9, 32.9),
          (77.4, None, None, None), misprints={"params_m": "of the 256x192 network; the released code builds 118.5 M"},
          note="76.7 on test-dev."),
    _row("gatedunipose", "GatedUniPose (a reading)", gatedunipose("coco")),
)
OTHER_BENCHMARKS = (
    _crowd("rtmpose_m_crowdpose", "RTMPose-m", rtmpose("m", task="crowdpose"), MMPOSE, (70.6, 79.9, 71.9, 58.2)),
    _crowd("srpose_w32_crowdpose", "SRPose (HRNet-W32)", srpose("hrnet_w32", task="crowdpose"), "its repository",
           (67.8, 77.5, 69.1, 55.6)),
    _mpii("rtmpose_m_mpii", "RTMPose-m", rtmpose("m", SQUARE, "mpii"), MMPOSE, 90.7),
    _mpii("srpose_r50_mpii", "SRPose (ResNet-50)", srpose("resnet50", SQUARE, "mpii"), "its repository", 89.1),
    _mpii("srpose_w32_mpii", "SRPose (HRNet-W32)", srpose("hrnet_w32", SQUARE, "mpii"), "its repository", 90.5),
    _mpii("gatedunipose_mpii", "GatedUniPose (a reading)", gatedunipose("mpii"), "Table 4", 90.2),
)
ROWS = (*CONVOLUTIONAL, *TRANSFORMERS, *OTHER_BENCHMARKS)
ON_OTHER_PAGES = dict.fromkeys([row.id for row in ROWS], "one small member of each family runs in Tables 2 to 4")
SCALES = profiles(ROWS, ())

EXPERIMENT = Experiment(
    id="peers",
    title="Every system in its published variants",
    source="the systems' own papers and repositories, and mmpose's tables",
    question="What does each published variant cost, and what does its checkpoint score here?",
    rows=ROWS,
    profiles={**SCALES, **{name: replace(SCALES[name], left_out=ON_OTHER_PAGES) for name in ("smoke", "quick")}},
    notes=(
        "These rows are for counting and for published checkpoints; nothing is trained at `quick`. "
        "`flatpose-exp run peers --row R --checkpoint FILE --data-root DIR` evaluates a file under the authors' own "
        "names or mmpose's, on ground-truth and detector boxes.",
        "Published AP is with the 56.4-AP detector on val, without extra training data unless the row says so. A row "
        "without a published number has none in the sources that we could read.",
        f"GFLOPs of {', '.join(BY_HRNET_TOOL)} are printed by HRNet's tool, the others with every matmul counted; each "
        "is compared in the convention of its print.",
        "GatedUniPose has no public code. Our network is a reading of its paper, and no checkpoint fits it.",
    ),
)
