"""A table's missing cells replaced by drawn ones; every other cell stays as it is, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from begat.codecs import frame


def fill(X: Any, missing: Mapping[int, np.ndarray], drawn: Mapping[int, Any]) -> Any:
    """X with the cells of `missing` (n,), by place of the column, taken from the columns of `drawn`.

    drawn: columns of the same kind of container as X. A column keeps its dtype where that can hold the drawn values;
    floats always do, categories get the drawn levels they lack. Labels of rows and columns stay.
    """
    kind = frame.container(X)
    if kind == "numpy":
        return _array(X, missing, drawn)
    if kind == "polars":
        return X.with_columns([_polars(X.to_series(i), mask, drawn[i]) for i, mask in missing.items()])
    out = X.copy()
    for i, mask in missing.items():
        out.isetitem(i, _pandas(X.iloc[:, i], mask, drawn[i].iloc[np.flatnonzero(mask)]))
    return out


def _array(X: np.ndarray, missing: Mapping[int, np.ndarray], drawn: Mapping[int, Any]) -> np.ndarray:
    values = {i: drawn[i][mask] for i, mask in missing.items()}
    dtype = X.dtype
    if dtype.kind == "M":
        dtype = np.result_type(dtype, *(v.dtype for v in values.values()))
    out = X.astype(dtype)
    for i, mask in missing.items():
        out[mask, i] = values[i]
    return out


def _pandas(column: Any, mask: np.ndarray, new: Any) -> Any:
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        known, levels = column.cat.categories, pd.unique(new.astype(object))
        column = column.cat.add_categories([level for level in levels if level not in known])
        new = new.astype(column.dtype)
    for dtype in (column.dtype, new.dtype, object):
        try:
            held = new.astype(dtype)
            if held.dtype.kind not in "fO" and not held.astype(new.dtype).equals(new):
                continue
            made = column.astype(dtype).array.copy()
            made[mask] = held.array
            return pd.Series(made, index=column.index, copy=False)
        except (TypeError, ValueError):
            continue
    raise AssertionError("a column of objects holds anything")


def _polars(column: Any, mask: np.ndarray, new: Any) -> Any:
    import polars as pl

    where, dtype = pl.Series(mask), new.dtype
    if column.dtype.is_float() and dtype.is_numeric():
        dtype = column.dtype
    else:
        try:
            some = new.filter(where)
            dtype = column.dtype if some.cast(column.dtype).cast(dtype).equals(some) else dtype
        except pl.exceptions.PolarsError:
            pass  # the column's own type lacks a level that was drawn
    return new.cast(dtype).zip_with(where, column.cast(dtype)).alias(column.name)
