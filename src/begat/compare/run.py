"""The comparison itself: plan, say so, judge one entry after the other, keep what is finished."""

from __future__ import annotations

import hashlib
import math
import os
import time as clock
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from begat.compare.entry import entries
from begat.compare.judge import Judge
from begat.compare.picture_judge import PictureJudge
from begat.compare.picture_table import no_columns, picture_table, shows_pictures
from begat.compare.plan import Plan, plan, spoken
from begat.compare.report import Report
from begat.compare.row import Row
from begat.compare.split import SHARE, Split, check_seed, split
from begat.compare.table import Table, table
from begat.errors import BegatError, FileError
from begat.estimators.whole import folder_place
from begat.schema import Schema

if TYPE_CHECKING:
    import pandas as pd


MOST_PICTURES = 2_000
"""Pictures that are held out at most: bounds of a likelihood take seconds for a thousand of them."""


class Progress(NamedTuple):
    """Where a comparison is: the row's name, what is done for it, and the share of the estimated time behind it."""

    name: str
    step: str
    done: float


def compare(
    X: Any,
    y: Any = None,
    *,
    models: str | Iterable[str] | Mapping[str, Any] = "default",
    synthetic: Any = None,
    test: Any = None,
    group: str | int | None = None,
    time: str | int | None = None,
    task: str = "auto",
    schema: Schema | dict[str, Any] | None = None,
    kinds: Mapping[str | int, str] | None = None,
    drop: Iterable[str | int] = (),
    minutes: float | None = None,
    out: str | os.PathLike[str] | None = None,
    seed: int = 0,
    announce: Callable[[Plan], object] | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Report:
    """Which generative model of this table to trust, and how far: models, floor, ceiling and twins side by side.

    One schema is inferred from all rows and given to every model; one split, a fifth held out, serves all of them.

    Pictures (n, h, w) or (n, h, w, channels), with their labels as y, are compared alike, in bits per dimension, and in
    the features of a small network that learns their classes from the training pictures; at most 2,000 are held out.
    Begat's models get them as pictures, others a frame of their pixels, x0, x1, ...

    X: a frame, an array, a mapping of columns, pictures, or what `begat.read` gave. y: an array, or the name of a
    column of X. models: "default", some of their names, or a mapping of name to your own estimator (scikit-learn's fit
    and predict, or begat's verbs), which joins the default ones. synthetic: rows that somebody made, a mapping of name
    to frame or file, or files. test: held-out rows with the target, instead of a split; group: no value of that column
    on both sides; time: the last fifth in the order of that column is held out. task: "auto", "classification" or
    "regression". schema, kinds, drop: as for `begat.read`. minutes: a limit; each row has an equal share of it, what
    takes longer is said, and no row is begun after it. out: a folder for results.json, compare.png, of pictures
    samples.png, and the models. announce is called with the Plan before anything is fitted, progress with a Progress
    along the way.

    A model that fails is a row that says why. Ctrl-C ends it and keeps what is finished (`report.interrupted`).
    Raises DataError, SchemaError and FileError for what cannot be compared.
    """
    if minutes is not None and not (isinstance(minutes, (int, float)) and 0 < minutes < math.inf):
        raise BegatError(f"minutes is {minutes!r}; give a positive number, or None for no limit")
    check_seed(seed)
    if test is not None and (group is not None or time is not None):
        raise BegatError("test rows were given, so there is nothing to split by group or time; give one of them")
    out = None if out is None else folder_place(out)
    if shows_pictures(X):
        no_columns(group=group, time=time, schema=schema, kinds=kinds, drop=tuple(drop))
        known = picture_table(X, y, test=test, task=task)
    else:
        known = table(X, y, test=test, group=group, time=time, schema=schema, kinds=kinds, drop=drop, task=task)
    parts = _split(known, group, time, seed)
    chosen = entries(known, models, synthetic, seed)
    ahead = plan(known, parts, chosen, seed=seed, minutes=minutes)
    if announce is not None:
        announce(ahead)
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"the folder {out} cannot be made: {error.strerror}") from None
    report = Report(ahead, known.schema, fingerprint(known.frame, known.test))
    # The floor is judged first, for the others' gain is over it; the table keeps the order of the plan.
    rows = {e.name: Row(e, status="waiting") for e in chosen}
    report.rows = list(rows.values())
    judge = (Judge if known.picture is None else PictureJudge)(known, parts, ahead)
    begun = clock.perf_counter()
    order = sorted(ahead.steps, key=lambda s: s.role != "floor")
    share = None if minutes is None else 60 * minutes / len(order)
    behind = 0.0
    for step in order:
        row = rows[step.name]
        if report.interrupted:
            row.status, row.reason = "interrupted", "interrupted before it began"
        elif minutes is not None and clock.perf_counter() - begun > 60 * minutes:
            row.status, row.reason = "skipped", f"not begun: the {minutes:g} minutes were over"
        else:
            row.status = "done"
            report.interrupted = not _one(judge, row, step.seconds, behind, ahead.seconds, progress)
            spent = sum(row.seconds.values())
            if share is not None and spent > share:
                row.notes.append(f"took {spoken(spent)}, more than its share of {spoken(share)}")
            if out is not None:
                _write(report, report.save_results, out)
        judge.fill(row)
        behind += step.seconds
    report.seen_by = judge.seen_by
    report.finished = all(row.status not in ("interrupted", "skipped") for row in report.rows)
    _conclude(report)
    if progress is not None:
        progress(Progress("", "done", 1.0))
    if out is not None:
        _write(report, report.save, out)
    return report


