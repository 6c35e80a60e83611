"""The page of the readings search: which printed digit is explained by what, and which by nothing.

``write`` runs flatpose.harness.readings_search (a second) and leaves reports/data/readings_search.json and
reports/readings_search.md; ``python -m flatpose.harness.readings_page`` calls it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flatpose.harness.readings_search import CASES, DEPARTURES, MAX_DEPARTURES, Outcome, search
from flatpose.io import read_json, write_json, write_text

DEFAULT = ("ffn_all",)
"""The departures that FlatPoseConfig's defaults make."""


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """What the page and its data say about a finished search."""
    by_set = {frozenset(o.departures): o for o in outcomes}
    literal, default = by_set[frozenset()], by_set[frozenset(DEFAULT)]
    cells = []
    for index, (first, second) in enumerate(zip(literal.cells, default.cells, strict=True)):
        best = next((o for o in outcomes if o.cells[index]["hit"]), None)
        cells.append({
            "row": first["row"], "quantity": first["quantity"], "published": first["published"],
            "literal": first["value"], "default": second["value"],
            "explained_by": [] if first["hit"] else list(DEFAULT) if second["hit"] else
            None if best is None else list(best.departures),
            "total_hits": literal.hits if first["hit"] else default.hits if second["hit"] else
            0 if best is None else best.hits,
        })
    singles = [{"name": name, "meaning": DEPARTURES[name][0], "alone": by_set[frozenset((name,))].hits,
                "with_default": by_set[both].hits if (both := frozenset((name, *DEFAULT))) in by_set else None}
               for name in DEPARTURES]
    best_of = [[o for o in outcomes if len(o.departures) == n] for n in range(MAX_DEPARTURES + 1)]
    return {
        "cells": cells, "singles": singles, "sets_tried": len(outcomes), "default": default.hits,
        "best": [{"departures": n, "tried": len(group), "hits": group[0].hits,
                  "ties": sum(o.hits == group[0].hits for o in group),
                  "sets": [{"names": list(o.departures), "missed": o.missed}
                           for o in group if o.hits == group[0].hits][:4]} for n, group in enumerate(best_of)],
    }


def render(found: dict[str, Any]) -> str:
    """The page, from the data alone."""
    cells, literal = found["cells"], found["best"][0]["hits"]
    names = {"params_m": "params (M)", "gflops": "GFLOPs"}
    lines = [
        "# Which network do the paper's numbers mean?", "",
        f"Tables 1 and 5 print parameters and GFLOPs of {len(CASES)} different FlatPose networks, {len(cells)} cells "
        f"of one decimal. The literal text prints {literal} of them; our default reading prints {found['default']}. "
        f"{found['sets_tried']} sets of up to {MAX_DEPARTURES} small departures from the text were tried; counts are "
        "sums of layers, held by a test against built networks and their counters.", "",
        "## Best sets by number of departures", "",
        "| departures | sets tried | cells printed | sets as good | examples, and what they miss |",
        "|--:|--:|--:|--:|---|",
    ]
    for best in found["best"]:
        examples = "<br>".join(f"`{' + '.join(s['names']) or 'literal'}` misses {'; '.join(s['missed'])}"
                               for s in best["sets"])
        lines.append(f"| {best['departures']} | {best['tried']} | {best['hits']} | {best['ties']} | {examples} |")
    lines += ["", "## Every cell", "", "| row | quantity | paper | literal text | our default | explained by |",
              "|---|---|--:|--:|--:|---|"]
    for cell in cells:
        lines.append(f"| {cell['row']} | {names[cell['quantity']]} | {cell['published']} | {cell['literal']:.3f} | "
                     f"{cell['default']:.3f} | {_explanation(cell, len(cells))} |")
    lines += ["", "## Each departure", "",
              "Cells printed by the departure alone, and together with the default's "
              f"`{' + '.join(DEFAULT)}` (— where they contradict each other).", "",
              "| departure | meaning | alone | with default |", "|---|---|--:|--:|"]
    lines += [f"| `{s['name']}` | {s['meaning']} | {s['alone']} | "
              f"{'—' if s['with_default'] is None else s['with_default']} |" for s in found["singles"]]
    lines += ["", "## What this shows, and what it does not", "", *(f"- {text}" for text in CONCLUSIONS), "",
              "Made by `python -m flatpose.harness.readings_search` from nothing but the specs in that file; data in "
              "[data/readings_search.json](data/readings_search.json).", ""]
    return "\n".join(lines)


def _explanation(cell: dict[str, Any], total: int) -> str:
    if cell["explained_by"] == []:
        return "the literal text"
    if cell["explained_by"] is None:
        return "**nothing tried**"
    sets = f"`{' + '.join(cell['explained_by'])}`"
    return sets if cell["explained_by"] == list(DEFAULT) else f"only by {sets} ({cell['total_hits']} of {total} cells)"


CONCLUSIONS = (
    "One departure explains five cells at once: the feed-forward half of a refine block runs on all tokens, not on the "
    "K selected ones. Without it two more refine blocks cost 0.02 GFLOPs, and the paper prints 0.1; and K = full would "
    "cost more than 4 + 4 blocks, and the paper prints less. This is the default (`model.refine_ffn`).",
    "It is not the only explanation: computing the whole refine block for every token, writing K of them back and "
    "counting matrix products only (`block_all + matmuls_only`) prints as many cells with two departures. That network "
    "gives the same result as the literal one, so the digits do not decide what the feed-forward acts on; "
    "`refine_ffn: selected` stays selectable and its effect on accuracy can be measured.",
    "Row (6), 21.3 M: we print 21.2 (21.244 M, 0.006 M short). Every set of one or two departures that prints 21.3 "
    "loses another cell. The one set of three that does not gives standard attention a relative position table and the "
    "refine block a second norm, neither of which the text mentions.",
    "Row (3), 2.9 GFLOPs: explained by nothing plausible. Its 21.9 M leaves at most 0.39 M for the head; used once on "
    "each of 48 tokens that is 0.02 GFLOPs, and 0.05 would be needed.",
    "Departures that cost less than a printed digit (biases, norms, gamma) are invisible here.",
)


def write(root: Path) -> None:
    """Run the search and write reports/data/readings_search.json and reports/readings_search.md below ``root``."""
    data = root / "reports" / "data" / "readings_search.json"
    write_json(data, summary(search()))
    write_text(root / "reports" / "readings_search.md", render(read_json(data)))


if __name__ == "__main__":
    write(Path(__file__).resolve().parents[2])
