"""Public results of one network with detector boxes and with ground-truth boxes, on COCO val2017 with flip test.

Facts from repositories and their issue threads; detector boxes are the file of 56.4 AP (human) that the field shares.
Metrics are in the units of print (AP 75.6); None: not stated there.
"""

from __future__ import annotations

from typing import Any

HRNET = "leoxiaobin/deep-high-resolution-net.pytorch, README"


def _pair(label: str, det: tuple[float, float, float, float], gt: tuple[float | None, ...], det_source: str,
          gt_source: str) -> dict[str, Any]:
    names = ("AP", "AP50", "AP75", "AR")
    return {"label": label, **{f"{n}_det": v for n, v in zip(names, det, strict=True)},
            **{f"{n}_gt": v for n, v in zip(names, gt, strict=True)}, "det_source": det_source, "gt_source": gt_source}


BOX_PAIRS: tuple[dict[str, Any], ...] = (
    _pair("SimpleBaseline-R50 256×192", (70.4, 88.6, 78.3, 76.3), (72.4, 91.5, 80.4, 75.6), HRNET,
          "microsoft/human-pose-estimation.pytorch, issue 58"),
    _pair("SimpleBaseline-R101 384×288", (73.6, 89.6, 80.3, 79.1), (75.5, 92.5, 82.6, 78.4), HRNET,
          "microsoft/human-pose-estimation.pytorch, issue 79"),
    _pair("HRNet-W32 256×192", (74.4, 90.5, 81.9, 79.8), (76.5, None, None, None), HRNET,
          "leoxiaobin/deep-high-resolution-net.pytorch, issue 174"),
    _pair("HRNet-W48 256×192", (75.6, 90.7, 82.5, 80.6), (77.6, 93.6, 84.8, 80.2), "mmpose, model zoo",
          "open-mmlab/mmpose, issue 618"),
    _pair("HRNet-W48 384×288", (76.3, 90.8, 82.9, 81.2), (78.8, 94.4, 85.7, 81.6), HRNET,
          "rawalkhirodkar/MIPNet, MODEL_ZOO.md (same architecture; the weights may be its own)"),
)
