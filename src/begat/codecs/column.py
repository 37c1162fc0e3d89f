"""One column of a table to numbers and back: levels to codes, numbers and dates to points of their grid."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from begat.codecs.cells import Cells, cells, words
from begat.codecs.date_text import date_format, told
from begat.codecs.dates import UNITS, ends, from_ticks, held, to_ticks
from begat.codecs.grid import EXACT, bounded, from_grid, from_line, to_grid
from begat.codecs.levels import (
    Encoding,
    Missing,
    Unseen,
    decode_levels,
    encode_levels,
    largest,
    number_dtype,
    textual,
)
from begat.codecs.spelling import missing_in, parse, spell
from begat.errors import DataError, SchemaError, did_you_mean
from begat.schema import Column, Grid, TextFormat


def encode_column(column: Column, values: Any, missing: Missing = "outcome", unseen: Unseen = "error") -> Encoding:
    """The cells (n,) of a column in any container as values and codes.

    A missing cell is the last code where the column has missing values and `missing` is "outcome"; otherwise it is
    not known; so is an undeclared level where `unseen` is "unknown". DataError, with column, value and row: an
    undeclared level otherwise, a cell of the wrong type, an infinity.
    """
    found = cells(values, column.name)
    if not column.complete:
        lacks = "levels" if column.coded else "a grid"
        raise SchemaError(f"column {column.name!r} is {column.kind} without {lacks}; infer the schema, or state them")
    if column.coded:
        return encode_levels(column, found, missing, unseen)
    numbers, absent = _ticks(column, found) if column.kind == "datetime" else _numbers(column, found)
    return _encode_numbers(column, numbers, absent, missing)


def allowed(column: Column) -> str:
    """What a column of numbers or dates may hold, in words: "a whole number from 0 up"."""
    grid = column.grid
    if column.tick is not None:
        what = f"a date to the {column.tick}"
    elif grid is None:
        what = "a number"
    elif grid.multiple > 1:
        scale = 10**grid.decimals
        what = f"a number in steps of {grid.multiple / scale:.15g}" + f" from {grid.offset / scale:.15g}" * bool(
            grid.offset
        )
    elif grid.decimals:
        what = f"a number with at most {grid.decimals} decimal{'s' * (grid.decimals > 1)}"
    else:
        what = "a whole number"
    low, high = (None if end is None else _end(column, end) for end in (column.lower, column.upper))
    if low is None:
        return what if high is None else f"{what} up to {high}"
    return f"{what} from {low} up" if high is None else f"{what} from {low} to {high}"


def _end(column: Column, end: float) -> str:
    """A stated bound as people write it."""
    if column.tick in UNITS:
        return str(np.datetime64(int(end), UNITS[column.tick]))  # type: ignore[call-overload]
    return f"{end:.15g}"


# numbers and dates ------------------------------------------------------------------------------------------------
def _numbers(column: Column, found: Cells) -> tuple[np.ndarray, np.ndarray | None]:
    """The numbers of a column, 0 where missing, and where that is."""
    absent = found.missing()
    if found.family == "dates":
        raise DataError(f"column {column.name!r} holds dates; expected numbers")
    if found.family == "words":
        if column.text is None and len(found.levels or ()):
            raise _not_numbers(column, found, np.zeros(len(found), dtype=bool), absent)
        values = parse(found, column)
        unread = np.isnan(values) if len(values) else np.zeros(0, dtype=bool)
        gone = _tokens(column, found)
        absent = gone if absent is None else absent | gone
        if (unread & ~absent).any():
            raise _not_numbers(column, found, ~unread, absent)
    else:
        values = found.values.astype(np.int8) if found.family == "booleans" else found.values
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    if absent is not None:
        values = np.where(absent, values.dtype.type(0), values)
    if values.dtype.kind == "f" and not np.isfinite(values.sum()) and not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise DataError(
            f"column {column.name!r}, row {row}: infinity; Input X contains infinity or a value too large: "
            "replace it by a number, or by a missing value"
        )
    return values, absent


def _tokens(column: Column, found: Cells) -> np.ndarray:
    """(n,) True where a cell is missing or spells it."""
    return np.append(missing_in(column, found.levels or ()), True)[found.values]


def _not_numbers(column: Column, found: Cells, read: np.ndarray, absent: np.ndarray | None) -> DataError:
    wrong = ~read if absent is None else ~read & ~absent
    row = int(np.argmax(wrong))
    value = found.take(slice(row, row + 1)).objects()[0]
    wanted = "dates" if column.kind == "datetime" else "numbers"
    form = f" written as {column.example!r}" if column.text is not None and column.example else ""
    return DataError(f"column {column.name!r}, row {row}: {value!r}; expected {wanted}{form} ({column.kind})")


def _ticks(column: Column, found: Cells) -> tuple[np.ndarray, np.ndarray | None]:
    """Ticks of dates; a quarter more where a date is finer than the tick, which shows it to lie between points."""
    tick = column.tick
    if tick not in UNITS:
        raise SchemaError(f"column {column.name!r}: tick {tick!r} does not exist{did_you_mean(tick, UNITS)}")
    absent, dates, zone = found.missing(), found.values, found.zone
    if found.family == "words":
        dates, gone = _read_dates(column, found), _tokens(column, found)
        if (np.isnat(dates) & ~gone).any():
            raise _not_numbers(column, found, ~np.isnat(dates), gone)
        absent = gone if gone.any() else None
    elif found.family != "dates":
        raise DataError(f"column {column.name!r} holds {found.family}; expected dates")
    if absent is not None:
        dates = np.where(absent, np.datetime64(0, np.datetime_data(dates.dtype)[0]), dates)  # type: ignore[call-overload]
    ticks = to_ticks(dates, tick, zone)
    finer = from_ticks(ticks, tick, np.datetime_data(dates.dtype)[0], zone) != dates
    if not finer.any() or _rounded(column):
        return ticks, absent
    return np.where(finer, ticks + 0.25, ticks), absent


def _rounded(column: Column) -> bool:
    """Whether dates are told to the tick because finer ticks between them are too many."""
    low, high = column.seen or (0.0, 0.0)
    return column.tick == "microsecond" or (column.tick == "millisecond" and (high - low) * 1000 >= EXACT)


def _read_dates(column: Column, found: Cells) -> np.ndarray:
    """Dates of text in the column's format; in ISO's where it states none."""
    if not found.levels:
        return np.full(len(found), np.datetime64("NaT", "us"))
    if column.text is None or not column.text.date:
        there = [str(w) for w, gone in zip(found.levels, missing_in(column, found.levels), strict=True) if not gone]
        form = date_format(there)
        if form is not None and form[0].startswith("%Y-"):
            column = replace(column, text=TextFormat(date=form[0]))
    return parse(found, column)


def _encode_numbers(column: Column, values: np.ndarray, absent: np.ndarray | None, missing: Missing) -> Encoding:
    if column.grid is None:
        k, on = values.astype(np.float32 if column.single else np.float64, copy=False), None
    else:
        k, on = to_grid(values, column.grid)
        on = None if on.all() else on
    codes = None
    if column.special:
        codes = np.zeros(len(values), dtype=np.int32)
        for i, atom in enumerate(column.atoms):
            codes[_is(column, atom, values, k, on)] = i + 1
    k, inside = bounded(k, column)
    possible = on if inside is None else inside if on is None else on & inside
    if codes is None:
        if absent is None:
            return Encoding(k, possible=possible)
        known = ~absent
        k = np.where(known, k, k.dtype.type(0))
        return Encoding(k, known_values=known, possible=None if possible is None else possible | absent)
    known_codes = None
    if absent is not None:
        codes[absent] = 1 + len(column.atoms) if column.missing and missing == "outcome" else 0
        known_codes = None if column.missing and missing == "outcome" else ~absent
    applies = codes == 0 if known_codes is None else (codes == 0) & known_codes
    if possible is not None:
        possible = possible | ~applies
        possible = None if possible.all() else possible
    if applies.all():
        return Encoding(k, codes, None, known_codes, possible)
    return Encoding(np.where(applies, k, k.dtype.type(0)), codes, applies, known_codes, possible)


def _is(column: Column, atom: float, values: np.ndarray, k: np.ndarray, on: np.ndarray | None) -> np.ndarray:
    """(n,) True where a number is a special code: at its point of the grid (0.1 + 0.2 is 0.3), or its equal off one."""
    step = column.encoded(atom)
    if column.grid is None or step != np.rint(step):
        return values == atom
    return k == step if on is None else (k == step) & on


# back -------------------------------------------------------------------------------------------------------------
def decode_column(column: Column, values: np.ndarray | None, codes: np.ndarray | None) -> Cells:
    """The cells that encoded values (n,) and codes (n,) stand for, with the column's dtype."""
    if column.coded:
        assert codes is not None
        return decode_levels(column, codes)
    assert values is not None
    absent = None
    if codes is not None and column.missing:
        absent = codes == 1 + len(column.atoms)
        absent = absent if absent.any() else None
    if column.kind == "datetime":
        return _decode_dates(column, values, codes, absent)
    dtype = number_dtype(column)
    most = largest(column.dtype, dtype)
    numbers = from_line(values, dtype, most) if column.grid is None else from_grid(values, column.grid, dtype, most)
    for i, atom in enumerate(column.atoms) if codes is not None else ():
        numbers = np.where(codes == i + 1, np.array(atom).astype(numbers.dtype), numbers)
    if absent is not None and numbers.dtype.kind == "f":
        numbers, absent = np.where(absent, numbers.dtype.type(np.nan), numbers), None
    made = Cells(column.dtype, numbers, mask=absent)
    return _spelled(column, made) if column.text is not None and textual(column.dtype) else made


