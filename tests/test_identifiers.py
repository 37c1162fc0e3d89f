"""Identifiers and free text: no model scores them, and what is made anew looks like them and repeats none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from begat.codecs.identifier import make, numbers
from begat.codecs.infer import infer
from begat.codecs.table import TableCodec
from begat.errors import SchemaError


def codec_of(X, **how) -> TableCodec:
    return TableCodec(infer(X, **how))


IDENTIFIERS = {
    "running": np.arange(1, 301),
    "padded": [f"C-{i:05d}" for i in range(300)],
    "hexadecimal": [np.random.default_rng(i).bytes(8).hex() for i in range(300)],
    "plates": [f"{a}{b} {i:02d}" for a in "KMN" for b in "ABCDE" for i in range(20)],
}


@pytest.mark.parametrize("name", IDENTIFIERS)
def test_identifiers_are_made_anew_in_their_pattern(name: str) -> None:
    X = pd.DataFrame({"id": IDENTIFIERS[name], "v": np.random.default_rng(0).normal(size=300)})
    codec = codec_of(X)
    column = codec.schema["id"]
    assert column.kind == "identifier" and not column.scored and [s.column.name for s in codec.slots] == ["v"]
    batch = codec.encode(X).batch
    first, second = (codec.decode(batch, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    rest = codec.decode(batch, generator=torch.Generator().manual_seed(1), numbers_from=300)
    pd.testing.assert_frame_equal(first, second)
    assert first["id"].dtype == X["id"].dtype
    assert pd.concat([first["id"], rest["id"]]).is_unique
    if name in ("running", "padded", "hexadecimal"):
        assert not set(first["id"]) & set(X["id"])
        if name != "running":
            assert infer(first).columns[0].kind == "identifier" and first["id"].str.len().eq(len(X["id"][0])).all()


@pytest.mark.parametrize("pattern", ["{00501..99950}", "A-{097..098}", "{7..9}-{8..9}"])
def test_identifiers_keep_the_width_of_leading_zeros(pattern: str) -> None:
    made = make(pattern, 990)
    assert len(set(made)) == 990
    if "{0" in pattern:
        assert {len(v) for v in made} == {5}
    seen = {f"{v:05d}" for v in range(501, 99_951)}
    assert pattern[1] != "0" or (made[48:51] == ["99999", "00000", "00001"] and not set(made[:550]) & seen)
    assert make(pattern, 90, start=900) == made[900:]


@pytest.mark.parametrize("dtype", ["int8", "int16", "int64", "uint8", "uint64", "float64"])
@pytest.mark.parametrize("signed", [False, True])
def test_numbers_run_on_within_their_type(dtype: str, signed: bool) -> None:
    kind = np.dtype(dtype)
    low, high = (-(2**53), 2**53) if kind.kind == "f" else (np.iinfo(kind).min, np.iinfo(kind).max)
    pattern = f"{{{max(low, -7) if signed else 3}..{high - 20}}}"
    made = numbers(pattern, 60, dtype)
    assert (
        made.dtype == kind and len(set(made.tolist())) == 60 and made[:20].tolist() == list(range(high - 19, high + 1))
    )
    assert made[20] == (low if signed else 0) and (numbers(pattern, 30, dtype, start=30) == made[30:]).all()


@pytest.mark.parametrize(
    "values",
    [
        np.array([-(2**63), 2**63 - 1, 0, 1] * 25), np.array([0, 2**64 - 1, 5, 9] * 25, "u8"),
        np.arange(-100, 100).astype("i1"), np.arange(2**64 - 100, 2**64 - 1, dtype="u8"),
        np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 200), pd.array([None, *range(200)], "Int16"),
        pd.Series(range(200), dtype=object),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [None, "identifier", "category", "continuous"])
def test_integers_to_the_ends_of_their_type_are_taken_and_given_back(values, kind: str | None) -> None:
    X = pd.DataFrame({"id": values, "v": 0.5})
    codec = codec_of(X, kinds={} if kind is None else {"id": kind})
    out = codec.decode(codec.encode(X).batch)
    assert out["id"].dtype == X["id"].dtype
    if kind != "continuous":
        assert {type(v) for v in out["id"].dropna()} == {type(v) for v in X["id"].dropna()}
    if codec.schema["id"].kind == "category":
        pd.testing.assert_frame_equal(X, out)


@pytest.mark.parametrize("pattern", ["A-{1..9}", "[0-9]*3", "{1..}", ""])
def test_a_pattern_of_words_in_a_column_of_numbers_is_said(pattern: str) -> None:
    with pytest.raises(SchemaError, match="makes no whole numbers"):
        numbers(pattern, 3, "int64")


def test_identifiers_grow_when_their_width_is_used_up() -> None:
    made = make("{00..98}", 250)
    assert len(set(made)) == 250 and made[:2] == ["99", "00"] and made[100] == "99-2"


def test_free_text_is_set_aside() -> None:
    r = np.random.default_rng(0)
    X = pd.DataFrame({"t": [" ".join(r.choice(list("abcdefgh"), 9)) for _ in range(50)], "v": r.normal(size=50)})
    codec = codec_of(X)
    out = codec.decode(codec.encode(X).batch)
    assert list(out.columns) == ["t", "v"] and out["t"].isna().all() and codec.schema.unscored == ("t",)
