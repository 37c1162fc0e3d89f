"""Reading and writing: what is written is read again, and every bad file says what is wrong and does no more."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from begat.codecs.catalogue import CATALOGUE, load
from begat.codecs.infer import infer
from begat.codecs.read import READERS, read
from begat.codecs.source import CsvSource
from begat.codecs.table import TableCodec
from begat.codecs.write import WRITERS, write
from begat.errors import BegatError, DataError, FileError
from begat.schema import Schema

ROWS = 120
RNG = np.random.default_rng(0)
COMMA = str.maketrans(",.", ".,")
WORDS = ["red", "dark blue", "?", 'in "quotes", comma', "line\nbreak"]
DAYS = np.datetime64("2021-01-31") + RNG.integers(0, 700, ROWS).astype("timedelta64[D]")

# kind of column -> (its cells as text, its kind, the frame's dtype)
TEXT: dict[str, tuple[list[str], str, str]] = {
    "plain": ([f"{v:.3f}" for v in RNG.normal(size=ROWS)], "decimal", "float64"),
    "german": ([f"{v:,.2f}".translate(COMMA) for v in RNG.normal(5e3, 900, ROWS)], "decimal", "float64"),
    "percent": ([f"{v} %" for v in RNG.integers(0, 100, ROWS)], "count", "int64"),
    "dollars": ([f"${v}" for v in RNG.integers(5, 2000, ROWS)], "integer", "int64"),
    "gaps": ([str(v) if i % 7 else "NA" for i, v in enumerate(RNG.poisson(3, ROWS))], "count", "float64"),
    "sentinel": ([str(v) if i % 5 else "-999" for i, v in enumerate(RNG.integers(0, 9000, ROWS))], "integer", "int64"),
    "zip": ([f"{v:05d}" for v in RNG.integers(0, 20, ROWS)], "category", "str"),
    "words": ([WORDS[i % 5] for i in range(ROWS)], "category", "str"),
    "answer": ([["Yes", "No"][i % 2] for i in range(ROWS)], "boolean", "str"),
    "bit": ([str(i % 2) for i in range(ROWS)], "boolean", "int64"),
    "dots": ([f"{d[8:]}.{d[5:7]}.{d[:4]}" for d in DAYS.astype(str)], "datetime", "datetime64[us]"),
    "zoned": ([f"{d}T12:30:00+0{1 + i % 2}:00" for i, d in enumerate(DAYS)], "datetime", "datetime64[us, UTC]"),
    "id": ([f"C{i:04d}" for i in RNG.permutation(ROWS)], "identifier", "str"),
}  # fmt: skip


def table(names: list[str] | None = None) -> pd.DataFrame:
    return pd.DataFrame({n: cells for n, (cells, _, _) in TEXT.items() if names is None or n in names})


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    path = tmp_path / "messy.csv"
    table().to_csv(path, index=False)
    return path


# what comes in is recognised --------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", TEXT)
def test_text_is_recognised(messy: Path, name: str) -> None:
    data = read(messy)
    _, kind, dtype = TEXT[name]
    assert (data.schema[name].kind, str(data.frame[name].dtype), data.schema[name].dtype) == (kind, dtype, dtype)


@pytest.mark.parametrize("name", [n for n in TEXT if n != "zoned"])
def test_text_is_written_as_it_was(messy: Path, tmp_path: Path, name: str) -> None:
    data = read(messy)
    write(data.frame, tmp_path / "again.csv", data.schema)
    again = pd.read_csv(tmp_path / "again.csv", dtype=str, keep_default_na=False)
    assert again[name].tolist() == TEXT[name][0]  # `zoned` is written in UTC


def test_decoded_rows_look_like_what_was_read(messy: Path) -> None:
    data = read(messy, drop=["id"])
    codec = TableCodec(data.schema)
    pd.testing.assert_frame_equal(codec.decode(codec.encode(data.frame).batch), data.frame)


@pytest.mark.parametrize("ending", WRITERS)
def test_written_is_read_again(messy: Path, tmp_path: Path, ending: str) -> None:
    data = read(messy, "answer")
    path = tmp_path / f"again{ending}"
    write(data.frame, path, data.schema)
    again = read(path, schema=data.schema)
    pd.testing.assert_frame_equal(again.frame, data.frame)
    assert again.schema == data.schema and again.name == "again"
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".part")] == []


@pytest.mark.parametrize("ending", [".parquet", ".feather"])
def test_types_survive(tmp_path: Path, ending: str) -> None:
    frame = pd.DataFrame(
        {
            "f32": np.array([1.5, np.nan, 2.25], np.float32),
            "i8": np.array([1, 2, 3], np.int8),
            "Int64": pd.array([1, None, 3], "Int64"),
            "boolean": pd.array([True, None, False], "boolean"),
            "grade": pd.Categorical(["b", "a", None], ["c", "b", "a"], ordered=True),
            "moment": pd.to_datetime(["2020-01-01", None, "2020-06-01"]).tz_localize("UTC").tz_convert("Europe/Berlin"),
            "huge": [2**60, 2**60 + 1, 2**60 + 2],
            "word": pd.Series(["x", None, ""], dtype="str"),
        }
    )
    write(frame, tmp_path / f"t{ending}")
    again = read(tmp_path / f"t{ending}").frame
    pd.testing.assert_frame_equal(
        again[["f32", "i8", "Int64", "boolean", "grade", "moment", "huge"]], frame.iloc[:, :-1]
    )
    assert again["word"].isna().tolist() == [False, True, True]  # an empty word stands for a missing one


FOREIGN: dict[str, tuple[pa.Array, str, list[object]]] = {
    "booleans": (pa.array([True, None]), "boolean", [True, pd.NA]),
    "integers": (pa.array([1, None]), "float64", [1.0, None]),
    "large integers": (pa.array([2**60 + 1, None]), "Int64", [2**60 + 1, pd.NA]),
    "half floats": (pa.array(np.array([0.5, 2], np.float16)), "float32", [0.5, 2.0]),
    "decimals": (pa.array([1, None]).cast(pa.decimal128(21, 2)), "float64", [1.0, None]),
    "days": (pa.array([0, None], pa.date32()), "datetime64[ms]", [pd.Timestamp(0), pd.NaT]),
    "times": (pa.array([3_600, None], pa.time32("s")), "str", ["01:00:00.000", None]),
    "nothing": (pa.array([None, None], pa.null()), "str", [None, None]),
    "categories": (pa.array(["x", None]).dictionary_encode(), "category", ["x", None]),
    "large text": (pa.array(["x", None], pa.large_string()), "str", ["x", None]),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_parquet_of_other_programs(tmp_path: Path, case: str) -> None:
    column, dtype, cells = FOREIGN[case]
    pq.write_table(pa.table({"a": column, "row": [1, 2]}), tmp_path / "t.parquet")
    found = read(tmp_path / "t.parquet").frame["a"]
    assert str(found.dtype) == dtype
    assert [None if pd.isna(v) else v for v in found] == [None if pd.isna(v) else v for v in cells]


def test_an_index_without_a_name_is_no_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2]}, index=[5, 7])
    frame.to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read(tmp_path / "t.parquet").frame, pd.DataFrame({"a": [1, 2]}))


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_layout_is_sniffed(tmp_path: Path, separator: str, encoding: str, end: str) -> None:
    rows = [["näme", "größe", "wert"], ["Zoë", "1", "a b"], ["Ö", "2", f'"x{separator}y"'], ["é", "3", '"two\nlines"']]
    path = tmp_path / "t.csv"
    path.write_bytes(end.join(separator.join(r) for r in rows).encode(encoding))
    data = read(path, kinds={"näme": "category", "wert": "category"})
    assert data.frame["näme"].tolist() == ["Zoë", "Ö", "é"]
    assert data.frame["größe"].tolist() == [1, 2, 3]
    assert data.frame["wert"].tolist() == ["a b", f"x{separator}y", "two\nlines"]
    assert any("between cells" in note for note in data.notes)
    assert encoding in ("utf-8", "utf-8-sig") or any("utf-16" in n or "cp1252" in n for n in data.notes)


def zipped(**members: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("_", "."), text)
    return out.getvalue()


CSV = b"a,b\n1,x\n2,y\n3,x\n"
SAME_TABLE: dict[str, bytes] = {
    "t.csv": CSV,
    "t.txt": CSV.replace(b",", b"\t"),
    "t.tsv": CSV.replace(b",", b"\t"),
    "blanks.csv": CSV.replace(b",", b", "),
    "lines.csv": b"\n\n" + CSV.replace(b"\n", b"\n\n"),
    "t.csv.gz": gzip.compress(CSV),
    "t.csv.zip": zipped(t_csv=CSV.decode()),
    "t.json": b'[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "x"}]',
    "columns.json": b'{"a": [1, 2, 3], "b": ["x", "y", "x"]}',
    "pandas.json": b'{"a": {"0": 1, "1": 2, "2": 3}, "b": {"0": "x", "1": "y", "2": "x"}}',
    "wrapped.json": b'{"rows": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "x"}]}',
    "t.jsonl": b'{"a": 1, "b": "x"}\n\n{"b": "y", "a": 2}\n{"a": 3, "b": "x"}',
}


@pytest.mark.parametrize("name", SAME_TABLE)
def test_every_format_gives_the_same_table(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(SAME_TABLE[name])
    data = read(str(path))
    pd.testing.assert_frame_equal(data.frame, pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "x"]}))
    assert len(data) == 3 and data.y is None and data.schema.names == ("a", "b")


def test_standard_input_and_output(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(CSV)))
    data = read("-", "b")
    assert data.name == "stdin" and list(data.X) == ["a"] and data.y is not None and data.y.tolist() == ["x", "y", "x"]
    write(data.frame, "-", data.schema)
    assert capsysbinary.readouterr().out == CSV


def test_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'd.db'}"
    pd.DataFrame({"a": [1, 2, None], "b": ["x", "y", None]}).to_sql("t", sa.create_engine(url), index=False)
    by_table, by_query = read(url, table="t"), read(url, query="SELECT b FROM t WHERE a = 2")
    assert by_table.name == "t" and by_table.frame["a"].isna().tolist() == [False, False, True]
    assert by_query.frame["b"].tolist() == ["y"]
    for asked, message in (
        ({}, "query=.* or table="),
        ({"table": "tt"}, "did you mean 't'"),
        ({"query": "SELECT c FROM t"}, "no such column"),
        ({"query": "DELETE FROM t"}, "no SELECT"),
    ):
        with pytest.raises(DataError, match=message):
            read(url, **asked)
    assert len(read(url, table="t")) == 3
    for wrong, message in (("sqlite:///none.db", "no database file"), ("nosql://x", "cannot be opened|needs"),
                           ("https://example.org/a.csv", "downloads nothing")):  # fmt: skip
        with pytest.raises(FileError, match=message):
            read(wrong, table="t")


def test_parts_of_a_folder(tmp_path: Path) -> None:
    for year in (2023, 2024):
        (tmp_path / f"year={year}").mkdir()
        pd.DataFrame({"a": [year, 1.5]}).to_parquet(tmp_path / f"year={year}" / "part-0.parquet", index=False)
    (tmp_path / "_SUCCESS").write_text("")
    data = read(tmp_path)
    assert data.frame["a"].tolist() == [2023, 1.5, 2024, 1.5] and data.frame["year"].tolist() == [
        2023,
        2023,
        2024,
        2024,
    ]


def test_excel_errors_are_missing_cells(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in ([None, None], ["a", "b"], [1, "#DIV/0!"], [None, None], [2.5, "x"]):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    frame = read(tmp_path / "t.xlsx").frame
    assert frame["a"].tolist() == [1.0, 2.5] and frame["b"].isna().tolist() == [True, False]


def test_excel_sheets(tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame({"a": [1, 2]}).to_excel(book, sheet_name="one", index=False)
        pd.DataFrame({"b": ["x", None]}).to_excel(book, sheet_name="two", index=False, startrow=2)
    assert read(path).notes == ("sheet 'one' of 2; another one with table=",)
    assert read(path, table="one").frame["a"].tolist() == [1, 2]
    with pytest.raises(DataError, match="did you mean 'two'"):
        read(path, table="too")


def test_arguments(messy: Path, tmp_path: Path) -> None:
    assert len(read(messy, rows=7)) == 7
    assert "id" not in read(messy, drop=["id"]).frame
    assert read(messy, kinds={"bit": "category"}).schema["bit"].kind == "category"
    stated = read(messy).schema.change("percent", lower=-5.0)
    stated.save(tmp_path / "schema.json")
    assert read(messy, schema=tmp_path / "schema.json").schema["percent"].lower == -5.0
    alone = Schema((stated["german"],))
    assert read(messy, schema=alone).schema == read(messy).schema
    for wrong, message in (
        ({"target": "answre"}, "did you mean 'answer'"),
        ({"drop": ["idd"]}, "did you mean 'id'"),
        ({"target": "id", "drop": ["id"]}, "also in drop"),
        ({"rows": 0}, "at least 1"),
        ({"kinds": {"words": "integer"}}, "words"),
        ({"kinds": {"wrods": "integer"}}, "did you mean 'words'"),
    ):
        with pytest.raises(BegatError, match=message):
            read(messy, **wrong)


# bad files --------------------------------------------------------------------------------------------------------
def parquet_bytes(**columns: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def feather_bytes(values: object) -> bytes:
    out = io.BytesIO()
    pd.DataFrame({"a": values}).to_feather(out)
    return out.getvalue()


def invalid_text() -> pa.Array:
    """What Arrow itself would not make: a string array over bytes that are not UTF-8."""
    offsets = pa.array([0, 2], pa.int32()).buffers()[1]
    return pa.StringArray.from_buffers(1, offsets, pa.py_buffer(b"\xff\xfe"))


NOISE = np.random.default_rng(1).bytes(4000)
DAMAGED_UTF8 = "n;ü\n" + "äöüß;é\n" * 4
BAD: dict[str, tuple[str, bytes, type[BegatError], str]] = {
    "empty": ("t.csv", b"", FileError, "is empty"),
    "blank": ("t.csv", b"\n \n\t\n", FileError, "is empty"),
    "header only": ("t.csv", b"a,b\n", DataError, r"names \(a, b\) but no rows"),
    "noise": ("t.csv", NOISE, FileError, "binary"),
    "nul": ("t.csv", b"a,b\n1,\x00\n", FileError, "binary"),
    "wrong separator": ("t.tsv", CSV, DataError, "one column, 'a,b'.*separator=','"),
    "blanks": ("t.csv", b"a b\n1 2\n3 4\n", DataError, "separator=' '"),
    "long row": ("t.csv", b'a,b\n1,"x\ny"\n1,2,3\n', DataError, "line 4 has 3 cells, but 2 columns"),
    "short row": ("t.csv", b"a,b\n1,2\n1\n", DataError, "line 3 has 1 cells"),
    "open quote": ("t.csv", b'a,b\n1,"x\n2,y\n3,z\n', DataError, "never closes"),
    "twice": ("t.csv", b"a,b,a\n1,2,3\n", DataError, "two columns are named 'a'"),
    "mark only": ("t.csv", b"\xef\xbb\xbf", FileError, "is empty"),
    "separator only": ("t.csv", b"sep=;\n", FileError, "is empty"),
    "damaged UTF-8": ("t.csv", DAMAGED_UTF8.encode() + b"\xff;1\n", FileError, "0xff in line 6"),
    "UTF-16, no mark": ("t.csv", "a,b\n1,2\n".encode("utf-16-le"), FileError, "encoding='utf-16-le'"),
    "Parquet as CSV": ("t.csv", parquet_bytes(a=[1]), FileError, "name it .parquet"),
    "zip as CSV": ("t.csv", zipped(a_csv="a\n1"), FileError, "zip or Excel"),
    "web page": ("t.csv", b"<!DOCTYPE html><html>", FileError, "web page"),
    "not gzip": ("t.csv.gz", CSV, FileError, "damaged"),
    "cut gzip": ("t.csv.gz", gzip.compress(CSV * 50)[:-9], FileError, "damaged"),
    "gzip bomb": ("t.csv.gz", gzip.compress(b"a,b\n" + bytes(300 * 2**20), 1), FileError, "200 times"),
    "not zip": ("t.zip", CSV, FileError, "not a readable zip"),
    "two members": ("t.zip", zipped(a_csv="a\n1", b_csv="b\n1"), FileError, "holds 2 files"),
    "no members": ("t.zip", zipped(), FileError, "holds 0 files"),
    "not Parquet": ("t.parquet", CSV, FileError, "damaged Parquet"),
    "empty Parquet": ("t.parquet", b"", FileError, "is empty"),
    "cut Parquet": ("t.parquet", parquet_bytes(a=[1, 2])[:-20], FileError, "damaged Parquet"),
    "no rows": ("t.parquet", parquet_bytes(a=pa.array([], pa.int64())), DataError, "but no rows"),
    "lists": ("t.parquet", parquet_bytes(a=[[1], [2]]), DataError, r"list.*drop=\['a'\]"),
    "infinity": ("t.parquet", parquet_bytes(a=[1.0, np.inf]), DataError, "infinity"),
    "bytes as text": ("t.parquet", parquet_bytes(a=invalid_text()), FileError, "damaged Parquet.*UTF8"),
    "intervals": ("t.feather", feather_bytes(pd.cut(range(9), 3)), FileError, "not a readable Feather"),
    "not Feather": ("t.feather", CSV, FileError, "not a readable Feather"),
    "not JSON": ("t.json", b"a,b\n1,2", FileError, "not JSON"),
    "deep JSON": ("t.json", b"[" * 100_000, FileError, "not JSON"),
    "a number": ("t.json", b"3", DataError, "not a table"),
    "empty list": ("t.json", b"[]", DataError, "not a table"),
    "ragged JSON": ("t.json", b'{"a": [1], "b": [1, 2]}', DataError, "different numbers of rows"),
    "nested": ("t.json", b'[{"a": {"b": 1}}]', DataError, "holds a dict in row 1"),
    "repeated key": ("t.json", b'[{"a": 1, "a": 2}]', DataError, "names 'a' twice"),
    "half a pair in JSON": ("t.json", b'[{"a": "x"}, {"a": "\\ud800"}]', DataError, "'a', row 2 .*surrogate"),
    "half a pair in JSONL": ("t.jsonl", b'{"a": 1, "\\udc00": 2}\n', DataError, "its name .*surrogate"),
    "not UTF-8 JSON": ("t.json", b'{"a": ["\xff"]}', FileError, "not text in UTF-8"),
    "not JSONL": ("t.jsonl", b'{"a": 1}\n{"a": 2\n', FileError, "line 2"),
    "list in JSONL": ("t.jsonl", b'{"a": 1}\n[2]\n', DataError, "line 2"),
    "not Excel": ("t.xlsx", CSV, FileError, "damaged"),
    "zip as Excel": ("t.xlsx", zipped(a_csv="a\n1"), FileError, "not a readable Excel"),
    "unknown ending": ("t.cvs", CSV, FileError, r"did you mean '\.csv'"),
    "no ending": ("t", CSV, FileError, "does not read"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_files_say_what_is_wrong(tmp_path: Path, case: str) -> None:
    name, content, error, message = BAD[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(error, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_names_that_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sales.csv").write_bytes(CSV)
    (tmp_path / "folder").mkdir()
    for name, message in (
        ("slaes.csv", "did you mean 'sales.csv'"),
        ("none/sales.csv", "folder none does not exist"),
        ("folder", "no .parquet file"),
        ("penguin", "did you mean 'penguins'"),
        ("/dev/null", "not a regular file"),
        ("x" * 5000 + ".csv", "not the name of a file"),
    ):
        with pytest.raises(FileError, match=message):
            read(name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"encoding": "utf-8"}, "0xe9 in line 2"),
        ({"encoding": "utf-9"}, "did you mean 'utf-8'"),
        ({"separator": "::"}, "one character"),
        ({"separator": ";"}, "separator=','"),
    ],
)
def test_stated_layout_is_checked(tmp_path: Path, arguments: dict[str, str], message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("a,b\né,1\n".encode("latin-1"))
    with pytest.raises(BegatError, match=message):
        read(path, **arguments)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(("said", "separator"), [("sep=;", ";"), ('"sep=|"', "|"), ("SEP=,", ","), ("", ",")])
def test_the_line_that_tells_excel_the_separator_is_no_row(tmp_path: Path, end, mark, said, separator) -> None:
    lines = [said] * bool(said) + [
        separator.join(row) for row in (("a", "b"), ("1,5" if separator != "," else "1", "x"))
    ]
    path = tmp_path / "t.csv"
    path.write_bytes((mark + end.join(lines) + end).encode())
    data = read(path)
    assert list(data.frame.columns) == ["a", "b"] and len(data) == 1 and list(data.frame["b"]) == ["x"]
    assert len(CsvSource(path)) == 1


@pytest.mark.parametrize("length", [10, 200_000, 3_000_000])
@pytest.mark.parametrize("quoted", [False, True])
def test_a_long_first_row_is_a_row(tmp_path: Path, length: int, quoted: bool) -> None:
    long = "x" * length
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + (f'"{long}\n"' if quoted else long) + ",1\ny,2\n")
    assert [len(v) for v in read(path, kinds={"a": "category"}).frame["a"]] == [length + quoted, 1]


def test_text_that_commands_a_terminal_is_read_and_made_visible(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('"a\x1b[31m\nb",c\n\x1b[1mx,1\n\x1b[1my,2\n' * 3)
    with pytest.raises(DataError) as caught:
        read(path, drop=["d"])
    assert r"'a\x1b[31m\nb'" in str(caught.value) and str(caught.value).isprintable()
    assert read(path).frame.columns[0] == "a\x1b[31m\nb" and read(path).frame.iloc[0, 0] == "\x1b[1mx"


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".feather", ".jsonl", ".xlsx"])
@pytest.mark.parametrize(
    "values",
    [
        pd.arrays.SparseArray([0.0, 1.5, 0.0, np.nan] * 5), np.arange(20, dtype=">i4"),
        np.arange(20).astype(np.longdouble), pd.cut(np.arange(20), 4), pd.Categorical([None] * 20),
        pd.Categorical(pd.date_range("2020-01-01", periods=20)), pd.Series(range(20), dtype=object),
        pd.Series(pd.array([1, None] * 10, pd.ArrowDtype(pa.decimal128(5, 2)))),
    ],
)  # fmt: skip
def test_columns_of_every_make_are_written_and_read(tmp_path: Path, ending: str, values: object) -> None:
    X = pd.DataFrame({"x": values, "y": range(20)})
    write(X, tmp_path / f"t{ending}", infer(X))
    back = read(tmp_path / f"t{ending}", kinds={"y": "count"})
    assert list(back.frame["y"]) == list(range(20)) and (back.frame["x"].isna() == X["x"].isna()).all()


def test_a_column_that_a_format_cannot_hold_is_named(tmp_path: Path) -> None:
    for mixed in ([1, "a"], [2**70, 1]):
        X = pd.DataFrame({"fine": [1, 2], "mixed": pd.Series(mixed, dtype=object)})
        for ending in (".parquet", ".feather"):
            with pytest.raises(DataError, match=r"column 'mixed' .* only \.csv, \.json and \.jsonl hold"):
                write(X, tmp_path / f"t{ending}")
        write(X, tmp_path / "t.csv")
        assert list(read(tmp_path / "t.csv").frame["fine"]) == [1, 2]


def test_unnamed_columns_get_a_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b",a,\n1,2,3\n")
    data = read(path)
    assert data.schema.names == ("column_1", "a", "column_3") and any("no name" in n for n in data.notes)


def test_writing_says_what_is_wrong(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, "x"]})
    for name, message in (("t.cvs", "did you mean"), ("none/t.csv", "make it first"), ("t.parquet", "mixes kinds")):
        with pytest.raises(BegatError, match=message):
            write(frame, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write(pd.DataFrame({"a": [1, 2]}), path)
    with pytest.raises(DataError):
        write(pd.DataFrame({"a": [1, "x"]}), path)
    assert read(path).frame["a"].tolist() == [1, 2] and [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


# named tables -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", CATALOGUE)
def test_catalogue_tells_the_truth(name: str) -> None:
    entry = CATALOGUE[name]
    assert entry.licence and entry.source
    if entry.file is None:
        with pytest.raises(FileError, match="pip install"):
            read(name)
        return
    frame = load(name)
    if entry.kind == "pictures":
        assert frame.target == entry.target and len(frame.labels) == len(frame.values) == entry.rows
        assert frame.values[0].size == entry.columns
        return
    assert frame.shape == (entry.rows, entry.columns) and entry.target in frame.columns


def test_shipped_tables() -> None:
    adult = read("adult", "income")
    assert len(adult) == 48_842 and adult.frame.isna().sum().sum() == 6_465
    assert set(adult.schema["income"].levels or ()) == {"<=50K", ">50K"}
    assert {c.name for c in adult.schema if c.missing} == {"workclass", "occupation", "native-country"}
    assert read("penguins", "species").schema["flipper_length_mm"].missing


# fuzzing ----------------------------------------------------------------------------------------------------------
FUZZED = (".csv", ".csv.gz", ".tsv", ".json", ".jsonl", ".parquet", ".feather", ".xlsx", ".csv.zip")


def seeds(folder: Path) -> list[Path]:
    frame = table(["plain", "gaps", "words", "bit", "dots"]).head(12)
    paths = []
    for ending in FUZZED[:-1]:
        paths.append(folder / f"seed{ending}")
        write(frame, paths[-1])
    paths.append(folder / "seed.csv.zip")
    paths[-1].write_bytes(zipped(t_csv=frame.to_csv(index=False)))
    return paths


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        at, kind = int(rng.integers(0, len(out))), rng.integers(0, 5)
        if kind == 0:
            out[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            out[at : at + int(rng.integers(1, 40))] = rng.bytes(int(rng.integers(0, 40)))
        elif kind == 2:
            out = out[: max(1, at)]
        elif kind == 3:
            out[at:at] = bytes(rng.choice(list(b',;"\n\r\t\xff\x00{}[]')) for _ in range(3))
        else:
            out[at : at + 4] = b"\xff\xff\xff\x7f"
    return bytes(out)


@pytest.mark.parametrize(
    "ending", [".csv", ".csv.gz", ".csv.zip", ".tsv", ".json", ".jsonl", ".parquet", ".feather", ".xlsx"]
)
def test_mutated_files_give_data_or_a_begat_error(tmp_path: Path, ending: str) -> None:
    seed = next(p for p in seeds(tmp_path) if p.name == f"seed{ending}")
    original, path = seed.read_bytes(), tmp_path / f"mutated{ending}"
    rng = np.random.default_rng(len(ending))
    outcomes = set()
    for trial in range(60):
        path.write_bytes(mutated(original, rng))
        try:
            data = read(path)
        except BegatError as error:
            outcomes.add("refused")
            assert "\n" not in str(error), trial
        else:
            outcomes.add("read")
            assert len(data) > 0 and tuple(data.frame.columns) == data.schema.names
            json.dumps(data.schema.to_dict())
    assert "refused" in outcomes


def test_every_reader_is_documented() -> None:
    said = str(read.__doc__)
    aliases = {".tab", ".pq", ".arrow", ".ipc", ".ndjson", ".xlsm"}
    assert {e for e in READERS if e.count(".") == 1 and e not in said} == aliases
