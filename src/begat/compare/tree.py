"""The tree of a circuit as a picture: which columns hang together, and how much."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

from begat.compare.plot import literal, saved
from begat.errors import BegatError

MOST = 60
"""Columns that a picture has room for."""
WIDEST = 7.0
LEANS = " *"
"""What marks a column that leans on another."""


def plot_tree(model: Any, path: str | PathLike[str]) -> None:
    """Write the tree over the columns of a fitted circuit as a picture (.png, .svg, .pdf).

    A line joins two columns that the tree holds together; its width and its number are their mutual information in
    nats. The column at the root is on the left: the target where there is one. A column that leans on another stands
    there as what is left of it. Columns that depend on no other stand below. BegatError for a model without a tree.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    structure = getattr(model, "structure_", None)
    if structure is None:
        raise BegatError(f"{type(model).__name__} has no tree of columns; fit a begat.Circuit")
    names = [str(c.name) for c in model.schema_.columns if c.scored]
    target = model.schema_.target
    if model.role_ == "classification":  # the class is the circuit's last column, wherever the table has it
        names = [n for n in names if n != str(target)] + [str(target)]
    leant = {str(name): str(hub) for name, hub in model.leans_.items()}
    links = {child: (parent, nats) for child, parent, nats in structure.links}
    inside = sorted({c for child, (parent, _) in links.items() for c in (child, parent)})
    if len(inside) > MOST:
        raise BegatError(f"a tree of {len(inside)} columns; a picture has room for {MOST}")
    at = _places(inside, {child: parent for child, (parent, _) in links.items()})
    depth, rows = 1 + max((x for x, _ in at.values()), default=0), 1 + max((y for _, y in at.values()), default=0)
    alone = [names[d] for d, host in enumerate(structure.hosts) if host < 0]
    figure = Figure(
        figsize=(2.3 * max(depth, 2) + 0.8, 0.5 * rows + 1.2 + 0.25 * (bool(alone) + bool(leant))), layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_xlim(-0.35, depth - 0.3)
    notes = bool(alone) + bool(leant)
    axes.set_ylim(-rows + 0.2 - 0.5 * (notes + bool(notes)), 0.8)
    most = max((nats for _, nats in links.values()), default=1.0) or 1.0
    for child, (parent, nats) in links.items():
        (x0, y0), (x1, y1) = at[parent], at[child]
        width = 0.8 + WIDEST * (nats / most) ** 0.5
        axes.plot([x0, x1], [-y0, -y1], color="#9db8d3", linewidth=width, solid_capstyle="round", zorder=1)
        axes.text(
            0.45 * x0 + 0.55 * x1, -(0.45 * y0 + 0.55 * y1), f"{nats:.2f}", ha="center", va="center", zorder=2,
            fontsize=7.5, color="#33506b",
            bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8},
        )  # fmt: skip
    for c, (x, y) in at.items():
        goal = names[c] == str(target)
        box = {
            "boxstyle": "round,pad=0.4",
            "fc": "#fff3d6" if goal else "#eef3f8",
            "ec": "#c79a2b" if goal else "#6d8cab",
        }
        axes.text(
            x,
            -y,
            _short(names[c]) + (LEANS if names[c] in leant else ""),
            ha="center",
            va="center",
            fontsize=9,
            bbox=box,
            zorder=3,
        )
    below = -rows - 0.3
    if leant:
        axes.text(
            -0.3, below, f"{LEANS.strip()} what is left of it once {_short(next(iter(leant.values())))} is known",
            fontsize=8.5, color="#555555", va="center",
        )  # fmt: skip
        below -= 0.45
    if alone:
        said = ", ".join(map(_short, alone[:12])) + (f" and {len(alone) - 12} more" if len(alone) > 12 else "")
        axes.text(-0.3, below, f"depends on no other column: {said}", fontsize=8.5, color="#555555", va="center")
    axes.set_title("Which columns hang together (mutual information, nats)", fontsize=10.5, loc="left")
    saved(figure, path)


def _places(inside: Sequence[int], parent: dict[int, int]) -> dict[int, tuple[int, float]]:
    """Depth and row of each column: tips in rows of their own, the others in the middle of their children."""
    children: dict[int, list[int]] = {c: [] for c in inside}
    for child, above in parent.items():
        children[above].append(child)
    at: dict[int, tuple[int, float]] = {}
    row = 0

    def place(c: int, depth: int) -> float:
        nonlocal row
        below = [place(child, depth + 1) for child in children[c]]
        if below:
            y = 0.5 * (below[0] + below[-1])
        else:
            y, row = float(row), row + 1
        at[c] = depth, y
        return y

    for c in inside:
        if c not in parent:
            place(c, 0)
    return at


def _short(name: str) -> str:
    return literal(name if len(name) <= 22 else name[:20] + "...")
