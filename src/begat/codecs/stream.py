"""Bytes of a file: found, opened again as often as needed, and decompressed within limits."""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
import zlib
from collections.abc import Callable
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from begat.errors import FileError, did_you_mean

Opener = Callable[[], BinaryIO]
"""Opens the same bytes from their start; every call gives a new stream."""

ALWAYS_ALLOWED = 256 * 2**20
"""A compressed file may always expand to this many bytes ..."""
LARGEST_RATIO = 200
"""... and beyond that to this many times its size: tables compress 5 to 50 times, bombs a thousand times."""
DAMAGED = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)
"""What gzip and zipfile raise for a file that is broken, encrypted or compressed in an unknown way."""


def locate(path: str | PathLike[str]) -> Path:
    """The existing file or folder of this name; FileError (with a sibling's name, if one is close) otherwise."""
    if not isinstance(path, str | PathLike) or not str(path):
        raise FileError(f"{path!r} is no path; give text or a pathlib.Path")
    found = Path(path).expanduser()
    try:
        exists = found.exists()
        strange = exists and not (found.is_file() or found.is_dir())
    except (OSError, ValueError) as error:
        raise FileError(f"{str(path)!r} is not the name of a file: {error}") from None
    if strange:
        raise FileError(f"{found} is not a regular file; give a file or a folder, or - to read standard input")
    if not exists:
        if not found.parent.is_dir():
            raise FileError(f"no file {found}: the folder {found.parent} does not exist")
        try:
            siblings = sorted(p.name for p in found.parent.iterdir() if not p.name.startswith("."))
        except OSError:
            siblings = []
        raise FileError(f"no file {found}{did_you_mean(found.name, siblings)}")
    return found


def place(path: str | PathLike[str]) -> Path:
    """Where a new file of this name goes; FileError where that is a folder, or in a folder that does not exist."""
    found = Path(path).expanduser()
    if found.is_dir():
        raise FileError(f"{found} is a folder; give the name of a file, in it or elsewhere")
    if not found.parent.is_dir():
        raise FileError(f"the folder {found.parent} does not exist; make it first")
    return found


def opener(path: Path) -> Opener:
    """The bytes of a plain file, of a .gz, or of the one table in a .zip."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return lambda: _buffered(gzip.GzipFile(fileobj=_raw(path), mode="rb"), path)
    if suffix == ".zip":
        member = only_member(path)
        return lambda: _buffered(_member(path, member), path)
    return lambda: _raw(path)


def standard_input() -> Opener:
    """Everything on standard input, kept in memory so that it can be read twice."""
    data = sys.stdin.buffer.read()
    return lambda: io.BytesIO(data)


def only_member(path: Path) -> str:
    """The name of the one file in a .zip; FileError if there are none or several."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if not n.endswith("/")]
    except DAMAGED as error:
        raise FileError(f"{path} is not a readable zip file: {error}") from None
    names = [n for n in names if not n.startswith("__MACOSX/") and not PurePosixPath(n).name.startswith(".")]
    if len(names) != 1:
        held = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise FileError(f"{path} holds {len(names)} files ({held}); unzip it and read one of them")
    return names[0]


def check_expansion(path: Path) -> None:
    """Refuse a zip container (.xlsx) whose parts are absurdly larger than the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(part.file_size for part in archive.infolist())
    except DAMAGED as error:
        raise FileError(f"{path} is damaged: {error}") from None
    if total > _allowance(path):
        raise _bomb(path)


def _raw(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise FileError(f"{path} cannot be opened: {error.strerror or error}") from None


def _member(path: Path, member: str) -> BinaryIO:
    try:
        return zipfile.ZipFile(_raw(path)).open(member)  # type: ignore[return-value]
    except (*DAMAGED, KeyError) as error:
        raise FileError(f"{path} cannot be unzipped: {error}") from None


def _allowance(path: Path) -> int:
    return max(ALWAYS_ALLOWED, LARGEST_RATIO * path.stat().st_size)


def _bomb(path: Path) -> FileError:
    return FileError(
        f"{path} expands to more than {LARGEST_RATIO} times its size and is refused; unpack it yourself if you trust it"
    )


def _buffered(inner: BinaryIO | gzip.GzipFile, path: Path) -> BinaryIO:
    return io.BufferedReader(_Expanded(inner, path, _allowance(path)), 2**18)


class _Expanded(io.RawIOBase):
    """A decompressing stream that stops at its allowance and says in one line what is broken."""

    def __init__(self, inner: BinaryIO | gzip.GzipFile, path: Path, allowance: int):
        self.inner, self.path, self.left = inner, path, allowance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            piece = self.inner.read(len(buffer))
        except DAMAGED as error:
            raise FileError(f"{self.path} is damaged and cannot be decompressed: {error}") from None
        self.left -= len(piece)
        if self.left < 0:
            raise _bomb(self.path)
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self.inner.close()
        super().close()


COMPRESSED = (".gz", ".zip")


def extension(path: str | PathLike[str]) -> str:
    """What a file's name says it is: ".csv", ".csv.gz", ".parquet" (of "a.parquet.brotli", too), lower case."""
    suffixes = [s.lower() for s in Path(path).suffixes]
    for name in (".parquet", ".pq"):
        if name in suffixes[-2:]:
            return name
    if suffixes[-1:] and suffixes[-1] in COMPRESSED and len(suffixes) > 1:
        return "".join(suffixes[-2:])
    return suffixes[-1] if suffixes else ""
