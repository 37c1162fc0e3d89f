"""The pictures that are compared on: a table whose columns are pixels, with the label as target."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from begat.codecs import pictures
from begat.codecs.data import Data, PictureData
from begat.codecs.infer import infer_column
from begat.codecs.read_pictures import read_pictures
from begat.compare.table import Table, as_pandas
from begat.errors import DataError
from begat.estimators.target import split as target_of
from begat.schema import Schema

if TYPE_CHECKING:
    import pandas as pd


def shows_pictures(X: Any) -> bool:
    """Whether these are pictures: what reading them gave, an array of three or four axes, pictures of Pillow."""
    return isinstance(X, PictureData) or (not isinstance(X, Data) and pictures.array_of(X) is not None)


def picture_table(X: Any, y: Any = None, *, test: Any = None, task: str = "auto") -> Table:
    """One frame and one schema of pictures X (n, h, w) or (n, h, w, channels) with labels y (n,), or of a PictureData.

    test: more of them, a PictureData or a pair (X, y). Pictures without a label are left out and counted in the notes.
    DataError for what are no pictures, labels that do not fit, and test pictures of other sides.
    """
    stated = X.schema if isinstance(X, PictureData) and (y is None or isinstance(y, str)) else None
    pixels, labels, name = _parts(X, y, "X")
    every, notes = pixels, list[str]()
    more = test if isinstance(test, tuple) and len(test) == 2 else (test, None)
    held = None if test is None else _parts(more[0], more[1], "the test")
    if held is not None:
        if held[0].shape[1:] != pixels.shape[1:]:
            sides = [pictures.sides(each.shape[1:]) for each in (held[0], pixels)]
            raise DataError(f"the test has pictures of {sides[0]}, X of {sides[1]}; give those of one size")
        if held[1] is None and labels is not None:
            raise DataError("X has labels and the test has none; give them too, or none of both")
        every = np.concatenate([pixels, held[0]])
    schema = pictures.schema_of(every, files=isinstance(X, PictureData) and bool(X.files))
    goal = target_of(pictures.flat(pixels), labels, task, stated)
    target = None if labels is None or goal.role == "density" else name
    frame = _frame(pixels, labels, target, "pictures", notes)
    given = None if held is None else _frame(held[0], held[1], target, "test pictures", notes)
    if target is not None:
        whole = [label for part in (frame, given) if part is not None for label in part[target].tolist()]
        kind = "category" if goal.role == "classification" else None
        column = infer_column(target, np.array(whole), kind=kind, target=True)
        if kind is not None:
            column = replace(column, levels=tuple(sorted(column.levels or ())))
        schema = replace(schema, columns=(*schema.columns, column), target=target)
    return Table(frame, given, frame[[]], schema, goal.role, target, tuple(notes))


def _frame(pixels: np.ndarray, labels: Any, target: str | None, what: str, notes: list[str]) -> pd.DataFrame:
    """Pictures as rows of pixels with their labels; those without one are left out, and noted."""
    frame = as_pandas(pictures.flat(pixels))
    if target is None:
        return frame
    frame[target] = labels.to_numpy() if hasattr(labels, "to_numpy") else np.asarray(labels)
    gone = frame[target].isna()
    if gone.all():
        raise DataError(f"all {what} lack a label; give y, or leave it out")
    if gone.any():
        notes.append(f"{int(gone.sum())} {what} without a label are left out")
    return frame[~gone].reset_index(drop=True)


def no_columns(**given: Any) -> None:
    """Refuse what names columns of a table; DataError."""
    for word, value in given.items():
        if value is not None and value != () and value != {}:
            raise DataError(f"{word}={value!r} is of the columns of a table, but pictures are compared; leave it out")


def rows_of(made: Any, schema: Schema) -> pd.DataFrame:
    """Somebody's pictures as rows of pixels: an array, a PictureData or a file, for a schema of pictures."""
    if isinstance(made, str | Path):
        made = read_pictures(made, schema)
    shown = made.X if isinstance(made, PictureData) else pictures.array_of(made)
    if shown is None:
        return as_pandas(made)
    pictures.fits(shown.shape[1:], schema.picture)
    return as_pandas(pictures.flat(shown))


def _parts(X: Any, y: Any, what: str) -> tuple[np.ndarray, Any, str]:
    """Pictures, their labels, and what these are called."""
    name = getattr(y, "name", None)
    if isinstance(X, PictureData):
        if isinstance(y, str) and X.y is not None:
            if y != X.pictures.target:
                raise DataError(f"the labels of {X.name} are called {X.pictures.target!r}, not {y!r}")
            y = None
        name = X.pictures.target if y is None else name
        X, y = X.X, X.y if y is None else y
    shown = pictures.array_of(X)
    if shown is None:
        raise DataError(f"{what} is {type(X).__name__}, but pictures are compared; give {pictures.SIDES}")
    if isinstance(y, str | int):
        raise DataError(f"y is {y!r}, but pictures have no column of that name; give their labels (n,)")
    if y is not None and len(y) != len(shown):
        raise DataError(f"y has {len(y)} values but {what} has {len(shown)} pictures; give one for each")
    return shown, y, name if isinstance(name, str) and not name.startswith("x") else "label"
