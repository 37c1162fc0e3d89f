"""One column of a frame of any make, as numpy: the only form in which the rest of begat sees a column."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from begat.codecs.dates import ends
from begat.errors import DataError
from begat.schema import HALF, Scalar, half_of_a_pair

Container = Literal["pandas", "polars", "numpy"]
Family = Literal["words", "numbers", "booleans", "dates"]


@dataclass(frozen=True)
class Cells:
    """The n cells of one column.

    dtype: what the frame calls the column's type, so that it can be built again. values: (n,) floats, integers,
    booleans, dates (datetime64, UTC where the dtype has a time zone), or, where `levels` is given, codes into them.
    Missing is NaN in floats, NaT in dates, -1 in codes, and marked by `mask` (n,) in integers and booleans. ordered:
    whether the frame itself declares the order of the levels.
    """

    dtype: str
    values: np.ndarray
    levels: tuple[Scalar, ...] | None = None
    mask: np.ndarray | None = None
    ordered: bool = False

    def __len__(self) -> int:
        return len(self.values)

    @property
    def family(self) -> Family:
        if self.levels is not None:
            return "words"
        kind = self.values.dtype.kind
        return "dates" if kind == "M" else "booleans" if kind == "b" else "numbers"

    @cached_property
    def textual(self) -> bool:
        """Whether the cells are words that may spell numbers or dates: text, not a declared category."""
        return self.levels is not None and not self.categorical and all(isinstance(v, str) for v in self.levels)

    @property
    def categorical(self) -> bool:
        """Whether the frame declares the levels."""
        return declares(self.dtype)

    @property
    def zone(self) -> str | None:
        """The time zone of dates."""
        found = re.search(r"\[\w+, (?:tz=)?([^\]]+)\]", self.dtype)
        return found[1] if found and self.values.dtype.kind == "M" else None

    def missing(self) -> np.ndarray | None:
        """(n,) True where a cell is missing; None where none is."""
        values = self.values
        if self.levels is not None:
            absent = values < 0 if len(values) and values.min() < 0 else None
        elif values.dtype.kind == "f":
            # NaN spreads through a minimum: one cheap pass for the usual case of no missing value
            absent = np.isnan(values) if len(values) and np.isnan(values.min()) else None
        elif values.dtype.kind == "M":
            absent = np.isnat(values)
        else:
            absent = self.mask
        return absent if absent is not None and absent.any() else None

    def take(self, rows: slice | np.ndarray) -> Cells:
        return replace(self, values=self.values[rows], mask=None if self.mask is None else self.mask[rows])

    def objects(self, absent: Any = None) -> np.ndarray:
        """(n,) Python scalars, `absent` where missing."""
        if self.levels is not None:
            table = np.empty(len(self.levels) + 1, dtype=object)
            table[:-1] = [int(v) for v in self.levels] if self.dtype == INTEGERS else self.levels
            table[-1] = absent
            return table[self.values]
        out = self.values.astype(object)
        gone = self.missing()
        if gone is not None:
            out[gone] = absent
        return out


INTEGERS = "object[int]"
"""The type of a column of Python's integers; those that no number type holds are words of digits."""


def declares(dtype: str) -> bool:
    """Whether a frame's type of column declares its levels."""
    return dtype.startswith(("category", "Categorical", "Enum", "dictionary<"))


def words(values: np.ndarray, dtype: str = "object") -> Cells:
    """Cells of text or mixed scalars from an object array whose missing cells are None."""
    import pandas as pd

    codes, found = pd.factorize(values, use_na_sentinel=True)
    return Cells(dtype, codes, tuple(found.tolist()))


def text_cells(text: Any, dtype: str) -> Cells:
    """Cells of an Arrow column of text."""
    found = text.dictionary_encode()
    found = found if hasattr(found, "indices") else found.combine_chunks()
    codes = found.indices.fill_null(-1) if found.null_count else found.indices
    return Cells(dtype, codes.to_numpy(zero_copy_only=False), tuple(found.dictionary.to_pylist()))


def cells(values: Any, name: object = "values") -> Cells:
    """The cells of a pandas, polars or pyarrow column, a one-dimensional array or a list.

    DataError, with column and row: a cell that is not a number, text, a boolean, a date or missing, text with half of
    a surrogate pair, an infinity among words, a date that calendars do not hold.
    """
    if isinstance(values, Cells):
        return values
    try:
        made = _read(values, name)
    except UnicodeEncodeError as error:
        raise DataError(f"column {name!r}: {error.object[error.start : error.end]!r} {HALF}") from None
    if made.levels is not None:
        _check_levels(made, name)
    elif made.family == "dates":
        _check_dates(made, name)
    return made


def _read(values: Any, name: object) -> Cells:
    pandas, polars, arrow = (sys.modules.get(m) for m in ("pandas", "polars", "pyarrow"))
    if arrow and isinstance(values, (arrow.Array, arrow.ChunkedArray)):
        from begat.codecs.in_arrow import from_arrow

        return from_arrow(values, name)
    if pandas and isinstance(values, (pandas.Series, pandas.Index, pandas.api.extensions.ExtensionArray)):
        from begat.codecs.in_pandas import from_pandas

        return from_pandas(values if isinstance(values, pandas.Series) else pandas.Series(values), name)
    if polars and isinstance(values, polars.Series):
        from begat.codecs.in_polars import from_polars

        return from_polars(values, name)
    from begat.codecs.in_numpy import from_numpy, from_objects

    if not isinstance(values, np.ndarray):
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise DataError(f"column {name!r} is {type(values).__name__}; expected one value for each row")
        listed = list(values)
        values = np.empty(len(listed), dtype=object)
        for i, v in enumerate(listed):
            values[i] = v
        return from_objects(values, "object", name)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(f"column {name!r} has shape {values.shape}; expected one value for each row, shape (n,)")
    return from_numpy(values, str(values.dtype), name)


def _check_levels(made: Cells, name: object) -> None:
    assert made.levels is not None
    endless = next((i for i, v in enumerate(made.levels) if isinstance(v, float) and abs(v) == np.inf), None)
    half = None if endless is not None else half_of_a_pair(made.levels)
    if half is not None or endless is not None:
        code = made.levels.index(half) if half is not None else endless
        row = int(np.argmax(made.values == code))
        what = f"{half!r} {HALF}" if half is not None else "infinity; replace it by a number, or by a missing value"
        raise DataError(f"column {name!r}, row {row}: {what}")


def _check_dates(made: Cells, name: object) -> None:
    unit = np.datetime_data(made.values.dtype)[0]
    first, last = (end.astype(f"datetime64[{unit}]") for end in ends(unit, made.zone))
    if len(made) and (np.fmin.reduce(made.values) < first or np.fmax.reduce(made.values) > last):
        row = int(np.argmax((made.values < first) | (made.values > last)))
        raise DataError(
            f"column {name!r}, row {row}: a date before {first} or after {last} (UTC), which calendars do not hold; "
            "replace it by a missing value"
        )
