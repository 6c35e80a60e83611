"""``flatpose-exp claims``: does each number that the paper states hold?"""

from __future__ import annotations

from typing import Annotated

import typer

from flatpose.harness import catalog, sites
from flatpose.harness.console import out, print_json

app = typer.Typer()


@app.command()
def claims(json_: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False) -> None:
    """Judge every quantitative sentence of the paper: its own arithmetic, one FLOP convention, what was measured here.

    Example: flatpose-exp claims --json
    """
    from flatpose.harness import claims_page, collect
    from flatpose.harness.render import to_rich

    reports = sites.root() / "reports"
    entries = {name: (catalog.load(name), collect.load(reports / "data" / f"{name}.json", name))
               for name in catalog.ids()}
    judged = claims_page.judge_all(entries, reports)
    if json_:
        print_json([j.to_dict() for j in judged])
        return
    for table in claims_page.tables(judged, entries):
        out.print(to_rich(table))
    out.print(claims_page.headline(judged), markup=False)
