"""Schemas and errors as values: what contradicts itself is said in one line, what is saved is read again."""

from __future__ import annotations

import math
import pickle
import unicodedata
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from begat.codecs.infer import infer
from begat.errors import BegatError, visible
from begat.schema import Column, Grid, Schema

GOOD = infer(pd.DataFrame({"age": np.arange(18, 78), "job": ["cook", "smith"] * 30, "pay": np.arange(60) / 7}))


def said(call, *parts: str) -> None:
    """The call fails with one line that has all of these parts."""
    with pytest.raises(BegatError) as caught:
        call()
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["\ud800", "a\udfff"])
def test_a_name_that_no_file_can_hold_is_said(name: str) -> None:
    said(lambda: infer(pd.DataFrame(np.eye(2)).set_axis(pd.Index([name, "b"], dtype=object), axis=1)), "surrogate")
    said(lambda: Column(name="x", kind="category", levels=("a", name)), "'x'", "surrogate")


@pytest.mark.parametrize(
    ("made", "part"),
    [
        ({"lower": float("nan")}, "the lower bound"), ({"upper": 10**400}, "the upper bound"),
        ({"lower": 2.0, "upper": 1.0}, "above"), ({"atoms": (math.inf,)}, "finite"), ({"atoms": (1.0, 1.0)}, "twice"),
        ({"kind": "category", "levels": (1.0, math.nan)}, "nan is no level"),
        ({"kind": "category", "levels": (-math.inf,)}, "-inf is no level"), ({"kind": "catgory"}, "'category'"),
        ({"grid": Grid(16)}, "0 to 15"), ({"grid": Grid(0, 0)}, "at least 1"),
    ],
)  # fmt: skip
def test_a_column_that_contradicts_itself_is_said(made: dict[str, object], part: str) -> None:
    said(lambda: Column(**{"name": "x", "kind": "integer"} | made), "'x'", part)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[]", "an object"), ('{"columns": "ab"}', "not str"), ('{"columns": [], "target": [1]}', "target [1]"),
        ('{"columns": [], "target": true}', "target True"), ('{"columns": [], "colums": 1}', "did you mean 'columns'"),
        ('{"columns": [{"name": "a", "kind": "count", "atoms": [1e9999]}]}', "finite"),
        (f'{{"columns": [{{"name": "a", "kind": "count", "atoms": [1{"0" * 400}]}}]}}', "beyond 1e308"),
        (f'{{"columns": [{{"name": "a", "kind": "count", "lower": 1{"0" * 400}}}]}}', "the lower bound"),
        (f'{{"columns": [{{"name": "a", "kind": "count", "lower": 1{"0" * 9000}}}]}}', "not a schema file"),
        ('{"columns": [{"name": "a", "kind": "text"}, {"name": "a", "kind": "text"}]}', "share the name 'a'"),
        ('{"columns": [{"name": "\\ud800", "kind": "text"}]}', "surrogate"), ("", "not a schema file"),
    ],
)  # fmt: skip
def test_a_schema_file_that_is_none_is_said(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "schema.json"
    path.write_text(text)
    said(lambda: Schema.load(path), part)


def test_a_schema_is_saved_where_it_can_be_and_read_with_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    GOOD.save(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert Schema.load(path) == GOOD
    said(lambda: GOOD.save(tmp_path), "cannot be written")


@given(st.text(st.characters(exclude_categories=[]), max_size=30))
def test_an_error_is_one_line_that_commands_no_terminal(text: str) -> None:
    shown = str(BegatError(text))
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in "\u202e\u2066" for c in shown)
    assert visible(shown) == shown == str(pickle.loads(pickle.dumps(BegatError(text)))) and shown.encode() is not None
    if text.isprintable():
        assert shown == text


def test_a_schema_is_shown_in_one_short_line() -> None:
    assert repr(Schema(GOOD.columns, "job")) == "Schema(3 columns, target='job')"
    assert repr(GOOD.only(["age"])) == "Schema(1 column)"


def test_a_column_is_found_by_its_name_alone() -> None:
    for column in GOOD:
        assert GOOD[column.name] is column and GOOD.only([column.name]).columns == (column,)
    said(lambda: GOOD["agee"], "did you mean 'age'")
    said(lambda: GOOD.only(["job", "jobb"]), "did you mean 'job'")
    said(lambda: Schema((*GOOD.columns, GOOD["job"])), "share the name 'job'")
