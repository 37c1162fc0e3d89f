"""One picture of a comparison: gain over the floor, detection with the ceiling, prediction beside the twins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from begat.codecs.pictures import sides
from begat.compare.figures import BY_KEY
from begat.compare.present import MARKS
from begat.estimators.whole import whole

if TYPE_CHECKING:
    from begat.compare.report import Report

COLOURS = {
    "model": "#2f5d8a",
    "own": "#7b4b94",
    "synthetic": "#b5651d",
    "floor": "#8a8a8a",
    "ceiling": "#3a8f5c",
    "twin": "#c28e2c",
}
INK, FAINT = "#222222", "#e4e4e4"


def plot(report: Report, path: str | os.PathLike[str]) -> Path:
    """Draw the report and write it where `path` says (its suffix is the format); the path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [p for p in _panels(report) if _rows(report, p[0])]
    names = [literal(r.name) for r in report.rows]
    figure = Figure(figsize=(2.0 + 2.6 * max(len(panels), 1), 1.8 + 0.44 * len(names)), layout="constrained")
    figure.get_layout_engine().set(wspace=0.06)  # type: ignore[union-attr, call-arg]
    figure.suptitle(
        f"{report.plan.held_out:,} held-out {report.plan.noun}s, {_size(report)}; bars are one standard error",
        x=0.995, ha="right", fontsize=8.5, color="#666666",
    )  # fmt: skip
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, max(len(panels), 1), sharey=True, squeeze=False)[0]
    for axis, (key, title, hint) in zip(axes, panels, strict=False):
        _panel(axis, report, key, title, hint)
    for axis in axes:
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.set_yticks(range(len(names)), names)
        axis.tick_params(length=0, labelsize=9, colors=INK)
        axis.spines[:].set_visible(False)
    return saved(figure, path)


def _size(report: Report) -> str:
    picture = report.plan.picture
    return f"{report.plan.columns} columns" if picture is None else f"{sides(picture)} pixels"


def literal(name: str) -> str:
    """A person's name as matplotlib takes it: a pair of dollars would make a formula of what is between them."""
    return name.replace("$", r"\$")


def saved(figure: Any, path: str | os.PathLike[str]) -> Path:
    """Write a picture in the format of its suffix, whole or not at all, in a folder that is made; the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        figure.savefig(part, format=path.suffix[1:] or "png", dpi=160, facecolor="white")
    return path


def _panels(report: Report) -> list[tuple[str, str, str]]:
    task = report.plan.task
    predicted = {"classification": "accuracy", "regression": "r2"}.get(task)
    gain = "log-likelihood over independent\ncolumns, nats per row →"
    panels = [("gain", "Explains new rows", gain)]
    panels.append(("detection", "Passes for real", "detection score: 0 told apart always,\n1 never →"))
    if report.plan.picture is not None:
        panels = [
            ("bits", "Explains new pictures", "bits per dimension,\n← fewer are better"),
            ("distance", "Looks like real ones", "feature distance to held-out pictures,\n← 0 is none"),
        ]
    if predicted is not None:
        hint = f"{BY_KEY[predicted].title} on held-out {report.plan.noun}s →\n"
        panels.append((predicted, literal(f"Predicts {report.plan.target}"), hint))
    return panels


def _rows(report: Report, key: str) -> list[tuple[int, Any]]:
    return [(i, r) for i, r in enumerate(report.rows) if (s := r.scores.get(key)) is not None and s.finite]


def _panel(axis: Any, report: Report, key: str, title: str, hint: str) -> None:
    from matplotlib.patheffects import withStroke

    axis.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=10)
    axis.set_xlabel(hint, loc="left", fontsize=8.5, color="#666666")
    axis.grid(axis="x", color=FAINT, linewidth=0.8)
    axis.set_axisbelow(True)
    for i in range(len(report.rows)):
        axis.axhline(i, color=FAINT, linewidth=0.6, linestyle=(0, (1, 3)), zorder=0)
    held, halo = _rows(report, key), withStroke(linewidth=3, foreground="white")
    top = next((r for _, r in held if r.entry.role == "ceiling"), None)
    if top is not None:
        axis.axvline(top.scores[key].value, color=COLOURS["ceiling"], linewidth=1.2, linestyle="--", zorder=1)
    floor = next((r for _, r in held if r.entry.role == "floor"), None)
    if key == "bits" and floor is not None:
        axis.axvline(floor.scores[key].value, color=COLOURS["floor"], linewidth=1.2, linestyle="--", zorder=1)
    if key == "gain":
        axis.axvline(0.0, color=COLOURS["floor"], linewidth=1.2, linestyle="--", zorder=1)
    for i, row in held:
        score = row.scores[key]
        colour = COLOURS[row.entry.role]
        axis.errorbar(score.value, i, xerr=score.stderr or 0.0, fmt="o", markersize=6.5, color=colour, ecolor=colour,
                      elinewidth=1.6, capsize=2.5, zorder=3)  # fmt: skip
        places = 3 if abs(score.value) < 10 else 1
        said = f"{score.value:.{places}f}".replace("-", "\N{MINUS SIGN}")
        said = MARKS.get(key, {}).get(row.relation, "") + said
        axis.annotate(said, (score.value, i), xytext=(0, 6.5), textcoords="offset points",
                      ha="center", fontsize=9, color=colour, path_effects=[halo])  # fmt: skip
    values = [r.scores[key].value for _, r in held]
    low, high = min(0.0 if key not in ("accuracy", "bits") else min(values), *values), max(*values, 0.0)
    if key in ("bits", "distance"):  # with room for the errors, for the worst matter as much as the best
        errors = [r.scores[key].stderr or 0.0 for _, r in held]
        ends = [(v - e, v + e) for v, e in zip(values, errors, strict=True)]
        low, high = min(low, *(a for a, _ in ends)), max(b for _, b in ends)
    if key == "detection":
        low, high = 0.0, 1.0
    room = 0.12 * ((high - low) or 1.0)
    axis.set_xlim(low - room, high + room)
    axis.locator_params(axis="x", nbins=5)
