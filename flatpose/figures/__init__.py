"""Figs. 3 to 6: what trained networks attend to and predict, drawn on persons of the validation split.

``flatpose.figures.draw.draw`` makes the picture; ``flatpose.harness.pictures`` keeps its facts and renders its page.
"""
