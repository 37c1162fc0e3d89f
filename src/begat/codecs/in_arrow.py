"""Columns of Arrow: their cells, and columns from cells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from begat.codecs.cells import Cells, text_cells
from begat.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

ENDING = "[pyarrow]"
"""What pandas adds to the name of a type of Arrow."""


def from_arrow(column: pa.Array | pa.ChunkedArray, name: object, dtype: str | None = None) -> Cells:
    """The cells of an Arrow column; a dictionary is one of declared categories. NaN and null are both missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    t, kind = pa.types, column.type
    said = dtype or f"{kind}{ENDING}"
    if isinstance(column, pa.ChunkedArray):
        column = (column.unify_dictionaries() if t.is_dictionary(kind) else column).combine_chunks()
    if t.is_null(kind):
        return Cells(said, np.full(len(column), -1, dtype=np.int32), ())
    if t.is_dictionary(kind):
        return _categories(column, said, name)
    if t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind):
        if t.is_string_view(kind):  # which pandas itself hardly knows
            column, said = column.cast(pa.large_string()), f"large_string{ENDING}"
        return text_cells(column, said)
    gone = column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None
    if t.is_boolean(kind) or t.is_integer(kind):
        blank = pa.scalar(False if t.is_boolean(kind) else 0, kind)
        return Cells(said, pc.fill_null(column, blank).to_numpy(zero_copy_only=False), mask=gone)
    if t.is_floating(kind):
        return Cells(said, column.to_numpy(zero_copy_only=False))
    if t.is_decimal(kind):
        return Cells(said, column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    if t.is_date(kind) or t.is_timestamp(kind):
        unit = "D" if t.is_date(kind) else kind.unit
        whole = (column.cast(pa.date32()).cast(pa.int32()) if t.is_date(kind) else column).cast(pa.int64())
        ticks = pc.fill_null(whole, np.iinfo(np.int64).min).to_numpy(zero_copy_only=False)
        return Cells(said, ticks.view(f"datetime64[{unit}]"))
    raise DataError(f"column {name!r} has type {kind}; convert it to numbers, text, dates or categories")


def _categories(column: pa.DictionaryArray, said: str, name: object) -> Cells:
    """Declared categories; those that are no plain scalars are taken as their text."""
    levels = column.dictionary.to_pylist()
    if None in levels or len(set(map(str, levels))) < len(levels):
        column = column.dictionary_decode().dictionary_encode()
        levels = column.dictionary.to_pylist()
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    plain = all(isinstance(v, (str, int, float, bool)) for v in levels)
    return Cells(said, codes, tuple(levels if plain else map(str, levels)), ordered=column.type.ordered)


# back -------------------------------------------------------------------------------------------------------------
def arrow_type(dtype: str) -> pa.DataType | None:
    """The type of Arrow that pandas calls so ("decimal128(10, 2)[pyarrow]"); None if it is none for single values."""
    import pyarrow as pa

    said = dtype.removesuffix(ENDING)
    if found := re.fullmatch(r"decimal(\d+)\((\d+), (-?\d+)\)", said):
        return getattr(pa, f"decimal{found[1]}")(int(found[2]), int(found[3]))
    if found := re.fullmatch(r"timestamp\[(\w+), tz=(.+)\]", said):
        return pa.timestamp(found[1], found[2])
    if found := re.fullmatch(r"dictionary<values=(.+), indices=(\w+), ordered=(\d)>", said):
        values, indices = arrow_type(found[1]), arrow_type(found[2])
        return None if values is None else pa.dictionary(indices, values, found[3] == "1")
    try:
        return pa.type_for_alias(said)
    except ValueError:
        return None


def to_arrow(c: Cells) -> pa.Array:
    """A column as the type of Arrow that its dtype names, which is one."""
    import pyarrow as pa

    kind = arrow_type(c.dtype)
    assert kind is not None
    gone = c.missing()
    if c.levels is not None and pa.types.is_dictionary(kind):
        codes = pa.array(c.values, kind.index_type, mask=gone)
        return pa.DictionaryArray.from_arrays(codes, _levels(c.levels, kind.value_type), ordered=kind.ordered)
    if c.levels is not None:
        made = pa.array(c.objects().tolist())
    elif c.family == "dates":
        unit = np.datetime_data(c.values.dtype)[0]
        whole = pa.array(c.values.astype(np.int64), mask=gone)
        made = whole.cast(pa.int32()).view(pa.date32()) if unit == "D" else whole.view(pa.timestamp(unit))
        if pa.types.is_timestamp(kind) and kind.tz:
            return made.cast(pa.timestamp(kind.unit)).cast(pa.int64()).view(kind)
    elif pa.types.is_decimal(kind):
        most = (10.0**kind.precision - 1) / 10.0**kind.scale
        made = pa.array(np.clip(c.values, -most, most), mask=gone)
    else:
        made = pa.array(c.values, mask=gone)
    return made.cast(kind)


def _levels(levels: tuple[Any, ...], kind: pa.DataType) -> pa.Array:
    """Declared categories in their type, where their text can be read as it."""
    import pyarrow as pa

    try:
        return pa.array(list(levels)).cast(kind) if levels else pa.array([], kind)
    except pa.ArrowException:
        return pa.array(list(levels))
