"""The paper's sentences judged by its own tables, by our counts and by what was measured here; their page.

The sentences are data (experiments/claims.py). No verdict is written down: all follow from the published cells in the
specs and from the records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from flatpose.harness import catalog, compare, findings, frame, stats
from flatpose.harness.formula import COSTS, Cell, Claim, bounds, cells, evaluate
from flatpose.harness.frame import Frames
from flatpose.harness.spec import Published, Row
from flatpose.harness.tables import boxes, csv, document, folded, markdown, number, printed

HOLDS, ROUNDING, FAILS, NOT_PRINTED = "holds", "holds within rounding", "fails", "not printed"
DIRECTION = "fails, same direction"
SAME, OPPOSITE, NOT_COMPARABLE = "same direction", "opposite direction", "not comparable"
"""The verdicts at a reduced scale, which shows the sign of a difference but no level, range or equality."""
KEEPS, LOSES, UNDECIDED, NOT_TESTED = "lead stays", "lead gone", "undecided", "not tested"
ACCURATE = 70.0
"""AP with a detector's boxes from which a public network counts for :func:`box_gain`; Table 2's rows have 72 to 78."""
STRIDE = 32
"""Input pixels per token, along each axis."""
COLUMNS = ("the paper says", "where", "meaning", "its numbers give", "arithmetic", "here", "verdict here", "why")
KINDS = {"cost": "parameters and GFLOPs", "metric": "accuracy", "shape": "the network"}


@dataclass(frozen=True)
class Verdict:
    """A verdict; of a measurement also half its 95 % interval over ``n`` seeds, and its setting."""

    verdict: str
    value: float | None = None
    reason: str = ""
    half_width: float | None = None
    setting: str = ""
    n: int | None = None


@dataclass(frozen=True)
class Judged:
    """A claim with its verdicts; ``ours`` is about our counts, or about metrics measured here."""

    claim: Claim
    published: Verdict
    ours: Verdict
    one_box_source: Verdict | None = None
    """For ``mixed_boxes``: the published difference less what ground-truth boxes give to public networks."""

    @property
    def fails(self) -> bool:
        return self.published.verdict == FAILS or self.ours.verdict in (FAILS, DIRECTION, OPPOSITE)

    def to_dict(self) -> dict[str, Any]:
        return {**self.claim.to_dict(), "published": asdict(self.published), "ours": asdict(self.ours),
                "one_box_source": self.one_box_source and asdict(self.one_box_source)}

    def cells(self) -> list[str]:
        """A line of a table, under COLUMNS."""
        claim, said, here = self.claim, self.published, self.ours
        digits = max(2, claim.digits)
        value = number(here.value, 1 if claim.kind == "metric" else digits)
        value += "" if here.half_width is None else f" ± {number(here.half_width)}"
        where = f"{here.setting}, n = {here.n}" if here.setting else ""
        lead = f"with the same boxes {self.one_box_source.reason}" if self.one_box_source else ""
        why = "; ".join(filter(None, (said.reason, here.reason, where, lead, claim.note)))
        return [f"“{claim.quote}”", claim.section, claim.expected, number(said.value, digits), said.verdict, value,
                here.verdict, why]


def judged(frames: Frames) -> list[Judged]:
    """Every claim of experiments/claims.py with its verdicts, in the order of the paper."""
    return [judge(claim, frames) for claim in catalog.entries("claims")]


def box_gain() -> tuple[float, float]:
    """Least and most AP that ground-truth boxes give to public networks about as accurate as Table 2's rows."""
    gains = [pair["AP_gt"] - pair["AP_det"] for pair in catalog.entries("box_pairs") if pair["AP_det"] >= ACCURATE]
    return min(gains), max(gains)


def judge(claim: Claim, frames: Frames) -> Judged:
    """All verdicts of one claim.

    Raises:
        SpecError: A cell names a row that does not exist.
    """
    said = {cell: _printed(cell, frames) for cell in cells(claim.formula)}
    ours = _measured(claim, frames) if claim.kind == "metric" else _counted(claim, frames)
    value, lead = evaluate(claim.formula, said), None
    if claim.mixed_boxes and value is not None:
        low, high = (round(value - gain, 6) for gain in reversed(box_gain()))
        lead = Verdict(KEEPS if low > 0 else LOSES if high < 0 else UNDECIDED, (low + high) / 2,
                       f"{low:+.1f} to {high:+.1f} AP")
    return Judged(claim, _by_print(claim, value, said), ours, lead)


