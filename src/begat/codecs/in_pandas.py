"""Columns of pandas: their cells, and columns from cells."""

from __future__ import annotations

import decimal
import re
from typing import Any

import numpy as np

from begat.codecs.cells import Cells, text_cells
from begat.codecs.in_arrow import arrow_type, from_arrow, to_arrow
from begat.codecs.in_numpy import from_numpy, narrowed
from begat.errors import DataError
from begat.schema import Scalar


def from_pandas(column: Any, name: object) -> Cells:
    """The cells of a series."""
    import pandas as pd

    dtype = column.dtype
    said = str(dtype)
    if isinstance(dtype, pd.CategoricalDtype):
        levels, natural = scalar_levels(dtype.categories)
        notes = [str(dtype.categories.dtype)] * (not natural) + ["ordered"] * bool(dtype.ordered)
        said = f"category[{', '.join(notes)}]" if notes else "category"
        return Cells(said, column.cat.codes.to_numpy(), levels, ordered=bool(dtype.ordered))
    if isinstance(dtype, np.dtype):
        return from_numpy(column.to_numpy(), said, name)
    if isinstance(dtype, pd.DatetimeTZDtype):
        plain = column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        return Cells(re.sub(r"tzfile\('.*?zoneinfo/(.*?)'\)", r"\1", said), plain)
    if isinstance(dtype, pd.StringDtype):
        import pyarrow as pa

        return text_cells(pa.array(column, from_pandas=True), said)
    if isinstance(dtype, pd.ArrowDtype):
        import pyarrow as pa

        return from_arrow(pa.chunked_array(column.array.__arrow_array__()), name, said)
    if isinstance(dtype, pd.SparseDtype):
        return from_numpy(np.asarray(column), said, name)
    inner = getattr(dtype, "numpy_dtype", None)
    if inner is not None and inner.kind in "iufb":
        absent = column.isna().to_numpy()
        if inner.kind == "f":
            return Cells(said, column.to_numpy(dtype=inner, na_value=np.nan))
        return Cells(said, column.to_numpy(dtype=inner, na_value=0), mask=absent if absent.any() else None)
    raise DataError(f"column {name!r} has type {said}; convert it to numbers, text, dates or categories")


def scalar_levels(categories: Any) -> tuple[tuple[Scalar, ...], bool]:
    """Declared categories as plain scalars, intervals and dates as their text; whether these alone tell their type."""
    import pandas as pd

    plain = categories.tolist()
    if not all(isinstance(v, (str, int, float, bool)) for v in plain):
        return tuple(str(v) for v in plain), False
    return tuple(plain), str(pd.Index(plain).dtype) == str(categories.dtype)


# back -------------------------------------------------------------------------------------------------------------
def to_pandas(c: Cells) -> Any:
    """A column as what pandas calls its dtype; names of polars are translated."""
    import pandas as pd

    said = c.dtype
    if said.endswith("[pyarrow]") and arrow_type(said) is not None:
        return pd.arrays.ArrowExtensionArray(to_arrow(c))
    if c.categorical and c.levels is not None:
        return pd.Categorical.from_codes(c.values, categories=_categories(c.levels, said), ordered=c.ordered)
    if said == "object[date]":
        return pd.array(c.values.astype("datetime64[D]").astype(object), dtype=object)
    if said == "object[decimal]":
        return pd.array([None if v != v else decimal.Decimal(repr(v)) for v in c.values.tolist()], dtype=object)
    if said.startswith("object"):
        return pd.Series(c.objects(), dtype=object)
    if c.levels is not None:
        textual = all(isinstance(v, str) for v in c.levels)
        known = said if "string" in said else "str"
        return pd.Series(c.objects(), dtype=known if textual else object)
    if c.family == "dates":
        return _dates(c)
    if c.values.dtype.kind == "f":
        return _typed(pd.array(narrowed(c)) if said.startswith("Float") else pd.Series(narrowed(c)), said)
    masked = c.mask is not None and c.mask.any()
    whole = narrowed(c)
    nullable = pd.array(whole)
    if masked:
        nullable[c.mask] = pd.NA
    return _typed(nullable if masked else pd.Series(whole), said)


def _categories(levels: tuple[Scalar, ...], dtype: str) -> Any:
    """Declared categories of the type that the column's dtype names, if it names one: "category[int8, ordered]"."""
    import pandas as pd

    named = re.fullmatch(r"category\[(.*?)(?:, )?(?:ordered)?\]", dtype)
    if named is None or not named[1]:
        return pd.Index(list(levels))
    try:
        kind = pd.api.types.pandas_dtype(named[1])
        if isinstance(kind, pd.IntervalDtype):
            pairs = [re.fullmatch(r"[\[(](.+), (.+)[\])]", str(v)).groups() for v in levels]  # type: ignore[union-attr]
            low, high = (_index([pair[end] for pair in pairs], kind.subtype) for end in (0, 1))
            return pd.IntervalIndex.from_arrays(low, high, closed=kind.closed, dtype=kind)
        return _index(list(levels), kind)
    except (TypeError, ValueError, AttributeError):
        return pd.Index(list(levels))


def _index(values: list[Any], kind: Any) -> Any:
    """An index of this type from numbers, or from the text of dates and numbers."""
    import pandas as pd

    if isinstance(kind, pd.DatetimeTZDtype):
        return pd.to_datetime(values, utc=True).tz_convert(kind.tz).as_unit(kind.unit)
    dates = getattr(kind, "kind", "") == "M"
    return pd.DatetimeIndex(values).astype(kind) if dates else pd.Index(values).astype(kind)


def _typed(made: Any, said: str) -> Any:
    """The column under the name it had, where pandas knows the name and the values allow it."""
    try:
        return made.astype({"Boolean": "boolean"}.get(said, said))
    except (TypeError, ValueError):
        return made


def _dates(c: Cells) -> Any:
    import pandas as pd

    unit = np.datetime_data(c.values.dtype)[0]
    made = pd.Series(c.values.astype(f"datetime64[{unit if unit in ('s', 'ms', 'us', 'ns') else 's'}]"))
    if c.zone:
        made = made.dt.tz_localize("UTC").dt.tz_convert(c.zone)
    return _typed(made, c.dtype.replace("Datetime[", "datetime64["))
