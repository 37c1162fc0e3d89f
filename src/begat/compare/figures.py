"""The figures of a comparison: what each is called, its unit, what kind of model has it. A metric is one row here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from begat.metrics.score import Better

Group = Literal["likelihood", "samples", "classes", "numbers"]


@dataclass(frozen=True)
class Figure:
    """One figure. key: in results.json; title: over its column; group: the verb it asks a model for; only: what has
    it."""

    key: str
    title: str
    unit: str
    better: Better
    group: Group
    about: str
    only: Literal["tables", "pictures", ""] = ""


FIGURES = (
    Figure("gain", "gain", "nats/row", "higher", "likelihood", "held-out log-likelihood minus that of the floor"),
    Figure(
        "bits",
        "bits/dim",
        "bits",
        "lower",
        "likelihood",
        "-log2 P(picture) / pixels, held-out pictures without labels",
        "pictures",
    ),
    Figure("log_likelihood", "log p", "nats/row", "none", "likelihood", "held-out log-likelihood in data units"),
    Figure(
        "distance",
        "distance",
        "variance",
        "lower",
        "samples",
        "|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of as many made as held-out pictures in the features of a network "
        "trained on training pictures, over their total variance",
        "pictures",
    ),
    Figure(
        "detection", "detection", "0..1", "higher", "samples", "1 - 2|AUC - 1/2| against held-out rows; 1 is perfect"
    ),
    Figure(
        "detection_all",
        "all rows",
        "0..1",
        "higher",
        "samples",
        "detection against all rows, training included",
        "tables",
    ),
    Figure(
        "nearest", "nearest", "share", "none", "samples", "share nearer to a training than to a held-out row; 50% ideal"
    ),
    Figure("copies", "copies", "share", "none", "samples", "share of rows that equal a training row"),
    Figure("copies_held_out", "own copies", "share", "none", "samples", "the same share of the held-out rows"),
    Figure(
        "utility",
        "utility",
        "AUC",
        "higher",
        "samples",
        "gradient boosting trained on its rows, on held-out rows",
        "tables",
    ),
    Figure("accuracy", "accuracy", "share", "higher", "classes", "share of held-out rows whose class is predicted"),
    Figure("log_loss", "log-loss", "nats/row", "lower", "classes", "-log P(class | the rest)"),
    Figure("calibration", "calib. err", "share", "lower", "classes", "|share right - confidence| over 15 bins"),
    Figure("auc", "AUC", "AUC", "higher", "classes", "of the classes' probabilities, one against the rest"),
    Figure("rare", "rare AP", "avg precision", "higher", "classes", "average precision of classes below 10%"),
    Figure("rmse", "RMSE", "target", "lower", "numbers", "root mean squared error of E[target | the rest]"),
    Figure("mae", "MAE", "target", "lower", "numbers", "mean absolute error"),
    Figure("r2", "R2", "R2", "higher", "numbers", "share of the target's variance explained"),
)
BY_KEY = {f.key: f for f in FIGURES}


def shown(task: str, target: bool, pictures: bool = False) -> tuple[Figure, ...]:
    """The figures that this task has."""
    absent = {"classification": ("numbers",), "regression": ("classes",)}.get(task, ("classes", "numbers"))
    only = ("", "pictures" if pictures else "tables")
    return tuple(f for f in FIGURES if f.group not in absent and f.only in only and (target or f.key != "utility"))
