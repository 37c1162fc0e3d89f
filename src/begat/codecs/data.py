"""What reading gives: a table, its target, its schema, and what was recognised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from begat.schema import Schema

if TYPE_CHECKING:
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
