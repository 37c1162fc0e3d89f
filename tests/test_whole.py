"""Files that a person has made appear whole or not at all: a full disk, a locked folder or an end amid a write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from begat.cli.main import run
from begat.compare.report import Report
from begat.errors import FileError
from begat.estimators.whole import followed, whole

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits, signals and modes of POSIX")

WRITES = {
    "m.safetensors": ["fit", "penguins", "--family", "naive-bayes", "--target", "species", "--out"],
    "rows.csv": ["sample", "{model}", "-n", "20000", "--out"],
    "rows.parquet": ["sample", "{model}", "-n", "20000", "--out"],
    "rows.csv.gz": ["sample", "{model}", "-n", "20000", "--out"],
    "rows.json": ["sample", "{model}", "-n", "2000", "--out"],
    "cells.csv": ["score", "{model}", "penguins", "--out"],
    "predicted.csv": ["predict", "{model}", "penguins", "--proba", "--out"],
    "filled.csv": ["impute", "{model}", "penguins", "--draws", "9", "--out"],
    "table.tsv": ["data", "adult", "--out"],
    "p.schema.json": ["info", "penguins", "--out"],
    "curve.png": ["learning-curve", "penguins", "--target", "species", "--size", "30", "--repeats", "2", "--out"],
    "curve.svg": ["learning-curve", "penguins", "--target", "species", "--size", "30", "--repeats", "2", "--out"],
}
"""The commands that write a file, by an ending that it may have; each writes more than LIMIT bytes."""
LIMIT = 2**10
REPORT = ["compare", "penguins", "--target", "species", "--model", "naive Bayes", "--out"]

LIMITED = """
import contextlib, io, json, resource, sys
from begat.cli.main import run
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
made = {}
for name, arguments in json.loads(sys.argv[2]).items():
    with contextlib.redirect_stderr(io.StringIO()) as err, contextlib.redirect_stdout(io.StringIO()):
        made[name] = run(arguments), err.getvalue()
print(json.dumps(made))
"""
"""Runs commands where files grow to a limit and no further, as on a full disk: the code and the errors of each."""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("models") / "m.safetensors"
    assert run(["fit", "penguins", "--family", "naive-bayes", "--target", "species", "--out", str(path)]) == 0
    return str(path)


def commands(model: str, folder: Path) -> dict[str, list[str]]:
    return {name: [*(a.format(model=model) for a in how), str(folder / name)] for name, how in WRITES.items()}


def limited(limit: int, asked: dict[str, list[str]]) -> dict[str, tuple[int, str]]:
    quiet = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", LIMITED, str(limit), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, env=quiet)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_a_full_disk_is_one_line_and_leaves_the_old_files_whole(model, tmp_path):
    asked = commands(model, tmp_path)
    for name in asked:
        (tmp_path / name).write_text(f"old {name}")
    for name, (code, err) in limited(LIMIT, asked).items():
        last = err.splitlines()[-1]
        assert code == 2 and last.startswith("begat: ") and f"{name} cannot be written: " in last, (name, err)
        assert "too large" in last and "Traceback" not in err
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {name: f"old {name}" for name in asked}
    assert {code for code, _ in limited(2**30, asked).values()} == {0}  # the same commands where there is room
    assert {file.name for file in tmp_path.iterdir()} == set(asked)
    assert all(file.stat().st_size > LIMIT for file in tmp_path.iterdir())


def test_a_comparison_that_cannot_be_written_is_still_shown(tmp_path, capsys, monkeypatch):
    """On a disk that fills up after the folder was made; the code says that the figures are not kept."""

    def full(*_: object) -> None:
        raise FileError("results.json cannot be written: No space left on device")

    monkeypatch.setattr(Report, "save_results", full)
    assert run([*REPORT, str(tmp_path / "report")]) == 2
    said = capsys.readouterr()
    assert "independent columns" in said.out and "not written: results.json cannot be written" in said.out
    assert said.err.splitlines()[-1] == "begat: results.json cannot be written: No space left on device"


@pytest.fixture
def locked(tmp_path) -> Path:
    """A folder in which this process may make no file."""
    if os.geteuid():
        folder = tmp_path / "locked"
        folder.mkdir(mode=0o555)
        return folder
    if not Path("/sys").is_dir():
        pytest.skip("an administrator may write everywhere here")
    return Path("/sys")


def test_a_locked_folder_is_one_line(locked, model, capsys):
    for name, arguments in {**commands(model, locked), "report": [*REPORT, str(locked / "report")]}.items():
        assert run(arguments) == 2, name
        said = capsys.readouterr()
        last = said.err.splitlines()[-1]
        assert last.startswith("begat: ") and str(locked) in last, (name, last)
        assert "may not be written to" in last or "cannot be" in last


KILLED = f"""
import resource, signal, sys
from begat.cli.main import run
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT}, {LIMIT}))
run(sys.argv[1:])
"""


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet", "p.schema.json", "curve.svg"])
def test_a_write_that_is_killed_leaves_the_old_file_whole(name, model, tmp_path):
    arguments = commands(model, tmp_path)[name]
    (tmp_path / name).write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True)
    assert done.returncode == -signal.SIGXFSZ
    assert (tmp_path / name).read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2  # it died in the middle of writing another one


ENDS = {
    "by hand": lambda part: KeyboardInterrupt(),
    "by a defect": lambda part: ValueError(),
    "by the system": lambda part: OSError(28, "No space left on device"),
    "by what writes": lambda part: FileError(f"{part} cannot be written: No space left on device"),
}


@pytest.mark.parametrize("end", ENDS)
def test_an_end_amid_a_write_leaves_the_old_file_alone(end, tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises((KeyboardInterrupt, ValueError)) as caught, whole(path) as part:
        part.write_text("half of the n")
        raise ENDS[end](part)
    assert str(caught.value) in ("", f"{path} cannot be written: No space left on device")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "file"
    with whole(path) as one:
        one.write_text("first to begin")
        with whole(path) as two:
            assert two != one
            two.write_text("last to begin")
        assert path.read_text() == "last to begin"
    assert path.read_text() == "first to begin" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_is_no_path_is_said(path):
    with pytest.raises(FileError, match="is no path"):
        followed(path)


# databases ------------------------------------------------------------------------------------------------------------
CHANGES = [
    "DROP TABLE t", "DELETE FROM t", "UPDATE t SET a = 1", "INSERT INTO t VALUES (1, 2)",
    "REPLACE INTO t VALUES (1, 2)", "INSERT INTO t VALUES (1, 2) RETURNING a",
    "CREATE TABLE t (a)", "CREATE TABLE u AS SELECT * FROM t",
    "ALTER TABLE t ADD COLUMN c", "PRAGMA user_version = 7", "VACUUM", "VACUUM INTO 'copy.db'",
    "ATTACH 'other.db' AS o", "PRAGMA journal_mode = WAL", "SELECT * FROM t; DROP TABLE t",
    "WITH w AS (SELECT 1) DELETE FROM t",
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_database_is_never_written_to(change, tmp_path, capsys):
    import sqlite3

    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE t (a, b)")
        database.executemany("INSERT INTO t VALUES (?, ?)", [(i / 4, "xy"[i % 2]) for i in range(30)])
    database.close()
    before = file.read_bytes()
    assert run(["info", f"sqlite:///{file}", "--query", change]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]
    assert run(["info", f"sqlite:///{file}", "--query", "SELECT * FROM t"]) == 0
