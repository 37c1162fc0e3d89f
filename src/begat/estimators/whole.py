"""Files that appear whole or not at all: a write that fails or is killed leaves the old file as it was."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path

from begat.errors import FileError


def followed(path: str | PathLike[str]) -> Path:
    """Where a path leads: ~ is the person's folder, links are followed, so that writing replaces what they point to."""
    if not isinstance(path, str | PathLike) or not str(path) or "\0" in str(path):
        raise FileError(f"{path!r} is no path; give text or a pathlib.Path")
    path = os.fspath(path)
    return Path(os.path.realpath(os.path.expanduser(path)))


def folder_place(path: str | PathLike[str]) -> Path:
    """The folder of this name, there or to be made. FileError where a file is in the way, or nobody may write."""
    folder = followed(path)
    at = next(at for at in (folder, *folder.parents) if os.path.exists(at))
    if not at.is_dir():
        raise FileError(f"{at} is a file; give the name of a folder")
    writable(at)
    return folder


def writable(folder: Path) -> None:
    """Raise FileError, before any work is done, for a folder in which this person may write no file."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(f"the folder {folder} may not be written to; give another one")


@contextmanager
def whole(path: str | PathLike[str]) -> Iterator[Path]:
    """An empty file beside `path` to write to: it takes the place of `path` at the end, and vanishes on an error.

    FileError where the system refuses, as for a full disk; the old file is then what it was.
    """
    path = followed(path)
    part = path.with_name(f".{secrets.token_hex(8)}.part")  # its own for each of two processes, and short for any name
    try:
        part.open("xb").close()
        mode = part.stat().st_mode  # what the person's mask allows; a library that writes anew may allow less
        yield part
        part.chmod(mode)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
        _settle(path.parent)
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}") from None
    except FileError as error:  # of a writer that knows the file by its passing name
        raise FileError(str(error).replace(str(part), str(path))) from None
    finally:
        with suppress(OSError):
            part.unlink()


def _settle(folder: Path) -> None:
    """Make a rename in the folder last through a power cut, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
