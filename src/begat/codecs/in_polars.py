"""Columns of polars: their cells, and columns from cells."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from begat.codecs.cells import Cells, text_cells
from begat.codecs.in_numpy import from_objects, narrowed
from begat.errors import DataError

NAN = "[NaN]"
"""Marks the type of a column of floats whose missing cells are NaN, not null."""


def from_polars(column: Any, name: object) -> Cells:
    """The cells of a polars series. NaN and null are both missing."""
    import polars as pl

    dtype = column.dtype
    said = str(dtype)
    absent = column.is_null().to_numpy() if column.null_count() else None
    if dtype.is_float():
        return Cells(said + NAN * (absent is None and column.is_nan().any()), column.to_numpy())
    if (dtype.is_integer() and dtype not in (pl.Int128, pl.UInt128)) or dtype == pl.Boolean:
        return Cells(said, column.fill_null(0 if dtype.is_integer() else False).to_numpy(), mask=absent)
    if dtype == pl.Enum:
        levels = tuple(dtype.categories.to_list())
        codes = column.to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
        return Cells("Enum", codes, levels)
    if dtype in (pl.String, pl.Categorical):
        text = column.cast(pl.String).to_arrow(compat_level=pl.CompatLevel.oldest())
        return text_cells(text, "Categorical" if dtype == pl.Categorical else said)
    if dtype in (pl.Date, pl.Datetime):
        unit = "D" if dtype == pl.Date else dtype.time_unit
        ticks = column.to_physical().cast(pl.Int64).fill_null(np.iinfo(np.int64).min).to_numpy()
        if dtype != pl.Date:
            said = f"Datetime[{unit}, {dtype.time_zone}]" if dtype.time_zone else f"Datetime[{unit}]"
        return Cells(said, ticks.view(f"datetime64[{unit}]"))
    if dtype.is_decimal():
        return Cells(f"Decimal[{dtype.precision}, {dtype.scale}]", column.cast(pl.Float64).to_numpy())
    if dtype == pl.Object:
        return replace(from_objects(np.array(column.to_list(), dtype=object), said, name), dtype=said)
    if dtype == pl.Null:
        return Cells(said, np.full(len(column), -1, dtype=np.int32), ())
    raise DataError(f"column {name!r} has type {said}; convert it to numbers, text, dates or categories")


# back -------------------------------------------------------------------------------------------------------------
def to_polars(c: Cells, name: str) -> Any:
    """A column as what polars calls its dtype; names of pandas and numpy are translated."""
    import polars as pl

    said = c.dtype
    if c.levels is not None:
        textual = all(isinstance(v, str) for v in c.levels)
        if not textual:
            same = len({type(v) for v in c.levels}) < 2
            return pl.Series(name, c.objects().tolist(), dtype=None if same else pl.Object)
        made = pl.Series(name, replace(c, dtype="String").objects().tolist(), dtype=pl.String)
        if said == "Enum" or c.ordered:
            return made.cast(pl.Enum([str(v) for v in c.levels]))
        return made.cast(pl.Categorical) if c.categorical else made.cast(pl.Null) if said == "Null" else made
    absent = c.missing()
    if c.family == "dates":
        day = said in ("Date", "object[date]") or said.startswith(("date32", "date64"))
        unit = np.datetime_data(c.values.dtype)[0]
        unit = unit if unit in ("ms", "us", "ns") else "us"
        made = pl.Series(name, c.values.astype(f"datetime64[{unit}]"))
        if c.zone:
            made = made.dt.replace_time_zone("UTC")
            with suppress(pl.exceptions.ComputeError):  # polars knows no zone such as +05:30
                made = made.dt.convert_time_zone(c.zone)
        return made.cast(pl.Date) if day else made
    if said.startswith("Decimal"):
        precision, scale = (int(v) for v in said[8:-1].split(","))
        most = (10.0**precision - 1) / 10.0**scale
        return pl.Series(name, np.clip(c.values, -most, most), nan_to_null=True).cast(pl.Decimal(precision, scale))
    made = pl.Series(name, narrowed(c), nan_to_null=not said.endswith(NAN))
    return made if absent is None or c.values.dtype.kind == "f" else made.set(pl.Series(absent), None)
