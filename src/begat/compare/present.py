"""A report in words and strings, ready to print: a table that fits 120 columns, its notes, the verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from begat.compare.figures import Figure
from begat.compare.row import Row
from begat.errors import visible
from begat.metrics.likelihood import gain
from begat.metrics.score import Score, decimals

if TYPE_CHECKING:
    from begat.compare.report import Report

SHOWN = (
    "gain",
    "bits",
    "distance",
    "detection",
    "nearest",
    "utility",
    "accuracy",
    "log_loss",
    "calibration",
    "rare",
    "rmse",
    "mae",
    "r2",
)
"""The figures of the printed table; results.json has all."""
MARKS = {"gain": {"<=": "≥ ", "~": "≈ "}, "bits": {"<=": "≤ ", "~": "≈ "}}
"""What stands before a figure that follows from a bound or an estimate of the likelihood."""
COARSE = 0.02
"""A detection score with a larger standard error cannot see small differences, which is said."""
ARROWS = {"higher": " ↑", "lower": " ↓", "none": ""}


@dataclass(frozen=True)
class Shown:
    """titles: of the columns, two lines each. rows: cells as text, a figure's error on a second line. breaks: the
    numbers of rows before which a line is drawn. notes: what the marks mean, what failed. verdict: the conclusion."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    breaks: tuple[int, ...]
    notes: tuple[str, ...]
    verdict: str


def present(report: Report) -> Shown:
    """The table of a report as strings."""
    left = () if report.plan.picture is None else ("gain", "rare")  # bits per dimension are the gain's
    figures = [f for f in report.measured if f.key in SHOWN and f.key not in left]
    titles = ["model", *(_title(report, f) for f in figures), "fit\nseconds"]
    groups = [
        {"model": 0, "own": 0, "synthetic": 0, "floor": 1, "ceiling": 1, "twin": 2}[r.entry.role] for r in report.rows
    ]
    rows = [(visible(r.name), *(_cell(r, f) for f in figures), _seconds(r)) for r in report.rows]
    breaks = tuple(i for i in range(1, len(groups)) if groups[i] != groups[i - 1])
    notes = tuple(map(visible, _notes(report, figures)))
    return Shown(tuple(titles), tuple(rows), breaks, notes, visible(report.verdict))


def text(report: Report) -> str:
    """The whole report as plain text."""
    shown = present(report)
    cells = [[c.split("\n") for c in line] for line in (shown.titles, *shown.rows)]
    width = [max(len(part) for line in cells for part in line[i]) for i in range(len(shown.titles))]
    rule = "-" * (sum(width) + 2 * len(width) - 2)
    lines = []
    for number, line in enumerate(cells):
        if number == 1 or number - 1 in shown.breaks:
            lines.append(rule)
        for part in range(max(map(len, line))):
            pieces = [c[part] if part < len(c) else "" for c in line]
            padded = [p.rjust(w) if i else p.ljust(w) for i, (p, w) in enumerate(zip(pieces, width, strict=True))]
            lines.append("  ".join(padded).rstrip())
    return "\n".join([*lines, rule, *shown.notes, shown.verdict])


def _title(report: Report, figure: Figure) -> str:
    units = [r.scores[figure.key].unit for r in report.rows if figure.key in r.scores and r.scores[figure.key].finite]
    unit = {"nats per row": "nats/row", "score": "0 to 1", "average precision": "mean"}.get(
        units[0] if units else figure.unit, units[0] if units else figure.unit
    )
    mark = "" if figure.better == "none" or report.ranks(figure.key) else "*"
    return f"{figure.title}{mark}{ARROWS[figure.better]}\n{unit}"


def _cell(row: Row, figure: Figure) -> str:
    score = row.scores.get(figure.key)
    if score is None or score.value is None:
        return "see note" if score is not None and score.note in row.notes else ""
    flag = "!" if figure.key == "nearest" and row.copying else ""
    mark = MARKS.get(figure.key, {}).get(row.relation, "")
    if figure.key != "gain":
        return mark + (_two_lines(score) + flag if not flag else _two_lines(score).replace("\n", f"{flag}\n", 1))
    if row.entry.role == "floor":
        return "0"
    return mark + _two_lines(score, sign="+")


def _two_lines(score: Score, sign: str = "") -> str:
    if not score.finite:
        return str(score)
    if not score.stderr:
        return f"{score.value:{sign}.4g}"
    places = min(3, decimals(score.stderr))
    return f"{score.value:{sign},.{places}f}\n±{score.stderr:.{places}f}"


def _seconds(row: Row) -> str:
    if row.status == "failed":
        return row.status
    return f"{row.seconds['fit']:.1f}" if "fit" in row.seconds else ""


def _notes(report: Report, figures: list[Figure]) -> list[str]:
    notes = []
    starred = [f.title for f in figures if f.better != "none" and not report.ranks(f.key)]
    if starred:
        notes.append(f"* no model beats independent columns here, so this ranks nothing: {', '.join(starred)}")
    if any(f.key == "nearest" for f in figures):
        one = report.plan.noun
        notes.append(
            f"nearest: share of {one}s nearer to a training {one} than to a held-out {one}; 0.5 is ideal, ! is copying"
        )
    if any(f.key == "distance" for f in figures):
        notes.append(f"distance: of {report.seen_by}; 0 is ideal, 1 their whole variance")
        notes.append(
            f"detection: gradient boosting on {report.plan.detection_by}, {report.plan.detection_rows:,} a side"
        )
    relations = {r.relation for r in report.rows}
    if "<=" in relations:
        pictures = report.plan.picture is not None
        notes.append("≤ an upper bound of the bits" if pictures else "≥ a lower bound of the likelihood")
    if "~" in relations:
        notes.append("≈ an estimate of the likelihood")
    unwritten = [f"not written: {report.unwritten}"] if report.unwritten else []
    return [*notes, *report.warnings, *unwritten]


