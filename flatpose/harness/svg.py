"""Pictures that read well on light and dark pages, and pictures inside a page: SVG text in, SVG text out.

A picture brings its own ground, so whatever page it stands on its text is readable. In a dark scheme ground and ink
change places and the colours of curves get lighter; nothing but colours changes, so one file serves both.
"""

from __future__ import annotations

import re

DARK = {"#ffffff": "#0d1117", "#24292f": "#e6edf3", "#57606a": "#9da5ae", "#d8dee4": "#30363d", "#d55e00": "#f0763a",
        "#0072b2": "#58a6ff", "#009e73": "#2fc391", "#cc79a7": "#d98cb8"}
"""Colour of flatpose.harness.plots in a light scheme -> in a dark one; the others do for both."""
LIGHT_TEXT = {"#d55e00": "#b04c00", "#009e73": "#00785a", "#cc79a7": "#a8467c", "#e69f00": "#8f6200",
              "#56b4e9": "#1a6fa8"}
"""Letters need more contrast on white than lines do."""
ACTIVE = re.compile(r"<script|<foreignobject|\son\w+\s*=|javascript:", re.IGNORECASE)


def adaptive(svg: bytes) -> bytes:
    """Matplotlib's SVG with a style sheet that follows the reader's colour scheme."""
    dark = "".join(f'[style*="{what}: {old}"]{{{what}:{new}!important}}'
                   for old, new in DARK.items() for what in ("fill", "stroke"))
    light = "".join(f'text[style*="fill: {old}"]{{fill:{new}!important}}' for old, new in LIGHT_TEXT.items())
    rules = (f"@media (prefers-color-scheme:dark){{{dark}}}@media (prefers-color-scheme:light){{{light}}}")
    return svg.replace(b"</style>", f"</style>\n  <style>{rules}</style>".encode(), 1)


def inline(svg: str, prefix: str, label: str) -> str | None:
    """The picture as an element of a page: ids of its own, no fixed size, a name; None where it holds code."""
    start = svg.find("<svg")
    if start < 0 or ACTIVE.search(svg):
        return None
    body = re.sub(r"\s*<metadata>.*?</metadata>|\s*<title>.*?</title>", "", svg[start:], flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{prefix}-', body)
    body = re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}-", body)
    head, rest = body.split(">", 1)
    width = re.search(r'\bwidth="([\d.]+)', head)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    size = f' data-width="{float(width[1]):g}"' if width else ""
    return f'{head} role="img" aria-label="{label}"{size}>{rest}'.strip()


def around(png: bytes, path: str, label: str) -> str | None:
    """A PNG file as an SVG element that shows it, so that it zooms like a plot; None for anything else."""
    if png[:8] != b"\x89PNG\r\n\x1a\n" or len(png) < 24:
        return None
    width, height = (int.from_bytes(png[i:i + 4], "big") for i in (16, 20))
    return (f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}" data-width="{0.75 * width:g}">'
            f'<image href="{path}" width="{width}" height="{height}"/></svg>')
