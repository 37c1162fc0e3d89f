"""Parquet: one file or a folder of parts, read piece by piece in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np

from begat.codecs.delimited import clean_names
from begat.errors import FileError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ENDINGS = (".parquet", ".pq")
BUFFERED = 64 * 2**20
"""Files above this size are read through a buffer, others a column of a row group at a time."""


@dataclass(frozen=True)
class Parts:
    """The parts of a Parquet table: files in the order of their names, the rows of each row group, one common schema.

    keys: what the folders of each part say about its rows ("year=2024"), as text columns.
    """

    files: tuple[Path, ...]
    groups: tuple[tuple[int, ...], ...]
    keys: tuple[tuple[tuple[str, str], ...], ...]
    schema: pa.Schema

    @property
    def rows(self) -> int:
        return sum(sum(g) for g in self.groups)

    @property
    def names(self) -> list[str]:
        return [*self.schema.names, *(name for name, _ in self.keys[0])]


def parts(path: Path) -> Parts:
    """Look at a Parquet file or folder without reading its rows. FileError for damage and parts that do not fit."""
    import pyarrow as pa

    files = [path] if path.is_file() else _files(path)
    schemas, groups, keys = [], [], []
    for file in files:
        with _opened(file) as part:
            groups.append(tuple(part.metadata.row_group(i).num_rows for i in range(part.num_row_groups)))
            schemas.append(part.schema_arrow)
        folders = file.relative_to(path).parts[:-1] if path.is_dir() else ()
        pairs = tuple(tuple(map(unquote, folder.split("=", 1))) for folder in folders if "=" in folder)
        keys.append(tuple((name, value) for name, value in pairs))
        if set(schemas[-1].names) != set(schemas[0].names) or [k for k, _ in keys[-1]] != [k for k, _ in keys[0]]:
            other = sorted(set(schemas[-1].names) ^ set(schemas[0].names))
            shown = ", ".join(other[:3])
            raise FileError(f"{file} and {files[0]} have different columns ({shown}); are they one table?")
    try:
        schema = schemas[0] if len(schemas) == 1 else pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise FileError(f"the parts in {path} do not fit together: {error}") from None
    clean_names([*schema.names, *(name for name, _ in keys[0])], str(path))
    return Parts(tuple(files), tuple(groups), tuple(keys), schema)


def batches(table: Parts, size: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Every row once, in order, in batches of at most `size`; files are closed when the iterator is."""
    wanted, types = _inside(table, columns), _types(table, columns)
    for index, file in enumerate(table.files):
        with _opened(file) as part, _damage(file):
            for batch in part.iter_batches(size, columns=wanted, use_threads=False):
                yield _common(batch, table, index, types)


def take(table: Parts, rows: np.ndarray, columns: Sequence[str] | None = None) -> pa.Table:
    """These rows in this order; only the row groups that hold them are read."""
    import pyarrow as pa

    wanted, types = _inside(table, columns), _types(table, columns)
    order = np.argsort(rows, kind="stable")
    ordered, pieces, start = rows[order], [], 0
    for index, file in enumerate(table.files):
        inside = sum(table.groups[index])
        low, high = np.searchsorted(ordered, [start, start + inside])
        if low < high:
            with _opened(file) as part, _damage(file):
                for group, count in enumerate(table.groups[index]):
                    low, high = np.searchsorted(ordered, [start, start + count])
                    if low < high:
                        read = part.read_row_group(group, columns=wanted, use_threads=False)
                        for batch in read.take(pa.array(ordered[low:high] - start)).combine_chunks().to_batches():
                            pieces.append(_common(batch, table, index, types))
                    start += count
        else:
            start += inside
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return pa.Table.from_batches(pieces, types).take(pa.array(back))


class _damage:
    """Turns what Arrow raises for a damaged file into one line that names it."""

    def __init__(self, file: Path):
        self.file = file

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import pyarrow as pa

        if isinstance(error, (pa.ArrowException, OSError, UnicodeDecodeError)) and not isinstance(error, FileError):
            raise FileError(f"{self.file} is a damaged Parquet file: {str(error).splitlines()[0]}") from None


def _opened(file: Path) -> pq.ParquetFile:
    """Without read-ahead: a half-read stream then has no thread that outlives it."""
    import pyarrow.parquet as pq

    with _damage(file):
        if file.stat().st_size == 0:
            raise FileError(f"{file} is empty")
        # A buffered stream believes what a page says of its size; only large files need one to stay in bounded memory.
        return pq.ParquetFile(file, pre_buffer=False, buffer_size=2**18 if file.stat().st_size > BUFFERED else 0)


def files_in(folder: Path) -> list[Path]:
    """The parts of a folder, sorted; names that begin with "_" or "." are notes of the program that wrote it."""
    return sorted(
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in ENDINGS and p.is_file() and not p.relative_to(folder).as_posix().startswith(("_", "."))
    )


def _files(folder: Path) -> list[Path]:
    found = files_in(folder)
    if not found:
        held = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
        raise FileError(f"the folder {folder} holds no .parquet file{did_you_mean('.parquet', held) if held else ''}")
    return found


def _inside(table: Parts, columns: Sequence[str] | None) -> list[str]:
    """The columns that the files themselves hold, of those that are wanted."""
    return [n for n in table.schema.names if columns is None or n in columns]


def _types(table: Parts, columns: Sequence[str] | None) -> pa.Schema:
    """The wanted columns in their order, with the table's types."""
    import pyarrow as pa

    said = {name: pa.field(name, pa.string()) for name, _ in table.keys[0]}
    names = table.names if columns is None else columns
    fields = [said.get(name) or table.schema.field(name) for name in names]
    return pa.schema(fields, metadata=table.schema.metadata)


def _common(batch: pa.RecordBatch, table: Parts, index: int, types: pa.Schema) -> pa.RecordBatch:
    """The batch in these types, with what the names of its folders say."""
    import pyarrow as pa

    batch.validate(full=True)  # text of a damaged file may not be text
    said = dict(table.keys[index])
    made = [
        pa.repeat(pa.scalar(said[field.name], field.type), batch.num_rows)
        if field.name in said
        else batch.column(field.name).cast(field.type)
        for field in types
    ]
    return pa.RecordBatch.from_arrays(made, schema=types)
