"""The model card of a checkpoint, rendered from its description."""

from __future__ import annotations

from typing import Any

import pandas as pd

METRICS = ("AP", "AP50", "AP75", "AR", "PCKh@0.5")


def model_card(facts: dict[str, Any]) -> str:
    """README.md of a checkpoint, from the content of its config.json."""
    run, record, keypoints = facts["run"], facts["record"], facts["keypoint_set"]
    (width, height), made, cost = run["image_size"], record.get("provenance") or {}, record.get("cost") or {}
    if "checkpoint" in record:
        source = "{file} (sha256 {sha256}, {names})".format(**record["checkpoint"])
    else:
        data, train = record.get("data") or {}, record.get("train") or {}
        source = (f"{data.get('label', 'unknown data')}, profile `{run['profile']}`, seed {record.get('seed', '?')}, "
                  f"{train.get('epochs', '?')} epochs; `{made.get('command', '?')}` at "
                  f"{made.get('git_sha', 'an unknown commit')}, {made.get('ended', '')}")
    curve = (record.get("train") or {}).get("curve") or {}
    judged = ", ".join(f"{100 * value:.1f} after epoch {epoch}" for epoch, value in curve.items())
    judged = f"- **Validation while training**, main metric × 100: {judged}\n" if curve else ""
    counts = (f"- **Cost** {cost['params_m']:.2f} M parameters, {cost['gflops']:.3f} G multiply-adds per forward pass\n"
              if cost else "")
    scores = "- **Scores** are probabilities (docs/predict.md)\n" if facts.get("calibration") else ""
    trained = [r for r in record.get("results") or [] if r.get("kind") == "trained"]
    lines = [{"boxes": r["box_source"], "flip test": "yes" if r["flip_test"] else "no",
              **{f"{name} × 100": 100 * r["metrics"][name] for name in METRICS if name in r["metrics"]},
              "score rule": r["score_rule"]} for r in trained if r["weights"] == trained[0]["weights"]]
    measured = pd.DataFrame(lines).to_markdown(index=False, floatfmt=".1f") if lines else "Nothing was measured here."
    return f"""# {run['model']['kind']}, {run['codec']['kind']} targets, {height}×{width} (h×w)

A top-down 2-D pose network of flatpose-exp: one person per box, keypoints in image pixels.

- **Keypoints** {keypoints['name']}: {', '.join(keypoints['names'])}
- **Weights** {source}
{counts}{judged}- **Stored** in {facts['stored']}
{scores}
{measured}

Measured before weights were rounded. Numbers hold for these data, boxes and score rule only; those of a `quick` or
`mini` run are not comparable with published ones.

```python
from flatpose import Pose

pose = Pose.load("model.safetensors")
keypoints, scores = pose(image_rgb, boxes_xywh)
```
"""
