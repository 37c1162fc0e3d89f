"""The figures of synthetic rows, all of them from begat.metrics, for begat's models and for their peers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import pandas as pd

from begat.compare.table import table
from begat.metrics.detection import detection_auc, folded
from begat.metrics.privacy import copying, nearest_share
from begat.metrics.score import Score
from begat.metrics.utility import ROWS, utility
from begat.schema import Schema

NEAREST = 50_000
"""Synthetic rows at most whose nearest real row is looked for."""


def schema_of(train: pd.DataFrame, held_out: pd.DataFrame, target: str, task: str) -> Schema:
    """The schema that begat.compare infers from all real rows, held-out ones too: kinds, grids and levels, no law."""
    return table(train, target, test=held_out, task=task).schema


def judge(
    train: pd.DataFrame, held_out: pd.DataFrame, fake: pd.DataFrame, schema: Schema, more: Sequence[pd.DataFrame] = ()
) -> dict[str, object]:
    """Detection, utility and copying of the rows in `fake`; `X_stderr` is X's standard error.

    more: further draws of the same model. Utility is the mean over all draws (with the error of the first, which is of
    the held-out rows), the nearest share that of all their rows: of one draw both move by as much as models differ.

    detection_all: against all real rows, as many synthetic ones (give as many). detection: against the held-out rows
    alone. X_auc: the area that X is folded from; below 1/2 the rows are too near to real ones. utility: AUC or R2 on
    held-out rows of boosting trained on as many synthetic as training rows; utility_real: on the training rows;
    utility_ratio: of the two. nearest_share: 1/2 is ideal. copied_share_own: the held-out rows' share.
    """
    target, classes = schema.target, schema[schema.target].coded
    learn = min(len(train), ROWS)  # as many from either side
    *each, real = (utility(f, held_out, target, schema, classes=classes, rows=learn) for f in (fake, *more, train))
    values = [score.value for score in each if score.value is not None]
    if len(values) == len(each):
        made = replace(each[0], value=fmean(values))
    else:
        made = next(score for score in each if score.value is None)
    copied = copying(train, held_out, fake, schema)
    drawn = pd.concat([fake, *more], ignore_index=True)
    nearest = nearest_share(train, held_out, drawn, schema, rows=NEAREST) if more else copied.nearest
    area_all = detection_auc(pd.concat([train, held_out], ignore_index=True), fake, schema)
    area = detection_auc(held_out, fake, schema)
    scores = {
        "detection_all": folded(area_all),
        "detection_all_auc": area_all,
        "detection": folded(area),
        "detection_auc": area,
        "utility": made,
        "utility_real": real,
        "nearest_share": nearest,
        "copied_share": copied.copies,
        "copied_share_own": copied.own,
    }
    out: dict[str, object] = {}
    for name, score in scores.items():
        out |= _plain(name, score)
    ratio = None if made.value is None or not real.value else round(made.value / real.value, 5)
    return out | {"utility_ratio": ratio, "utility_unit": made.unit, "copying": copied.why}


def _plain(name: str, score: Score) -> dict[str, object]:
    value, error = (None if x is None else round(x, 5) for x in (score.value, score.stderr))
    return {name: value, f"{name}_stderr": error} | ({f"{name}_note": score.note} if score.note else {})
