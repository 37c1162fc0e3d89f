"""What reading gives: a table, its target, its schema, and what was recognised; or pictures and their labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from begat.schema import Schema

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Data:
    """A person's table as begat understood it.

    frame: every column (n rows), numbers as numbers, dates as dates, missing cells as missing. schema: what each
    column is; it names the target, if there is one. name: a short name for reports. notes: what was recognised on
    the way, one sentence each.
    """

    frame: pd.DataFrame
    schema: Schema
    name: str
    notes: tuple[str, ...] = ()

    @property
    def X(self) -> pd.DataFrame:
        """The columns without the target, (n, columns)."""
        return self.frame if self.schema.target is None else self.frame.drop(columns=[self.schema.target])

    @property
    def y(self) -> pd.Series | None:
        """The target, (n,); None if there is none."""
        return None if self.schema.target is None else self.frame[self.schema.target]

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        target = "" if self.schema.target is None else f", target={self.schema.target!r}"
        return f"Data({self.name!r}, {len(self)} rows x {len(self.schema)} columns{target})"


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of one size.

    pixels: uint8, (n, h, w) of grey ones, else (n, h, w, 3), or (n, h, w, 4) with alpha. labels: (n,) or None. files:
    their names in the folder, in order; empty if they are from an array. notes: what was recognised, one sentence each.
    target: what the labels are called.
    """

    pixels: np.ndarray
    labels: np.ndarray | None = None
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    target: str = "label"


@dataclass(frozen=True, eq=False, repr=False)
class PictureData:
    """A person's pictures as begat understood them. name: a short name for reports."""

    pictures: Pictures
    name: str

    @cached_property
    def schema(self) -> Schema:
        """What each pixel is, x0, x1, ..., and how a picture has them; the labels are the target, by their name.

        Labels are classes, unless they are numbers with fractions. DataError for labels that are missing.
        """
        from begat.codecs.infer import infer_column
        from begat.codecs.pictures import schema_of

        made, y = schema_of(self.X, files=bool(self.files)), self.y
        if y is None:
            return made
        whole = y.dtype.kind != "f" or bool((y == y.round()).all())
        column = infer_column(self.pictures.target, y, kind="category" if whole else None, target=True)
        return replace(made, columns=(*made.columns, column), target=self.pictures.target)

    @property
    def X(self) -> np.ndarray:
        """The pixels, uint8 (n, h, w) or (n, h, w, channels)."""
        return self.pictures.pixels

    @property
    def y(self) -> np.ndarray | None:
        """The labels, (n,); None if there are none."""
        return self.pictures.labels

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files in the folder; empty if the pictures are from an array."""
        return self.pictures.files

    @property
    def notes(self) -> tuple[str, ...]:
        """What was recognised on the way, one sentence each."""
        return self.pictures.notes

    def __len__(self) -> int:
        return len(self.X)

    def __repr__(self) -> str:
        colours = {3: ", grey", 4: ", in colours"}[self.X.ndim]
        labels = "" if self.y is None else f", {len(set(self.y.tolist()))} labels"
        shape = f"{self.X.shape[1]} x {self.X.shape[2]}"
        return f"PictureData({self.name!r}, {len(self)} pictures of {shape} pixels{colours}{labels})"
