"""Levels to codes and back: words, numbers and booleans that a schema declares."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Literal, NamedTuple

import numpy as np

from begat.codecs.cells import INTEGERS, Cells, declares, words
from begat.codecs.grid import EXACT, above
from begat.codecs.spelling import missing_in
from begat.errors import DataError, did_you_mean
from begat.schema import Column, Scalar

Missing = Literal["outcome", "unknown"]
"""What a missing cell means: the event that it is missing, or that its value is not known."""
Unseen = Literal["error", "unknown"]
"""What an undeclared level is: an error, or a cell that is not known."""
UNDECLARED = -2
"""Between a level and its code: a level that the schema lacks; -1 is a missing one."""


class Encoding(NamedTuple):
    """A column of n cells as the schema encodes it.

    values: (n,) float64, or float32 where the column is, None for a column of codes alone. codes: (n,) int32, None for
    a column of values alone. known_values, known_codes: (n,) bool, None where all are known. possible: (n,) bool, False
    where a cell lay off its grid or outside its bounds and was moved to the nearest allowed value; None if none did.
    unseen: undeclared levels that count as not known, and in how many cells each stood.
    """

    values: np.ndarray | None = None
    codes: np.ndarray | None = None
    known_values: np.ndarray | None = None
    known_codes: np.ndarray | None = None
    possible: np.ndarray | None = None
    unseen: tuple[tuple[Scalar, int], ...] = ()


def encode_levels(column: Column, found: Cells, missing: Missing, unseen: Unseen = "error") -> Encoding:
    levels = column.levels or ()
    if found.family == "words":
        tokens = missing_in(column, found.levels or ()) if found.textual else None
        table = _lookup(levels, found.levels or (), tokens)
        codes = np.append(table, -1)[found.values].astype(np.int32) if len(table) else np.full(len(found), -1, np.int32)
    elif found.family == "booleans":
        codes = _lookup(levels, (False, True), None)[found.values.astype(np.int8)]
        codes = codes if found.mask is None else np.where(found.mask, np.int32(-1), codes)
    elif found.family == "numbers" and column.dtype == INTEGERS and any(isinstance(v, str) for v in levels):
        # Among all rows are integers that no number type holds; these alone it does.
        text = [None if v is None else str(v) for v in found.objects()]
        return encode_levels(column, words(np.array(text, dtype=object), INTEGERS), missing, unseen)
    elif found.family == "numbers":
        codes = _number_codes(levels, found)
    elif np.isnat(found.values).all():
        codes = np.full(len(found), -1, dtype=np.int32)
    else:
        raise DataError(f"column {column.name!r} holds dates; expected the levels of a {column.kind}")
    lowest = codes.min(initial=0)
    if lowest >= 0:
        return Encoding(codes=codes)
    strange = codes == UNDECLARED if lowest == UNDECLARED else None
    if strange is not None and unseen == "error":
        row = int(np.argmax(strange))
        value = found.take(slice(row, row + 1)).objects()[0]
        raise DataError(
            f"column {column.name!r}, row {row}: the level {value!r} is not declared{did_you_mean(value, levels)}; "
            "fit with unseen='unknown' to integrate such cells out, or declare the level (of a saved model: --unseen "
            "unknown, or set_params)"
        )
    gone = codes < 0
    if column.missing and missing == "outcome":
        codes[gone] = len(levels)
        gone = strange
    if gone is None:
        return Encoding(codes=codes)
    codes[gone] = 0
    others = () if strange is None else tuple(Counter(found.take(strange).objects().tolist()).items())
    return Encoding(codes=codes, known_codes=~gone, unseen=others)


def _lookup(levels: tuple[Scalar, ...], words: tuple[Scalar, ...], tokens: np.ndarray | None) -> np.ndarray:
    """The code of each word (m,) int32; -1 for words that stand for missing, `UNDECLARED` for others."""
    if words == levels:
        return np.arange(len(levels), dtype=np.int32)
    plain = {level: code for code, level in enumerate(levels)}
    if len(plain) == len(levels) and not any(isinstance(w, bool) for w in words):
        out = np.array([plain.get(w, UNDECLARED) for w in words], dtype=np.int32)
    else:  # True and 1 are one key, but two levels
        typed = {(isinstance(level, bool), level): code for code, level in enumerate(levels)}
        strict = len(plain) < len(levels)
        out = np.array(
            [typed.get((isinstance(w, bool), w), UNDECLARED if strict else plain.get(w, UNDECLARED)) for w in words],
            dtype=np.int32,
        )
    if tokens is not None:
        out[tokens & (out == UNDECLARED)] = -1
    return out


def _number_codes(levels: tuple[Scalar, ...], found: Cells) -> np.ndarray:
    """Codes of numbers; -1 where missing, `UNDECLARED` where no level equals them."""
    pairs = sorted((v, code) for code, v in enumerate(levels) if not isinstance(v, str))
    values, absent = found.values, found.missing()
    if not pairs or not len(values):
        codes = np.full(len(values), UNDECLARED, dtype=np.int32)
    elif max(abs(pairs[0][0]), abs(pairs[-1][0])) >= EXACT:
        distinct, inverse = np.unique(values, return_inverse=True)
        codes = _lookup(levels, tuple(distinct.tolist()), None)[inverse]
    elif values.dtype.kind in "iu" and pairs[-1][0] - pairs[0][0] < 1_000_000:
        codes = _by_table(pairs, values)
    else:
        known, of = np.array([float(v) for v, _ in pairs]), np.array([c for _, c in pairs], dtype=np.int32)
        place = np.minimum(np.searchsorted(known, values), len(of) - 1)
        codes = np.where(known[place] == values, of[place], np.int32(UNDECLARED))
    if absent is not None:
        codes[absent] = -1
    return codes


def _by_table(pairs: list[tuple[int | float, int]], values: np.ndarray) -> np.ndarray:
    """Codes of integers by one look into a table from the smallest level to the largest."""
    low, high = math.floor(pairs[0][0]), math.ceil(pairs[-1][0])
    if (
        int(values.min()) >= low
        and int(values.max()) <= high
        and pairs == [(low + i, i) for i in range(high - low + 1)]
    ):
        return above(values, low).astype(np.int32)
    table = np.full(high - low + 1, UNDECLARED, dtype=np.int32)
    for v, code in pairs:
        if v == int(v):
            table[int(v) - low] = code
    if int(values.min()) >= low and int(values.max()) <= high:
        return table[above(values, low)]
    inside = (values >= low) & (values <= high)
    codes = np.full(len(values), UNDECLARED, dtype=np.int32)
    if inside.any():
        codes[inside] = _by_table(pairs, values[inside])
    return codes


def textual(dtype: str) -> bool:
    """Whether a column of this dtype holds text."""
    return dtype in ("object", "String", "Categorical", "Null", "null[pyarrow]") or dtype.startswith(
        ("str", "large_string")
    )


def number_dtype(column: Column) -> str:
    """The numpy dtype of a column's numbers: what its own dtype says, as far as it says one of numbers."""
    inner = re.search(r"(u?int|float)(8|16|32|64)", column.dtype.lower())
    if inner:
        return inner[0]
    if column.dtype.startswith("float["):
        return "float32"
    if column.dtype == INTEGERS:
        return "float64" if column.kind == "continuous" else "int64"
    whole = column.grid is not None and column.grid.decimals == 0 and column.dtype == "object"
    return "int64" if whole and column.text is None else "float64"


