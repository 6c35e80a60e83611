"""Figs. 3 to 6: what trained networks attend to and predict, drawn on persons of the validation split.

``flatpose.figures.draw.draw`` makes the picture, ``flatpose.figures.caption`` its caption and page (without torch).
"""

from flatpose.figures.caption import Drawing, ShownNetwork, page, read_drawing

__all__ = ["Drawing", "ShownNetwork", "page", "read_drawing"]
