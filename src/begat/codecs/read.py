"""Tables from files: recognised, said, and turned into a frame with natural types. And pictures from theirs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from begat.codecs import array_file, delimited, image_folder, parquet
from begat.codecs.arrow import to_frame
from begat.codecs.catalogue import CATALOGUE, load
from begat.codecs.data import Data, PictureData, Pictures
from begat.codecs.describe import surprising
from begat.codecs.image_decode import ENDINGS as PICTURES
from begat.codecs.infer import infer
from begat.codecs.records import read_excel, read_json, read_jsonl
from begat.codecs.request import Request
from begat.codecs.stream import Opener, extension, locate, opener, standard_input
from begat.codecs.typed import natural, typed
from begat.errors import DataError, FileError, SchemaError, did_you_mean
from begat.schema import Schema

if TYPE_CHECKING:
    import pandas as pd


def read(
    path: str | PathLike[str],
    target: str | None = None,
    *,
    schema: Schema | str | PathLike[str] | None = None,
    kinds: Mapping[str | int, str] | None = None,
    drop: Sequence[str] = (),
    encoding: str | None = None,
    separator: str | None = None,
    table: str | None = None,
    query: str | None = None,
    rows: int | None = None,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
) -> Data | Any:
    """Read a table and say what each column is; or read pictures, as `PictureData`.

    path: a file (.csv .tsv .txt, also .gz and .zip; .parquet or a folder of them; .feather .json .jsonl .xlsx; .npy
    .npz), "-" for CSV on standard input, a database URL with `query` or `table`, or the name of a table in `begat data`
    (a file of that name is "./name"). target: the column to predict. schema: a schema or its file, complete or partial;
    kinds: {column: kind}; drop: columns to leave out. encoding, separator: as recognised unless given. table: sheet of
    an Excel file or table of a database. rows: only the first so many.

    Pictures come from a folder that holds some and no Parquet, or from an array (n, h, w[, channels]) in .npy or .npz;
    target, size, channels and rows are then those of `image_folder.read_folder` and `array_file.from_arrays`, and drop
    can leave out their labels, by the name that the target has.

    Text that spells numbers or dates becomes numbers or dates and keeps its spelling in the schema; leading zeros stay.
    FileError: the file is missing, damaged or in no known format. DataError: its table cannot be used as it is.
    MissingDependency: the format needs a package of an extra.
    """
    if rows is not None and rows < 1:
        raise DataError(f"rows={rows}; give at least 1, or None for all")
    asked = Request(encoding, separator, table, query, rows, drop, target, size, channels)
    if target is not None and target in drop:
        raise DataError(f"the target {target!r} is also in drop; remove it from one of them")
    frame, name = _raw(path, asked)
    if isinstance(frame, Pictures):
        _only(name, "pictures", schema=schema, kinds=kinds, encoding=encoding, separator=separator, table=table,
              query=query)  # fmt: skip
        return PictureData(_unlabelled(frame, name, drop) if drop else frame, name)
    _only(name, "a table", size=size, channels=channels)
    frame = frame.set_axis([str(n) for n in frame.columns], axis=1)
    if len(frame) == 0:
        raise DataError(f"{name} has columns but no rows")
    frame = frame.iloc[:rows]
    stated = schema if schema is None or isinstance(schema, Schema) else Schema.load(schema)
    found = natural(infer(frame, kinds=kinds, schema=stated, target=target), frame)
    notes = [*asked.notes, *(f"{c.name}: {c.why}" for c in found if surprising(c))]
    return Data(typed(frame, found), found, name, tuple(notes))


def read_like(
    path: str | PathLike[str],
    schema: Schema,
    *,
    encoding: str | None = None,
    separator: str | None = None,
    query: str | None = None,
) -> Data:
    """Read a table for a model of this schema: path, encoding, separator and query are those of `read`.

    Its scored columns are read as the schema says; the target may be absent. Other columns, which no model looks at,
    need not be there and stay as the file holds them. The schema of the result has the columns that were read.
    SchemaError where a scored column other than the target is absent, and as `read`.
    """
    import pandas as pd

    asked = Request(encoding, separator, None, query)
    frame, name = _raw(path, asked)
    if isinstance(frame, Pictures):
        raise DataError(f"{name} is pictures, but the model is of a table: give one")
    frame = frame.set_axis([str(n) for n in frame.columns], axis=1).reset_index(drop=True)
    if len(frame) == 0:
        raise DataError(f"{name} has columns but no rows")
    absent = [c.name for c in schema.features if c.scored and c.name not in frame.columns]
    if absent:
        others = [n for n in frame.columns if n not in schema.names]
        more = f" and {len(absent) - 1} more that the model needs" if len(absent) > 1 else ", which the model needs"
        raise SchemaError(f"{name} lacks the column {absent[0]!r}{more}{did_you_mean(absent[0], others)}")
    scored = [c.name for c in schema if c.scored and c.name in frame.columns]
    found = natural(infer(frame[scored], schema=schema.only(scored)), frame)
    made = typed(frame, found)
    columns = {n: made[n] if n in made else frame[n] for n in frame.columns}
    return Data(pd.DataFrame(columns), found, name, tuple(asked.notes))


def _unlabelled(held: Pictures, name: str, drop: Sequence[str]) -> Pictures:
    """The pictures without their labels. DataError for anything else to drop."""
    if held.labels is None or any(each != held.target for each in drop):
        label = "there are none" if held.labels is None else f"they are called {held.target!r}"
        raise DataError(f"{name} is pictures, of which drop={list(drop)} can leave out the labels alone; {label}")
    return replace(held, labels=None)


def _only(name: str, what: str, **given: object) -> None:
    """Raise DataError for an argument that says nothing of what was read."""
    for word, value in given.items():
        if value is not None and value != () and value != {}:
            raise DataError(f"{name} is {what}, of which {word}={value!r} says nothing; leave it out")


def _raw(path: str | PathLike[str], asked: Request) -> tuple[pd.DataFrame | Pictures, str]:
    """The table with cells as the file holds them, or pictures; and a short name for it."""
    said = str(path)
    if said == "-":
        return _delimited(standard_input(), "standard input", asked), "stdin"
    if isinstance(path, str) and path in CATALOGUE:
        held = load(path)
        if isinstance(held, array_file.Arrays):
            if asked.target not in (None, held.target):
                raise DataError(f"the labels of {path} are called {held.target!r}, not {asked.target!r}")
            return held.pictures(asked.size, asked.channels, asked.rows), path
        return held[asked.kept(list(held.columns), path)], path
    scheme = re.match(r"([a-z][\w+.-]+)://", said) if isinstance(path, str) else None
    if scheme:
        if scheme[1] in ("http", "https", "ftp", "s3", "gs", "hdfs"):
            raise FileError(f"begat downloads nothing: download {said} and read the file")
        from begat.codecs.database import from_database

        return from_database(said, asked)
    if isinstance(path, str) and re.fullmatch(r"\w+", path) and not Path(path).exists():
        raise FileError(f"no file and no table is named {path!r}{did_you_mean(path, [*CATALOGUE, *_siblings()])}")
    found = locate(path)
    if found.is_dir():
        name = found.resolve().name
        return _folder(found, asked), name.removesuffix(".parquet")
    ending = extension(found)
    if ending in PICTURES:
        raise FileError(f"{found} is one picture; give the folder that holds all of them")
    if ending not in READERS:
        hint = did_you_mean(ending, READERS) if ending else f" (known: {', '.join(READERS)})"
        raise FileError(f"{found} ends in {ending or 'nothing'!r}, which begat does not read{hint}")
    name = found.name[: -len(ending)] if found.name.lower().endswith(ending) else found.name.split(".")[0]
    return READERS[ending](found, asked), name


def _siblings() -> list[str]:
    return [p.name for p in Path().iterdir() if extension(p) in READERS]


def _csv(path: Path, asked: Request) -> pd.DataFrame:
    return _delimited(opener(path), str(path), asked)


def _tsv(path: Path, asked: Request) -> pd.DataFrame:
    return _delimited(opener(path), str(path), asked, separator="\t")


def _delimited(open_: Opener, label: str, asked: Request, separator: str | None = None) -> pd.DataFrame:
    import pyarrow as pa

    layout = delimited.sniff(open_, label, encoding=asked.encoding, separator=asked.separator or separator)
    asked.notes.extend(layout.notes)
    held, rows = [], 0
    for batch in delimited.batches(open_, layout, asked.kept(layout.names, label)):
        held.append(batch)
        rows += batch.num_rows
        if asked.rows is not None and rows >= asked.rows:
            break
    if not rows:
        raise DataError(f"{label} has column names ({delimited.shown(layout.names)}) but no rows")
    return to_frame(pa.Table.from_batches(held), label)


def _folder(path: Path, asked: Request) -> pd.DataFrame | Pictures:
    if parquet.files_in(path):
        return _parquet(path, asked)
    if not image_folder.files(path).pictures:
        raise FileError(f"the folder {path} holds no .parquet file and no picture ({', '.join(PICTURES)})")
    return image_folder.read_folder(
        path, target=asked.target, size=asked.size, channels=asked.channels, rows=asked.rows
    )


def _array(path: Path, asked: Request) -> pd.DataFrame | Pictures:
    held = array_file.load(path, asked.target)
    if not held.tabular:
        return held.pictures(asked.size, asked.channels, asked.rows)
    asked.notes.extend(held.notes)
    frame = held.frame()
    return frame[asked.kept(list(frame.columns), str(path))]


def _parquet(path: Path, asked: Request) -> pd.DataFrame:
    import pyarrow as pa

    parts = parquet.parts(path)
    held, rows = [], 0
    for batch in parquet.batches(parts, 131_072, asked.kept(parts.names, str(path))):
        held.append(batch)
        rows += batch.num_rows
        if asked.rows is not None and rows >= asked.rows:
            break
    if not rows:
        raise DataError(f"{path} has columns ({delimited.shown(parts.names)}) but no rows")
    return to_frame(pa.Table.from_batches(held), str(path))


def _feather(path: Path, asked: Request) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import feather, ipc

    unreadable = (pa.ArrowException, OSError, ValueError, TypeError)  # the last from types that pandas wrote
    try:
        table = feather.read_table(path, memory_map=False, use_threads=False)
    except unreadable:
        try:
            with pa.OSFile(str(path)) as stream:
                table = ipc.open_stream(stream).read_all()
        except unreadable as error:
            raise FileError(f"{path} is not a readable Feather or Arrow file: {str(error).splitlines()[0]}") from None
    try:
        table.validate(full=True)
    except (pa.ArrowException, ValueError) as error:
        raise FileError(f"{path} is a damaged Feather file: {str(error).splitlines()[0]}") from None
    delimited.clean_names(table.column_names, str(path))
    return to_frame(table.select(asked.kept(table.column_names, str(path))), str(path))


READERS: dict[str, Callable[[Path, Request], Any]] = {
    **{e: _tsv if ".tsv" in e or e == ".tab" else _csv for e in delimited.ENDINGS},
    **dict.fromkeys(parquet.ENDINGS, _parquet),
    **dict.fromkeys((".feather", ".arrow", ".ipc"), _feather),
    **dict.fromkeys(array_file.ENDINGS, _array),
    ".json": read_json, ".json.gz": read_json, ".jsonl": read_jsonl, ".ndjson": read_jsonl, ".jsonl.gz": read_jsonl,
    ".xlsx": read_excel, ".xlsm": read_excel,
}  # fmt: skip
"""How each ending is read."""
