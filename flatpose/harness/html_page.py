"""Blocks of a page as one HTML file that needs nothing else: styles, script and SVG plots are inside."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from posixpath import normpath
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from flatpose.harness import html_table, svg
from flatpose.harness.blocks import Block, Shown

ALLOWED = re.compile(r"&lt;(/?(?:details|summary|br|sub|sup|b|i)\s*/?)&gt;")
"""Tags that a page's markdown may contain; every other one is shown as text."""
LONG = 80
"""Letters of a cell that holds sentences."""
BUTTONS = (("+", "+", "zoom in"), ("-", "−", "zoom out"), ("0", "reset", "whole plot"))
HINTS = (("mouse", "Click, then the wheel or + − zooms; drag or arrow keys move; double-click or 0 resets."),
         ("touch", "Pinch to zoom, drag to move, double-tap resets."))


@dataclass
class Site:
    """What links can lead to.

    Args:
        pages: Page name -> its title, in the order of the navigation.
        assets: Other files by path: pictures, CSV and JSON.
    """

    pages: Mapping[str, str]
    assets: Mapping[str, bytes]


@dataclass
class _State:
    """What rendering a page collects on its way."""

    site: Site
    headings: list[tuple[str, str]] = field(default_factory=list)
    """(id, text) of the second level."""
    ids: list[str] = field(default_factory=list)
    current: str = "table"
    plots: int = 0
    spans: list[str] = field(default_factory=list)
    """Closing tags of the open links."""


