"""``flatpose-exp claims``: does each number that the paper states hold?"""

from __future__ import annotations

from typing import Annotated

import typer

from flatpose.harness import catalog, sites
from flatpose.harness.console import err, out, print_json, table

app = typer.Typer()


@app.command()
def claims(json_: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False) -> None:
    """Judge every quantitative sentence of the paper: its own arithmetic, one FLOP convention, what was measured here.

    Example: flatpose-exp claims --json
    """
    from flatpose.harness import claims_page, collect

    reports = sites.root() / "reports"
    entries = {name: (catalog.load(name), collect.load(reports / "data" / f"{name}.json", name))
               for name in catalog.ids()}
    judged = claims_page.judge_all(entries, reports)
    if json_:
        print_json([j.to_dict() for j in judged])
    else:
        for title, rows in claims_page.terminal(judged):
            table(title, list(claims_page.TERMINAL), rows)
        out.print(claims_page.headline(judged), markup=False)
    if not any(records.costs or records.records for _, records in entries.values()):
        err.print(f"No records: looked for reports/data/*.json in {sites.looked_in()}. Only the paper's arithmetic is "
                  "judged here; run this in a checkout, or after flatpose-exp run.", markup=False)
