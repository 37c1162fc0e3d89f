"""The table that is compared on: one pandas frame with the target in it, one schema, the task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from begat.codecs import frame as border
from begat.codecs.data import Data
from begat.codecs.infer import infer
from begat.errors import DataError, SchemaError, did_you_mean
from begat.estimators.target import Role
from begat.estimators.target import split as target_of
from begat.schema import Schema

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Table:
    """frame: every modelled column (n, D), the target among them. test: as many columns, or None.

    aside: columns that only say how to split. target: its name, or None. notes: what was done on the way. Of pictures
    the columns are their pixels, and the schema says how a picture has them.
    """

    frame: pd.DataFrame
    test: pd.DataFrame | None
    aside: pd.DataFrame
    schema: Schema
    role: Role
    target: str | int | None
    notes: tuple[str, ...]

    @property
    def classes(self) -> bool:
        return self.role == "classification"

    @property
    def picture(self) -> tuple[int, ...] | None:
        """(height, width) or (height, width, channels) where rows are pictures."""
        return self.schema.picture

    @property
    def noun(self) -> str:
        """What a row is."""
        return "row" if self.picture is None else "picture"


def table(
    X: Any,
    y: Any = None,
    *,
    test: Any = None,
    group: str | int | None = None,
    time: str | int | None = None,
    schema: Schema | dict[str, Any] | None = None,
    kinds: Mapping[str | int, str] | None = None,
    drop: Iterable[str | int] = (),
    task: str = "auto",
) -> Table:
    """One frame and one schema from what a person has; the schema is inferred once, on all rows with the test's.

    X: a Data, a frame, an array or a mapping of columns. y: an array, or the name of a column of X. test: a table
    with the same columns (and the target), or a pair (X, y). The group column is not modelled. Rows without a target
    are left out and counted in the notes. Raises DataError and SchemaError.
    """
    import pandas as pd

    if isinstance(X, Data):
        y = X.schema.target if y is None else y
        schema = X.schema if schema is None else schema
        X = X.frame
    schema = Schema.from_dict(schema) if isinstance(schema, dict) else schema
    kinds, drop = dict(kinds or {}), [*drop, *([group] if group is not None else [])]
    if schema is not None:  # what is said here is newer than the schema
        kept = [n for n in schema.names if n not in kinds and n not in drop]
        y = schema.target if y is None else y
        schema = schema.only(kept) if kept else None
    raw = border.as_frame(X)
    goal = target_of(raw, y, task, schema)
    target, frame = goal.name, as_pandas(raw)
    if group is not None and group == target:
        raise DataError(
            f"{group!r} is the target and the group: held-out rows would be of unknown classes; choose others"
        )
    if target is not None and target not in frame.columns:
        frame[target] = _series(goal.values)
    given = None if test is None else _test(test, frame, target)
    notes = []
    for name in drop:
        if name not in frame.columns:
            purpose = "group by" if name == group else "leave out"
            raise DataError(f"no column {name!r} to {purpose}{did_you_mean(name, frame.columns)}")
    if group is not None:
        notes.append(f"the group column {group!r} is not modelled; errors take rows for independent and are too small")
    frame, notes_of = _with_target(frame, target, "rows")
    notes += notes_of
    if given is not None:
        given, notes_of = _with_target(given, target, "test rows")
        notes += notes_of
    every = frame if given is None else pd.concat([frame, given], ignore_index=True)
    schema = _schema(raw, every, given is None and len(every) == len(raw), schema, kinds, drop, target, goal.role)
    for column in schema:
        if not column.scored:
            notes.append(f"column {column.name!r} ({column.kind}) is in no figure")
    names = list(schema.names)
    aside = frame[[n for n in (group, time) if n is not None and n in frame.columns]]
    test_frame = None if given is None else given[names]
    return Table(frame[names], test_frame, aside, schema, goal.role, target, tuple(notes))


def as_pandas(X: Any) -> pd.DataFrame:
    """A pandas frame of the same columns and a fresh index; arrays get the names x0, x1, ..."""
    import pandas as pd

    X = border.as_frame(X)
    if isinstance(X, np.ndarray):
        return pd.DataFrame(X, columns=list(border.names(X)))
    out = X.copy(deep=False) if isinstance(X, pd.DataFrame) else X.to_pandas()
    out.columns = pd.Index(list(border.names(X)))
    return out.reset_index(drop=True)


def _series(values: Any) -> pd.Series:
    import pandas as pd

    if isinstance(values, pd.Series):
        return values.reset_index(drop=True)
    return values.to_pandas() if hasattr(values, "to_pandas") else pd.Series(np.asarray(values))


def _test(test: Any, frame: pd.DataFrame, target: str | int | None) -> pd.DataFrame:
    if isinstance(test, Data):
        test = test.frame
    if isinstance(test, tuple) and len(test) == 2:
        rows, goal = as_pandas(test[0]), _series(test[1])
        if len(rows) != len(goal):
            raise DataError(f"the test's y has {len(goal)} values for {len(rows)} rows")
        rows[target] = goal
    else:
        rows = as_pandas(test)
    missing = [n for n in frame.columns if n not in rows.columns]
    if missing:
        raise DataError(f"the test rows have no column {missing[0]!r}{did_you_mean(missing[0], rows.columns)}")
    return rows[list(frame.columns)]


def _with_target(frame: pd.DataFrame, target: str | int | None, what: str) -> tuple[pd.DataFrame, list[str]]:
    if target is None:
        return frame, []
    gone = frame[target].isna()
    if not gone.any():
        return frame, []
    if gone.all():
        raise DataError(f"the target {target!r} is missing in all {what}")
    return frame[~gone].reset_index(drop=True), [f"{int(gone.sum())} {what} without a target are left out"]


def _schema(
    raw: Any,
    every: pd.DataFrame,
    whole: bool,
    schema: Schema | None,
    kinds: dict[str | int, str],
    drop: list[str | int],
    target: str | int | None,
    role: Role,
) -> Schema:
    """The schema of all columns. An array declares its columns' kinds by its dtype; the target's kind fits the task."""
    if isinstance(raw, np.ndarray) and whole:
        found = infer(raw, kinds={k: v for k, v in kinds.items() if k != target}, drop=drop, schema=schema)
        if target is not None and target not in found.names:
            beside = infer({target: every[target]}, kinds={k: v for k, v in kinds.items() if k == target})
            found = Schema((*found.columns, *beside.columns))
    else:
        found = infer(every, kinds=kinds, drop=drop, schema=schema, target=target)
    if target is not None and role == "classification" and not found[target].coded:
        beside = infer({target: every[target]}, kinds={target: "category"})
        found = Schema(tuple(beside.columns[0] if c.name == target else c for c in found), None)
    if target is not None and role == "regression" and found[target].coded:
        beside = infer({target: every[target]}, kinds={target: "continuous"})
        found = Schema(tuple(beside.columns[0] if c.name == target else c for c in found), None)
    if target is not None and not found[target].scored:
        raise SchemaError(
            f"the target {target!r} is {found[target].kind} ({found[target].why}); choose another, or state its kind"
        )
    if target is not None:  # rows without a target are left out, so that it is missing is no event
        found = found.change(target, missing=False, missing_share=0.0)
    return replace(found, target=target, container="pandas")