def to_html(name: str, blocks: Sequence[Block], site: Site) -> str:
    """The page ``name`` of the site."""
    state, reader = _State(site), _reader()
    body = "\n".join(_block(block, reader, state) for block in blocks if block)
    style, script = (_asset(f"report.{kind}") for kind in ("css", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
              "img-src 'self' file: data:; base-uri 'none'; form-action 'none'")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{html.escape(site.pages[name])}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">To the content</a>
<header>{_navigation(name, site)}</header>
<main id="main">
{_contents(body, state)}
</main>
<footer>{_twins(name, site)}Rendered from the records by <code>flatpose-exp report --html</code>; no network is used.
</footer>
<script>{script}</script>
</body>
</html>
"""


@cache
def _asset(name: str) -> str:
    return (resources.files("flatpose.harness") / "assets" / name).read_text(encoding="utf-8")


def _navigation(name: str, site: Site) -> str:
    links = [f'<li><a href="{page}.html"{_here(page == name)} title="{html.escape(title, quote=True)}">'
             f'{"Overview" if page == "index" else html.escape(page)}</a></li>' for page, title in site.pages.items()]
    return f'<nav aria-label="Pages"><ul>{"".join(links)}</ul></nav>'


def _here(same: bool) -> str:
    return ' aria-current="page"' if same else ""


def _contents(body: str, state: _State) -> str:
    """The body with a table of contents behind its title, where that saves scrolling."""
    if len(state.headings) < 3:
        return body
    items = "".join(f'<li><a href="#{name}">{html.escape(text)}</a></li>' for name, text in state.headings)
    contents = f'<details class="toc"><summary>On this page</summary><ul>{items}</ul></details>'
    return body.replace("</h1>", f"</h1>\n{contents}", 1)


def _twins(name: str, site: Site) -> str:
    """The page's numbers as files."""
    found = [path for path in (f"{name}.csv", f"data/{name}.json") if path in site.assets]
    links = " · ".join(f'<a href="{path}">{path}</a>' for path in found)
    return f"The numbers of this page as files: {links}. " if links else ""


def _block(block: Block, reader: MarkdownIt, state: _State) -> str:
    if isinstance(block, Shown):
        body = html_table.to_html(block.table)
        title = html.escape(block.table.title)
        return f"<details><summary>{title}</summary>{body}</details>" if block.folded else body
    return str(reader.render(block, {"state": state})).strip()


@cache
def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    reader.core.ruler.push("flatpose", _prepare)
    for name, rule in (("html_block", _markup), ("html_inline", _markup), ("image", _image), ("link_open", _link),
                       ("link_close", _link_end), ("table_open", _table), ("table_close", _table_end),
                       ("th_open", _head), ("th_close", _head_end), ("td_open", _cell)):
        reader.add_render_rule(name, rule)
    return reader


def _prepare(core: Any) -> None:
    """Ids for headings; pictures that stand alone are no paragraph; tables of sentences get names in their cells."""
    state: _State = core.env["state"]
    _prose(core.tokens)
    _groups(core.tokens)
    for before, token in zip(core.tokens, core.tokens[1:], strict=False):
        if token.type != "inline":
            continue
        if before.type == "heading_open":
            text = "".join(c.content for c in token.children or ())
            before.attrSet("id", _slug(text, state))
            state.headings += [(str(before.attrs["id"]), text)] if before.tag == "h2" else []
        if before.type == "paragraph_open" and {c.type for c in token.children or ()} == {"image"}:
            before.hidden = True
    for token, after in zip(core.tokens, core.tokens[2:], strict=False):
        after.hidden |= token.type == "paragraph_open" and token.hidden


def _prose(tokens: Sequence[Token]) -> None:
    """Marks tables of sentences and names the column in each of their cells, for screens too narrow for columns."""
    table: list[Token] = []
    for token, inner in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "table_open":
            table = [token]
        if token.type in ("th_open", "td_open") and inner is not None:
            token.meta["text"] = "".join(c.content for c in inner.children or ())
            table.append(token)
        if token.type == "table_close" and max((len(t.meta["text"]) for t in table[1:]), default=0) > LONG:
            heads = [t.meta["text"] for t in table[1:] if t.type == "th_open"]
            table[0].meta["prose"] = True
            for index, cell in enumerate(t for t in table[1:] if t.type == "td_open"):
                cell.meta["label"] = heads[index % len(heads)]


def _groups(tokens: Sequence[Token]) -> None:
    """A line with nothing but its first cell is the heading of a group."""
    start: Token | None = None
    cells: list[str] = []
    for token in tokens:
        if token.type == "tr_open":
            start, cells = token, []
        if token.type in ("th_open", "td_open"):
            cells.append(str(token.meta["text"]))
        if token.type == "tr_close" and start is not None and len(cells) > 1 and cells[0] and not any(cells[1:]):
            start.attrSet("class", "group")


def _slug(text: str, state: _State) -> str:
    """As GitHub makes them, so that links to a heading work in both forms of the page."""
    base = re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") or "section"
    count = sum(re.sub(r"-\d+$", "", name) == base or name == base for name in state.ids)
    state.ids.append(f"{base}-{count}" if count else base)
    return state.ids[-1]


def _markup(_: Any, tokens: Sequence[Token], index: int, __: Any, ___: Any) -> str:
    """The few tags that are allowed; all else as text."""
    return ALLOWED.sub(r"<\1>", html.escape(html.unescape(tokens[index].content), quote=False))


def _image(_: Any, tokens: Sequence[Token], index: int, __: Any, env: Any) -> str:
    state: _State = env["state"]
    token = tokens[index]
    path, label = normpath(str(token.attrs["src"])), html.escape(token.content, quote=True)
    content = state.site.assets.get(path)
    if content is None:
        return f'<span class="outside" title="{html.escape(path, quote=True)}">[{label}]</span>'
    source = html.escape(path, quote=True)
    drawn = (svg.inline(content.decode(errors="replace"), f"p{state.plots}", label) if path.endswith(".svg")
             else svg.around(content, source, label))
    if drawn is None:
        return f'<img src="{source}" alt="{label}" loading="lazy">'
    state.plots += 1
    width = re.search(r'data-width="([\d.]+)"', drawn)
    size = f' style="--w:{width[1]}"' if width else ""
    buttons = "".join(f'<button type="button" data-act="{key}" aria-label="{what}">{text}</button>'
                      for key, text, what in BUTTONS)
    hints = "".join(f'<span class="hint {kind}">{text}</span>' for kind, text in HINTS)
    tools = f'<div class="tools">{buttons}<output></output>{hints}</div>'
    return (f'<figure class="plot"><div class="view"{size} tabindex="0" role="group" aria-label="zoomable: {label}">'
            f"{drawn}</div>{tools}</figure>")


def _link(_: Any, tokens: Sequence[Token], index: int, __: Any, env: Any) -> str:
    """Pages lead to pages; a file of the repository that is not in the site is named instead of linked."""
    state: _State = env["state"]
    href = str(tokens[index].attrs.get("href", ""))
    target = resolve(href, state.site)
    state.spans.append("</span>" if target is None else "</a>")
    if target is None:
        return f'<span class="outside" title="in the repository: reports/{html.escape(href, quote=True)}">'
    away = ' rel="noreferrer"' if "://" in target else ""
    return f'<a href="{html.escape(target, quote=True)}"{away}>'


def _link_end(_: Any, tokens: Sequence[Token], index: int, __: Any, env: Any) -> str:
    return str(env["state"].spans.pop())


def resolve(href: str, site: Site) -> str | None:
    """Where a link of the markdown leads in the site; None where there is nothing."""
    if re.match(r"https?://|mailto:|#", href):
        return href
    path, _, fragment = href.partition("#")
    path = normpath(path)
    if path.endswith(".md") and path.removesuffix(".md") in site.pages:
        return path.removesuffix(".md") + ".html" + (f"#{fragment}" if fragment else "")
    if path in site.assets:
        return path
    return "files.html" if any(name.startswith(f"{path}/") for name in site.assets) else None


def _table(_: Any, tokens: Sequence[Token], index: int, __: Any, ___: Any) -> str:
    prose = " prose" * bool(tokens[index].meta.get("prose"))
    return ('<div class="table"><div class="scroll" role="region" aria-label="table" tabindex="0">'
            f'<table class="sortable{prose}">\n')


def _table_end(*_: Any) -> str:
    return "</table></div></div>\n"


def _head(_: Any, tokens: Sequence[Token], index: int, __: Any, ___: Any) -> str:
    return html_table.head("", _right(tokens[index])).partition("<span")[0]


def _head_end(*_: Any) -> str:
    return '<span class="mark" aria-hidden="true"></span></button></th>\n'


def _cell(_: Any, tokens: Sequence[Token], index: int, __: Any, ___: Any) -> str:
    label = tokens[index].meta.get("label")
    named = "" if label is None else f' data-label="{html.escape(label, quote=True)}"'
    kind = html_table.column_class(_right(tokens[index]), tokens[index].meta.get("text", ""))
    return f'<td class="{kind}"{named}>' if kind else f"<td{named}>"


def _right(token: Token) -> bool:
    return "right" in str(token.attrs.get("style", ""))
