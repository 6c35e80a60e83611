"""run.md and curves.svg in a run's own folder: what was run, what came out, and how loss, rate and speed went.

Made when a run ends, from its record and its log.csv alone; nothing of it enters reports/.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatpose.harness.plots import CARD, COLOURS, GRID, INK, MUTED
from flatpose.harness.svg import adaptive
from flatpose.io import write_bytes, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOG, PAGE, CURVES = "log.csv", "run.md", "curves.svg"
PANELS = (("loss", "training loss", False), ("lr", "learning rate", False), ("images_per_s", "images/s", True))
"""Column of the log, its name on the page, and whether its axis begins at 0."""
Log = list[dict[str, float]]


def write(folder: Path, record: dict[str, Any]) -> None:
    """The page of the run in ``folder``; without a log it has no curves."""
    log = read_log(folder / LOG)
    if log:
        write_bytes(folder / CURVES, draw(log))
    write_text(folder / PAGE, page(record, log))


def read_log(path: Path) -> Log:
    """One dictionary per epoch, without the fields that an epoch does not have; empty when there is no log."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def page(record: dict[str, Any], log: Log) -> str:
    """Markdown."""
    spec, train, data = record["spec"], record.get("train") or {}, record.get("data") or {}
    width, height = spec["image_size"]
    made = record.get("provenance") or {}
    lines = [f"# {spec['model']['kind']}, {spec['codec']['kind']} targets, {height}×{width} (h×w)", "",
             f"- **State** {record['status']}" + (f": {record['reason']}" if record.get("reason") else ""),
             f"- **Run** profile `{record['profile']}`, seed {record['seed']}, spec `{record['spec_hash']}`, code "
             f"`{record['code_hash']}`", f"- **Data** {data.get('label', record['data_id'])}",
             f"- **Made by** `{made.get('command', 'not recorded')}` at {made.get('git_sha', 'an unknown commit')}"]
    if train:
        lines.append(f"- **Training** {train['epochs']} epochs, {train['steps']} steps, {train['seconds']:.0f} s, "
                     f"{train['images_per_s']:g} images/s; loss {train['loss_first']:.4g} → {train['loss_last']:.4g}")
    if log:
        lines += ["", f"![Loss, learning rate and throughput by step]({CURVES})", "",
                  f"Every epoch: [{LOG}]({LOG})"]
    return "\n".join([*lines, "", *_results(record), ""])


def _results(record: dict[str, Any]) -> list[str]:
    """Every evaluation with its conditions."""
    results = record.get("results") or []
    if not results:
        return []
    names = list(dict.fromkeys(name for r in results for name in r["metrics"]))[:6]
    head = ["kind", "weights", "boxes", "flip test", *(f"{name} × 100" for name in names)]
    rows = [[r["kind"], r["weights"] or "—", r["box_source"], "yes" if r["flip_test"] else "no",
             *(f"{100 * r['metrics'][n]:.1f}" if r["metrics"].get(n) is not None else "—" for n in names)]
            for r in results]
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]


def draw(log: Log) -> bytes:
    """Three panels over the optimiser's steps, as SVG; with the metric of evaluations in between, four."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [*PANELS, *([("metric", "metric × 100", True)] if any("metric" in row for row in log) else [])]
    style: Any = {**matplotlib.rcParamsDefault, "svg.hashsalt": "flatpose", "svg.fonttype": "none", "font.size": 9,
                  "axes.edgecolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(3.1 * len(panels), 2.6), facecolor=CARD, layout="constrained")
        FigureCanvasAgg(figure)
        for index, (name, title, from_zero) in enumerate(panels):
            points = [(row["step"], row[name] * (100 if name == "metric" else 1)) for row in log if name in row]
            _panel(figure.add_subplot(1, len(panels), index + 1), points, title, COLOURS[index], from_zero=from_zero)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", facecolor=CARD, metadata={"Date": None, "Creator": "flatpose-exp"})
    return adaptive(buffer.getvalue())


def _panel(axes: Axes, points: list[tuple[float, float]], title: str, colour: str, *, from_zero: bool) -> None:
    axes.plot([x for x, _ in points], [y for _, y in points], color=colour, linewidth=1.6,
              marker="." if len(points) < 40 else "")
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left", fontsize=9, fontweight="bold")
    axes.set_xlabel("optimiser step", color=MUTED)
    if from_zero:
        axes.set_ylim(0, max((y for _, y in points), default=1.0) * 1.1 or 1.0)
