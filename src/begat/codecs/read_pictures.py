"""Pictures for a model of pictures: of its size, its channels and its levels, some of their pixels unknown."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from begat.codecs import array_file, parquet
from begat.codecs.catalogue import CATALOGUE
from begat.codecs.data import PictureData
from begat.codecs.image import SIDES
from begat.codecs.image_write import narrowed
from begat.codecs.pictures import levels_of, said, sides
from begat.codecs.read import read
from begat.errors import DataError
from begat.schema import Schema


def holds_pictures(path: str | PathLike[str]) -> bool:
    """Whether `begat.read` would give pictures. FileError and DataError for what it cannot read."""
    if isinstance(path, str) and path in CATALOGUE:
        return CATALOGUE[path].kind == "pictures"
    if str(path) == "-" or "://" in str(path):
        return False
    if Path(path).suffix.lower() in array_file.ENDINGS:
        return not array_file.load(path).tabular
    found = Path(path).expanduser()
    return found.is_dir() and not parquet.files_in(found)


def read_pictures(path: str | PathLike[str], schema: Schema) -> PictureData:
    """Read pictures for a model of this schema, as `begat.read` does, of the model's sides and channels.

    Those of a folder are scaled and cropped to its sides, and those that `spread` its levels over black to white get
    their levels back; arrays have its sides, or are above 64 x 64, which a fit shrinks too. DataError for a table,
    for arrays of other sides, and for pixels beyond the model's levels.
    """
    wanted = _picture(schema)
    folder = str(path) != "-" and Path(path).expanduser().is_dir()
    size = (wanted[0], wanted[1]) if folder or _large(path) else None
    found = read(path, size=size, channels=(*wanted, 1)[2] if folder else None)
    if not isinstance(found, PictureData):
        raise DataError(f"{found.name} is a table, but the model is of {said(schema)}; give a folder, .npy or .npz")
    if not _alike(found.X.shape[1:], wanted):
        raise DataError(f"{path} has pictures of {sides(found.X.shape[1:])}, but the model is of {said(schema)}")
    pixels, levels = found.X, levels_of(schema)
    if folder and levels < 256 and (own := narrowed(pixels, levels)) is not None:
        pixels = own
    if int(pixels.max()) >= levels:
        raise DataError(f"{path} has a pixel of {pixels.max()}, but the model is of {said(schema)}; scale them first")
    return PictureData(replace(found.pictures, pixels=pixels.reshape(-1, *wanted)), found.name)


def read_gaps(path: str | PathLike[str], schema: Schema) -> np.ndarray:
    """Read pictures with unknown pixels for a model of this schema: (n, *picture) float64, NaN where unknown.

    DataError for what is no array of floats of the model's sides and levels.
    """
    wanted = _picture(schema)
    how = f"give an array of floats (n, {', '.join(map(str, wanted))}) with NaN for unknown pixels, as .npy or .npz"
    if Path(path).suffix.lower() not in array_file.ENDINGS:
        raise DataError(f"{path} cannot say which pixels are unknown; {how}")
    values = array_file.load(path).values
    if values.ndim not in (3, 4) or not _alike(values.shape[1:], wanted):
        raise DataError(f"{path} has the shape {values.shape}, but the model is of {said(schema)}; {how}")
    made = values.astype(np.float64).reshape(-1, *wanted)
    known = made[~np.isnan(made)]
    if known.size and not ((known == np.rint(known)) & (known >= 0) & (known < levels_of(schema))).all():
        raise DataError(f"{path} has pixels from {known.min():g} to {known.max():g} that are no levels of the model's, "
                        f"which is of {said(schema)}")  # fmt: skip
    return made


def _picture(schema: Schema) -> tuple[int, ...]:
    assert schema.picture is not None
    return schema.picture


def _large(path: str | PathLike[str]) -> bool:
    """Whether these are arrays of pictures that reading shrinks."""
    if Path(path).suffix.lower() not in array_file.ENDINGS:
        return False
    shape = array_file.load(path).values.shape
    return len(shape) > 2 and max(shape[1:3]) > SIDES[0]


def _alike(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether pictures have the same shape; one channel may have no axis."""
    return shape[:2] == wanted[:2] and (shape[2:] or (1,)) == (wanted[2:] or (1,))
