"""One file per model: tensors and, in their header, the recipe. Reading executes nothing and believes nothing.

A model is a .safetensors file whose metadata has two entries: "begat", the recipe as JSON, and "digest", the digest of
that text. The recipe itself holds the digest of the tensors, so that a damaged file is never taken for another model.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor

from begat import recipe
from begat.core import all_finite
from begat.errors import FileError, did_you_mean
from begat.estimators.whole import followed, whole, writable
from begat.recipe import FORMAT, Header

SUFFIX = ".safetensors"
LARGEST_DATA = 8 * 2**30
LARGEST_HEADER = 64 * 2**20
MOST_AXES = 8

DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


class Slot(NamedTuple):
    """What one tensor must be. Floating-point numbers are finite unless `infinite` (a log-probability may be -inf)."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    infinite: bool = False

    def __str__(self) -> str:
        return _described(self.shape, self.dtype)


Layout = Callable[[Header], Mapping[str, Slot | tuple[tuple[int, ...], torch.dtype]]]
"""Name and slot of every tensor of a model, from its header alone; it allocates nothing that large."""


@dataclass(frozen=True)
class Stored:
    """What a file holds: a header of the current format, and its tensors by name, on the CPU."""

    header: Header
    tensors: dict[str, Tensor]


class _Entry(NamedTuple):
    """One row of a safetensors header: what a tensor is and where in the data it lies."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    start: int
    stop: int

    def __str__(self) -> str:
        return _described(self.shape, self.dtype)


# writing ----------------------------------------------------------------------------------------------------------
def save(path: str | PathLike[str], header: Header, tensors: Mapping[str, Tensor]) -> None:
    """Write a model to one file, whole or not at all: a save that is killed leaves the old file as it was.

    header: JSON values under the names of recipe.FIELDS, "family" at least; format, version and digest are added.
    tensors: any shapes and devices, dtypes of DTYPES. Raises FileError for NaN, a header that is not JSON or too
    large, a path that does not end in .safetensors (so that no table is overwritten) or cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    from begat import __version__

    path = destination(path)
    # Clones, because the format refuses two names for one piece of memory, which views of one buffer are.
    own = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    for name, tensor in own.items():
        if tensor.is_floating_point() and bool(torch.isnan(tensor).any()):
            raise FileError(f"tensor {name!r} holds NaN: the fit did not succeed, and nothing was saved")
    full = {**header, "format": FORMAT, "begat": __version__, "tensors": tensors_digest(own)}
    recipe.check(full)
    text = recipe.text(full)
    with whole(path) as part:
        try:
            save_file(own, part, metadata={"begat": text, "digest": recipe.digest(text)})
            _order(part)
        except SafetensorError as error:
            raise FileError(f"{path} cannot be written: {error}") from None


def _order(part: Path) -> None:
    """Put the metadata of a new file in alphabetical order, which the library leaves to chance: equal models are to be
    equal files."""
    with part.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= size:
            file.seek(8)
            file.write(text.ljust(size))


def destination(path: str | PathLike[str]) -> Path:
    """Where a save to this path goes, links followed. Raises FileError for another ending and a folder that is none."""
    path = followed(path)
    if path.suffix != SUFFIX:
        name = path.stem.removesuffix(SUFFIX).strip(".") or "model"
        raise FileError(f"a model file ends in {SUFFIX}, not {path.name!r}; name it {name}{SUFFIX}")
    try:
        if path.is_dir():
            raise FileError(f"{path} is a folder; give the name of a file, in it or elsewhere")
        if not path.parent.exists():
            raise FileError(f"the folder {path.parent} does not exist; make it first")
        if not path.parent.is_dir():
            raise FileError(f"{path.parent} is a file, no folder; give another place")
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}") from None
    writable(path.parent)
    return path


