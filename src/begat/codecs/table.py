"""Tables to tensors and back, losslessly: values, codes, and what of them is known."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from torch import Generator, Tensor

from begat.codecs import frame, identifier
from begat.codecs.cells import INTEGERS, Cells, Container, declares
from begat.codecs.column import decode_column, encode_column
from begat.codecs.grid import EXACT
from begat.codecs.levels import Encoding, Missing, Unseen, number_dtype, textual
from begat.core import Batch, Field, Spec, all_finite
from begat.errors import DataError, SchemaError, did_you_mean, visible
from begat.schema import Column, Grid, Schema


class Slot(NamedTuple):
    """Where a column stands in an encoded table: its place among the values and among the codes."""

    column: Column
    value: int | None
    code: int | None


class Encoded(NamedTuple):
    """An encoded table of n rows. possible: (n,) False where a cell lies off its grid or outside its stated bounds and
    was moved to the nearest allowed value; None where none does."""

    batch: Batch
    possible: Tensor | None


class TableCodec:
    """The columns of a schema as two tensors, values (n, R) and codes (n, C), in the order of the schema.

    names: the columns that a table must have and a decoded one has; all by default. Of these, the scored ones have
    slots. Values are float32 if every value column is continuous float32, else float64.
    """

    exact = True

    def __init__(self, schema: Schema, names: Sequence[str | int] | None = None):
        self.schema = schema
        wanted = set(schema.names if names is None else names)
        for name in wanted - set(schema.names):
            raise SchemaError(f"no column {name!r} to encode{did_you_mean(name, schema.names)}")
        self.columns = tuple(c for c in schema.columns if c.name in wanted)
        self.names = tuple(c.name for c in self.columns)
        slots: list[Slot] = []
        values, codes = 0, list[int]()
        for column in self.columns:
            if column.scored:
                coded = column.coded or column.special
                slots.append(Slot(column, None if column.coded else values, len(codes) if coded else None))
                values += not column.coded
                codes += [column.codes] * coded
        self.slots = tuple(slots)
        self.spec = Spec((Field((values,), None), Field((len(codes),), tuple(codes))))
        numbers = [s.column for s in slots if s.value is not None]
        single = bool(numbers) and all(c.single for c in numbers)
        self.first = _consecutive([s.column for s in slots])
        self.dtype = np.dtype(np.float32 if single else np.float64)
        self.bounds = _shared_bounds(self.slots)

    # in -----------------------------------------------------------------------------------------------------------
    def encode(self, X: Any, *, missing: Missing = "outcome", unseen: Unseen = "error") -> Encoded:
        """The rows of a frame (columns matched by name; more of them and another order do no harm) or of an array
        (matched by position) as a batch.

        missing: a missing cell is an outcome, where the column has it, or not known. unseen: an undeclared level is an
        error, or a cell that is not known; one UserWarning then names up to three and counts the cells.
        DataError names what is wrong: a column that is missing, a cell of the wrong type, an undeclared level.
        """
        for name, said, of in (("missing", missing, get_args(Missing)), ("unseen", unseen, get_args(Unseen))):
            if said not in of:
                raise DataError(f"{name} is {said!r}; expected {of[0]!r} or {of[1]!r}")
        X = frame.as_frame(X)
        places = self._places(X)
        plain = self._plain(X, places)
        if plain is None:
            plain = self._numbered(X, places)
        if plain is None:
            plain = self._bounded(X, places)
        if plain is not None:
            return plain
        X = frame.by_columns(X)
        n, width, coded = frame.length(X), self.spec.fields[0].shape[0], self.spec.fields[1].shape[0]
        # Column by column in memory: each is written, and later read, in one stroke.
        values, codes = np.empty((width, n), self.dtype).T, np.empty((coded, n), np.int32).T
        known: list[np.ndarray | None] = [None, None]
        possible: np.ndarray | None = None
        strange: list[tuple[str | int, Any, int]] = []
        held = frame.columns(X)
        for slot, place in zip(self.slots, places, strict=True):
            made = encode_column(slot.column, held[place], missing, unseen)
            strange += [(slot.column.name, level, cells) for level, cells in made.unseen]
            self._write(slot, made, values, codes, known)
            if made.possible is not None:
                possible = made.possible if possible is None else possible & made.possible
        if strange:
            _warn(strange)
        masks = tuple(None if k is None else torch.from_numpy(k) for k in known)
        batch = Batch((torch.from_numpy(values), torch.from_numpy(codes)), masks)
        return Encoded(batch, None if possible is None else torch.from_numpy(possible))

    def _write(
        self, slot: Slot, made: Encoding, values: np.ndarray, codes: np.ndarray, known: list[np.ndarray | None]
    ) -> None:
        """One column into its slots; a mask is made when the first cell is not known."""
        parts = ((0, slot.value, made.values, made.known_values), (1, slot.code, made.codes, made.known_codes))
        for field, at, cells, mask in parts:
            if at is None:
                continue
            (values, codes)[field][:, at] = cells
            if mask is not None:
                whole = known[field]
                if whole is None:
                    whole = known[field] = np.ones((self.spec.fields[field].shape[0], len(mask)), dtype=bool).T
                whole[:, at] = mask

    def _places(self, X: Any) -> list[int]:
        """The position in X of the column of each slot."""
        names = frame.names(X)
        by_name = frame.container(X) != "numpy" and (self.schema.container != "numpy" or set(self.names) <= set(names))
        if by_name:
            where = {name: i for i, name in enumerate(names)}
            for slot in self.slots:
                if slot.column.name not in where:
                    raise DataError(f"X lacks the column {slot.column.name!r}{did_you_mean(slot.column.name, names)}")
        else:
            if len(names) != len(self.names):
                raise DataError(
                    f"X has {len(names)} features, but begat is expecting {len(self.names)} features as input"
                )
            where = {name: i for i, name in enumerate(self.names)}
        return [where[slot.column.name] for slot in self.slots]

    def _plain(self, X: Any, places: list[int]) -> Encoded | None:
        """The memory of X itself, if it is one block of floats and all columns are continuous numbers without more."""
        free = (-np.inf, np.inf)
        if not self.slots or not all(
            s.column.kind == "continuous" and s.code is None and s.column.limits == free for s in self.slots
        ):
            return None
        view = frame.block(X, places)
        if view is None or view.dtype != self.dtype or min(view.strides) <= 0 or not len(view):
            return None
        values = shared(view)
        codes = torch.empty((len(view), 0), dtype=torch.int32)
        if all_finite(values):
            return Encoded(Batch((values, codes), (None, None)), None)
        known = ~torch.isnan(values)
        values = torch.where(known, values, values.new_zeros(()))
        if not all_finite(values):
            row, j = (int(i) for i in torch.isinf(values).nonzero()[0])
            name = self.slots[j].column.name
            raise DataError(
                f"column {name!r}, row {row}: infinity; Input X contains infinity or a value too large: "
                "replace it by a number, or by a missing value"
            )
        return Encoded(Batch((values, codes), (known, None)), None)

    def _numbered(self, X: Any, places: list[int]) -> Encoded | None:
        """One block of integers whose levels are consecutive, as codes; None if X is none, or has other values."""
        if self.first is None:
            return None
        view = frame.block(X, places)
        if view is None or view.dtype not in (np.int64, np.int32, np.int16, np.int8, np.uint8) or not len(view):
            return None
        codes = np.empty(view.shape, np.int32)
        highest = np.zeros(view[:PIECE].shape, np.uint64)
        for start in range(0, len(view), PIECE):  # moved, written and looked at while it is in the cache
            piece = view[start : start + PIECE].astype(np.int64, copy=False)
            piece = piece - self.first if self.first.any() else piece
            codes[start : start + PIECE] = piece
            top = highest[: len(piece)]
            np.maximum(top, piece.view(np.uint64), out=top)  # what lies below the first level is a huge number here
        if (highest.max(0) >= [len(s.column.levels or ()) for s in self.slots]).any():
            return None
        none = torch.empty((len(codes), 0), dtype=torch.float64)
        return Encoded(Batch((none, torch.from_numpy(codes)), (None, None)), None)

    def _bounded(self, X: Any, places: list[int]) -> Encoded | None:
        """One block of whole numbers within the bounds that all columns share, as pixels have them; None for other
        rows, whose columns are looked at one by one."""
        view = None if self.bounds is None else frame.block(X, places)
        if view is None or not len(view):
            return None
        assert self.bounds is not None
        values, known = view.astype(np.float64, order="F"), None
        if np.isnan(values).any():
            known = ~np.isnan(values)
            values[~known] = self.bounds[0]
        if values.min() < self.bounds[0] or values.max() > self.bounds[1] or (np.rint(values) != values).any():
            return None
        none = torch.empty((len(view), 0), dtype=torch.int32)
        masks = (None if known is None else torch.from_numpy(known), None)
        return Encoded(Batch((torch.from_numpy(values), none), masks), None)

    # out ----------------------------------------------------------------------------------------------------------
    def decode(
        self,
        batch: Batch,
        *,
        generator: Generator | None = None,
        container: Container | None = None,
        numbers_from: int = 0,
    ) -> Any:
        """The rows of a batch as a frame with the schema's columns, types, levels and decimals.

        Identifiers are made anew in their pattern, from number `numbers_from` on of those that the generator gives;
        columns that are not scored otherwise are there and empty. container: another kind of frame than the schema's.
        """
        values, codes = (x.detach().cpu().numpy() for x in batch.x)
        slots = {slot.column.name: slot for slot in self.slots}
        made = []
        for column in self.columns:
            slot = slots.get(column.name)
            if slot is None:
                made.append(_unscored(column, len(batch), generator, numbers_from))
                continue
            value = None if slot.value is None else values[:, slot.value]
            made.append(decode_column(column, value, None if slot.code is None else codes[:, slot.code]))
        return frame.build(container or self.schema.container, self.names, made)


def _shared_bounds(slots: Sequence[Slot]) -> tuple[float, float] | None:
    """The stated bounds of columns of whole numbers that all have the same; None for others."""
    first = slots[0].column.limits if slots else (-np.inf, np.inf)
    alike = all(
        s.code is None and s.column.kind == "integer" and s.column.grid == Grid() and s.column.limits == first
        for s in slots
    )
    return first if alike and np.isfinite(first).all() else None


PIECE = 2048
NAMED = 3
"""Undeclared levels that a warning names."""


def _warn(strange: Sequence[tuple[str | int, Any, int]]) -> None:
    """One warning for all undeclared levels of a table: (column, level, cells)."""
    cells = sum(n for _, _, n in strange)
    named = ", ".join(f"{visible(column)}: {level!r}" for column, level, _ in strange[:NAMED])
    held = "1 cell holds a level" if cells == 1 else f"{cells:,} cells hold levels"
    warnings.warn(
        f"{held} that the schema does not declare ({named}{', ...' if len(strange) > NAMED else ''}); "
        "they count as not known",
        UserWarning,
        stacklevel=3,
    )


def _consecutive(columns: Sequence[Column]) -> np.ndarray | None:
    """The first level of each column, if all columns are coded and their levels consecutive whole numbers; or None."""
    first = []
    for column in columns:
        levels = column.levels or () if column.coded else ()
        whole = [v for v in levels if type(v) is int]
        if not whole or len(whole) < len(levels) or any(v != whole[0] + i for i, v in enumerate(whole)):
            return None
        first.append(whole[0])
    return np.array(first) if first and max(map(abs, first)) < EXACT else None


def shared(view: np.ndarray) -> Tensor:
    """A tensor over the same memory, which nobody writes to; torch warns if the array may not be written."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(view)


def _unscored(column: Column, n: int, generator: Generator | None, start: int) -> Cells:
    """New identifiers; otherwise n missing cells."""
    if column.kind == "identifier" and column.pattern is not None:
        if textual(column.dtype) or declares(column.dtype) or column.dtype == INTEGERS:
            made = identifier.make(column.pattern, n, generator, start)
            return Cells("str" if declares(column.dtype) else column.dtype, np.arange(n), tuple(made))
        return Cells(column.dtype, identifier.numbers(column.pattern, n, number_dtype(column), start))
    if textual(column.dtype):
        return Cells(column.dtype, np.full(n, -1), ())
    if column.coded:
        return decode_column(replace(column, missing=True), None, np.full(n, len(column.levels or ())))
    if column.kind == "datetime":
        return decode_column(replace(column, missing=True, atoms=()), np.zeros(n), np.ones(n, dtype=np.int32))
    return Cells(column.dtype, np.full(n, np.nan))
