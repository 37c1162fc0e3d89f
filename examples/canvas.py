"""Where the examples draw: one look for all of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

INK, GREY, FAINT = "#222222", "#8a8a8a", "#e4e4e4"
BLUE, AMBER, GREEN, PLUM = "#2f5d8a", "#c28e2c", "#3a8f5c", "#7b4b94"
HERE = Path(__file__).parent


def panels(count: int, title: str, *, size: tuple[float, float] = (3.4, 3.4), rows: int = 1) -> tuple[Any, list[Any]]:
    """A figure with a title and so many square panels side by side, in so many rows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * count, size[1] * rows + 0.5), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    axes = list(figure.subplots(rows, count, squeeze=False).flat)
    for axis in axes:
        axis.tick_params(length=0, labelsize=8, colors=GREY)
        axis.spines[:].set_visible(False)
    return figure, axes


def plane(axis: Any, title: str, limit: float | tuple[float, float, float, float]) -> None:
    """A panel that shows a plane without numbers."""
    x0, x1, y0, y1 = limit if isinstance(limit, tuple) else (-limit, limit, -limit, limit)
    axis.set_title(title, loc="left", fontsize=9.5, color=INK)
    axis.set_xlim(x0, x1)
    axis.set_ylim(y0, y1)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_facecolor("#fafafa")


def run(draw: Callable[[bool], Any]) -> None:
    """Draw the example and write it where --out says; --quick for a small fit that only shows that it runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--quick", action="store_true")
    said = parser.parse_args()
    import __main__

    path = said.out or HERE.parent / "docs" / "images" / "examples" / f"{Path(__main__.__file__).stem}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(said.quick).savefig(path, dpi=150)
    print(path)