# reading ----------------------------------------------------------------------------------------------------------
def load(path: str | PathLike[str], *, layout: Layout, families: Iterable[str] = ()) -> Stored:
    """Read a model file, checked before anything large is allocated.

    layout: the tensors that a header calls for; families: the known ones (empty: not checked). Raises FileError, one
    line, for a file that is missing, foreign, damaged, newer than this begat, of an unknown family, or whose tensors
    differ from the layout in name, shape or dtype, or hold NaN.
    """
    with _opened(path) as file:
        header, table, start = _header(file, families)
        try:
            expected = {name: Slot(*slot) for name, slot in layout(header).items()}
        except FileError:
            raise
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise FileError(f"the recipe does not describe a model of family {header['family']}: {reason}") from None
        _agree(table, expected)
        tensors = {name: _tensor(file, table[name], start) for name in expected}
        if tensors_digest(tensors) != header["tensors"]:
            raise FileError("damaged: its tensors are not those that were saved; copy or save it again")
        for name, slot in expected.items():
            x = tensors[name]
            if x.is_floating_point() and not (_no_nan(x) if slot.infinite else all_finite(x)):
                raise FileError(f"tensor {name!r} holds a number that is not finite; save the model again")
    return Stored(header, tensors)


def peek(path: str | PathLike[str], *, families: Iterable[str] = ()) -> Header:
    """The header of a model file, in the current format, without reading a tensor. Raises FileError as `load`."""
    with _opened(path) as file:
        return _header(file, families)[0]


@contextmanager
def _opened(path: str | PathLike[str]) -> Iterator[BufferedReader]:
    """The file, opened if it is a regular one; what is raised while it is read names it."""
    leads, path = followed(path), Path(path)
    try:
        mode = leads.stat().st_mode  # before opening: to open a pipe is to wait for its writer
        if not stat.S_ISREG(mode):
            raise FileError(f"{'a folder' if stat.S_ISDIR(mode) else 'not a regular file'}; expected a {SUFFIX} file")
        with leads.open("rb") as file:
            yield file
    except FileError as error:
        raise FileError(f"{path}: {error}") from None
    except FileNotFoundError:
        if path.is_symlink():
            raise FileError(f"{path} is a link to {leads}, which does not exist") from None
        near = sorted(p.name for p in path.parent.glob(f"*{SUFFIX}")) if path.parent.is_dir() else []
        raise FileError(f"{path} does not exist{did_you_mean(path.name, near)}") from None
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}") from None


