"""Tables that need not fit in memory: in a frame, in Parquet, in delimited text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import numpy as np

from begat.codecs import delimited, parquet
from begat.codecs import frame as frames
from begat.codecs.arrow import to_frame
from begat.codecs.stream import extension, locate, opener
from begat.codecs.typed import typed
from begat.core import Source
from begat.errors import DataError, FileError, did_you_mean
from begat.schema import Schema

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

BATCH = 65_536
"""Rows read at a time."""


@runtime_checkable
class TableSource(Source, Protocol):
    """A source of rows of a table: frames come out, numbers as numbers once a schema says what is what."""

    @property
    def names(self) -> Sequence[str | int]:
        """The columns in their order."""
        ...

    def chunks(self, size: int = BATCH) -> Iterator[Any]:
        """Every row once, in order, in frames of `size` rows; the last may be shorter."""
        ...

    def only(self, names: Sequence[str | int]) -> Self:
        """The same rows with these columns alone."""
        ...

    def typed(self, schema: Schema) -> Self:
        """The same rows with the columns of this schema alone, text converted as it says."""
        ...


class FrameSource:
    """Rows of a frame or an array in memory; they come out as they are."""

    def __init__(self, frame: Any):
        self.frame = frames.as_frame(frame)

    def __len__(self) -> int:
        return frames.length(self.frame)

    @property
    def names(self) -> Sequence[str | int]:
        return frames.names(self.frame)

    def take(self, indices: Sequence[int]) -> Any:
        return self._rows(_checked(indices, len(self)))

    def chunks(self, size: int = BATCH) -> Iterator[Any]:
        for start in range(0, len(self), _positive(size)):
            yield self._rows(slice(start, start + size))

    def only(self, names: Sequence[str | int]) -> FrameSource:
        at = [self.names.index(n) for n in names]
        return FrameSource(self.frame.iloc[:, at] if hasattr(self.frame, "iloc") else self.frame[:, at])

    def typed(self, schema: Schema) -> FrameSource:
        return self.only(schema.names)

    def _rows(self, rows: Any) -> Any:
        return self.frame.iloc[rows].reset_index(drop=True) if hasattr(self.frame, "iloc") else self.frame[rows]


class ParquetSource:
    """Rows of a Parquet file or of a folder of parts; FileError for what is broken."""

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        columns: Sequence[str | int] | None = None,
        schema: Schema | None = None,
    ):
        self.path, self.schema = locate(path), schema
        self.parts = parquet.parts(self.path)
        if self.parts.rows == 0:
            raise DataError(f"{self.path} has columns but no rows")
        self.names = _chosen(columns, self.parts.names)

    def __len__(self) -> int:
        return self.parts.rows

    def take(self, indices: Sequence[int]) -> Any:
        """These rows, in this order; only the row groups that hold them are read."""
        rows = _checked(indices, len(self))
        return self._out(parquet.take(self.parts, rows, self.names))

    def chunks(self, size: int = BATCH) -> Iterator[Any]:
        first = 0
        for table in _pieces(parquet.batches(self.parts, min(_positive(size), BATCH), self.names), size):
            yield self._out(table, first)
            first += table.num_rows

    def only(self, names: Sequence[str | int]) -> ParquetSource:
        return ParquetSource(self.path, columns=names)

    def typed(self, schema: Schema) -> ParquetSource:
        return ParquetSource(self.path, columns=schema.names, schema=schema)

    def _out(self, table: pa.Table, first: int = 0) -> pd.DataFrame:
        frame = to_frame(table, str(self.path))
        return frame if self.schema is None else typed(frame, self.schema, first)


class CsvSource:
    """Rows of delimited text, streamed: cells are text until a schema says what they are. Counted once, when asked.

    encoding, separator: as `begat.read` recognises them unless given. `take` reads the file up to the last row asked.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        encoding: str | None = None,
        separator: str | None = None,
        layout: delimited.Layout | None = None,
        columns: Sequence[str | int] | None = None,
        schema: Schema | None = None,
    ):
        self.path, self.schema = locate(path), schema
        self.open = opener(self.path)
        self.layout = layout or delimited.sniff(self.open, str(self.path), encoding=encoding, separator=separator)
        self.names = _chosen(columns, self.layout.names)

    def __len__(self) -> int:
        return self._rows

    @cached_property
    def _rows(self) -> int:
        return sum(b.num_rows for b in delimited.batches(self.open, self.layout, self.layout.names[-1:]))

    def take(self, indices: Sequence[int]) -> Any:
        """These rows, in this order; the file is read up to the last of them."""
        import pyarrow as pa

        rows = np.asarray(indices, dtype=np.int64)
        if rows.ndim != 1 or (len(rows) and rows.min() < 0):
            raise DataError(f"rows are counted from 0; got {rows.min() if rows.ndim == 1 else rows.shape}")
        order, pieces, start = np.argsort(rows, kind="stable"), [], 0
        ordered = rows[order]
        for batch in self._batches():
            low, high = np.searchsorted(ordered, [start, start + batch.num_rows])
            pieces.append(batch.take(pa.array(ordered[low:high] - start)))
            start += batch.num_rows
            if high == len(ordered):
                break
        if len(rows) and start <= ordered[-1]:
            raise DataError(f"row {ordered[-1]} of {self.path} was asked for; it has {start}")
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return self._out(pa.Table.from_batches(pieces).take(pa.array(back)))

    def chunks(self, size: int = BATCH) -> Iterator[Any]:
        first = 0
        for table in _pieces(self._batches(), _positive(size)):
            yield self._out(table, first)
            first += table.num_rows

    def only(self, names: Sequence[str | int]) -> CsvSource:
        return CsvSource(self.path, layout=self.layout, columns=names)

    def typed(self, schema: Schema) -> CsvSource:
        return CsvSource(self.path, layout=self.layout, columns=schema.names, schema=schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        return delimited.batches(self.open, self.layout, self.names)

    def _out(self, table: pa.Table, first: int = 0) -> pd.DataFrame:
        return to_frame(table, str(self.path)) if self.schema is None else typed(table, self.schema, first)


OPENS = {
    **dict.fromkeys(delimited.ENDINGS, CsvSource),
    **dict.fromkeys(parquet.ENDINGS, ParquetSource),
}


def open_source(path: Any, *, encoding: str | None = None, separator: str | None = None) -> TableSource:
    """A source of rows from a frame, a Parquet file or folder, or delimited text. FileError for other files."""
    if not isinstance(path, (str, PathLike)):
        return FrameSource(path)
    found = locate(path)
    ending = ".parquet" if found.is_dir() else extension(found)
    if ending not in OPENS:
        hint = did_you_mean(ending, OPENS) if ending else f" (known: {', '.join(OPENS)})"
        raise FileError(f"{found} cannot be read piece by piece{hint}; begat.read reads it whole")
    if OPENS[ending] is ParquetSource:
        return ParquetSource(found)
    return CsvSource(found, encoding=encoding, separator=separator)


def _checked(indices: Sequence[int], rows: int) -> np.ndarray:
    wanted = np.asarray(indices, dtype=np.int64)
    if wanted.ndim != 1 or (len(wanted) and not (wanted.min() >= 0 and wanted.max() < rows)):
        raise DataError(f"rows are counted from 0 to {rows - 1}; got {wanted.min()} to {wanted.max()}")
    return wanted


def _positive(size: int) -> int:
    if size < 1:
        raise DataError(f"a chunk has at least one row, not {size}")
    return size


def _chosen(wanted: Sequence[str | int] | None, held: Sequence[str]) -> list[str]:
    """The columns to read; DataError where the table lacks one."""
    for name in wanted or ():
        if str(name) not in held:
            raise DataError(f"the table has no column {name!r}{did_you_mean(name, held)}")
    return [str(n) for n in (held if wanted is None else wanted)]


def _pieces(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """The same rows in tables of exactly `size`, the last shorter; memory goes back to the system as they are used."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    rows = 0
    try:
        for batch in batches:
            while rows + batch.num_rows >= size:
                need = size - rows
                yield pa.Table.from_batches([*held, batch.slice(0, need)])
                batch, held, rows = batch.slice(need), [], 0
            if batch.num_rows:
                held.append(batch)
                rows += batch.num_rows
        if held:
            yield pa.Table.from_batches(held)
    finally:
        batches.close()  # type: ignore[attr-defined]
        held = []
        pa.default_memory_pool().release_unused()
