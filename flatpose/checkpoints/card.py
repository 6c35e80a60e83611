"""The model card of a checkpoint, rendered from its description."""

from __future__ import annotations

from typing import Any

METRICS = ("AP", "AP50", "AP75", "AR", "PCKh@0.5")


def model_card(facts: dict[str, Any]) -> str:
    """README.md of a checkpoint, from the content of its config.json."""
    run, record, keypoints = facts["run"], facts["record"], facts["keypoint_set"]
    (width, height), made, cost = run["image_size"], record.get("provenance", {}), record.get("cost") or {}
    if "checkpoint" in record:
        source = "{file} (sha256 {sha256}, {names})".format(**record["checkpoint"])
    else:
        data, train = record.get("data") or {}, record.get("train") or {}
        source = (f"{data.get('label', 'unknown data')}, profile `{run['profile']}`, seed {record.get('seed', '?')}, "
                  f"{train.get('epochs', '?')} epochs; `{made.get('command', '?')}` at "
                  f"{made.get('git_sha', 'an unknown commit')}, {made.get('ended', '')}")
    counts = [f"- **Cost** {cost['params_m']:.2f} M parameters, {cost['gflops']:.3f} G multiply-adds per forward pass"
              ] if {"params_m", "gflops"} <= cost.keys() else []
    return "\n".join([
        f"# {run['model']['kind']}, {run['codec']['kind']} targets, {height}×{width} (h×w)", "",
        "A top-down 2-D pose network of flatpose-exp: one person per box, keypoints in image pixels.", "",
        f"- **Keypoints** {keypoints['name']}: {', '.join(keypoints['names'])}", f"- **Weights** {source}", *counts,
        f"- **Stored** in {facts['stored']}", "", *_measured(record), "", "## Use", "", "```python",
        "from flatpose import Pose", "", 'pose = Pose.load("model.safetensors")',
        "keypoints, scores = pose(image_rgb, boxes_xywh)", "```", ""])


def _measured(record: dict[str, Any]) -> list[str]:
    """One line per box source of the stored network, which is the averaged one where there is an average."""
    trained = [r for r in record.get("results", []) if r.get("kind") == "trained"]
    stored = [r for r in trained if r["weights"] == trained[0]["weights"]]
    if not stored:
        return ["Nothing was measured with these weights here."]
    names = [n for n in METRICS if n in stored[0]["metrics"]]
    head = ["boxes", "flip test", *(f"{n} × 100" for n in names), "score rule"]
    rows = [[r["box_source"], "yes" if r["flip_test"] else "no", *(f"{100 * r['metrics'][n]:.1f}" for n in names),
             str(r["score_rule"])] for r in stored]
    return ["## Measured", "", *("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)), "",
            "Measured before weights were rounded. Numbers hold for these data, boxes and score rule only; those of a "
            "`quick` or `mini` run are not comparable with published ones."]