def _write(report: Report, save: Callable[[Path], object], folder: Path) -> None:
    """Save into the folder. That it cannot be written is said in the report: what was computed is not lost."""
    try:
        save(folder)
    except (BegatError, OSError) as error:
        report.unwritten = str(error)


def _split(known: Table, group: str | int | None, time: str | int | None, seed: int) -> Split:
    if known.test is not None:
        return Split(known.frame, known.test, "the test rows that were given", exchangeable=False)
    whole = known.frame.copy()
    for name in known.aside.columns:
        whole[name] = known.aside[name]
    share = SHARE if known.picture is None else min(SHARE, MOST_PICTURES / len(whole))
    by_class = known.target if known.classes else None
    made = split(whole, by_class=by_class, group=group, time=time, seed=seed, share=share)
    names = list(known.schema.names)
    return Split(made.train[names], made.held_out[names], made.said, made.exchangeable)


def _one(
    judge: Judge,
    row: Row,
    seconds: float,
    behind: float,
    whole: float,
    progress: Callable[[Progress], object] | None,
) -> bool:
    """Judge one row; False if it was interrupted."""
    begun = clock.perf_counter()

    def tell(step: str) -> None:
        if progress is not None:
            spent = min(clock.perf_counter() - begun, seconds)
            progress(Progress(row.name, step, min((behind + spent) / whole, 1.0) if whole else 0.0))

    try:
        judge.judge(row, tell)
    except KeyboardInterrupt:
        row.status, row.reason = "interrupted", "interrupted; the figures that it has are whole"
        return False
    return True


def _conclude(report: Report) -> None:
    for row in report.rows:
        if row.copying:
            report.warnings.append(f"{row.name} copies training {report.plan.noun}s: {row.copying}")
        if row.status in ("failed", "skipped"):
            report.warnings.append(f"{row.name}: {row.reason}")
        report.warnings += [f"{row.name}: {note}" for note in row.notes]


def fingerprint(*frames: pd.DataFrame | None) -> str:
    """Sixteen hex digits of the cells, names and dtypes of frames, the same on every machine."""
    import pandas as pd

    digest = hashlib.sha256()
    for frame in (f for f in frames if f is not None):
        digest.update(repr([(str(n), str(t)) for n, t in frame.dtypes.items()]).encode())
        for name in frame.columns:
            values = frame[name]
            plain = values.astype(object).map(str) if values.dtype == object else values
            digest.update(np.ascontiguousarray(pd.util.hash_pandas_object(plain, index=False).to_numpy()).tobytes())
    return digest.hexdigest()[:16]
