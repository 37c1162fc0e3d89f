"""Frames written to files: text as the schema says it looked, and never half a file."""

from __future__ import annotations

import csv
import gzip
import io
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from begat.codecs.delimited import mark
from begat.codecs.in_pandas import scalar_levels
from begat.codecs.spelling import spell
from begat.codecs.stream import extension, place
from begat.errors import DataError, FileError, MissingDependency, did_you_mean
from begat.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

Writer = Callable[[Any, BinaryIO, Schema | None], None]
ROWS_AT_ONCE = 65_536
EXCEL_ROWS = 1_048_576


def write(frame: Any, path: str | PathLike[str], schema: Schema | None = None, *, separator: str | None = None) -> None:
    """Write a frame (pandas, polars, Arrow, a 2-D array) in the format that the name ends in; "-" prints CSV.

    Delimited text is spelled as `schema` says it looked (decimal marks, leading zeros, dates, missing tokens), its
    cells divided by `separator` (by default a comma, in .tsv a tab); other formats keep types. The file appears whole
    or not at all. FileError for an unknown ending, a separator that is no single character, or a place that cannot be
    written, DataError for cells that the format cannot hold.
    """
    frame = _pandas(frame)
    between = None if separator is None else _divided(mark(separator))
    if str(path) == "-":
        (between or _divided(","))(frame, sys.stdout.buffer, schema)
        sys.stdout.buffer.flush()
        return
    target = destination(path)
    ending = extension(target)
    writer = WRITERS[ending]
    if between is not None and ending.removesuffix(".gz") in (".csv", ".tsv"):
        writer = _gzipped(between) if ending.endswith(".gz") else between
    with whole(target) as stream:
        writer(frame, stream, schema)


def destination(path: str | PathLike[str]) -> Path:
    """Where `write` puts a table; FileError for an ending that it does not write and a place that is none."""
    target = Path(path).expanduser()
    ending = extension(target)
    if ending not in WRITERS:
        if target.is_dir():
            place(target)
        raise FileError(f"{target} ends in {ending or 'nothing'!r}; expected {', '.join(WRITERS)}"
                        + did_you_mean(ending, WRITERS).split(" (known")[0])  # fmt: skip
    return place(target)


def text_columns(frame: pd.DataFrame, schema: Schema | None) -> list[list[str]]:
    """Every column as text, in the spelling of the schema where it has one."""
    return [_text(frame.iloc[:, i], column) for i, column in enumerate(_columns(frame, schema))]


def _columns(frame: pd.DataFrame, schema: Schema | None) -> list[Column | None]:
    """What the schema says of each column of the frame, if anything."""
    known = {str(c.name): c for c in schema or ()}
    return [known.get(str(name)) for name in frame.columns]


def _pandas(frame: Any) -> pd.DataFrame:
    import pandas as pd

    if isinstance(frame, pd.DataFrame):
        return frame
    if hasattr(frame, "to_pandas"):  # polars and Arrow
        made: pd.DataFrame = frame.to_pandas()
        return made
    array = np.asarray(frame)
    if array.ndim != 2:
        raise DataError(f"a table has rows and columns; got an array of shape {array.shape}")
    return pd.DataFrame(array, columns=[f"x{i}" for i in range(array.shape[1])])


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A stream into a file beside `path` that takes its place when everything is written, and vanishes otherwise."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        stream = part.open("xb")
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}") from None
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def _delimited(frame: pd.DataFrame, stream: BinaryIO, schema: Schema | None, separator: str) -> None:
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow([str(n) for n in frame.columns])
    for start in range(0, len(frame), ROWS_AT_ONCE):
        writer.writerows(zip(*text_columns(frame.iloc[start : start + ROWS_AT_ONCE], schema), strict=True))
    text.detach()


def _divided(separator: str) -> Writer:
    def write_text(frame: pd.DataFrame, stream: BinaryIO, schema: Schema | None) -> None:
        _delimited(frame, stream, schema, separator)

    return write_text


def _gzipped(write_plain: Writer) -> Writer:
    def write_gz(frame: pd.DataFrame, stream: BinaryIO, schema: Schema | None) -> None:
        with gzip.GzipFile(filename="", fileobj=stream, mode="wb", compresslevel=6, mtime=0) as packed:
            write_plain(frame, packed, schema)  # type: ignore[arg-type]

    return write_gz


def _text(series: pd.Series, column: Column | None) -> list[str]:
    import pandas as pd

    missing = series.isna().to_numpy()
    if column is not None and column.text is not None:
        return [str(v) for v in spell(series, column)]
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        words = np.array([str(v) for v in dtype.categories] + [""], dtype=object)
        return list(words[series.cat.codes.to_numpy()])
    whole = column is not None and column.grid is not None and column.grid.decimals == 0
    if pd.api.types.is_float_dtype(dtype) and whole:
        cells = [str(int(v)) if v == v and v == int(v) else str(v) for v in series.fillna(0).tolist()]
    elif isinstance(dtype, np.dtype) and dtype.kind == "f":
        cells = [str(v) for v in (series.to_numpy() if dtype.itemsize < 8 else series.tolist())]
    else:
        cells = list(series.astype("str" if pd.api.types.is_datetime64_any_dtype(dtype) else object).map(str))
    return ["" if gone else cell for gone, cell in zip(missing, cells, strict=True)] if missing.any() else cells