# the verdict ----------------------------------------------------------------------------------------------------------
def verdict(report: Report) -> str:
    """What a report allows to conclude, in a few sentences."""
    if not any(r.scores for r in report.rows):
        return "Nothing was finished, so nothing can be said."
    said = [_likelihood(report)]
    named = {r.name: r for r in report.rows}
    best = named.get(report.best or "")
    if best is not None:
        said += [_detection(best, report), _prediction(best, report)]
    copied = [r.name for r in report.rows if r.copying]
    looked = any(r.scores.get("nearest") and r.scores["nearest"].value is not None for r in report.rows)
    if copied:
        verb = "copies" if len(copied) == 1 else "copy"
        said.append(f"{' and '.join(copied)} {verb} training {report.plan.noun}s: do not share.")
    elif looked:
        said.append(f"No sign of copied training {report.plan.noun}s.")
    if report.interrupted:
        said.append("It was interrupted; what is shown was finished.")
    return " ".join(s for s in said if s)


def _likelihood(report: Report) -> str:
    rivals, one = [r for r in report.rows if r.entry.role in ("model", "own", "synthetic")], report.plan.noun
    if report.best is None:
        judged = any(r.scores[k].value is not None for r in rivals for k in ("gain", "detection") if k in r.scores)
        if rivals and not judged:
            return "No model could be judged; the notes say why."
        return f"No model makes held-out {one}s more probable than independent columns do." if rivals else ""
    best = next(r for r in rivals if r.name == report.best)
    score = best.scores.get("gain")
    if score is None or score.value is None:
        return f"{report.best} has the {one}s hardest to tell from real ones."
    word = {"<=": "at least ", "~": "about "}.get(best.relation, "")
    near = [r.name for r in rivals if r is not best and not r.copying and _level(r, best)]
    tied = f" {' and '.join(near)} {'does' if len(near) == 1 else 'do'} as well within the errors." if near else ""
    bits, floor = best.scores.get("bits"), report.row("floor")
    if bits is not None and bits.finite and floor is not None and "bits" in floor.scores:
        word = {"<=": "at most ", "~": "about "}.get(best.relation, "")
        return (
            f"{report.best} explains new pictures best: {word}{brief(bits)} bits per dimension, where independent "
            f"columns take {brief(floor.scores['bits'])}.{tied}"
        )
    return (
        f"{report.best} explains new rows best: it makes a held-out row {word}{_times(score.value)} times as probable "
        f"as independent columns do (geometric mean; gain {brief(score)} nats per row).{tied}"
    )


def _level(row: Row, best: Row) -> bool:
    """Whether a row's likelihood is below the best's by at most 2 standard errors of the rows' paired differences."""
    if row.log_prob is None or best.log_prob is None:
        return False
    behind = gain(best.log_prob, row.log_prob)
    return behind.value is not None and behind.finite and behind.value <= 2 * (behind.stderr or 0.0)


def _times(nats: float) -> str:
    """exp(nats) as a person says it."""
    if nats > 13.8:
        return "over a million"
    ratio = math.exp(nats)
    return f"{ratio:,.2f}" if ratio < 2 else f"{ratio:,.1f}" if ratio < 10 else f"{ratio:,.0f}"


def _detection(best: Row, report: Report) -> str:
    mine, auc = best.scores.get("detection"), best.scores.get("detection_auc")
    top = report.row("ceiling")
    real = None if top is None else top.scores.get("detection")
    if mine is None or auc is None or mine.value is None or auc.value is None:
        return ""
    scale, rows = f"detection {brief(mine)}, 1 is best", f"{report.plan.noun}s"
    if real is not None and real.value is not None:
        scale += f"; real {rows} {brief(real)}"
        if mine.stderr and mine.value > real.value - 2 * mine.stderr:
            side = f"; {report.plan.detection_rows:,} {rows} a side hide small differences"
            return (
                f"A classifier did not tell its {rows} from real ones ({scale}){side if mine.stderr > COARSE else ''}."
            )
    strength = "almost always" if auc.value > 0.95 else "mostly" if auc.value > 0.75 else "often"
    warning = f", so they do not stand in for real {rows}" if auc.value > 0.75 else ""
    return f"A classifier tells its {rows} from real ones {strength} ({scale}){warning}."


def _prediction(best: Row, report: Report) -> str:
    key = "accuracy" if report.plan.task == "classification" else "r2"
    mine = best.scores.get(key)
    twins = [r for r in report.rows if r.entry.role == "twin" and r.scores.get(key) and r.scores[key].finite]
    if mine is None or not mine.finite or not twins:
        return ""
    top = max(twins, key=lambda r: r.scores[key].value or 0.0)
    how = f"with accuracy {brief(mine)}" if key == "accuracy" else f"with R2 {brief(mine)} (1 is best)"
    return f"It predicts {report.plan.target} {how}; {top.name}, which only predicts, reaches {brief(top.scores[key])}."


def brief(score: Score) -> str:
    """Value and error with at most three decimals."""
    if score.value is None or not score.stderr or not score.finite:
        return str(score)
    if abs(score.value) + score.stderr < 0.0005:
        return "below 0.001"
    places = min(3, decimals(score.stderr))
    return f"{score.value:.{places}f} ± {score.stderr:.{places}f}"
