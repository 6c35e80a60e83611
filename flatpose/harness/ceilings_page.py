"""The page of the codec ceilings: reports/ceilings.md, .csv and .svg from reports/data/ceilings.json alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from flatpose.harness import ceilings, ceilings_plot
from flatpose.harness.blocks import Block, Shown, markdown
from flatpose.harness.render import to_csv
from flatpose.harness.tables import Cell, Column, Line, Table

Entry = dict[str, Any]
METRIC = {"coco": "AP", "crowdpose": "AP", "mpii": "PCKh@0.5"}
NAMES = {"coco": "COCO", "crowdpose": "CrowdPose", "mpii": "MPII"}
PUBLISHED = {4: 71.8, 32: 17.2}
"""AP of the heatmap baseline in Fig. 1(b), by pixels per cell at 256x192."""
BENDING = ("argmax", "expectation", "argmax, 2 bins per pixel", "expectation, 2 bins per pixel")
"""The curves whose bends are told; those at fewer bins per pixel bend at the same width."""
CONDITION = "ground-truth boxes, ground truth encoded and decoded, every score 1, no flip test"
NOT_MEASURED = Cell(None, "—", "empty", "not measured: other codecs and inputs say the same")
BEND = 1.0
"""A curve bends where it first lies this many points of AP below its best."""
PLAIN, FINE, DARK, PER_CELL, SIMCC = ("heatmap as in HRNet", "heatmap, unrounded, quarter step", "heatmap, DARK",
                                      "SimCC, one bin per cell", "SimCC, 2 bins per pixel")


def files(reports: Path) -> dict[str, bytes]:
    """Every file of the page by its path below reports/; nothing where nothing was measured."""
    entries = ceilings.load(reports)
    if not entries:
        return {}
    made = _made(entries)
    return {"ceilings.md": page(entries, made, _digest(reports)).encode(), "ceilings.svg": ceilings_plot.draw(entries),
            "ceilings.csv": to_csv([("", table) for table in made]).encode()}


def parts(reports: Path) -> list[Block]:
    """The blocks of the page; none where nothing was measured."""
    entries = ceilings.load(reports)
    return blocks(entries, _made(entries), _digest(reports)) if entries else []


def _made(entries: Sequence[Entry]) -> list[Table]:
    code = ceilings.code_hash()

    def stale(entry: Entry) -> bool:
        return not ceilings.is_current(entry, code)

    made, errors = tables(entries, stale), _error_table(entries, stale)
    return [*made, errors] if errors.rows else made


def _digest(reports: Path) -> str:
    return hashlib.sha256((reports / ceilings.DATA).read_bytes()).hexdigest()[:16]


def tables(entries: Sequence[Entry], stale: Callable[[Entry], bool]) -> list[Table]:
    """One table per benchmark and input size, then one for bins per pixel and one for the label's width."""
    groups = dict.fromkeys((e["task"], tuple(e["image_size"])) for e in entries if e["part"] == "map")
    made = [_map_table(task, size, _of(entries, task, "map", size), stale) for task, size in groups]
    for part, title, unit in (("ratio", "SimCC: bins per pixel", "bins per pixel"),
                              ("sigma", "SimCC: width of the label", "sigma, pixels")):
        rows = _of(entries, "coco", part)
        if rows:
            made.append(_sweep_table(part, f"{title} (256×192, {rows[0]['data']})", unit, rows, stale))
    return made


def _of(entries: Iterable[Entry], task: str, part: str, size: tuple[int, int] | None = None) -> list[Entry]:
    return [e for e in entries if (e["task"], e["part"]) == (task, part) and size in (None, tuple(e["image_size"]))]


