"""Public results of one network with detector boxes and with ground-truth boxes, on COCO val2017 with flip test.

Facts from repositories and their issue threads; detector boxes are the file of 56.4 AP (human) that the field shares.
Metrics are in the units of print (AP 75.6); None: not stated there. MIPNet's model zoo names HRNet-W48 384×288 beside
78.8 AP with ground-truth boxes, but these are MIPNet's own weights, 0.7 AP above HRNet's by its paper: no pair.
"""

from __future__ import annotations

from typing import Any

HRNET = "leoxiaobin/deep-high-resolution-net.pytorch, README"
TRANSPOSE = "yangsenius/TransPose, README"
RTMPOSE = "open-mmlab/mmpose, configs/body_2d_keypoint/rtmpose/humanart/rtmpose_humanart.md"


def _pair(label: str, det: tuple[float, float, float, float], gt: tuple[float | None, ...], det_source: str,
          gt_source: str) -> dict[str, Any]:
    names = ("AP", "AP50", "AP75", "AR")
    return {"label": label, **{f"{n}_det": v for n, v in zip(names, det, strict=True)},
            **{f"{n}_gt": v for n, v in zip(names, gt, strict=True)}, "det_source": det_source, "gt_source": gt_source}


BOX_PAIRS: tuple[dict[str, Any], ...] = (
    _pair("SimpleBaseline-R50 256×192", (70.4, 88.6, 78.3, 76.3), (72.4, 91.5, 80.4, 75.6), HRNET,
          "microsoft/human-pose-estimation.pytorch, issue 58"),
    _pair("SimpleBaseline-R50 256×192 (mmpose)", (71.8, 89.8, 79.5, 77.3), (73.5, 92.5, 81.4, 76.5),
          "open-mmlab/mmpose, configs/body_2d_keypoint/topdown_heatmap/coco/resnet_coco.md",
          "open-mmlab/mmpose, issue 8"),
    _pair("SimpleBaseline-R101 384×288", (73.6, 89.6, 80.3, 79.1), (75.5, 92.5, 82.6, 78.4), HRNET,
          "microsoft/human-pose-estimation.pytorch, issue 79"),
    _pair("HRNet-W32 256×192", (74.4, 90.5, 81.9, 79.8), (76.5, None, None, None), HRNET,
          "leoxiaobin/deep-high-resolution-net.pytorch, issue 174"),
    _pair("HRNet-W48 256×192", (75.6, 90.7, 82.5, 80.6), (77.6, 93.6, 84.8, 80.2), "mmpose, model zoo",
          "open-mmlab/mmpose, issue 618"),
    _pair("TransPose-R-A3 256×192", (71.7, 88.9, 78.8, 77.1), (73.8, None, None, None), TRANSPOSE, "the same page"),
    _pair("TransPose-R-A4 256×192", (72.6, 89.1, 79.9, 78.0), (75.1, None, None, None), TRANSPOSE, "the same page"),
    _pair("TransPose-H-S 256×192", (74.2, 89.6, 80.8, 79.5), (76.1, None, None, None), TRANSPOSE, "the same page"),
    _pair("TransPose-H-A4 256×192", (75.3, 90.0, 81.8, 80.3), (77.5, None, None, None), TRANSPOSE, "the same page"),
    _pair("TransPose-H-A6 256×192", (75.8, 90.1, 82.1, 80.8), (78.1, None, None, None), TRANSPOSE, "the same page"),
    _pair("RTMPose-t 256×192", (66.5, 87.5, 73.9, 72.1), (67.9, 89.5, 75.5, 71.0), RTMPOSE, "the same page"),
    _pair("RTMPose-s 256×192", (70.6, 88.8, 78.0, 75.9), (72.5, 91.6, 79.8, 75.3), RTMPOSE, "the same page"),
    _pair("RTMPose-m 256×192", (72.5, 89.2, 79.5, 77.5), (74.4, 91.6, 81.8, 77.0), RTMPOSE, "the same page"),
    _pair("RTMPose-l 256×192", (74.8, 90.1, 81.6, 79.6), (77.0, 92.7, 84.0, 79.4), RTMPOSE,
          "the same page; trained on Human-Art and COCO, the 74.8 of Table 2"),
)
