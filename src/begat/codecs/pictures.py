"""Pictures as rows: a picture's columns are its pixels, in the order in which an array has them."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np

from begat.errors import DataError
from begat.schema import Column, Grid, Schema

LEVELS = 256
"""Of a pixel, at most: those of a byte."""
FEW = 64
"""Bytes that are all below this are levels of their own, such as the 17 of scanned digits, not dark photographs."""
SIDES = "an array (n, height, width) or (n, height, width, channels) with 1, 3 or 4 channels"


def array_of(X: Any) -> np.ndarray | None:
    """X as an array of pictures (n, height, width[, channels]); None if it is something else.

    Taken: arrays of three or four axes, masked ones too, and lists of Pillow's pictures of one size.
    """
    if isinstance(X, np.ma.MaskedArray) and X.ndim in (3, 4):
        return np.where(np.ma.getmaskarray(X), np.nan, X.data.astype(np.float64))
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(X, list | tuple) and X and all(isinstance(p, pillow.Image) for p in X):
        from begat.codecs.image import from_pillow

        return np.asarray(from_pillow(X))
    if hasattr(X, "__array__") and getattr(X, "ndim", 0) in (3, 4):
        return np.asarray(X)
    return None


def flat(pictures: np.ndarray) -> np.ndarray:
    """The pixels of each picture in a row (n, pixels)."""
    if not pictures.size:
        raise DataError(f"the pictures have the shape {pictures.shape}, which is none; give {SIDES}")
    return pictures.reshape(len(pictures), -1)


def schema_of(pictures: np.ndarray, given: Schema | None = None, *, files: bool = False) -> Schema:
    """What pixels are: whole numbers from 0 to 255 of bytes, to the largest of other numbers, and of bytes below 64;
    and their arrangement.

    given: a schema of the pixels by name, which stays as it is. files: whether the bytes are those of picture files,
    which have 256 levels however dark they are. DataError for what are no pictures: axes in another
    order, fractions, numbers beyond 255, missing pixels.
    """
    shape = pictures.shape[1:]
    if len(shape) == 3 and shape[2] not in (1, 3, 4):
        moved = "; channels come last: np.moveaxis(X, 1, -1)" if shape[0] in (1, 3, 4) else ""
        raise DataError(f"X has the shape {pictures.shape}; expected {SIDES}{moved}")
    if given is not None:
        return replace(given, picture=shape)
    kind = pictures.dtype.kind
    if kind not in "biuf":
        raise DataError(f"X holds {pictures.dtype}; expected {SIDES} of numbers")
    if kind == "f" and not np.isfinite(pictures).all():
        where = np.argwhere(~np.isfinite(pictures))[0]
        raise DataError(f"picture {where[0]} has a pixel that is no number; fit complete pictures, and impute others")
    least, most = float(pictures.min()), float(pictures.max())
    if kind == "f" and (np.rint(pictures) != pictures).any():
        hint = "round(255 * X)" if least >= 0 and most <= 1 else "whole numbers from 0 to 255"
        raise DataError(f"X has fractions from {least:g} to {most:g}; pixels are levels: give {hint}")
    if least < 0 or most >= LEVELS:
        raise DataError(
            f"X has numbers from {least:g} to {most:g}; pixels are levels from 0 to 255: give them as bytes"
        )
    upper = LEVELS - 1 if pictures.dtype == np.uint8 and (files or most >= FEW) else max(int(most), 1)
    why = f"a pixel of {'x'.join(map(str, shape))}"
    columns = (
        Column(name=f"x{i}", kind="integer", dtype=str(pictures.dtype), grid=Grid(), lower=0, upper=upper, why=why)
        for i in range(int(np.prod(shape)))
    )
    return Schema(tuple(columns), None, "numpy", shape)


def fits(shape: tuple[int, ...], wanted: tuple[int, ...] | None) -> None:
    """Raise DataError for pictures of a shape that is not the model's."""
    if shape != wanted:
        said = "no pictures" if wanted is None else f"pictures of {sides(wanted)}"
        raise DataError(f"X has pictures of {sides(shape)}, but the model is of {said}")


def sides(shape: tuple[int, ...]) -> str:
    """The sides of a picture in words: 8 x 8, or 32 x 32 x 3."""
    return " x ".join(map(str, shape))


def levels_of(schema: Schema) -> int:
    """How many levels the pixels of a schema of pictures have."""
    return max(int(c.limits[1]) for c in schema.features) + 1


def said(schema: Schema) -> str:
    """What pictures a schema is of: pictures of 8 x 8, 17 levels."""
    assert schema.picture is not None
    colours = {3: " in colours", 4: " in colours and alpha"}.get(schema.picture[2] if len(schema.picture) == 3 else 1)
    return f"pictures of {sides(schema.picture[:2])}{colours or ''}, {levels_of(schema)} levels"