def _map_table(task: str, size: tuple[int, int], rows: Sequence[Entry], stale: Callable[[Entry], bool]) -> Table:
    strides = sorted({e["x"] for e in rows if e["x"]})
    columns = [Column(f"s{x:g}", f"{size[1] / x:g}×{size[0] / x:g}", "x 100", direction="higher") for x in strides]
    title = f"{NAMES[task]} at {size[1]}×{size[0]}: {METRIC[task]} by feature map ({rows[0]['data']})"
    return Table(f"{task}_{size[1]}x{size[0]}", title, tuple(columns),
                 _lines(rows, strides, lambda e: _cell(e, stale, METRIC[task])),
                 (f"{100 * rows[0]['outside']:.1f} % of the labelled keypoints lie outside the crop",
                  "a codec without cells has the same ceiling at every map"))


def _sweep_table(part: str, title: str, unit: str, rows: Sequence[Entry], stale: Callable[[Entry], bool]) -> Table:
    xs = sorted({e["x"] for e in rows})
    columns = [Column(f"{x:g}", f"{x:.3g}", "x 100", direction="higher") for x in xs]
    return Table(part, title, tuple(columns), _lines(rows, xs, lambda e: _cell(e, stale, "AP")),
                 (f"columns: {unit}; values: AP",))


def _lines(rows: Sequence[Entry], xs: Sequence[float], cell: Callable[[Entry], Cell]) -> tuple[Line, ...]:
    """One line per codec; an entry without x stands in every column."""
    lines = []
    for name in dict.fromkeys(e["series"] for e in rows):
        own = {e["x"]: e for e in rows if e["series"] == name}
        found = (own.get(x, own.get(None)) for x in xs)
        lines.append(Line(name, name, tuple(NOT_MEASURED if e is None else cell(e) for e in found)))
    return tuple(lines)


def _cell(entry: Entry, stale: Callable[[Entry], bool], metric: str) -> Cell:
    value = 100 * entry["metrics"][metric]
    return Cell(value, f"{value:.1f}", _status(entry, stale), condition=CONDITION)


def _status(entry: Entry, stale: Callable[[Entry], bool]) -> str:
    return "stale" if stale(entry) else "done"


def page(entries: Sequence[Entry], made: Sequence[Table], digest: str) -> str:
    """The page as markdown."""
    return markdown(blocks(entries, made, digest))


def blocks(entries: Sequence[Entry], made: Sequence[Table], digest: str) -> list[Block]:
    """The page's text and tables in their order, for every renderer."""
    head = [
        "# ceilings: what the representation alone costs", "",
        "**Question.** How much of the heatmap's collapse on small feature maps (Fig. 1(b)), and of SimCC's "
        "robustness, is encoding and decoding alone, without any network?", "",
        "**Source.** Fig. 1(b), section 1; appendix A argues about quantisation and measures none of it.", "",
        "**Method.** The ground truth of every validation person is cut out as for training (ground-truth box, padding "
        "1.25, no rotation), encoded, decoded, mapped back and scored against itself by the benchmark's evaluator. "
        "Every score is 1, nothing is suppressed, no flip test. What is lost is rounding, and keypoints outside the "
        "crop. A network can stay below a ceiling or, where it answers with another map than its target, rise above "
        "it.", "",
        "**Data.** " + "; ".join(dict.fromkeys(e["data"] for e in entries)) + ". A COCO subset compares with itself "
        "only.", "", "**Finding.**", "", *(f"- {text}" for text in findings(entries)), "",
        "![Codec ceilings](ceilings.svg)", "",
        "*Left: by feature map; hollow circles are the paper's heatmap baseline, trained, on the whole of val2017. "
        "Middle and right: SimCC by bins per pixel and by the width of its label.*", ""]
    body = [block for table in made for block in (f"## {table.title}", Shown(table))]
    return ["\n".join(head), *body, "\n".join(_foot(entries, digest))]


def _value(entries: Sequence[Entry], series: str, x: float | None, part: str = "map", task: str = "coco",
           size: tuple[int, int] = (192, 256)) -> float | None:
    """x 100, or None where it was not measured."""
    found = (e for e in _of(entries, task, part, size) if (e["series"], e["x"]) == (series, x))
    return next((100 * e["metrics"][METRIC[task]] for e in found), None)


