"""Pictures written to files: one sheet of all, one file for each, or their array."""

from __future__ import annotations

import math
import secrets
import shutil
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from begat.codecs.array_file import as_pixels
from begat.codecs.image import counted
from begat.codecs.image_decode import MOST_PIXELS
from begat.codecs.stream import place
from begat.codecs.write import whole
from begat.errors import DataError, FileError

CELL = 64
"""Pixels of a side that small pictures on a sheet are enlarged to, about."""
GAP = 211
"""The light grey between them."""
FORBIDDEN = frozenset('<>:"/\\|?*') | {chr(i) for i in range(32)}
"""Characters that some system does not take in the name of a folder."""


def grid(pixels: Any, columns: int | None = None, scale: int | None = None, pad: int = 1) -> np.ndarray:
    """All pictures on one sheet, row by row: uint8 (height, width), or (height, width, channels).

    pixels: (n, h, w) or (n, h, w, channels). columns: pictures in a row, by default for a sheet that is about square.
    scale: each pixel becomes scale x scale, by default so that a cell has up to 64. pad: pixels of grey around each
    picture. Picture i has its upper left corner at pad + (i // columns) * (scale * h + pad), and so across.
    DataError: no pictures, numbers below 1, a sheet of more than 50 million pixels.
    """
    pixels = as_pixels(pixels, "the pictures")
    n, height, width = pixels.shape[:3]
    columns = math.ceil(math.sqrt(n * height / width)) if columns is None else columns
    columns = min(columns, n)
    scale = max(CELL // max(height, width), 1) if scale is None else scale
    for word, value, least in (("columns", columns, 1), ("scale", scale, 1), ("pad", pad, 0)):
        if value < least:
            raise DataError(f"{word}={value}; give at least {least}")
    lines = -(-n // columns)
    tall, wide = scale * height + pad, scale * width + pad
    if (lines * tall + pad) * (columns * wide + pad) > MOST_PIXELS:
        raise DataError(f"a sheet of {counted(n)} of this size is too large; write fewer, or a folder of them")
    colours = pixels.shape[3:]
    sheet = np.full((lines * tall + pad, columns * wide + pad, *colours), GAP, np.uint8)
    if colours == (4,):
        sheet[..., 3] = 255
    for i, picture in enumerate(pixels):
        top, left = pad + i // columns * tall, pad + i % columns * wide
        sheet[top : top + scale * height, left : left + scale * width] = picture.repeat(scale, 0).repeat(scale, 1)
    return sheet


def spread(pixels: Any, levels: int) -> np.ndarray:
    """Pixels of so many levels, 0 to levels - 1, as they are shown: 0 to 255, uint8. DataError for others."""
    pixels = as_pixels(pixels, "the pictures")
    if not 2 <= levels <= 256:
        raise DataError(f"levels={levels}; give 2 to 256")
    if int(pixels.max()) >= levels:
        raise DataError(
            f"a pixel is {pixels.max()}, but levels={levels} go to {levels - 1}; give levels={pixels.max() + 1}"
        )
    return _shades(levels)[pixels]


def narrowed(pixels: np.ndarray, levels: int) -> np.ndarray | None:
    """The pixels that `spread` showed as these, uint8; None where it gives no such pixels."""
    place = np.full(256, 256)
    place[_shades(levels)] = np.arange(levels)
    found = place[pixels]
    return None if int(found.max()) == 256 else found.astype(np.uint8)


def _shades(levels: int) -> np.ndarray:
    return np.rint(np.arange(levels) * (255 / (levels - 1))).astype(np.uint8)


def write_pictures(
    pixels: Any,
    path: str | PathLike[str],
    labels: Sequence[Any] | np.ndarray | None = None,
    *,
    levels: int | None = None,
) -> Path:
    """Write pictures as the name says, whole or not at all; returns where they are.

    NAME.png: a sheet of all (`grid`), without labels. NAME.npy, NAME.npz: their array; the latter with labels, as y. A
    name without an ending, of a folder that is new or empty: 0.png, 1.png, ..., numbers of equal length, in a
    sub-folder for each label. levels: pixels of so many levels are spread over black to white in .png files; arrays
    keep them. FileError: another ending, a place that cannot be written. DataError: what are no pictures, labels that
    do not fit, or cannot name a folder.
    """
    pixels = as_pixels(pixels, "the pictures")
    names = None if labels is None else _labels(labels, len(pixels))
    shown = pixels if levels is None else spread(pixels, levels)
    target = picture_place(path)
    ending = "" if target.is_dir() else target.suffix.lower()
    if ending == "":
        _folder(shown, target, None if names is None else [_named(label) for label in names])
        return target
    if ending == ".npy" and labels is not None:
        raise DataError(f"{target} holds one array and no labels; write .npz or a folder")
    sheet = grid(shown) if ending == ".png" else None
    with whole(target) as stream:
        if sheet is not None:
            _png(sheet, stream)
        elif ending == ".npy":
            np.save(stream, pixels, allow_pickle=False)
        else:
            held = {"X": pixels} if labels is None else {"X": pixels, "y": _plain(labels)}
            np.savez_compressed(stream, **held)
    return target


def picture_place(path: str | PathLike[str]) -> Path:
    """Where `write_pictures` puts them; FileError for an ending that it does not write and a place that is none."""
    if not isinstance(path, str | PathLike) or not str(path) or "\0" in str(path):
        raise FileError(f"{path!r} is no path; give text or a pathlib.Path")
    if str(path) == "-":
        raise FileError("pictures cannot be printed; give a name that ends in .png, .npy or .npz, or of a folder")
    target = Path(path).expanduser()
    try:
        if target.is_dir():
            if any(target.iterdir()):
                raise FileError(f"the folder {target} is not empty; give the name of a new one")
            return target
        taken = target.exists()
    except OSError as error:
        raise FileError(f"{target} cannot be written: {error.strerror or error}") from None
    if target.suffix.lower() not in ("", ".png", ".npy", ".npz"):
        raise FileError(f"{target} ends in {target.suffix!r}; expected .png, .npy, .npz, or no ending for a folder")
    if not target.suffix and taken:
        raise FileError(f"{target} is a file; give the name of a folder, or one that ends in .png, .npy or .npz")
    return place(target)


def _folder(pixels: np.ndarray, target: Path, labels: list[str] | None) -> None:
    """One file for each, first in a folder beside the target."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    digits = len(str(len(pixels) - 1))
    try:
        try:
            part.mkdir()
            for i, picture in enumerate(pixels):
                home = part if labels is None else part / labels[i]
                home.mkdir(exist_ok=True)
                with (home / f"{i:0{digits}}.png").open("xb") as stream:
                    _png(picture, stream)
            if target.is_dir():
                target.rmdir()
            part.rename(target)
        except OSError as error:
            raise FileError(f"{target} cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _png(picture: np.ndarray, stream: BinaryIO) -> None:
    from PIL import Image

    Image.fromarray(picture).save(stream, format="PNG")


def _labels(labels: Any, n: int) -> list[str]:
    """Labels as text, one for each picture."""
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise DataError(f"labels have the shape {labels.shape}; expected ({n},), one for each picture")
    held = labels.tolist()
    if any(label is None or label != label for label in held):
        raise DataError("a picture has no label; name it, or leave the labels out")
    return [str(label) for label in held]


def _named(label: str) -> str:
    """A label that can name a folder, on any system."""
    if label != label.strip(" .") or not label or FORBIDDEN & set(label):
        raise DataError(f"the label {label!r} cannot be the name of a folder; give others, or write .npz")
    return label


def _plain(labels: Any) -> np.ndarray:
    """Labels as numbers or text, never as objects."""
    held = np.asarray(labels)
    return held if held.dtype.kind in "biufU" else np.array([str(label) for label in held.tolist()])
