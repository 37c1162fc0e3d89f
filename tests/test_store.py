"""Model files: what is saved comes back; whatever else a file holds is refused, cheaply and in one line."""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from begat import recipe
from begat.errors import FileError
from begat.estimators.store import SUFFIX, Slot, load, pack_strings, peek, save, tensors_digest, unpack_strings

HEADER = {
    "family": "NaiveBayes",
    "params": {"alpha": 1.0, "leaves": "auto"},
    "schema": {"columns": [{"name": "größe", "kind": "category", "levels": ["a", "b,", '"c"']}]},
    "model": {"states": 2, "columns": 3},
}
FAMILIES = ("NaiveBayes", "Circuit")


def tensors() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return {
        "mean": torch.randn(3, 2, generator=draw, dtype=torch.float64),
        "log_prior": torch.tensor([0.0, float("-inf")], dtype=torch.float64),
        "single": torch.randn(2, generator=draw),
        "codes": torch.arange(5, dtype=torch.int32),
        "flags": torch.tensor([True, False, True]),
        "nothing": torch.empty(0, 4),
        "levels": pack_strings(["a", "b"])[0],
    }


def layout(header: dict) -> dict[str, Slot]:
    model = header["model"]
    return {
        "mean": Slot((model["columns"], model["states"]), torch.float64),
        "log_prior": Slot((model["states"],), torch.float64, infinite=True),
        "single": Slot((2,), torch.float32),
        "codes": Slot((5,), torch.int32),
        "flags": Slot((3,), torch.bool),
        "nothing": Slot((0, 4), torch.float32),
        "levels": Slot((2,), torch.uint8),
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / f"adult{SUFFIX}"
    save(path, HEADER, tensors())
    return path


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return set(a) == set(b) and all(a[n].dtype == b[n].dtype and torch.equal(a[n], b[n]) for n in a)


def parts(path: Path) -> tuple[dict, dict, bytes]:
    """The file taken apart: the outer header without metadata, the recipe, the bytes of the tensors."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    outer = json.loads(raw[8 : 8 + length])
    return outer, json.loads(outer.pop("__metadata__")["begat"]), raw[8 + length :]


def assembled(outer: dict, header: object, data: bytes) -> bytes:
    """A file of these parts with the right digest of its recipe, as somebody who means harm would write it."""
    text = header if isinstance(header, str) else json.dumps(header)
    full = {"__metadata__": {"begat": text, "digest": recipe.digest(text)}, **outer}
    raw = json.dumps(full).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def refused(path: Path, raw: bytes, pattern: str | None = None) -> str:
    path.write_bytes(raw)
    with pytest.raises(FileError, match=pattern) as caught:
        load(path, layout=layout, families=FAMILIES)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# round trip -------------------------------------------------------------------------------------------------------
def test_what_is_saved_comes_back(model):
    stored = load(model, layout=layout, families=FAMILIES)
    assert same(stored.tensors, tensors())
    assert {k: stored.header[k] for k in HEADER} == HEADER
    assert stored.header == peek(model)
    assert stored.header["format"] == recipe.FORMAT


def test_safetensors_reads_it_too(model):
    with safe_open(model, "pt") as file:
        assert same({name: file.get_tensor(name) for name in file.keys()}, tensors())  # noqa: SIM118


def test_tensors_that_share_memory_are_saved_apart(tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    shapes = {"whole": whole, "row": whole[0], "turned": whole.T, "wide": torch.zeros(1).expand(3)}
    save(tmp_path / "m.safetensors", {"family": "NaiveBayes"}, shapes)
    back = load(tmp_path / "m.safetensors", layout=lambda _: {n: (tuple(t.shape), t.dtype) for n, t in shapes.items()})
    assert same(back.tensors, shapes)


def test_a_model_is_as_readable_as_any_new_file(model):
    plain = model.with_name("plain.txt")
    plain.touch()
    assert model.stat().st_mode == plain.stat().st_mode


def test_a_loaded_tensor_may_be_changed_and_the_file_replaced(model, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(model.read_bytes())
    stored = load(path, layout=layout)
    stored.tensors["mean"] += 1
    path.write_bytes(b"")
    assert torch.equal(stored.tensors["mean"], tensors()["mean"] + 1)


@pytest.mark.parametrize("strings", [[], [""], ["", "a", ""], ["größe", "日本", "a\0b", "x" * 300], ["7"] * 1000])
def test_strings_pack(strings):
    assert unpack_strings(*pack_strings(strings)) == strings


@pytest.mark.parametrize(
    ("data", "offsets"),
    [([97], []), ([97], [1]), ([97], [0, 2]), ([97, 98], [0, 2, 1, 2]), ([97], [0]), ([255], [0, 1]), ([97], [-1, 1])],
)
def test_broken_strings_are_refused(data, offsets):
    with pytest.raises(FileError, match="packed text is broken"):
        unpack_strings(torch.tensor(data, dtype=torch.uint8), torch.tensor(offsets, dtype=torch.int64))


# saving -----------------------------------------------------------------------------------------------------------
SAVES = {
    "file as a folder": ("m.safetensors/m.safetensors", HEADER, {}, "m.safetensors is a file, no folder"),
    "folder as a file": ("folder.safetensors", HEADER, {}, "is a folder; give the name of a file"),
    "only a suffix": (".safetensors", HEADER, {}, "name it model.safetensors"),
    "nul": ("m\0.safetensors", HEADER, {}, "is no path"),
    "long": ("m" * 300 + ".safetensors", HEADER, {}, "cannot be written: File name too long"),
    "suffix": ("rows.csv", HEADER, {}, r"ends in .safetensors, not 'rows.csv'; name it rows.safetensors"),
    "no folder": ("absent/m.safetensors", HEADER, {}, "does not exist; make it first"),
    "nan": ("m.safetensors", HEADER, {"mean": torch.tensor([1.0, float("nan")])}, "'mean' holds NaN"),
    "infinite": ("m.safetensors", {**HEADER, "params": {"alpha": float("inf")}}, {}, "finite numbers"),
    "not json": ("m.safetensors", {**HEADER, "params": {"f": print}}, {}, "plain JSON"),
    "surrogate": ("m.safetensors", {**HEADER, "params": {"a": "\ud800"}}, {}, "plain JSON"),
    "deep": ("m.safetensors", {**HEADER, "params": json.loads('{"a":' * 80 + "1" + "}" * 80)}, {}, "80|64 deep"),
    "field": ("m.safetensors", {**HEADER, "shema": {}}, {}, "no field 'shema' .did you mean 'schema'"),
    "family": ("m.safetensors", {}, {}, "'family' is missing"),
}


@pytest.mark.parametrize("name", SAVES)
def test_what_cannot_be_saved_leaves_the_old_file(name, tmp_path):
    file, header, extra, pattern = SAVES[name]
    old, folder = tmp_path / "m.safetensors", tmp_path / "folder.safetensors"
    old.write_bytes(b"old")
    folder.mkdir()
    with pytest.raises(FileError, match=pattern):
        save(tmp_path / file, header, extra)
    assert set(tmp_path.iterdir()) == {old, folder} and not any(folder.iterdir())
    assert old.read_bytes() == b"old"


def test_a_link_stays_a_link_to_what_is_saved(tmp_path):
    (tmp_path / "there").mkdir()
    link, file = tmp_path / "m.safetensors", tmp_path / "there" / "m.safetensors"
    link.symlink_to(file)
    with pytest.raises(FileError, match=r"is a link to .*there.* which does not exist"):
        peek(link)
    for first in (True, False):
        save(link, {"family": "NaiveBayes", "model": {"first": first}}, {})
        assert link.is_symlink() and peek(file)["model"] == peek(link)["model"] == {"first": first}
    assert list((tmp_path / "there").iterdir()) == [file]


def test_a_home_is_a_place(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    save("~/m.safetensors", HEADER, {})
    assert peek("~/m.safetensors") == peek(tmp_path / "m.safetensors")


SAVER = """
import resource, signal, sys, torch
from begat.estimators.store import save
path, first, limit, fatal = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "fatal"
if fatal:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for version in range(first, 10**9):
    save(path, {"family": "NaiveBayes", "model": {"version": version}}, {"x": torch.full((2**20,), float(version))})
    print(version, flush=True)
"""


def saver(path: Path, first: int, limit: int = 0, mode: str = "gentle") -> subprocess.Popen[str]:
    """A process that saves 4 MB again and again; past `limit` bytes the system kills it, or refuses it, mid-write."""
    code = textwrap.dedent(SAVER)
    command = [sys.executable, "-c", code, str(path), str(first), str(limit), mode]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def version(path: Path) -> int:
    stored = load(path, layout=lambda _: {"x": ((2**20,), torch.float32)})
    number = stored.header["model"]["version"]
    assert bool((stored.tensors["x"] == number).all())
    return number


@pytest.mark.skipif(os.name != "posix", reason="needs limits on the size of a file")
def test_a_save_that_is_killed_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "m.safetensors"
    save(path, {"family": "NaiveBayes", "model": {"version": 7}}, {"x": torch.full((2**20,), 7.0)})
    killed = saver(path, 8, limit=2**21, mode="fatal")
    assert killed.wait(60) == -signal.SIGXFSZ
    assert version(path) == 7
    left = {p.name for p in tmp_path.iterdir()}
    assert len(left) > 1  # it died in the middle of writing

    full = saver(path, 8, limit=2**21)
    assert full.wait(60) == 1
    assert "cannot be written" in full.communicate()[1].splitlines()[-1]
    assert version(path) == 7
    assert {p.name for p in tmp_path.iterdir()} == left  # a refused write tidies up


def test_killed_at_any_moment_the_file_is_one_of_the_saves(tmp_path):
    path = tmp_path / "m.safetensors"
    save(path, {"family": "NaiveBayes", "model": {"version": 0}}, {"x": torch.zeros(2**20)})
    process = saver(path, 1)
    assert process.stdout is not None
    for _ in range(20):  # a reader beside the writer, which goes on with the next save, sees whole files only
        saved = int(process.stdout.readline())
        assert version(path) >= saved
    process.kill()
    process.wait()
    assert version(path) >= saved == 20


# foreign and broken files -----------------------------------------------------------------------------------------
def test_a_missing_file_names_its_neighbour(model):
    with pytest.raises(FileError, match=r"adlut.safetensors does not exist \(did you mean 'adult.safetensors'\?\)"):
        peek(model.with_name("adlut.safetensors"))
    with pytest.raises(FileError, match="does not exist"):
        peek(model.parent / "absent" / "m.safetensors")


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(FileError, match="a folder; expected a"):
        peek(tmp_path)
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(FileError, match="not a regular file"):  # and does not wait for a writer
        peek(tmp_path / "pipe.safetensors")
    with pytest.raises(FileError, match="no path"):
        peek("a\0b")


FOREIGN = {
    "empty": (b"", "no model file"),
    "csv": (b"age,income\n39,<=50K\n", "no model file"),
    "zeros": (bytes(4096), "no model file"),
    "only a length": (struct.pack("<Q", 2**62), "no model file"),
    "not json": (struct.pack("<Q", 4) + b"abcd", "no plain JSON"),
    "a list": (struct.pack("<Q", 2) + b"[]", "it is not an object"),
    "deep": (struct.pack("<Q", 200_000) + b'{"a":' + b"[" * 99_997 + b"]" * 99_997 + b"}", "no plain JSON"),
    "another safetensors": (struct.pack("<Q", 2) + b"{}", "no begat model"),
    "metadata of another": (struct.pack("<Q", 32) + b'{"__metadata__":{"format":"pt"}}', "no begat model"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_files_are_refused(name, tmp_path):
    raw, pattern = FOREIGN[name]
    refused(tmp_path / "m.safetensors", raw, pattern)


def test_flipped_bits_are_noticed_or_mean_nothing(model, tmp_path):
    raw, path = model.read_bytes(), tmp_path / "m.safetensors"
    told = 0
    for flip in range(0, 8 * len(raw), 3):  # in every byte, and every bit of a byte somewhere
        position, bit = divmod(flip, 8)
        path.write_bytes(raw[:position] + bytes([raw[position] ^ 1 << bit]) + raw[position + 1 :])
        try:
            stored = load(path, layout=layout, families=FAMILIES)
        except FileError:
            told += 1
        else:
            assert same(stored.tensors, tensors()), f"bit {flip}"
            assert stored.header == peek(model), f"bit {flip}"
    assert told > 0.95 * 8 / 3 * len(raw)


def test_every_truncation_is_noticed(model, tmp_path):
    raw = model.read_bytes()
    for length in range(len(raw)):
        refused(tmp_path / "m.safetensors", raw[:length])
    refused(tmp_path / "m.safetensors", raw + b"\0", "bytes of tensors where")


def test_shuffled_pieces_are_noticed(model, tmp_path):
    raw, path, draw = model.read_bytes(), tmp_path / "m.safetensors", random.Random(0)
    for _ in range(5000):
        a, b = sorted(draw.sample(range(len(raw)), 2))
        c = draw.randrange(len(raw))
        piece = raw[a:b] if draw.random() < 0.5 else draw.randbytes(draw.randrange(1, 40))
        changed = raw[:c] + piece + (raw[c:] if draw.random() < 0.5 else raw[c + len(piece) :])
        if changed != raw:
            refused(path, changed)


WEIRD = [None, True, -1, 0, 2**70, 1.5, "", "x", [], [1], {}, {"a": 1}, [[[]]], "NaiveBayes", 10**18]


def paths_of(value: object, prefix: tuple = ()) -> list[tuple]:
    """The paths to every value inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [prefix, *(p for key, part in inside for p in paths_of(part, (*prefix, key)))]


def replaced(value: object, path: tuple, new: object) -> object:
    if not path:
        return new
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return copy


def test_edited_headers_are_refused_or_describe_the_same_tensors(model, tmp_path):
    outer, header, data = parts(model)
    path = tmp_path / "m.safetensors"
    for weird in WEIRD:
        for where in paths_of(outer):
            if where and replaced(outer, where, weird) != outer:
                refused(path, assembled(replaced(outer, where, weird), header, data))
        for where in paths_of(header):
            path.write_bytes(assembled(outer, replaced(header, where, weird), data))
            try:
                stored = load(path, layout=layout, families=FAMILIES)
            except FileError:
                continue
            # What the layout does not read is the family's to check; format, family and tensors still hold.
            assert same(stored.tensors, tensors())
            assert (stored.header["format"], stored.header["family"]) == (recipe.FORMAT, "NaiveBayes")


EDITS = {
    "newer": ({"format": 7}, r"written by a newer begat \(format 7, this one reads up to 1\): update begat"),
    "format": ({"format": "one"}, "format is 'one'; expected a whole number"),
    "family": ({"family": "NaiveBays"}, "family 'NaiveBays' is unknown to this begat .did you mean 'NaiveBayes'"),
    "field": ({"shema": {}}, "no field 'shema' .did you mean 'schema'"),
    "type": ({"params": []}, "field 'params' is list; expected an object"),
    "shape": ({"model": {"states": 2, "columns": 4}}, r"'mean' is float64 \(3, 2\); expected float64 \(4, 2\)"),
    "absurd": ({"model": {"states": 2, "columns": 10**15}}, r"'mean' is float64 \(3, 2\); expected"),
    "no layout": ({"model": {}}, "does not describe a model of family NaiveBayes"),
    "digest": ({"tensors": "0" * 32}, "damaged: its tensors"),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_wrong_header_says_what_is_wrong(name, model, tmp_path):
    changes, pattern = EDITS[name]
    outer, header, data = parts(model)
    refused(tmp_path / "m.safetensors", assembled(outer, {**header, **changes}, data), pattern)


TEXTS = {
    "twice": ('{"family":', '{"format": 1, "format": 1, "family":', "'format' stands in it twice"),
    "nan": ('"alpha": 1.0', '"alpha": NaN', "the number NaN is not finite"),
    "infinite": ('"alpha": 1.0', '"alpha": 1e999', "the number 1e999 is not finite"),
    "long": ('"alpha": 1.0', '"alpha": ' + "9" * 5000, "longer than any"),
    "surrogate": ('"alpha": 1.0', r'"alpha": "\ud800"', "surrogates"),
    "deep": ('"alpha": 1.0', '"alpha": ' + "[" * 100 + "]" * 100, "64 deep"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_json_that_is_not_plain_is_refused(name, model, tmp_path):
    old, new, pattern = TEXTS[name]
    outer, header, data = parts(model)
    text = json.dumps(header)
    assert old in text
    refused(tmp_path / "m.safetensors", assembled(outer, text.replace(old, new), data), pattern)


def test_names_and_kinds_of_tensors_must_agree(model, tmp_path):
    outer, header, data = parts(model)
    path = tmp_path / "m.safetensors"
    renamed = {("maen" if name == "mean" else name): row for name, row in outer.items()}
    refused(path, assembled(renamed, header, data), r"tensor 'mean' is missing; expected float64 \(3, 2\)")
    twins = {**outer, "extra": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}
    refused(path, assembled(twins, header, data), "tensor 'extra' belongs to nothing in the recipe")
    cast = {**outer, "mean": {**outer["mean"], "dtype": "I64"}}
    refused(path, assembled(cast, header, data), r"'mean' is int64 \(3, 2\); expected float64")


@pytest.mark.parametrize(("name", "bad"), [("mean", "nan"), ("mean", "inf"), ("mean", "-inf"), ("log_prior", "nan")])
def test_weights_that_are_not_finite_are_refused(name, bad, model, tmp_path):
    outer, header, data = parts(model)
    start = outer[name]["data_offsets"][0]
    data = data[:start] + struct.pack("<d", float(bad)) + data[start + 8 :]
    path = tmp_path / "m.safetensors"
    refused(path, assembled(outer, header, data), "damaged: its tensors")  # noticed by the digest first,
    changed = tensors()
    changed[name].view(-1)[0] = float(bad)
    header["tensors"] = tensors_digest(changed)
    refused(path, assembled(outer, header, data), f"{name!r} holds a number that is not finite")  # and with a right one


def test_nothing_large_is_allocated_for_a_lying_file(model, tmp_path):
    outer, header, data = parts(model)
    path = tmp_path / "m.safetensors"
    huge = {**outer, "mean": {"dtype": "F64", "shape": [2**34, 2], "data_offsets": [0, 2**38]}}
    lies = [
        assembled({"mean": huge["mean"]}, {**header, "model": {"states": 2, "columns": 2**34}}, data),
        assembled(outer, {**header, "model": {"states": 2**40, "columns": 2**20}}, data),
        struct.pack("<Q", 2**40) + b"{}",
    ]
    for lie in lies:
        for sparse in (0, 2**38 + len(lie)):  # as it is, and followed by a quarter of a terabyte of nothing
            path.write_bytes(lie)
            if sparse:
                os.truncate(path, sparse)
            tracemalloc.start()
            with pytest.raises(FileError):
                load(path, layout=layout)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 2**20


# formats ----------------------------------------------------------------------------------------------------------
def test_there_is_a_migration_from_every_older_format():
    assert set(recipe.MIGRATIONS) == set(range(1, recipe.FORMAT))


@pytest.mark.parametrize("start", [1, 2, 3, 4])
def test_migrations_run_in_order_from_the_files_format_on(start):
    table = {n: (lambda header, n=n: {**header, "trail": [*header["trail"], n]}) for n in (1, 2, 3)}
    old = {"format": start, "trail": []}
    assert recipe.migrate(old, table, 4) == {"format": 4, "trail": list(range(start, 4))}
    assert old == {"format": start, "trail": []}
    assert recipe.migrate(recipe.migrate(old, table, start), table, 4) == recipe.migrate(old, table, 4)


def test_a_migration_that_meets_an_odd_header_says_so():
    with pytest.raises(FileError, match="its format 1 cannot be brought to 2"):
        recipe.migrate({"format": 1}, {1: lambda header: {"family": header["absent"]}}, 2)
