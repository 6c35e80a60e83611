"""What can be said about HTML without a browser: balanced tags, ids, links, the texts of tables."""

from __future__ import annotations

from html.parser import HTMLParser
from posixpath import normpath

VOID = {"meta", "link", "br", "img", "hr", "input", "path", "use", "image"}


class Document(HTMLParser):
    """A parsed page; every fault in its form is in ``faults``."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.titles: list[str] = []
        """Tooltips of cells."""
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        self.faults += [f"{tag} is never closed" for tag in self.open]
        self.faults += [f"id {name} occurs twice" for name in sorted({i for i in self.ids if self.ids.count(i) > 1})]

    def handle_starttag(self, tag: str, attributes: list) -> None:
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [value for name, value in attributes if name in ("href", "src", "xlink:href")]
        if (tag == "p" and "p" in self.open) or (tag == "figure" and "p" in self.open):
            self.faults.append(f"{tag} inside p")
        self.faults += [f"handler {name}" for name in given if name.startswith("on")]
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.titles += [given["title"]] if "title" in given else []
        if tag == "br" and self._in_cell():
            self.tables[-1][-1][-1] += " "
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"stray </{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if self._in_cell() and not {"sup", "small"} & set(self.open):
            self.tables[-1][-1][-1] += data
        if not {"script", "style"} & set(self.open):
            self.texts.append(data)

    def _in_cell(self) -> bool:
        return bool({"td", "th"} & set(self.open)) and bool(self.tables) and bool(self.tables[-1])


def broken_links(files: dict[str, bytes]) -> list[str]:
    """Links of a site's pages that lead nowhere in it; addresses elsewhere are no links of the site."""
    pages = {name: Document(content.decode()) for name, content in files.items() if name.endswith(".html")}
    wrong = []
    for name, page in pages.items():
        for link in page.links:
            path, _, fragment = link.partition("#")
            target = normpath(path) if path else name
            if link.startswith(("data:", "https://", "http://")):
                continue
            found = target in files and (not fragment or target not in pages or fragment in pages[target].ids)
            wrong += [] if found else [f"{name}: {link}"]
    return wrong
