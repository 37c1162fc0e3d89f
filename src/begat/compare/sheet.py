"""Pictures that each model of a comparison made, under real ones: for the eye, which no figure replaces."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from begat.codecs.image_write import spread
from begat.compare.plot import COLOURS, literal, saved
from begat.compare.row import Drawn, Row
from begat.metrics.columns import label

if TYPE_CHECKING:
    from begat.compare.report import Report

WIDE, LINES = 12, 3
"""Pictures in a line, of which no class has a column of its own, and lines of each model."""
LONGEST, ACROSS = 3, 3
"""Models under one another until there are others beside them, and how many are beside one another at most."""
INCHES, DOTS, EDGE = 0.36, 96, 0.25
"""The side of a picture, and the pixels that it is enlarged to, about; what lies between models."""
PAPER = 255


def sheet(report: Report, path: str | os.PathLike[str]) -> Path:
    """Draw three lines of pictures for each row that made some, the real ones first; the path.

    Of at most 12 classes each has its column, so that what stands there should show it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = sorted((r for r in report.rows if r.drawn is not None), key=lambda r: r.entry.role != "ceiling")
    names = _classes(report)
    columns, across = len(names) or WIDE, min(max(1, math.ceil(len(rows) / LONGEST)), ACROSS)
    tall, wide = report.plan.picture[:2] if report.plan.picture is not None else (1, 1)
    width, height = INCHES * columns, INCHES * LINES * tall / wide
    top, step = 0.5 if names else 0.2, height + 0.42
    page = (EDGE + across * (width + EDGE), top + math.ceil(len(rows) / across) * step)
    figure = Figure(figsize=page)
    FigureCanvasAgg(figure)
    for i, row in enumerate(rows):
        left, bottom = EDGE + i % across * (width + EDGE), page[1] - top - i // across * step - height - 0.25
        axis = figure.add_axes((left / page[0], bottom / page[1], width / page[0], height / page[1]))
        assert row.drawn is not None
        axis.imshow(_strip(row.drawn, names, columns, report.plan.levels or 256), aspect="auto", interpolation="none",
                    cmap="gray", vmin=0, vmax=255)  # fmt: skip
        axis.set_axis_off()
        figure.text(left / page[0], (bottom + height + 0.11) / page[1], literal(_name(row)), va="center", fontsize=9.5,
                    fontweight="bold", color=COLOURS[row.entry.role])  # fmt: skip
        for k, name in enumerate(names if i < across else ()):
            figure.text((left + INCHES * (k + 0.5)) / page[0], 1 - 0.25 / page[1], literal(_short(name)), ha="center",
                        va="center", fontsize=9, color="#666666")  # fmt: skip
    return saved(figure, path)


def _classes(report: Report) -> list[str]:
    """The classes that have columns, if they are few."""
    target = report.plan.target
    if target is None or report.plan.task != "classification":
        return []
    levels = [label(level) for level in report.schema[target].levels or ()]
    return levels if len(levels) <= WIDE else []


def _strip(drawn: Drawn, names: list[str], columns: int, levels: int) -> np.ndarray:
    """Lines of pictures on paper, each enlarged: (height, width), or with channels."""
    pixels = spread(drawn.pixels, levels)
    tall, wide = pixels.shape[1:3]
    by = max(DOTS // max(tall, wide), 1)
    edge = max(by * wide // 16, 1)
    cell = (by * tall + edge, by * wide + edge)
    made = np.full((LINES * cell[0], columns * cell[1], *pixels.shape[3:]), PAPER, np.uint8)
    if names and drawn.labels is not None:
        places = [(line, k, i) for k, name in enumerate(names)
                  for line, i in enumerate(np.flatnonzero(drawn.labels == name)[:LINES])]  # fmt: skip
    else:
        places = [(*divmod(i, columns), i) for i in range(min(len(pixels), LINES * columns))]
    for line, k, i in places:
        y, x = line * cell[0], k * cell[1] + edge // 2
        made[y : y + by * tall, x : x + by * wide] = pixels[i].repeat(by, 0).repeat(by, 1)
    return made


def _name(row: Row) -> str:
    return "real, held out" if row.entry.role == "ceiling" else row.name


def _short(name: str) -> str:
    return name if len(name) <= 7 else name[:6] + "…"