def findings(entries: Sequence[Entry]) -> list[str]:
    """What the numbers say, as far as they were measured."""
    out = []
    high, low, equal = (_value(entries, *key) for key in ((PLAIN, 4), (PLAIN, 32), (PER_CELL, 32)))
    if high is not None and low is not None:
        out.append(f"From 64×48 to 8×6 the ceiling of the heatmap as HRNet encodes it falls from {high:.1f} to "
                   f"{low:.1f} AP; the paper's trained baseline falls from {PUBLISHED[4]} to {PUBLISHED[32]} on the "
                   f"whole of val2017. {_verdict(low, _bootstrap(entries, PLAIN, 32))}")
    if equal is not None and low is not None:
        out.append(f"SimCC with one bin per cell collapses likewise: {equal:.1f} AP at 8×6. What is robust is not "
                   "classification but the number of bins, which SimCC's linear layers make as large as they like"
                   f"{_expected(entries)}.")
    simcc, fine, dark = (_value(entries, *key) for key in ((SIMCC, None), (FINE, 32), (DARK, 16)))
    if simcc is not None and fine is not None and dark is not None:
        out.append(f"SimCC as published (2 bins per pixel) has {simcc:.1f} AP whatever the map; the rest is keypoints "
                   f"outside the crop. A heatmap whose centre is not rounded keeps {fine:.1f} AP at 8×6 with the "
                   f"quarter step, and DARK {dark:.1f} at 16×12: much of the collapse is a choice of codec. At 8×6 "
                   "DARK needs two cells on each side and finds them in 2 of 6 columns only.")
    out += [text for part, what in (("ratio", "bins per pixel"), ("sigma", "pixels of sigma"))
            for text in _bends(entries, part, what)]
    big = _value(entries, PLAIN, 48, size=(288, 384))
    if big is not None and low is not None:
        out.append(f"The input size does not matter, the map does: 8×6 cells give {low:.1f} AP at 256×192 and "
                   f"{big:.1f} at 384×288.")
    crowd = _value(entries, PLAIN, 4, task="crowdpose"), _value(entries, PLAIN, 32, task="crowdpose")
    if crowd[0] is not None and crowd[1] is not None:
        out.append(f"On CrowdPose, whose measure forgives more, the same codec falls from {crowd[0]:.1f} AP at 64×48 "
                   f"to {crowd[1]:.1f} at 8×6.")
    return out


def _expected(entries: Sequence[Entry]) -> str:
    value = _value(entries, "expectation", 1 / 32, part="ratio")
    return "" if value is None else f" (and reading between bins: the expected bin of 8×6 still gives {value:.1f} AP)"


def _bootstrap(entries: Sequence[Entry], series: str, x: float) -> tuple[float, float] | None:
    """95 % interval over images, x 100, of a COCO ceiling at 256x192."""
    found = next((e.get("bootstrap") for e in _of(entries, "coco", "map", (192, 256))
                  if (e["series"], e["x"]) == (series, x)), None)
    return (100 * found["AP"][0], 100 * found["AP"][1]) if found else None


def _verdict(low: float, interval: tuple[float, float] | None) -> str:
    """What the ceiling at 8x6 says about the published end of the curve."""
    around = f" (95 % interval over images {interval[0]:.1f} to {interval[1]:.1f})" if interval else ""
    if PUBLISHED[32] > low:
        return (f"The published end is not below its ceiling of {low:.1f}{around}: representation alone accounts for "
                "all of the collapse, and the trained network must have answered with more than its rounded target, or "
                "had another encoding than HRNet's.")
    return f"A perfect network would have {low:.1f}{around} there: {low - PUBLISHED[32]:.1f} AP are the network's."


