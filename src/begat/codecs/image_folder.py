"""A folder of pictures: which files are read, in which order, and what their labels are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from begat.codecs.data import Pictures
from begat.codecs.image import counted, gather
from begat.codecs.image_decode import ENDINGS, in_file
from begat.codecs.stream import locate, opener
from begat.errors import DataError, FileError, did_you_mean

METADATA = "metadata.csv"
NAMES = ("file_name", "filename", "file", "path")
"""What the column of metadata.csv is called that names the pictures, the likeliest first."""
LABEL = "label"
"""The column of labels among several, and what the names of sub-folders are called."""


class Held(NamedTuple):
    """The files of a folder: the names of its pictures, sorted; how many are captions, links to nowhere, others."""

    pictures: list[str]
    captions: int
    broken: int
    others: int
    metadata: bool


def read_folder(
    path: str | PathLike[str],
    *,
    target: str | None = None,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    rows: int | None = None,
) -> Pictures:
    """The pictures of a folder and its sub-folders, in the order of their names.

    Labels are a column of metadata.csv in the folder (its column file_name names the pictures): `target`, or "label",
    or the only other one. Without it they are the names of the sub-folders, if every picture lies in one. size,
    channels: those of `gather`, by which pictures of several sizes, or above 64 x 64, become one size. rows: only the
    first so many. Hidden files and those of other endings are left out.

    FileError: no folder, no picture in it, or one that is damaged. DataError: pixels of floats, labels that do not fit.
    """
    folder = locate(path)
    if not folder.is_dir():
        raise FileError(f"{folder} is a file; give the folder that holds the pictures")
    if rows is not None and rows < 1:
        raise DataError(f"rows={rows}; give at least 1, or None for all")
    held = files(folder)
    if not held.pictures:
        raise FileError(f"the folder {folder} holds no picture (read are {', '.join(ENDINGS)})")
    names = held.pictures[:rows]
    said: list[str] = []
    labels = _from_metadata(folder, names, target, said) if held.metadata else None
    if labels is None:
        labels = _from_folders(held.pictures, len(names), said)
        if target is not None and (labels is None or target != LABEL):
            what = f"; the names of its sub-folders are called {LABEL!r}" if labels is not None else ""
            raise DataError(f"{folder} has no {METADATA} with a column {target!r}{what}; leave target out")
    pixels, done = gather([in_file(folder / name) for name in names], size, channels)
    return Pictures(pixels, labels, tuple(names), (*done, *said, *_left_out(held)), target or LABEL)


def files(folder: Path) -> Held:
    """The files in a folder and below, without hidden ones. FileError: a folder that may not be read.

    Links are followed, to each folder once and to none that the folder itself lies in.
    """
    names: list[str] = []
    seen = {_identity(above) for above in folder.resolve().parents}
    linked: list[tuple[Path, str]] = []
    waiting = [(folder, "")]
    broken = 0
    while waiting or linked:
        at, prefix = waiting.pop() if waiting else linked.pop(0)  # links last: what they lead to has its own name
        try:
            if _identity(at) in seen:
                continue
            seen.add(_identity(at))
            entries = sorted(os.scandir(at), key=lambda entry: entry.name)
        except OSError as error:
            raise FileError(f"the folder {at} cannot be read: {error.strerror or error}") from None
        for entry in entries:
            if entry.name.startswith("."):
                continue
            name = prefix + entry.name
            try:
                if entry.is_dir():
                    (linked if entry.is_symlink() else waiting).append((at / entry.name, name + "/"))
                elif entry.is_file():
                    names.append(name)
                else:
                    broken += entry.is_symlink()
            except OSError:  # a link to itself
                broken += 1
    pictures = sorted(n for n in names if PurePosixPath(n).suffix.lower() in ENDINGS)
    stems = {n.rpartition(".")[0] for n in pictures}
    captions = sum(n.endswith(".txt") and n[:-4] in stems for n in names)
    metadata = METADATA in names
    return Held(pictures, captions, broken, len(names) - len(pictures) - captions - metadata, metadata)


def _identity(folder: Path) -> tuple[int, int]:
    state = folder.stat()
    return state.st_dev, state.st_ino


def _from_folders(names: Sequence[str], rows: int, said: list[str]) -> np.ndarray | None:
    """The sub-folder of each of the first pictures, if every picture lies in one."""
    places = [name.split("/")[:-1] for name in names]
    if not any(places):
        return None
    if all(len(place) == 1 for place in places):
        labels = np.array([place[0] for place in places[:rows]])
        said.append(f"the labels are the names of the sub-folders: {_listed(labels)}")
        return labels
    odd = next(name for name, place in zip(names, places, strict=True) if len(place) != 1)
    said.append(f"there are no labels: {odd} and others do not lie in a sub-folder of the folder itself")
    return None


def _from_metadata(folder: Path, names: Sequence[str], target: str | None, said: list[str]) -> np.ndarray | None:
    """The labels in metadata.csv; None, with a note, where it does not say which column they are."""
    from begat.codecs import delimited

    path = folder / METADATA
    layout = delimited.sniff(opener(path), str(path))
    key = next((n for n in NAMES if n in layout.names), None)
    others = [n for n in layout.names if n != key]
    if target is not None and (key is None or target not in others):
        lacking = target if key is not None else NAMES[0]
        raise DataError(f"{path} has no column {lacking!r}{did_you_mean(lacking, layout.names)}")
    if key is None:
        said.append(f"{METADATA} has no column {NAMES[0]} and is left out")
        return None
    chosen = target or (LABEL if LABEL in others else others[0] if len(others) == 1 else None)
    if chosen is None:
        shown = ", ".join(others[:6])
        said.append(f"{METADATA} is left out: target= chooses the labels from its columns {shown}" if others else
                    f"{METADATA} names pictures and no labels")  # fmt: skip
        return None
    found: dict[str, str] = {}
    for batch in delimited.batches(opener(path), layout, [key, chosen]):
        for name, label in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
            name = os.path.normpath(name.strip()).replace(os.sep, "/")
            if found.setdefault(name, label) != label:
                raise DataError(f"{path} gives {name} two labels, {found[name]!r} and {label!r}; leave one of them out")
    for name in names:
        if not found.get(name, "").strip():
            why = f"an empty {chosen}" if name in found else "no row"
            raise DataError(f"{path} has {why} for {name}; label that picture, or remove it")
    labels = np.array([found[name] for name in names])
    said.append(f"the labels are the column {chosen} of {METADATA}: {_listed(labels)}")
    known = set(names)
    absent = [name for name in found if name not in known]
    if absent:
        said.append(f"{METADATA} names {len(absent):,} more, such as {absent[0]}, that were not read")
    return labels


def _listed(labels: np.ndarray) -> str:
    kinds = np.unique(labels).tolist()
    return ", ".join(kinds[:6]) + (f" and {len(kinds) - 6:,} more" if len(kinds) > 6 else "")


def _left_out(held: Held) -> list[str]:
    out = []
    if held.captions:
        out.append(f"{counted(held.captions)} with a caption (.txt) beside it, which is not read")
    if held.broken:
        out.append(f"left out: {counted(held.broken, 'link')} to nowhere")
    if held.others:
        out.append(f"left out: {counted(held.others, 'file')} of other endings")
    return out
