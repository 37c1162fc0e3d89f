"""Text that spells numbers and dates turned into numbers and dates, as a schema says."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from begat.codecs.infer import infer_column
from begat.codecs.spelling import missing_in, parse, plain, plain_numbers
from begat.errors import DataError
from begat.schema import Column, Schema, TextFormat

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def typed(table: pd.DataFrame | pa.Table, schema: Schema, first: int = 0) -> pd.DataFrame:
    """The columns of the schema, those of text converted: numbers, dates, words; missing tokens are missing.

    DataError names column, row (counted from `first`) and word where a cell is not in the column's format.
    """
    import pandas as pd

    columns: dict[str | int, Any] = {}
    frame = isinstance(table, pd.DataFrame)
    held = dict(table.items() if frame else zip(table.column_names, table.columns, strict=True))
    for column in schema:
        name = column.name
        values = held[name]
        if is_text(values):
            made, bad = convert(values, column)
            if bad is not None:
                raise DataError(unreadable(column, first + bad, word_at(values, bad)))
            columns[name] = made
        else:
            columns[name] = values if isinstance(values, pd.Series) else values.to_pandas()
    return pd.DataFrame(columns)


def natural(schema: Schema, table: pd.DataFrame) -> Schema:
    """The schema of text (n rows of it in `table`) as the schema of what `typed` makes of it.

    Levels that are whole numbers in plain digits become numbers, dtypes those of numbers and dates, and a stated column
    of numbers or dates whose schema does not say how text spells it gets that from the text.
    """
    held = dict(table.items())
    return replace(schema, columns=tuple(_natural(c, held[c.name]) if is_text(held[c.name]) else c for c in schema))


def natural_dtype(column: Column) -> str:
    """The dtype of a converted column of text: integers with missing cells are float64, words are str."""
    if column.kind == "datetime":
        form = (column.text or TextFormat()).date
        unit = "ns" if any(f"%{n}f" in form for n in (7, 8, 9)) or column.tick == "nanosecond" else "us"
        return f"datetime64[{unit}, UTC]" if "%z" in form else f"datetime64[{unit}]"
    if column.kind in ("count", "integer") or _whole_levels(column):
        return "float64" if column.missing else "int64"
    return "float64" if column.numeric else "str"


def _natural(column: Column, values: Any) -> Column:
    if column.text is None and (column.numeric or column.kind == "datetime"):
        said = infer_column(column.name, values, kind=column.kind).text
        column = replace(column, text=said)
    levels, text = column.levels or (), column.text
    if levels and all(isinstance(v, str) and re.fullmatch(r"0|-?[1-9]\d{0,14}", v) for v in levels):
        whole = tuple(int(v) for v in levels)
        column = replace(column, levels=tuple(sorted(whole)) if levels == tuple(sorted(levels)) else whole)
        text = text or TextFormat()
    text = None if text is None else replace(text, read=True)
    return replace(column, text=text, dtype=natural_dtype(column))


def _whole_levels(column: Column) -> bool:
    return bool(column.levels) and all(type(v) is int for v in column.levels or ())


def is_text(values: Any) -> bool:
    """Whether a column (pandas or Arrow) holds text: not categories, not a mixture."""
    import pandas as pd
    import pyarrow as pa

    if isinstance(values, pd.Series):
        return isinstance(values.dtype, pd.StringDtype) or (
            values.dtype == object and pd.api.types.infer_dtype(values, skipna=True) == "string"
        )
    return pa.types.is_string(values.type) or pa.types.is_large_string(values.type)


def convert(values: Any, column: Column) -> tuple[Any, int | None]:
    """A column of text (n,) as its kind says, and the first row that is not in its format (None: all are)."""
    import pandas as pd

    if column.kind == "datetime":
        dates = parse(values, column)
        unit, _, zone = natural_dtype(column)[len("datetime64[") : -1].partition(", ")
        made = dates.astype(f"datetime64[{unit}]")
        moments = pd.DatetimeIndex(made).tz_localize(zone).array if zone else made
        return moments, _first_unreadable(values, column, np.isnat(dates))
    whole = _whole_levels(column)
    if not column.numeric and not whole:
        return _words(values, column), None
    numbers, bad = _quick(values, column), None
    if numbers is None:
        numbers = parse(values, column)
        bad = _first_unreadable(values, column, np.isnan(numbers))
    whole = (whole or column.kind in ("count", "integer")) and not column.missing and bad is None
    if whole and (numbers == np.rint(numbers)).all():  # False where one is missing
        numbers = numbers.astype(np.int64)
    return numbers, bad


def unreadable(column: Column, row: int, word: str) -> str:
    """What to say of a cell that is not in its column's format."""
    what = "a date" if column.kind == "datetime" else "a number"
    return (
        f"column {column.name!r}, row {row}: {word[:40]!r} is not {what} like the rest; correct it, or read the column "
        f"as words with kinds={{{column.name!r}: 'category'}}"
    )


def word_at(values: Any, row: int) -> str:
    cell = values.iloc[row] if hasattr(values, "iloc") else values[row].as_py()
    return str(cell)


def _arrow(values: Any) -> pa.Array:
    import pyarrow as pa

    made = values if isinstance(values, pa.ChunkedArray) else pa.array(values, pa.string(), from_pandas=True)
    return made.combine_chunks() if isinstance(made, pa.ChunkedArray) else made


def _quick(values: Any, column: Column) -> np.ndarray | None:
    """Numbers in plain spelling, read by Arrow's own parser; None where some cell needs a closer look."""
    import pyarrow as pa
    import pyarrow.compute as pc

    form = column.text or TextFormat()
    if not plain(form):
        return None
    text = _arrow(values)
    tokens = pa.array(sorted({"", form.missing}), pa.string())
    return plain_numbers(pc.if_else(pc.is_in(text, tokens), pa.scalar(None, pa.string()), text))


def _words(values: Any, column: Column) -> pd.Series:
    """Text as it is, with missing where a token stands for it and is no level of the column."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    text = _arrow(values)
    distinct = pc.unique(text).drop_null()
    words = distinct.to_pylist()
    levels = set(column.levels or ())
    gaps = missing_in(column, words) if words else ()
    tokens = [w for w, gone in zip(words, gaps, strict=True) if gone and w not in levels]
    if tokens:
        text = pc.if_else(pc.is_in(text, pa.array(tokens, pa.string())), pa.scalar(None, pa.string()), text)
    return text.to_pandas() if tokens or not isinstance(values, pd.Series) else values.reset_index(drop=True)


def _first_unreadable(values: Any, column: Column, absent: np.ndarray) -> int | None:
    """The first row that was not read although its word does not stand for a missing value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not absent.any():
        return None
    rows = np.flatnonzero(absent)
    found = pc.dictionary_encode(_arrow(values).take(pa.array(rows)))
    words = found.dictionary.to_pylist()
    missing = np.append(missing_in(column, words) if words else np.empty(0, bool), True)
    known = missing[found.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)]
    return None if known.all() else int(rows[np.argmin(known)])
