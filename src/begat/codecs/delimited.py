"""Delimited text (CSV, TSV): encoding, separator and header recognised and said, cells streamed as text."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from begat.codecs.encoding import encoding_of
from begat.codecs.stream import Opener
from begat.errors import DataError, FileError

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = (
    ".csv", ".csv.gz", ".csv.zip", ".zip", ".tsv", ".tsv.gz", ".tsv.zip", ".tab", ".txt", ".txt.gz", ".txt.zip",
)  # fmt: skip
HEAD = 2**20
"""Bytes looked at to find separator and header; the encoding is checked on all of them."""
BLOCK = 4 * 2**20
"""Bytes parsed at a time; a row longer than this is an error."""
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
UNUSUAL = (" ", ":", "^", "~")
"""Separators that are recognised and named, but not used unasked."""
CONTROLS = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
"""Characters that text hardly has: no blanks, ends of lines or pages, and no escape, with which logs begin colours."""
NAMED = re.compile(r'"?sep=([^\r\n"])"?(?:\r\n|\r|\n)', re.IGNORECASE)
"""The first line by which Excel is told the separator."""
SAMPLED_RECORDS = 200
OTHER_FORMATS = (
    (b"PAR1", "a Parquet file", ".parquet"), (b"PK\x03\x04", "a zip or Excel file", ".zip or .xlsx"),
    (b"\x1f\x8b", "a gzip file", ".csv.gz"), (b"ARROW1", "a Feather file", ".feather"),
    (b"SQLite format 3", "a SQLite database", "sqlite:///... with a query"), (b"%PDF", "a PDF", ""),
    (b"\x89PNG", "a picture", ""), (b"\xff\xd8\xff", "a picture", ""), (b"\xd0\xcf\x11\xe0", "an old Excel file", ""),
)  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """How a delimited file is laid out: what `batches` needs to read it, and what a person is told about it.

    names: its columns. skip: records before the first row. padded: every separator is followed by a blank that is
    not part of the cell. open_end: the text does not end in a quote, so a cell that reaches its end was never closed.
    """

    label: str
    encoding: str
    separator: str
    names: tuple[str, ...]
    skip: int
    padded: bool
    open_end: bool
    notes: tuple[str, ...]


def sniff(open_: Opener, label: str, *, encoding: str | None = None, separator: str | None = None) -> Layout:
    """Recognise the layout of a delimited file. FileError or DataError, one line, for what is no such table."""
    with open_() as stream:
        head = stream.read(HEAD)
    if not head.strip():
        raise FileError(f"{label} is empty")
    for magic, what, suffix in OTHER_FORMATS:
        if head.startswith(magic):
            raise FileError(f"{label} is {what}, not delimited text{f'; name it {suffix}' if suffix else ''}")
    encoding, said = encoding_of(open_, head, label, encoding)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head, final=len(head) < HEAD)
    if "\x00" in text or len(CONTROLS.findall(text)) > len(text) / 100:
        raise FileError(f"{label} is binary, not delimited text")
    if text.lstrip()[:9].lower().startswith(("<!doctype", "<html")):
        raise FileError(f"{label} is a web page, not delimited text; download the table itself")
    named = NAMED.match(text)
    if named is not None:
        text, separator = text[named.end() :], separator or named[1]
        said.append("the first line names the separator")
    if not text.strip():
        raise FileError(f"{label} is empty")
    separator, records = _separator(text, label, separator, cut=len(head) == HEAD)
    blank = len(re.match(r"(?:[ \t]*(?:\r\n|\r|\n))*", text).group().splitlines()) if text[:1].isspace() else 0  # type: ignore[union-attr]
    names, unnamed = clean_names(records[0], label)
    if len(records) == 1 and not _goes_on(text, separator):
        raise DataError(f"{label} has column names ({shown(names)}) but no rows")
    if separator in SEPARATORS and len(names) > 1:
        said.append(f"{SEPARATORS[separator]} between cells")
    said += unnamed
    if all(_is_number(n) for n in records[0]):
        said.append("the first line was taken as column names though it looks like data")
    cells = [cell for record in records[1:] for cell in record[1:] if cell]
    padded = separator != "\t" and bool(cells) and all(cell.startswith(" ") for cell in cells)
    if padded:
        said.append("the blank after each separator is not part of the cells")
    skip = blank + 1 + (named is not None)
    return Layout(label, encoding, separator, names, skip, padded, not _closed(open_, encoding), tuple(said))


def batches(open_: Opener, layout: Layout, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows as text in record batches, in order; DataError naming the line where a row has too many or few cells."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    keys = [str(i) for i in range(len(layout.names))]
    wanted = list(layout.names if columns is None else columns)
    position = dict(zip(layout.names, keys, strict=True))
    with open_() as stream:
        try:
            reader = arrow_csv.open_csv(
                stream,
                read_options=arrow_csv.ReadOptions(
                    use_threads=False, block_size=BLOCK, column_names=keys, skip_rows_after_names=layout.skip,
                    encoding="utf8" if layout.encoding in ("utf-8", "utf-8-sig") else layout.encoding,
                ),
                parse_options=arrow_csv.ParseOptions(delimiter=layout.separator, newlines_in_values=True),
                convert_options=arrow_csv.ConvertOptions(
                    column_types={key: pa.string() for key in keys}, null_values=[], strings_can_be_null=False,
                    include_columns=[position[name] for name in wanted],
                ),
            )  # fmt: skip
            with reader:
                previous = None
                for batch in reader:
                    if not batch.num_rows:
                        continue
                    if previous is not None:
                        yield _named(previous, wanted, layout)
                    previous = batch
                if previous is not None:
                    _check_end(previous, wanted, layout)
                    yield _named(previous, wanted, layout)
        except (pa.ArrowInvalid, UnicodeError) as error:
            raise _explained(open_, layout, str(error)) from None


def clean_names(names: Sequence[object], label: str) -> tuple[tuple[str, ...], list[str]]:
    """Names of columns without surrounding blanks, "column_3" for an unnamed one; DataError for a repeated one."""
    cleaned = ["" if n is None else str(n).strip() for n in names]
    said = []
    for i, name in enumerate(cleaned):
        if not name:
            cleaned[i] = f"column_{i + 1}"
            said.append(f"column {i + 1} has no name; it is called {cleaned[i]!r}")
    seen: set[str] = set()
    for name in cleaned:
        if name in seen:
            raise DataError(f"{label}: two columns are named {name!r}; give each its own name")
        seen.add(name)
    return tuple(cleaned), said


def shown(names: Sequence[str]) -> str:
    """The first of these names, on one line."""
    return ", ".join(n if n.isprintable() else repr(n) for n in names[:5]) + (", ..." if len(names) > 5 else "")


def mark(asked: str) -> str:
    """The separator that a person names: one character, or "tab"; FileError for anything else."""
    asked = {"\\t": "\t", "tab": "\t"}.get(asked, asked)
    if len(asked) != 1 or asked in '"\r\n' or ord(asked) > 127:
        raise FileError(f"separator {asked!r}; give one character such as ',' ';' '|' or 'tab'")
    return asked


def _separator(text: str, label: str, asked: str | None, *, cut: bool) -> tuple[str, list[list[str]]]:
    """The separator and the first records: the candidate that gives every record the same, largest number of cells."""
    if asked is not None:
        asked = mark(asked)
    trials = {c: _records(text, c, cut) for c in SEPARATORS if asked is None}
    best = asked or max(trials, key=lambda c: _evenness(trials[c]))
    records = trials.get(best) or _records(text, best, cut)
    if not records:
        raise FileError(f"{label} is not delimited text: its first line does not end within {HEAD // 2**20} MB")
    if len(records) > 1 and len(records[0]) == 1:
        likely = max((c for c in (*SEPARATORS, *UNUSUAL) if c != best), key=lambda c: _evenness(_records(text, c, cut)))
        split = _records(text, likely, cut)
        # Blanks and colons are in ordinary words, too: they count where a column of numbers comes out.
        numbers = any(all(map(_is_number, cells)) for cells in zip(*split[1:], strict=False))
        if _evenness(split)[0] == 1 and (likely in SEPARATORS or numbers):
            said = "tab" if likely == "\t" else likely
            raise DataError(
                f"{label} gives one column, {records[0][0]!r}, with separator {best!r}; pass separator={said!r}"
            )
    return best, records


def _records(text: str, separator: str, cut: bool) -> list[list[str]]:
    """The first records that are not blank; the last one is dropped where the text was cut inside it."""
    found: list[list[str]] = []
    try:
        for record in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            if not _blank(record):
                found.append(record)
            if len(found) > SAMPLED_RECORDS:
                return found[:SAMPLED_RECORDS]
    except csv.Error:
        return found
    return found[:-1] if cut else found


def _blank(record: list[str]) -> bool:
    return not record or (len(record) == 1 and not record[0].strip())


def _goes_on(text: str, separator: str) -> bool:
    """Whether anything follows the first record that is not blank, be it longer than what was looked at."""
    lines = io.StringIO(text, newline="")
    next(record for record in csv.reader(lines, delimiter=separator) if not _blank(record))
    return bool(lines.read().strip())


def _evenness(records: list[list[str]]) -> tuple[float, int]:
    """The share of records with as many cells as the first one, and that number; (0, 1) where it is one."""
    cells = len(records[0]) if records else 1
    return (sum(len(r) == cells for r in records) / len(records), cells) if cells > 1 else (0.0, 1)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _closed(open_: Opener, encoding: str) -> bool:
    """Whether the last character that is not a line end is a quote."""
    tail = b""
    with open_() as stream:
        if stream.seekable():
            stream.seek(0, io.SEEK_END)
            stream.seek(max(0, stream.tell() - 64))
            tail = stream.read()
        else:
            while piece := stream.read(HEAD):
                tail = (tail + piece)[-64:]
    return tail.replace(b"\x00", b"").rstrip(b"\r\n \t").endswith(b'"')


def _named(batch: pa.RecordBatch, names: Sequence[str], layout: Layout) -> pa.RecordBatch:
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [pc.utf8_trim_whitespace(c) for c in batch.columns] if layout.padded else batch.columns
    return pa.RecordBatch.from_arrays(columns, names=list(names))


def _check_end(batch: pa.RecordBatch, wanted: Sequence[str], layout: Layout) -> None:
    """A quote that never closes swallows the rest of the file into the last cell; losing rows must not go unsaid."""
    if layout.open_end and layout.names[-1] in wanted:
        last = batch.column(wanted.index(layout.names[-1]))[batch.num_rows - 1].as_py()
        if "\n" in last.rstrip("\r\n"):
            raise DataError(f"{layout.label}: a quote opens before {last[:20]!r} and never closes; close or remove it")


def _explained(open_: Opener, layout: Layout, message: str) -> DataError:
    ragged = re.search(r"Expected (\d+) columns, got (\d+)", message)
    if ragged:
        expected, got = int(ragged[1]), int(ragged[2])
        text = io.TextIOWrapper(open_(), encoding=layout.encoding, errors="replace", newline="")
        with text:
            reader = csv.reader(text, delimiter=layout.separator)
            try:
                line = next((reader.line_num for r in reader if len(r) == got and any(r)), None)
            except csv.Error:
                line = None
        place = f"line {line}" if line else "a line"
        return DataError(
            f"{layout.label}: {place} has {got} cells, but {expected} columns are named; "
            "quote cells that contain the separator, or pass separator="
        )
    if "straddling" in message or "out of sync" in message:
        return DataError(f"{layout.label}: a row is longer than {BLOCK // 2**20} MB; is a quote never closed?")
    return DataError(f"{layout.label}: {message.splitlines()[0]}")
