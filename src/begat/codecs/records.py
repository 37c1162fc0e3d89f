"""Rows of Python values (JSON, Excel, a database) as a frame with natural types."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from begat.codecs.arrow import EXACT
from begat.codecs.delimited import clean_names
from begat.codecs.request import Request
from begat.codecs.stream import check_expansion, opener
from begat.errors import DataError, FileError, MissingDependency, did_you_mean
from begat.schema import HALF, half_of_a_pair

if TYPE_CHECKING:
    import pandas as pd

SCALARS = (bool, int, float, str, dt.date, dt.datetime, decimal.Decimal)
AS_TEXT = (dt.time, dt.timedelta, uuid.UUID)


def from_columns(names: Sequence[object], columns: Sequence[Sequence[Any]], label: str, asked: Request) -> pd.DataFrame:
    """A frame of the columns that were asked for. None is missing. DataError for cells that are not single values."""
    import pandas as pd

    cleaned, notes = clean_names(names, label)
    asked.notes.extend(notes)
    held = dict(zip(cleaned, columns, strict=True))
    return pd.DataFrame({name: _column(name, held[name], label) for name in asked.kept(cleaned, label)})


def from_mappings(rows: Sequence[Mapping[str, Any]], label: str, asked: Request) -> pd.DataFrame:
    """A frame of records; a name that a record lacks is missing there, and columns come in order of appearance."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    return from_columns(list(names), [[row.get(name) for row in rows] for name in names], label, asked)


def _column(name: str, values: Sequence[Any], label: str) -> pd.Series:
    import pandas as pd

    kinds = {type(v) for v in values if v is not None}
    if any(issubclass(k, AS_TEXT) for k in kinds):
        values, kinds = [str(v) if isinstance(v, AS_TEXT) else v for v in values], kinds - set(AS_TEXT) | {str}
    if half_of_a_pair([name, *values]) is not None:
        row = next((i for i, v in enumerate(values) if half_of_a_pair([v]) is not None), None)
        where = "its name" if row is None else f"row {row + 1}"
        raise DataError(f"{label}: column {name!r}, {where} {HALF}")
    for kind in kinds:
        if not issubclass(kind, (*SCALARS, np.generic)):
            row = next(i for i, v in enumerate(values) if type(v) is kind)
            raise DataError(
                f"{label}: column {name!r} holds a {kind.__name__} in row {row + 1}, not a single value; "
                f"leave it out with drop=[{name!r}]"
            )
    missing = any(v is None for v in values)
    if not kinds or all(issubclass(k, str) for k in kinds):
        return pd.Series(values, dtype="str")
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean" if missing else "bool")
    if kinds == {int}:
        size = max(abs(v) for v in values if v is not None)
        if size >= 2**63:  # no number type holds it, and it is a name more often than a quantity
            return pd.Series([None if v is None else str(v) for v in values], dtype="str")
        return pd.Series(values, dtype="int64" if not missing else "float64" if size < EXACT else "Int64")
    if kinds <= {int, float, decimal.Decimal}:
        try:
            return pd.Series([np.nan if v is None else float(v) for v in values], dtype="float64")
        except OverflowError:
            raise DataError(f"{label}: column {name!r} holds a number beyond 1e308") from None
    if all(issubclass(k, dt.date) for k in kinds):
        return _dates(name, values, label)
    return pd.Series(values, dtype="object")


def _dates(name: str, values: Sequence[Any], label: str) -> pd.Series:
    import pandas as pd

    zoned = {isinstance(v, dt.datetime) and v.tzinfo is not None for v in values if v is not None}
    if len(zoned) > 1:
        raise DataError(f"{label}: column {name!r} mixes dates with and without a time zone; give all or none one")
    whole = all(v is None or not isinstance(v, dt.datetime) for v in values)
    series = pd.Series(pd.to_datetime(list(values), utc=zoned == {True}))
    return series.dt.as_unit("s") if whole else series.dt.as_unit("us")


# files -------------------------------------------------------------------------------------------------------------
def _text(path: Path) -> str:
    with opener(path)() as stream:
        data = stream.read()
    try:
        return data.decode(json.detect_encoding(data))
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not text in UTF-8, as JSON is: {error.reason} at byte {error.start}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise DataError(f"a record names {next(n for n in names if names.count(n) > 1)!r} twice; rename one of them")
    return made


def read_json(path: Path, asked: Request) -> pd.DataFrame:
    try:
        value = json.loads(_text(path), object_pairs_hook=_unique)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is not JSON: {error}; one record a line is .jsonl") from None
    if isinstance(value, dict) and len(value) == 1 and _are_records(next(iter(value.values()))):
        value = next(iter(value.values()))
    if _are_records(value):
        return from_mappings(value, str(path), asked)
    if isinstance(value, dict) and value and all(isinstance(v, list) for v in value.values()):
        if len({len(v) for v in value.values()}) > 1:
            raise DataError(f"{path}: the columns have different numbers of rows; give each the same")
        return from_columns(list(value), list(value.values()), str(path), asked)
    if isinstance(value, dict) and value and all(isinstance(v, dict) for v in value.values()):
        keys = dict.fromkeys(k for v in value.values() for k in v)
        return from_columns(list(value), [[v.get(k) for k in keys] for v in value.values()], str(path), asked)
    raise DataError(f'{path} is not a table; expected a list of records: [{{"name": value, ...}}, ...]')


def _are_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def read_jsonl(path: Path, asked: Request) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(io.StringIO(_text(path)), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            kind = DataError if isinstance(error, DataError) else FileError
            raise kind(f"{path}, line {number}: {error}") from None
        if not isinstance(row, dict):
            shown = line.strip()[:30]
            raise DataError(f'{path}, line {number} is {shown!r}; expected a record {{"name": value, ...}}')
        rows.append(row)
        if asked.rows is not None and len(rows) >= asked.rows:
            break
    if not rows:
        raise FileError(f"{path} is empty")
    return from_mappings(rows, str(path), asked)


def read_excel(path: Path, asked: Request) -> pd.DataFrame:
    try:
        import openpyxl
    except ImportError:
        raise MissingDependency("openpyxl", "excel", "reading Excel files") from None
    check_expansion(path)
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            names = book.sheetnames
            if asked.table is not None and asked.table not in names:
                raise DataError(f"{path} has no sheet {asked.table!r}{did_you_mean(asked.table, names)}")
            sheet = book[asked.table or names[0]]
            sheet.reset_dimensions()
            cells = [[None if c.data_type == "e" else c.value for c in row] for row in sheet.iter_rows()]
        finally:
            book.close()
    except DataError:
        raise
    except Exception as error:  # openpyxl lets whatever its XML and zip readers raise through
        raise FileError(f"{path} is not a readable Excel file: {type(error).__name__} {error}") from None
    if len(names) > 1:
        asked.notes.append(f"sheet {sheet.title!r} of {len(names)}; another one with table=")
    filled = [row for row in cells if any(v is not None for v in row)]
    if len(filled) < 2:
        raise DataError(f"{path}, sheet {sheet.title!r}: a table has a row of names and at least one more row")
    width = max(max((i + 1 for i, v in enumerate(row) if v is not None), default=0) for row in filled)
    square = [[*row, *[None] * width][:width] for row in filled]
    return from_columns(square[0], list(zip(*square[1:], strict=True)), str(path), asked)
