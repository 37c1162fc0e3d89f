"""Arrays from .npy and .npz files: pictures, or the rows of a table. Nothing in them is ever unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from begat.codecs.data import Pictures
from begat.codecs.image import gather
from begat.codecs.image_decode import in_memory
from begat.codecs.stream import check_expansion, locate
from begat.errors import BegatError, DataError, FileError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".npy", ".npz")
VALUES = ("X", "x", "images", "data", "pixels", "x_train")
LABELS = ("y", "labels", "targets", "y_train")
"""What the arrays of an .npz are called, the likeliest first."""
SHAPES = "expected (n, h, w) or (n, h, w, channels) with 1, 3 or 4 channels"


@dataclass(frozen=True, eq=False)
class Arrays:
    """What an array file holds.

    values: numbers with the examples first. labels: (n,), one for each example, or None; they are called `target`.
    label: what the file is called in messages. notes: what was recognised, one sentence each.
    """

    values: np.ndarray
    labels: np.ndarray | None
    target: str
    label: str
    notes: tuple[str, ...] = ()

    @property
    def tabular(self) -> bool:
        """Whether the examples are rows of a table, not pictures."""
        return self.values.ndim == 2

    def frame(self) -> pd.DataFrame:
        """The rows as a table: columns x0, x1, ... and the labels."""
        import pandas as pd

        if not self.tabular:
            raise DataError(f"{self.label} has the shape {self.values.shape}; a table has rows and columns")
        columns = {f"x{i}": self.values[:, i] for i in range(self.values.shape[1])}
        return pd.DataFrame(columns if self.labels is None else {**columns, self.target: self.labels})

    def pictures(
        self, size: int | tuple[int, int] | None = None, channels: int | None = None, rows: int | None = None
    ) -> Pictures:
        """The examples as pictures; arguments and errors are those of `from_arrays`."""
        from PIL import Image

        if rows is not None and rows < 1:
            raise DataError(f"rows={rows}; give at least 1, or None for all")
        pixels = as_pixels(self.values[:rows], self.label)
        made = [in_memory(Image.fromarray(p), f"{self.label}, picture {i}") for i, p in enumerate(pixels)]
        pixels, notes = gather(made, size, channels)
        most = int(pixels.max())
        if most < 255:
            notes.append(f"the largest value is {most}, not 255")
        labels = None if self.labels is None else self.labels[:rows]
        return Pictures(pixels, labels, (), (*notes, *self.notes), self.target)


def from_arrays(
    path: str | PathLike[str],
    *,
    target: str | None = None,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    rows: int | None = None,
) -> Pictures:
    """Pictures from a .npy file, or from the array of an .npz that is called X, x, images, data, pixels or x_train.

    The array is (n, h, w) or (n, h, w, channels), of whole numbers from 0 to 255; False and True become 0 and 255.
    target: the array of labels (n,) in an .npz, by default the one called y, labels, targets or y_train, if there is
    one. size, channels: those of `gather`, by which pictures above 64 x 64 shrink. rows: only the first so many.
    FileError: the file is missing, damaged, or holds objects. DataError: its arrays are no pictures, or a table.
    """
    arrays = load(path, target)
    if arrays.tabular:
        raise DataError(f"{arrays.label} holds a table of shape {arrays.values.shape}, no pictures; {SHAPES}")
    return arrays.pictures(size, channels, rows)


def load(path: str | PathLike[str], target: str | None = None) -> Arrays:
    """The arrays of a .npy or .npz file, looked at but not converted; target: the array of labels in an .npz.

    FileError: missing, damaged, or of objects. DataError: no array of examples can be told, labels that do not fit.
    """
    found = locate(path)
    label, notes = str(found), []
    held = _arrays(found)
    if isinstance(held, np.ndarray):
        values, labels, name, names = held, None, "y", []
    else:
        chosen, name = _chosen(held, target, label)
        values, labels, names = held[chosen], held.get(name), list(held)
        others = [n for n in names if n not in (chosen, name)]
        notes = [f"the examples are the array {chosen}" + ("" if labels is None else f", the labels {name}")]
        notes += [f"the arrays {', '.join(others[:6])} are left out"] if others else []
    if target is not None and target not in names and values.ndim != 2:  # of a table, it may be a column
        hint = did_you_mean(target, names) if names else "; save .npz with X and y, or leave target out"
        raise DataError(f"{label} has no array {target!r} for the labels{hint}")
    if values.ndim < 2 or 0 in values.shape:
        raise DataError(f"{label} holds an array of shape {values.shape}; {SHAPES}, or (n, columns) of a table")
    if values.dtype.kind not in "biuf":
        raise DataError(f"{label} holds {_kind(values)}; expected numbers")
    if labels is not None:
        labels = _native(_labels(labels, len(values), name, label))
    return Arrays(_native(values), labels, name, label, tuple(notes))


def as_pixels(values: Any, label: str) -> np.ndarray:
    """An array (n, h, w) or (n, h, w, channels) as uint8, a single channel without its axis; DataError for others."""
    values = np.asarray(values)
    shape = values.shape
    if values.ndim not in (3, 4) or 0 in shape:
        raise DataError(f"{label} has the shape {shape}; {SHAPES}")
    if values.ndim == 4 and shape[3] not in (1, 3, 4):
        moved = ": move the axis of channels to the end, np.moveaxis(x, 1, -1)" if shape[1] in (1, 3, 4) else ""
        raise DataError(f"{label} has the shape {shape}; {SHAPES}{moved}")
    if values.ndim == 3 and shape[2] in (3, 4) and min(shape[:2]) >= 8:
        raise DataError(f"{label} has the shape {shape}, as one picture in colours has; {SHAPES}: give x[None]")
    if values.ndim == 4 and shape[3] == 1:
        values = values[..., 0]
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype.kind == "b":
        return np.where(values, np.uint8(255), np.uint8(0))
    if values.dtype.kind not in "iuf":
        raise DataError(f"{label} holds {_kind(values)}; expected whole numbers from 0 to 255")
    least, most = values.min(), values.max()  # not a number where any is none
    if not (least >= 0 and most <= 255):
        raise DataError(f"{label} holds numbers from {least} to {most}; expected whole numbers from 0 to 255")
    if values.dtype.kind == "f" and (values != np.rint(values)).any():
        hint = "np.rint(255 * x)" if most <= 1 else "np.rint(x)"
        raise DataError(
            f"{label} holds fractions from {least} to {most}; expected whole numbers, 0 to 255: give {hint}"
        )
    return np.ascontiguousarray(values.astype(np.uint8))


def _arrays(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """The one array of a .npy, or all of an .npz by name."""
    try:
        with path.open("rb") as stream:
            head = stream.read(6)
    except OSError as error:
        raise FileError(f"{path} cannot be opened: {error.strerror or error}") from None
    try:
        if head[:2] == b"PK":
            check_expansion(path)
            with np.load(path, allow_pickle=False) as archive:
                return {name: np.asarray(archive[name]) for name in archive.files}
        if head != b"\x93NUMPY":
            raise FileError(f"{path} is {'no array that NumPy saved' if head else 'empty'}; write it with np.save")
        # Mapped: what a damaged file claims of its size is then compared with the file, not allocated.
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except BegatError:
        raise
    except Exception as error:  # a damaged header raises SyntaxError, struct.error, MemoryError and more
        said = (str(error).splitlines() or [type(error).__name__])[0]
        if "bject" in said or "pickle" in said:
            raise FileError(f"{path} holds Python objects, which begat never loads; save numbers or text") from None
        raise FileError(f"{path} is not a readable {path.suffix} file: {said}") from None


def _chosen(held: Mapping[str, np.ndarray], target: str | None, label: str) -> tuple[str, str]:
    """The names of the examples and of the labels among the arrays of an .npz; there may be none of the latter."""
    names = list(held)
    labels = target if target is not None and target in held else next((n for n in LABELS if n in held), "y")
    left = [n for n in names if n != labels]
    chosen = next((n for n in VALUES if n in left), left[0] if len(left) == 1 else None)
    if chosen is None:
        shown = ", ".join(names[:6]) or "none"
        raise DataError(f"{label} has the arrays {shown}; call the one of the examples X and that of the labels y")
    return chosen, labels


def _labels(labels: np.ndarray, n: int, name: str, label: str) -> np.ndarray:
    """Labels as (n,): text, numbers or booleans."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (n,):
        hint = f"; of one column for each class, give {name}.argmax(1)" if labels.shape[:1] == (n,) else ""
        raise DataError(f"{label}: {name} has the shape {labels.shape}; expected ({n},), one for each example{hint}")
    if labels.dtype.kind == "S":
        try:
            return np.char.decode(labels, "utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{label}: {name} holds bytes that are no UTF-8; save it as text") from None
    if labels.dtype.kind not in "biufU":
        raise DataError(f"{label}: {name} holds {_kind(labels)}; expected numbers or text")
    return labels


def _native(values: np.ndarray) -> np.ndarray:
    """The same numbers in the machine's order of bytes."""
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _kind(values: np.ndarray) -> str:
    return "records" if values.dtype.names else f"values of the type {values.dtype}"
