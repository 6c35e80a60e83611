"""What the index says first: does FlatPose's cost claim hold, and under which condition? Four lines and a table."""

from __future__ import annotations

from collections.abc import Sequence

from flatpose.harness import claims, claims_page
from flatpose.harness.claims import Entries, Judged, plain
from flatpose.harness.formula import Cell, Term, cells
from flatpose.harness.render import pipe
from flatpose.harness.spec import Row

COLUMNS = ("comparison", "printed", "one convention", "stopwatch", "AP lead printed",
           "AP lead with one box source (simulated)")


def answer(judged: Sequence[Judged], entries: Entries, gain: tuple[float, float] | None) -> str:
    """The verdict, the comparisons it rests on, and their conditions; ``gain`` is claims_page.box_gain's."""
    from experiments.claims import PAIRS

    by_id = {j.claim.id: j for j in judged}
    pairs = [(by_id[cost], by_id[ap]) for cost, ap in PAIRS]
    lines = [_counts(judged), *_named(pairs, entries), _time(pairs, entries), _accuracy(judged, gain)]
    table = [pipe(COLUMNS), pipe(["---", *["--:"] * (len(COLUMNS) - 1)]), *(_row(*pair, entries) for pair in pairs)]
    return "\n".join([*(f"- {line}" for line in lines if line), "", *table, "", _conditions(entries, gain)])


def _counts(judged: Sequence[Judged]) -> str:
    """Multiply-adds and parameters, every system in one convention."""
    printed = [j for j in judged if j.claim.kind == "cost" and getattr(j.claim.formula, "op", "") == "reduction"
               and j.claim.prints is not None and not j.claim.as_named]
    counted = [j for j in printed if j.ours.value is not None]
    if not counted:
        return "**Multiply-adds: not counted yet** (`flatpose-exp cost table2`)."
    smaller = sum((j.ours.value or 0.0) > 0 for j in counted)
    same = sum(j.ours.verdict == claims.HOLDS for j in counted)
    return (f"**Multiply-adds: {'yes' if smaller == len(counted) else 'not everywhere'}.** Counted in one convention, "
            f"FlatPose is the smaller one in {smaller} of {len(counted)} printed reductions, and {same} of the printed "
            "numbers come out.")


def _named(pairs: Sequence[tuple[Judged, Judged]], entries: Entries) -> list[str]:
    """The sentence that names another system than its number is about."""
    out = []
    for cost, _ in (pair for pair in pairs if pair[0].claim.as_named):
        ours, other = _systems(cost, entries)
        word = "yes" if cost.published.verdict == claims.HOLDS else "no"
        out.append(f"**Against {other}, as the text says: {word}.** {ours.label} has {_share(_own(cost))} GFLOPs, not "
                   f"{cost.claim.prints} % fewer; the number is about RTMPose-l, which Table 2 holds.")
    return out


def _own(cost: Judged) -> float | None:
    """By our counts, or by the published ones where one is missing."""
    return cost.published.value if cost.ours.value is None and cost.claim.as_named else cost.ours.value


def _time(pairs: Sequence[tuple[Judged, Judged]], entries: Entries) -> str:
    """How much of the printed saving a stopwatch sees."""
    timed = [(cost, times) for cost, _ in pairs for times in [claims_page.stopwatch_values(cost, entries)] if times]
    if not timed:
        return "**Wall time: not measured yet** (`flatpose-exp cost table2 --latency`)."
    below = sum(max(times) < float(cost.claim.prints or 0) for cost, times in timed)
    low, high = min(t for _, times in timed for t in times), max(t for _, times in timed for t in times)
    word = "less than printed" if below == len(timed) else "in part" if low > 0 else "not always"
    return (f"**Wall time: {word}.** {_less(low, high)} time over {len(timed)} comparisons; in {below} of them "
            "below the printed reduction in every mode measured.")


def _accuracy(judged: Sequence[Judged], gain: tuple[float, float] | None) -> str:
    """Whether the AP that the cost is weighed against is comparable."""
    leads = [j.one_box_source for j in judged if j.one_box_source and not j.claim.as_named]
    if gain is None or not leads:
        return "**AP at that cost: unknown.** What box sources change was not simulated yet."
    kept = sum(v.verdict == claims.KEEPS for v in leads)
    return (f"**AP at that cost: {'yes' if kept == len(leads) else 'not shown'}.** FlatPose's boxes look like ground "
            f"truth, the others' are a detector's: with one box source, of {len(leads)} leads in Table 2 "
            f"{claims_page.counts(leads)} (simulated).")


def _row(cost: Judged, lead: Judged, entries: Entries) -> str:
    times = claims_page.stopwatch_values(cost, entries)
    boxes = lead.one_box_source
    own = f" ({_signed(lead.published.value)} by its own AP)" if lead.claim.as_named else ""
    return pipe([_name(cost, entries), f"{cost.claim.prints} % fewer", _share(_own(cost)),
                 _less(min(times), max(times)) if times else "not timed",
                 _signed(float(lead.claim.prints or 0)) + own,
                 boxes.reason.removesuffix(" AP (simulated)") if boxes else "not simulated"])


def _name(cost: Judged, entries: Entries) -> str:
    """"FlatPose-L against ViTPose-B, 256x192"."""
    ours, other = _systems(cost, entries)
    return f"{ours.label} against {other}{', which the sentence names' if cost.claim.as_named else ''}, {ours.group}"


def _systems(cost: Judged, entries: Entries) -> tuple[Row, str]:
    """The row of FlatPose, and the name of the system it is compared with."""
    assert isinstance(cost.claim.formula, Term)
    ours, other = (_found(cells(part)[0], entries) for part in cost.claim.formula.args)
    return ours, other.label.removesuffix(f" {ours.group}")


def _found(cell: Cell, entries: Entries) -> Row:
    return next(row for row in entries[cell.experiment][0].rows if row.id == cell.row)


def _share(value: float | None) -> str:
    """"32.7 % fewer", "45.1 % more"."""
    return "not counted" if value is None else f"{plain(abs(value))} % {'fewer' if value >= 0 else 'more'}"


def _signed(value: float | None) -> str:
    return "—" if value is None else f"{value:+.1f}"


def _less(low: float, high: float) -> str:
    """"19 to 44 % less", "27 % more to 17 % less"."""
    first, last = (plain(abs(v), 0) for v in (low, high))
    if low < 0 < high:
        return f"{first} % more to {last} % less"
    if high < 0:
        first, last = last, first
    return f"{first if first == last else f'{first} to {last}'} % {'less' if high >= 0 else 'more'}"


def _conditions(entries: Entries, gain: tuple[float, float] | None) -> str:
    """What each column stands on."""
    modes = dict.fromkeys((e["batch"], e["compiled"]) for r in entries["table2"][1].latencies for e in r["latency"])
    named = ", ".join(f"batch {batch} {'compiled' if compiled else 'eager'}" for batch, compiled in modes)
    timed = f"Stopwatch: {claims_page.timed_on(entries)}; {named} ([table2](table2.md)). " if modes else ""
    boxes = (f"One box source: the lead less the {gain[0]:.1f} to {gain[1]:.1f} AP that ground-truth boxes gave to "
             "simulated networks ([boxes_simulated](boxes_simulated.md)). " if gain else "")
    return (f"One convention: {claims_page.CONVENTION}. {timed}{boxes}Every sentence of the paper: "
            "[claims](claims.md).")