def _header(file: BufferedReader, families: Iterable[str]) -> tuple[Header, dict[str, _Entry], int]:
    """The header in the current format, the table of tensors, and where their data start."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 10 or not 2 <= length <= size - 8:
        raise FileError(f"no model file, or only the beginning of one ({size:,} bytes)")
    if length > LARGEST_HEADER:
        raise FileError(f"a header of {length:,} bytes; no model has more than {LARGEST_HEADER:,}")
    outer = recipe.parse(file.read(length))
    metadata = outer.pop("__metadata__", None)
    if not isinstance(metadata, dict) or not isinstance(metadata.get("begat"), str):
        raise FileError("a safetensors file, but no begat model: its metadata have no entry 'begat'")
    table = _table(outer, size - 8 - length)
    header = recipe.migrate(recipe.parse(metadata["begat"].encode()))
    if metadata.get("digest") != recipe.digest(metadata["begat"]):
        raise FileError("damaged: its recipe is not the one that was saved; copy or save it again")
    recipe.check(header, families)
    return header, table, 8 + length


def _table(outer: Mapping[str, Any], size: int) -> dict[str, _Entry]:
    """The rows of a safetensors header, which must cover its `size` bytes of data without a gap or an overlap."""
    if size > LARGEST_DATA:
        raise FileError(f"{size:,} bytes of tensors; no model has more than {LARGEST_DATA:,}")
    table = {}
    for name, row in outer.items():
        row = row if isinstance(row, dict) else {}
        dtype, shape, span = row.get("dtype"), row.get("shape"), row.get("data_offsets")
        if set(row) != {"dtype", "shape", "data_offsets"} or not isinstance(dtype, str) or dtype not in DTYPES:
            raise FileError(f"tensor {name!r} has no known dtype, shape and place")
        if not _whole_numbers(shape, MOST_AXES) or not _whole_numbers(span, 2) or len(span) != 2:
            raise FileError(f"tensor {name!r} has no possible shape and place")
        table[name] = _Entry(tuple(shape), DTYPES[dtype], *span)
    end = 0
    for name, entry in sorted(table.items(), key=lambda item: item[1][2:]):
        if entry.start != end or entry.stop - entry.start != math.prod(entry.shape) * entry.dtype.itemsize:
            raise FileError(f"tensor {name!r} is {entry}, which cannot lie at bytes {entry.start} to {entry.stop}")
        end = entry.stop
    if end != size:
        raise FileError(f"{size:,} bytes of tensors where its header says {end:,}; copy it again")
    return table


def _whole_numbers(value: Any, most: int) -> TypeGuard[list[int]]:
    return isinstance(value, list) and len(value) <= most and all(type(v) is int and v >= 0 for v in value)


def _agree(table: Mapping[str, _Entry], expected: Mapping[str, Slot]) -> None:
    """Raise unless the file holds exactly the tensors that its recipe calls for."""
    for name, slot in expected.items():
        if name not in table:
            raise FileError(f"tensor {name!r} is missing; expected {slot}")
        if table[name][:2] != (tuple(slot.shape), slot.dtype):
            raise FileError(f"tensor {name!r} is {table[name]}; expected {slot}")
    for name in table:
        if name not in expected:
            raise FileError(f"tensor {name!r} belongs to nothing in the recipe{did_you_mean(name, expected)}")


def _tensor(file: BufferedReader, entry: _Entry, start: int) -> Tensor:
    # Through the handle whose header was checked: a second parser, and a path that may have changed, are not needed.
    file.seek(start + entry.start)
    data = bytearray(entry.stop - entry.start)
    if file.readinto(data) != len(data):
        raise FileError("it became shorter while it was read")
    if not data:
        return torch.empty(entry.shape, dtype=entry.dtype)
    if entry.dtype == torch.bool:
        return (torch.frombuffer(data, dtype=torch.uint8) != 0).reshape(entry.shape)
    return torch.frombuffer(data, dtype=entry.dtype).reshape(entry.shape)


def _no_nan(x: Tensor) -> bool:
    return not bool(torch.isnan(x).any())


def _described(shape: Sequence[int], dtype: torch.dtype) -> str:
    return f"{str(dtype).removeprefix('torch.')} {tuple(shape)}"


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Thirty-two hex digits of names, dtypes, shapes and bytes, in the order of the names."""
    mixed = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        mixed.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        if tensor.numel():
            mixed.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return mixed.hexdigest()


# text as tensors --------------------------------------------------------------------------------------------------
def pack_strings(strings: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Strings as UTF-8 bytes, uint8 (b,), and where each starts and the last one ends, int64 (n + 1,)."""
    parts = [s.encode() for s in strings]
    offsets = torch.tensor([0, *map(len, parts)], dtype=torch.int64).cumsum(0)
    data = bytearray(b"".join(parts))
    return torch.frombuffer(data, dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8), offsets


def unpack_strings(data: Tensor, offsets: Tensor) -> list[str]:
    """The strings that `pack_strings` packed. Raises FileError where the offsets or the text are broken."""
    ends = offsets.tolist()
    if not ends or ends[0] != 0 or ends[-1] != len(data) or any(a > b for a, b in pairwise(ends)):
        raise FileError("packed text is broken: its offsets do not divide its bytes; save the model again")
    raw = data.numpy().tobytes()
    try:
        return [raw[a:b].decode() for a, b in pairwise(ends)]
    except UnicodeDecodeError:
        raise FileError("packed text is broken: it is not UTF-8; save the model again") from None