def _plain(series: pd.Series, column: Column | None) -> list[Any]:
    """Python values for formats with types of their own: None is missing, dates are text."""
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        gone = series.isna().to_numpy()
        return [None if absent else cell for absent, cell in zip(gone, _text(series, column), strict=True)]
    cells = series.astype(object).tolist()
    return [None if gone else cell for gone, cell in zip(series.isna().to_numpy(), cells, strict=True)]


def _records(frame: pd.DataFrame, schema: Schema | None) -> Iterator[str]:
    import json

    names = [str(n) for n in frame.columns]
    for start in range(0, len(frame), ROWS_AT_ONCE):
        part = frame.iloc[start : start + ROWS_AT_ONCE]
        cells = [_plain(part.iloc[:, i], column) for i, column in enumerate(_columns(frame, schema))]
        for row in zip(*cells, strict=True):
            yield json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, default=str)


def _json(frame: pd.DataFrame, stream: BinaryIO, schema: Schema | None) -> None:
    stream.write(b"[\n")
    for i, line in enumerate(_records(frame, schema)):
        stream.write((",\n" if i else "").encode() + line.encode())
    stream.write(b"\n]\n")


def _jsonl(frame: pd.DataFrame, stream: BinaryIO, schema: Schema | None) -> None:
    for line in _records(frame, schema):
        stream.write(line.encode() + b"\n")


def _arrow_table(frame: pd.DataFrame) -> Any:
    import pandas as pd
    import pyarrow as pa

    plain = {str(name): _storable(series) for name, series in frame.items()}
    for name, values in plain.items():
        try:
            pa.array(values, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            raise DataError(f"column {name!r} mixes kinds of values, which only .csv, .json and .jsonl hold") from None
    return pa.Table.from_pandas(pd.DataFrame(plain), preserve_index=False)


def _storable(series: pd.Series) -> pd.Series:
    """A column as Arrow takes it: not sparse, in the machine's order of bytes, its categories no intervals."""
    import pandas as pd

    dtype = series.dtype
    if isinstance(dtype, pd.SparseDtype):
        return pd.Series(np.asarray(series))
    if isinstance(dtype, pd.CategoricalDtype) and not scalar_levels(dtype.categories)[1]:
        return series.cat.rename_categories([str(v) for v in dtype.categories])
    if isinstance(dtype, np.dtype) and not dtype.isnative:
        return series.astype(dtype.newbyteorder("="))
    if isinstance(dtype, np.dtype) and dtype.kind == "f" and dtype.itemsize > 8:
        return series.astype("float64")
    return series


def _parquet(frame: pd.DataFrame, stream: BinaryIO, schema: Schema | None) -> None:
    import pyarrow.parquet as pq

    pq.write_table(_arrow_table(frame), stream, compression="zstd")


def _feather(frame: pd.DataFrame, stream: BinaryIO, schema: Schema | None) -> None:
    from pyarrow import feather

    feather.write_feather(_arrow_table(frame), stream)


def _excel(frame: pd.DataFrame, stream: BinaryIO, schema: Schema | None) -> None:
    try:
        import openpyxl
        from openpyxl.utils.exceptions import IllegalCharacterError
    except ImportError:
        raise MissingDependency("openpyxl", "excel", "writing Excel files") from None
    if len(frame) >= EXCEL_ROWS:
        raise DataError(f"Excel holds at most {EXCEL_ROWS - 1:,} rows, not {len(frame):,}; write .parquet or .csv")
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("data")
    sheet.append([str(n) for n in frame.columns])
    columns = [_cells(frame.iloc[:, i], column) for i, column in enumerate(_columns(frame, schema))]
    try:
        for row in zip(*columns, strict=True):
            sheet.append(row)
    except (IllegalCharacterError, ValueError) as error:
        raise DataError(f"a cell holds what Excel cannot: {error}; write .csv or .parquet") from None
    book.save(stream)


def _cells(series: pd.Series, column: Column | None) -> list[Any]:
    """Excel has dates but no time zones."""
    import pandas as pd

    if pd.api.types.is_datetime64_dtype(series.dtype):
        return [None if pd.isna(v) else v.to_pydatetime() for v in series]
    return _plain(_storable(series), column)


WRITERS: dict[str, Writer] = {
    ".csv": _divided(","), ".csv.gz": _gzipped(_divided(",")), ".tsv": _divided("\t"),
    ".tsv.gz": _gzipped(_divided("\t")), ".parquet": _parquet,
    ".feather": _feather, ".json": _json, ".jsonl": _jsonl, ".xlsx": _excel,
}  # fmt: skip
"""How each ending is written."""