def _printed(cell: Cell, frames: Frames) -> Any:
    """What the paper prints there: a metric, a cost, or a size of the network."""
    row = catalog.find_row(frames.experiments[cell.experiment], cell.row)
    said = row.published or Published(source="")
    known = {"params_m": said.params_m, "gflops": said.gflops, **printed(row), **_tokens(row), **said.built}
    return known.get(cell.quantity)


def _tokens(row: Row) -> dict[str, Any]:
    """Tokens, and tokens selected for refinement, of a row's configuration."""
    width, height = row.run.image_size
    return {"L": width // STRIDE * (height // STRIDE), "top_k": getattr(row.run.model, "top_k", None)}


def _by_print(claim: Claim, value: float | None, said: Mapping[Cell, Any]) -> Verdict:
    """Whether the claim holds for the printed cells, only if they were rounded favourably, or not at all."""
    if value is None:
        return Verdict(NOT_PRINTED, reason="no table prints a number that the sentence speaks of")
    if claim.is_true(value):
        return Verdict(HOLDS, value)
    (low, high), (least, most) = claim.limits, bounds(claim.formula, said)
    rounded = claim.prints is not None and least <= high and most >= low
    what = "numbers" if claim.as_named else "cells"
    return Verdict(ROUNDING if rounded else FAILS, value, f"the {what} give {_in_words(claim, value)}")


def _in_words(claim: Claim, value: float, decimals: int = 1) -> str:
    """The value as text; a negative reduction becomes "... % more"."""
    more = getattr(claim.formula, "op", "") == "reduction" and round(value, decimals) < 0
    return f"{-value:.{decimals}f} % more" if more else number(value, decimals)


def _counted(claim: Claim, frames: Frames) -> Verdict:
    """Every cell replaced by our count of the paper-size network, all in one convention."""
    counts = frames.costs.set_index(["experiment", "row"]).to_dict("index")
    known: dict[Cell, Any] = {}
    for cell in cells(claim.formula):
        counted = counts.get((cell.experiment, cell.row), {})
        tokens = _tokens(catalog.find_row(frames.experiments[cell.experiment], cell.row))
        known[cell] = (tokens | (counted.get("table6") or {}) | counted).get(cell.quantity)
    value = evaluate(claim.formula, known)
    if value is None:
        return Verdict(NOT_TESTED, reason="cost not computed")
    if claim.is_true(value):
        return Verdict(HOLDS, value)
    if claim.prints is not None and claim.form == "comparison" and value * float(claim.prints) > 0:
        return Verdict(DIRECTION, value, f"we count {_in_words(claim, value)}")
    return Verdict(FAILS, value, f"we count {_in_words(claim, value, 2)}")


def _measured(claim: Claim, frames: Frames) -> Verdict:
    """The verdict at the largest scale at which every cell was measured with two seeds, else with one."""
    wanted, reasons, one_seed = cells(claim.formula), [], None
    experiment = frames.experiments[wanted[0].experiment]
    if claim.as_named:
        return Verdict(NOT_TESTED, reason="the paper's tables have no row of the system that the sentence names")
    if any(c.experiment != experiment.id or c.quantity in COSTS for c in wanted):
        return Verdict(NOT_TESTED, reason="one formula over two experiments, or over accuracy and cost")
    for lines in _conditions(frames.of(experiment.id).results):
        found = {c: frame.by_seed(lines, c.quantity).get(c.row, {}) for c in wanted}
        missing = next((c.row for c, values in found.items() if not values), None)
        if missing is None:
            verdict = _of_seeds(claim, found, lines.iloc[0])
            if (verdict.n or 0) > 1 or not compare.unlike_paper(lines.iloc[0]):
                return verdict
            one_seed = one_seed or verdict
        elif any(found.values()):
            profile = experiment.profiles[lines["profile"].iloc[0]]
            reasons.append(f"{missing}: {profile.left_out.get(missing, f'no finished run at {profile.name}')}")
    if one_seed:
        return one_seed
    said = catalog.find_row(experiment, wanted[0].row).published
    if said and said.split:
        return Verdict(NOT_TESTED, reason=f"needs {said.split}, whose truth is not public")
    return Verdict(NOT_TESTED, reason=(reasons or ["no run of these rows"])[0])


def _conditions(results: pd.DataFrame) -> list[pd.DataFrame]:
    """Lines of the frame by condition and box source: the largest scale, then the most runs, then detector boxes."""
    trained = results[(results["kind"] == "trained") & (results["status"] == "done") & (results["profile"] != "smoke")]
    runs = trained.groupby(["profile", "data_id"])["run_id"].nunique()
    parts: dict[Any, pd.DataFrame] = dict(iter(trained.groupby(["profile", "data_id", "box_source"])))
    order = sorted(parts, key=lambda key: (-frame.scale(key[0]), -runs[key[:2]], key[2] == "gt"))
    return [parts[key] for key in order]


def _of_seeds(claim: Claim, found: Mapping[Cell, Mapping[int, float]], condition: Any) -> Verdict:
    """The verdict of one condition: the formula for each seed that all rows have, against the bound by stats.paired.

    ``found``: per cell, seed -> metric in 0..1. ``condition``: a line of the frame.
    """
    seeds, bound = set.intersection(*map(set, found.values())), claim.above or 0.0
    values = {s: evaluate(claim.formula, {cell: 100 * found[cell][s] for cell in found}) for s in sorted(seeds)}
    known = {s: v for s, v in values.items() if v is not None}
    setting = f"{condition['profile']} · {condition['data']}, {boxes(condition['box_source'])}"
    if not known:
        return Verdict(NOT_TESTED, reason=f"no value at {setting}: no common seed, or a ratio to an AP of 0")
    gap = stats.paired(known, dict.fromkeys(known, bound))
    best = max(100 * fmean(v.values()) for v in found.values())
    verdict, reason = _direction(claim, gap, best) if compare.unlike_paper(condition) else (_at_scale(claim, gap), "")
    return Verdict(verdict, bound + gap.mean, reason, gap.half, setting, gap.n)


def _at_scale(claim: Claim, gap: stats.Difference) -> str:
    """At the paper's own scale: the interval lies within what the sentence says, outside, or across its border."""
    low, high = (limit - (claim.above or 0.0) for limit in claim.limits)
    if gap.low is None or gap.high is None or (gap.low <= low <= gap.high) or (gap.low <= high <= gap.high):
        return UNDECIDED
    return HOLDS if low < gap.low < high else FAILS


def _direction(claim: Claim, gap: stats.Difference, best: float) -> tuple[str, str]:
    """At a reduced scale: on which side of no difference the interval lies, or why that decides nothing."""
    printed = float(claim.prints or 0)
    if claim.form == "quotation" or (claim.above is None and not printed):
        what = "a level" if claim.form == "quotation" else "a range" if claim.between else "an equality"
        return NOT_COMPARABLE, f"{what} at another scale"
    if best < 100 * frame.FLOOR:
        return UNDECIDED, f"every network is below {100 * frame.FLOOR:g} AP"
    if gap.verdict in ("higher", "lower"):
        return (SAME if (gap.verdict == "higher") == (printed >= 0) else OPPOSITE), ""
    return UNDECIDED, "the interval over seeds includes no difference" if gap.verdict == "undecided" else gap.verdict


def files(frames: Frames) -> dict[str, bytes]:
    """The page and its CSV file, by path below reports/."""
    found = judged(frames)
    lines = pd.json_normalize([j.to_dict() for j in found], sep="_").drop(columns="one_box_source", errors="ignore")
    return {"claims.md": page(found, frames).encode(), "claims.csv": csv(lines)}


def finding(found: Sequence[Judged]) -> str:
    """How many sentences fail, and how many leads of Table 2 are left with the same boxes."""
    failing = sum(j.published.verdict == FAILS or j.ours.verdict in (FAILS, DIRECTION) for j in found)
    # Several sentences state one lead.
    leads = {(cells(j.claim.formula)[0], round(j.published.value or 0.0, 2)): j.one_box_source.verdict
             for j in found if j.one_box_source and not j.claim.as_named}
    gone = (f" Of {len(leads)} leads in Table 2, {list(leads.values()).count(LOSES)} are gone when the gain of "
            "ground-truth boxes is subtracted." if leads else "")
    return (f"{failing} of {len(found)} statements of the paper fail by its own cells or by our counts; "
            f"{sum(j.fails for j in found) - failing} more go the other way here.{gone}")


def page(found: Sequence[Judged], frames: Frames) -> str:
    """Claims that fail come first; those that hold or cannot be decided are folded."""
    failing, rest = [j for j in found if j.fails], [j for j in found if not j.fails]
    same_boxes = pd.DataFrame([[f"“{j.claim.quote}” ({j.claim.section})", number(j.published.value),
                                j.one_box_source.reason, j.one_box_source.verdict] for j in found if j.one_box_source],
                              columns=["the paper says", "printed lead (AP)", "less that gain", "verdict"])
    folds: dict[str, list[Judged]] = {}
    for j in rest:
        folds.setdefault(f"{KINDS[j.claim.kind]}: {j.claim.form}s", []).append(j)
    return document(
        "claims: does each number that the paper states hold?", f"**Found:** {finding(found)}", HOW,
        markdown(_overview(found)),
        f"## What does not hold ({len(failing)})", markdown(_table(failing)),
        "## Leads in Table 2, with the same boxes", "FlatPose's published AP looks like ground-truth boxes, the "
        "others' like a detector's. The last columns subtract the {:.1f} to {:.1f} AP that ground-truth boxes give to "
        "public networks of at least {:g} AP ([boxes](boxes.md)). Several sentences state one lead. ".format(
            *box_gain(), ACCURATE) + findings.test_dev(frames),
        markdown(same_boxes),
        "## The other sentences: they hold, or nothing here decides them",
        *(folded(f"{title} ({len(some)})", markdown(_table(some))) for title, some in folds.items()),
        "```bash\nflatpose-exp claims\n```", "Entries: [experiments/claims.py](../experiments/claims.py). Formulas and "
        "all verdicts: [claims.csv](claims.csv).")


def _table(found: Sequence[Judged]) -> pd.DataFrame:
    return pd.DataFrame([j.cells() for j in found], columns=list(COLUMNS))


def _overview(found: Sequence[Judged]) -> pd.DataFrame:
    """How many hold, by kind; quotations, and sentences that name another system, are counted separately."""
    lines = pd.DataFrame([{
        "named": j.claim.as_named, "form": j.claim.form, "kind": j.claim.kind, "published": j.published.verdict,
        "ours": j.ours.verdict} for j in found])
    table = []
    for (named, form, kind), some in lines.groupby(["named", "form", "kind"]):
        what = "RTMPose-m, as the sentence names it" if named else f"{form}s"
        counts = ["; ".join(f"{verdict} {count}" for verdict, count in Counter(some[by]).most_common())
                  for by in ("published", "ours")]
        table.append([f"{KINDS[str(kind)]}: {what}", str(len(some)), *counts])
    return pd.DataFrame(table, columns=[
        "sentences", "number", "by the paper's own cells", "counted alike, or measured here"])


HOW = (
    "Each sentence is a formula over cells of the paper's own tables. It is judged by the **published** cells, each "
    "known to within half a unit of its last digit; by **our counts**, every system in one convention (fvcore, every "
    "matrix product, one forward pass, no flip); and by what was **measured here**, at the largest scale at which all "
    "its rows were trained with two seeds or more, by the 95 % interval of differences paired by seed. Boxes are a "
    "detector's, as those of the paper's other systems are; findings and captions of other pages use ground-truth "
    "boxes. *Fails, same direction*: the comparison is right and its number wrong. A reduced scale shows the "
    "direction of a difference only; one seed shows nothing.")