def largest(dtype: str, numbers: str) -> float:
    """The largest number that a column's dtype holds, its numbers of this numpy dtype; the smallest is its negative."""
    if found := re.match(r"[Dd]ecimal\d*[\[(](\d+), (-?\d+)[\])]", dtype):
        return (10.0 ** int(found[1]) - 1) / 10.0 ** int(found[2])
    kind = np.dtype("float16" if dtype.lower().startswith("half") else numbers)
    return float(np.finfo(kind).max) if kind.kind == "f" else math.inf


def decode_levels(column: Column, codes: np.ndarray) -> Cells:
    levels, dtype = column.levels or (), column.dtype
    gone = codes >= len(levels) if column.missing else None
    gone = gone if gone is not None and gone.any() else None
    numeric = not any(isinstance(v, str) for v in levels)
    flat = np.where(codes >= len(levels), -1, codes) if gone is not None else codes
    if not numeric or declares(dtype) or textual(dtype):
        token = column.text.missing if column.text is not None and not (declares(dtype) or column.text.read) else ""
        if token and gone is not None and token not in levels:
            levels, flat = (*levels, token), np.where(flat < 0, len(levels), flat)
        return Cells(dtype, flat, levels, ordered=re.search("ordered(?!=0)", dtype) is not None)
    if levels and all(isinstance(v, bool) for v in levels):
        return Cells(dtype, np.array([*levels, False])[flat], mask=gone)
    if re.search("int", dtype.lower()):
        return Cells(dtype, np.array([*levels, 0], dtype=number_dtype(column))[flat], mask=gone)
    if not levels and re.search("date|time", dtype, re.IGNORECASE):
        return Cells(dtype, np.full(len(codes), np.datetime64("NaT", "us")))
    table = np.array([*levels, np.nan], dtype=number_dtype(column))
    return Cells(dtype, table[flat])
