"""Sources: the same rows from a frame, Parquet and text; a schema that allows every row; memory that stays bounded."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest

from begat.codecs import parquet
from begat.codecs.grow import finer
from begat.codecs.infer import infer
from begat.codecs.read import read
from begat.codecs.scan import SAMPLE, scan
from begat.codecs.source import CsvSource, FrameSource, ParquetSource, TableSource, open_source
from begat.codecs.table import TableCodec
from begat.errors import BegatError, DataError, FileError
from begat.schema import Grid, Schema

ROWS = 1_000


def frame(rows: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(rows)
    return pd.DataFrame(
        {
            "count": rng.poisson(4, rows),
            "cents": rng.normal(20, 5, rows).round(2),
            "real": rng.normal(size=rows),
            "word": pd.Series(rng.choice(["a", "b", "c d"], rows), dtype="str"),
            "day": np.datetime64("2020-01-01", "us") + rng.integers(0, 900, rows).astype("timedelta64[D]"),
            "gaps": np.where(rng.random(rows) < 0.1, np.nan, rng.integers(0, 9, rows)),
        }
    )


def csv(table: pd.DataFrame, folder: Path) -> TableSource:
    table.to_csv(folder / "t.csv", index=False)
    return open_source(folder / "t.csv")


def gz(table: pd.DataFrame, folder: Path) -> TableSource:
    table.to_csv(folder / "t.csv.gz", index=False, sep=";")
    return open_source(str(folder / "t.csv.gz"))


def one_file(table: pd.DataFrame, folder: Path) -> TableSource:
    table.to_parquet(folder / "t.parquet", row_group_size=97, index=False)
    return open_source(folder / "t.parquet")


def parts(table: pd.DataFrame, folder: Path) -> TableSource:
    (folder / "parts").mkdir()
    for i, start in enumerate(range(0, len(table), 301)):
        table.iloc[start : start + 301].to_parquet(
            folder / "parts" / f"{i:03d}.parquet", row_group_size=100, index=False
        )
    return open_source(folder / "parts")


def memory(table: pd.DataFrame, folder: Path) -> TableSource:
    return open_source(table)


SOURCES: tuple[Callable[[pd.DataFrame, Path], TableSource], ...] = (csv, gz, one_file, parts, memory)
FILES = SOURCES[:-1]
each_source = pytest.mark.parametrize("make", SOURCES, ids=lambda f: f.__name__)
each_file = pytest.mark.parametrize("make", FILES, ids=lambda f: f.__name__)


# rows -------------------------------------------------------------------------------------------------------------
@each_source
@pytest.mark.parametrize("size", [1, 7, 100, 999, 1000, 5000])
def test_chunks_are_all_rows_once_in_order(make: Callable[..., TableSource], tmp_path: Path, size: int) -> None:
    table = frame() if size > 1 else frame(50)
    source = make(table, tmp_path)
    typed = source.typed(scan(source))
    chunks = list(typed.chunks(size))
    sizes = [len(c) for c in chunks]
    assert sizes[:-1] == [size] * (len(sizes) - 1) and 0 < sizes[-1] <= size
    assert len(source) == len(table) and list(source.names) == list(table.columns)
    pd.testing.assert_frame_equal(pd.concat(chunks, ignore_index=True), table, check_dtype=make is not memory)


@each_source
def test_take_is_those_rows_in_that_order(make: Callable[..., TableSource], tmp_path: Path) -> None:
    table = frame()
    source = make(table, tmp_path)
    source = source.typed(scan(source))
    for rows in ([0], [999, 0, 500, 500, 3], list(range(999, -1, -1)), []):
        pd.testing.assert_frame_equal(source.take(rows), table.iloc[rows].reset_index(drop=True), check_dtype=False)
    for wrong in ([1000], [-1]):
        with pytest.raises(DataError, match="row"):
            source.take(wrong)


def test_take_reads_only_the_row_groups_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = parts(frame(), tmp_path)
    opened: list[tuple[str, int]] = []
    real = parquet._opened

    def spy(file: Path) -> pq.ParquetFile:
        part = real(file)
        read_group = part.read_row_group

        def noted(group: int, **options: Any) -> pa.Table:
            opened.append((file.name, group))
            return read_group(group, **options)

        part.read_row_group = noted
        return part

    monkeypatch.setattr(parquet, "_opened", spy)
    source.take([5, 310, 311, 950])
    assert opened == [("000.parquet", 0), ("001.parquet", 0), ("003.parquet", 0)]


@each_source
def test_only_keeps_those_columns(make: Callable[..., TableSource], tmp_path: Path) -> None:
    source = make(frame(), tmp_path).only(["word", "count"])
    assert list(source.names) == ["word", "count"]
    assert list(next(iter(source.chunks(10)))) == ["word", "count"]


@pytest.mark.parametrize("kind", [np.asarray, lambda t: __import__("polars").from_pandas(t)], ids=["numpy", "polars"])
def test_frames_stay_what_they_are(kind: Callable[[Any], Any]) -> None:
    table = kind(frame()[["count", "real"]])
    source = open_source(table)
    assert isinstance(source, FrameSource) and len(source) == ROWS
    assert all(type(c) is type(table) for c in source.chunks(300)) and type(source.take([1, 0])) is type(table)


def test_half_read_streams_close_and_the_process_ends(tmp_path: Path) -> None:
    parts(frame(20_000), tmp_path)
    one = (
        "import sys; from begat.codecs.source import open_source\n"
        "stream = open_source(sys.argv[1]).chunks(100); next(stream); half = open_source(sys.argv[1]).chunks(10)\n"
        "next(half); stream.close(); print('done')"
    )
    ran = subprocess.run([sys.executable, "-c", one, str(tmp_path / "parts")], capture_output=True, timeout=60)
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, b"done", b"")


# the schema of every row ------------------------------------------------------------------------------------------
@each_source
def test_scan_is_infer_where_the_sample_is_everything(make: Callable[..., TableSource], tmp_path: Path) -> None:
    table = frame()
    found, direct = scan(make(table, tmp_path), target="word"), infer(table, target="word")
    assert found.digest() == direct.digest() and found.target == "word"
    for ours, theirs in zip(found, direct, strict=True):
        assert (ours.kind, ours.grid, ours.levels, ours.missing, ours.seen) == (
            theirs.kind, theirs.grid, theirs.levels, theirs.missing, theirs.seen,
        )  # fmt: skip
        assert ours.missing_share == pytest.approx(theirs.missing_share)


@each_file
def test_scan_of_text_gives_what_read_gives(make: Callable[..., TableSource], tmp_path: Path) -> None:
    source = make(frame(), tmp_path)
    whole = read(source.path, "word").schema  # type: ignore[attr-defined]
    assert scan(source, target="word").digest() == whole.digest()


LATE = 4 * SAMPLE + 2
"""Rows enough for the sample to take each fourth or eighth: it skips the last one, whose place is odd."""

# column, its last cell -> what the schema must then say of it
WIDENED: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "a new level": ("word", "zz", {"kind": "category", "levels": ("a", "b", "c d", "zz")}),
    "a missing word": ("word", None, {"kind": "category", "missing": True}),
    "a missing number": ("count", np.nan, {"kind": "count", "missing": True, "dtype": "float64"}),
    "a half": ("count", 2.5, {"kind": "decimal", "lower": None, "grid": Grid(1, 5)}),
    "a long fraction": ("count", np.pi, {"kind": "continuous", "grid": None}),
    "below zero": ("count", -3, {"kind": "integer", "lower": None}),
    "more decimals": ("cents", 0.125, {"kind": "decimal"}),
    "a large number": ("real", 1e6, {"kind": "continuous"}),
    "a time of day": ("day", pd.Timestamp("2033-01-01 12:30"), {"kind": "datetime", "tick": "minute"}),
    "the last day of all": ("day", pd.Timestamp("9999-12-31").as_unit("us"), {"kind": "datetime", "tick": "day"}),
    "a moment too far off": ("day", pd.Timestamp("9999-12-31T00:00:00.000001").as_unit("us"), {"tick": "millisecond"}),
    "a date far off": ("day", pd.Timestamp("2133-01-01"), {"kind": "datetime", "tick": "day"}),
}


@pytest.fixture(scope="module")
def long() -> pd.DataFrame:
    return frame(LATE)


@pytest.mark.parametrize("make", [csv, one_file], ids=lambda f: f.__name__)
@pytest.mark.parametrize("case", WIDENED)
def test_scan_allows_the_last_row(
    make: Callable[..., TableSource], case: str, long: pd.DataFrame, tmp_path: Path
) -> None:
    name, cell, expected = WIDENED[case]
    table = long[[name]].copy()
    table[name] = pd.concat([table[name].iloc[:-1], pd.Series([cell])], ignore_index=True)
    if make is csv and name == "day":
        table[name] = table[name].dt.strftime("%Y-%m-%d %H:%M")
        expected = {"kind": "datetime"}
    table.insert(0, "row", np.resize([1.5, 2.25, -1.0], LATE))  # a CSV of one column drops lines that are blank
    if case == "a missing number" and make is one_file:
        table[name] = table[name].astype("Int64")
        pq.write_table(pa.Table.from_pandas(table).replace_schema_metadata(None), tmp_path / "t.parquet")
        source = open_source(tmp_path / "t.parquet")
    else:
        source = make(table, tmp_path)
    schema = scan(source)
    column = schema[name]
    assert {k: getattr(column, k) for k in expected} == expected
    codec = TableCodec(schema)
    for chunk in source.typed(schema).chunks():
        encoded = codec.encode(chunk)
        assert encoded.possible is None or bool(encoded.possible.all())
        if column.missing:
            assert not any(k is not None and not k[:, :1].all() for k in encoded.batch.known[1:])


@pytest.mark.parametrize("old", [Grid(), Grid(2), Grid(0, 5), Grid(0, 5, 2), Grid(1, 25, 5), Grid(offset=2**60)])
@pytest.mark.parametrize("off", [[0.5], [0.25, -3.125], [7.0], [1.0, 1.5], [1e-7], [np.pi]])
def test_a_finer_grid_is_the_coarsest_that_holds_both(old: Grid, off: list[float]) -> None:
    found = finer(old, np.array(off))
    if found is None:
        assert any(v * 10**6 % 1 for v in off)
        return
    unit = Fraction(1, 10**found.decimals)
    start = Fraction(old.offset, 10**old.decimals)
    points = [start, start + Fraction(old.multiple, 10**old.decimals), *map(Fraction, map(str, off))]
    steps = [(p - found.offset * unit) / (found.multiple * unit) for p in points]
    assert all(s.denominator == 1 for s in steps)
    assert math.gcd(*(int(s - steps[0]) for s in steps)) == 1


def test_a_late_word_makes_a_category_unless_the_kind_is_stated(long: pd.DataFrame, tmp_path: Path) -> None:
    table = long[["count", "real"]].astype(object)
    table.iloc[-1, 0] = "many"
    source = csv(table, tmp_path)
    schema = scan(source)
    assert schema["count"].kind == "category" and "many" in (schema["count"].levels or ())
    assert schema["real"].kind == "continuous"
    last = TableCodec(schema).encode(source.typed(schema).take([LATE - 1])).batch
    assert len(last) == 1
    for stated in ({"kinds": {"count": "count"}}, {"schema": Schema((infer(long)["count"],))}):
        with pytest.raises(BegatError, match=rf"'count', row {LATE - 1}: 'many'"):
            for _ in source.typed(scan(source, **stated)).chunks():  # type: ignore[arg-type]
                pass


def test_infinity_is_named_by_its_row(long: pd.DataFrame, tmp_path: Path) -> None:
    for row in (LATE - 1, LATE - 2):
        table = long[["real"]].copy()
        table.iloc[row, 0] = np.inf
        with pytest.raises(DataError, match=rf"'real', row {row}: infinity"):
            scan(one_file(table, tmp_path))


def test_arguments_are_checked(tmp_path: Path) -> None:
    source = csv(frame(), tmp_path)
    assert "day" not in scan(source, drop=["day"]).names
    for wrong, message in (
        ({"drop": ["dya"]}, "did you mean 'day'"),
        ({"target": "wrod"}, "did you mean 'word'"),
        ({"kinds": {"word": "count"}}, "word"),
    ):
        with pytest.raises(BegatError, match=message):
            scan(source, **wrong)  # type: ignore[arg-type]
    stated = infer(frame()).change("word", levels=("a", "b"))
    assert scan(source, schema=stated)["word"].levels == ("a", "b")
    with pytest.raises(DataError, match="no column 'nope'"):
        source.typed(Schema((infer(frame(100).rename(columns={"word": "nope"}))["nope"],)))
    with pytest.raises(DataError, match="at least one row"):
        list(source.chunks(0))


# what cannot be a source ------------------------------------------------------------------------------------------
def lists(folder: Path) -> Path:
    pq.write_table(pa.table({"a": [[1], [2]], "b": [1, 2]}), folder / "lists.parquet")
    return folder / "lists.parquet"


def strangers(folder: Path) -> Path:
    (folder / "p").mkdir()
    pq.write_table(pa.table({"a": [1]}), folder / "p" / "1.parquet")
    pq.write_table(pa.table({"b": [1]}), folder / "p" / "2.parquet")
    return folder / "p"


def clash(folder: Path) -> Path:
    (folder / "p").mkdir()
    pq.write_table(pa.table({"a": [1]}), folder / "p" / "1.parquet")
    pq.write_table(pa.table({"a": ["x"]}), folder / "p" / "2.parquet")
    return folder / "p"


def no_rows(folder: Path) -> Path:
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), folder / "e.parquet")
    return folder / "e.parquet"


def json_file(folder: Path) -> Path:
    (folder / "t.json").write_text("[]")
    return folder / "t.json"


BAD = {
    strangers: (FileError, "different columns"),
    clash: (FileError, "do not fit together"),
    no_rows: (DataError, "no rows"),
    json_file: (FileError, "piece by piece"),
    lambda folder: folder / "none.csv": (FileError, "no file"),
}


@pytest.mark.parametrize("make", BAD, ids=lambda f: f.__name__)
def test_bad_sources_say_what_is_wrong(make: Callable[[Path], Path], tmp_path: Path) -> None:
    error, message = BAD[make]
    with pytest.raises(error, match=message) as caught:
        open_source(make(tmp_path))
    assert "\n" not in str(caught.value)


def test_lists_are_refused_unless_dropped(tmp_path: Path) -> None:
    source = open_source(lists(tmp_path))
    with pytest.raises(DataError, match="drop="):
        scan(source)
    assert scan(source, drop=["a"]).names == ("b",)


def test_types_that_differ_between_parts_are_united(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}), tmp_path / "p" / "1.parquet")
    pq.write_table(pa.table({"b": pa.array([None], pa.null()), "a": [0.5]}), tmp_path / "p" / "2.parquet")
    whole = pd.concat(open_source(tmp_path / "p").chunks(2), ignore_index=True)
    assert whole["a"].tolist() == [1.0, 2.0, 0.5] and whole["b"].isna().tolist() == [False, False, True]


# memory -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("source", "most"), [(ParquetSource, 30), (CsvSource, 40)])
def test_a_pass_holds_a_small_part_of_the_file(source: Any, most: int, tmp_path: Path) -> None:
    """By Arrow's own count of bytes: at most `most` MB at once of 80 MB (Parquet) or 110 MB (text), and none after."""
    rows = 1_000_000
    numbers = [np.random.default_rng(i).integers(0, 10**6, rows) for i in range(10)]
    path = tmp_path / ("t.parquet" if source is ParquetSource else "t.csv")
    if source is ParquetSource:
        pq.write_table(pa.table({f"x{i}": v for i, v in enumerate(numbers)}), path, row_group_size=100_000)
    else:
        arrow_csv.write_csv(pa.table({f"x{i}": v for i, v in enumerate(numbers)}), path)
    before = pa.total_allocated_bytes()
    peak = total = 0
    for chunk in source(path).chunks(10_000):
        total += len(chunk)
        peak = max(peak, pa.total_allocated_bytes() - before)
    del chunk
    assert total == rows
    assert peak < most * 10**6
    assert pa.total_allocated_bytes() - before < 10**6