def _bends(entries: Sequence[Entry], part: str, what: str) -> list[str]:
    """For each curve, between which two points of the sweep it comes to lie BEND below its best."""
    out = []
    rows = _of(entries, "coco", part)
    for name in dict.fromkeys(e["series"] for e in rows if e["series"] in BENDING):
        curve = sorted((e["x"], 100 * e["metrics"]["AP"]) for e in rows if e["series"] == name)
        best = max(y for _, y in curve)
        good = [i for i, (_, y) in enumerate(curve) if y > best - BEND]
        ends = []
        if good[0] > 0:
            (x0, y0), (x1, y1) = curve[good[0] - 1], curve[good[0]]
            ends.append(f"below {x1:.3g} ({y1:.1f} AP; {y0:.1f} at {x0:.3g})")
        if good[-1] < len(curve) - 1:
            (x1, y1), (x0, y0) = curve[good[-1]], curve[good[-1] + 1]
            ends.append(f"above {x1:.3g} ({y1:.1f} AP; {y0:.1f} at {x0:.3g}, {curve[-1][1]:.1f} at {curve[-1][0]:.3g})")
        text = " and ".join(ends) or "nowhere in the range measured"
        out.append(f"SimCC, {name}: the ceiling bends {text} {what} (best {best:.1f}).")
    return out


def _error_table(entries: Sequence[Entry], stale: Callable[[Entry], bool]) -> Table:
    """How far off decoded keypoints are, in input pixels, where AP is too coarse to tell."""
    rows = _of(entries, "coco", "map", (192, 256))
    xs = sorted({e["x"] for e in rows if e["x"]})
    columns = tuple(Column(f"s{x:g}", f"{256 / x:g}×{192 / x:g}", "pixels", 2, "lower") for x in xs)
    return Table("error", "Mean error of the keypoints inside the crop, in input pixels (COCO at 256×192)", columns,
                 _lines(rows, xs, lambda e: Cell(e["error_px"], f"{e['error_px']:.2f}", _status(e, stale),
                                                 condition=CONDITION)))


def _foot(entries: Sequence[Entry], digest: str) -> list[str]:
    made = [e["provenance"] for e in entries]
    versions = made[-1]["versions"]
    return [
        "## Notes", "",
        "- Rounded targets are symmetric about their cell: in the ceiling of \"heatmap as in HRNet\" the quarter step "
        "finds no slope. A trained network's map has one, which is how it can rise above this ceiling.",
        "- In the plain geometry cell i stands for pixel i × stride: the last half cell's worth of pixels at the right "
        "and at the bottom is decoded to the last cell. UDP spans the crop from first to last cell and loses nothing "
        "there.",
        "- DARK takes no step within two cells of the border.",
        "- Bins per pixel: sigma is 3 pixels and at least half a bin. \"expectation\" is the mean bin under the label, "
        "which sees between bins; a wide label is cut off at the crop's border and its mean moves inwards.",
        "- A label narrower than about 1/12 of the distance to a keypoint outside the crop underflows to zero: such a "
        "keypoint is decoded anywhere instead of at the border, which costs the narrow end of the curve its last AP.",
        "- SAR regresses from every cell and regression from all of them: neither rounds.", "",
        "## Reproduce", "", "```bash", "flatpose-exp ceilings --data-root DIR", "flatpose-exp report all", "```", "",
        "## Provenance", "",
        f"Rendered from [data/ceilings.json](data/ceilings.json) (sha256 {digest}…); numbers in full: "
        f"[ceilings.csv](ceilings.csv). {len(entries)} ceilings, {sum(m['seconds'] for m in made):.0f} s in all, ended "
        f"{max(m['ended'] for m in made)}; {', '.join(sorted({m['cpu'] for m in made}))}; "
        + ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        + f"; git {', '.join(sorted({str(m['git_sha'])[:10] for m in made}))}; core code "
        + ", ".join(sorted({e["code_hash"] for e in entries})) + "."]