def _spelled(column: Column, made: Cells) -> Cells:
    text = spell(made, column)
    absent = made.missing()
    if absent is not None and column.text is not None and not column.text.missing:
        text[absent] = None
    return words(text, column.dtype)


def _decode_dates(column: Column, values: np.ndarray, codes: np.ndarray | None, absent: np.ndarray | None) -> Cells:
    assert column.tick is not None
    ticks = from_grid(values, column.grid or Grid(), "int64")
    for i, atom in enumerate(column.atoms) if codes is not None else ():
        ticks = np.where(codes == i + 1, np.int64(atom), ticks)
    found = re.search(r"[\[,= ]\d*(ns|us|ms|s|D|m|h|day)[\],]", column.dtype)
    unit = {"day": "D"}.get(found[1], found[1]) if found else "D" if "ate" in column.dtype[:12] else "us"
    unit = "ns" if column.tick == "nanosecond" else unit
    zone = Cells(column.dtype, np.zeros(0, dtype=f"datetime64[{unit}]")).zone
    first, last = (told(column.text.date) if column.text is not None else None) or ends(unit, zone)
    # Draws beyond what the column can hold are its ends.
    dates = from_ticks(np.clip(ticks, *held(column.tick, zone, first, last)), column.tick, unit, zone)
    if absent is not None:
        dates = np.where(absent, np.datetime64("NaT", unit), dates)  # type: ignore[call-overload]
    made = Cells(column.dtype, dates)
    return _spelled(column, made) if textual(column.dtype) else made
