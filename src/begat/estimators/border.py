"""The border of a fit: how a person's tables, targets and evidence become batches of its model, and rows come back."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from begat.codecs import frame, pictures
from begat.codecs.cells import Container
from begat.codecs.evidence import region
from begat.codecs.levels import Missing, Unseen
from begat.codecs.table import Encoded, Slot, TableCodec, shared
from begat.core import Batch, Region
from begat.errors import DataError, EvidenceError, did_you_mean
from begat.estimators.rows import assemble, partial, single
from begat.estimators.target import Role, classes_of
from begat.schema import Schema

DTYPES = (torch.float64, torch.int32)
SETS = (tuple, list, set, frozenset, slice, np.ndarray)
"""What a person gives as a set of values or a range; None is the event that the value is missing."""


MOST_CELLS = 2_000_000_000
"""Cells that are drawn at a time at most: 16 GB of numbers."""
MOST_REPETITIONS = 2**53
"""The largest sum of weights: beyond it a float no longer counts single rows."""

LEAST_REPETITIONS, FEW_ROWS = 0.05, 20
"""Mean weight below which so many rows or more are warned of: most likely their weights are shares."""


class Border:
    """What crosses from tables to a model of one schema and role, and back.

    model: the codec of what the model scores as x (with the target where it is a number). features: of X without the
    target. target: of y alone. sample: of a sampled frame, the target at its place if it is a column of X (`named`).
    """

    target: TableCodec  # where there is one
    classes: np.ndarray  # in classification

    def __init__(self, schema: Schema, role: Role, named: bool):
        self.schema, self.role, self.named = schema, role, named
        names = [c.name for c in schema.features]
        self.features = TableCodec(schema, names)
        self.model = self.features
        if schema.target is not None:
            self.target = TableCodec(schema, [schema.target])
            if role == "regression":
                self.model = TableCodec(schema, [*names, schema.target])
        self.sample = TableCodec(schema, schema.names) if named else self.features
        if role == "classification":
            self.classes = classes_of(schema[schema.target])

    # in -----------------------------------------------------------------------------------------------------------
    def framed(self, X: Any) -> Any:
        """X as a frame; DataError for pictures of another shape than the model's."""
        shown = pictures.array_of(X)
        if shown is not None:
            pictures.fits(shown.shape[1:], self.schema.picture)
        return frame.as_frame(X if shown is None else shown)

    def encode(
        self, X: Any, y: Any = None, *, missing: Missing, unseen: Unseen, ignore_target: bool = False
    ) -> Encoded:
        """X as a batch of the model; y, or the target if it is a column of X, as its cond or as one of its columns."""
        X = self.framed(X)
        encoded = self.features.encode(X, missing=missing, unseen=unseen)
        if y is None and self.named and not ignore_target and self.schema.target in frame.names(X):
            y = frame.column(X, frame.names(X).index(self.schema.target))
        if self.role == "density" or (y is None and self.role == "classification"):
            return encoded
        rows = len(encoded.batch)
        if y is None:
            return encoded._replace(batch=assemble(self.model, rows, (self.features, encoded.batch)))
        beside = self.encode_target(y, rows)
        if self.role == "classification":
            return encoded._replace(batch=encoded.batch.having(cond=beside.batch.x[1][:, 0].long()))
        possible = encoded.possible
        if beside.possible is not None:
            possible = beside.possible if possible is None else possible & beside.possible
        made = assemble(self.model, rows, (self.features, encoded.batch), (self.target, beside.batch))
        return Encoded(made, possible)

    def encode_target(self, y: Any, rows: int) -> Encoded:
        """y, one value for all rows or one for each, as one encoded column without gaps."""
        if isinstance(y, str) or not hasattr(y, "__len__"):
            y = [y] * rows
        if len(y) != rows:
            raise DataError(
                f"y has {len(y)} values for {rows} rows; give one for each row, or one for all (a range of a number: "
                f"given={{{self.schema.target!r}: (low, high)}})"
            )
        encoded = single(self.target, y)
        known = encoded.batch.known[1 if self.target.slots[0].code is not None else 0]
        if known is not None:
            row = int((~known[:, 0]).nonzero()[0, 0])
            name = self.schema.target
            raise DataError(f"{name!r} is missing in row {row}; drop the rows without a target, or give their value")
        return encoded

    def labels(self, y: Any, rows: int) -> Tensor:
        """The classes of y as whole numbers (n,); an array that already numbers them from 0 is taken as it is."""
        levels = self.schema[self.schema.target].levels or ()
        plain = isinstance(y, np.ndarray) and y.dtype == np.int64 and y.shape == (rows,) and y.strides[0] > 0
        if plain and levels == tuple(range(len(levels))) and y.min() >= 0 and y.max() < len(levels):
            return shared(y)
        return self.encode_target(y, rows).batch.x[1][:, 0].long()

    def names(self, X: Any) -> tuple[str | int, ...]:
        """The names of X's columns; of an array, and of a frame without one of an array's, those in the same places.

        DataError for an array of another width.
        """
        names, array = frame.names(X), frame.container(X) == "numpy"
        known = set(names) & set(self.schema.names)
        if not array and (known or self.schema.container != "numpy"):
            return names
        for made in (self.features, self.sample):
            if len(made.names) == len(names):
                return made.names
        if array:
            wanted = len(self.features.names)
            raise DataError(f"X has {len(names)} features, but begat is expecting {wanted} features as input")
        return names

    def partial(self, X: Any, unseen: Unseen = "error") -> Batch:
        """Rows in which everything missing is unknown; the class of a row whose target is missing is -1."""
        X = self.framed(X)
        X = frame.named(X, self.names(X))
        batch = partial(self.model, X, unseen)
        if self.role != "classification" or not self.named or self.schema.target not in frame.names(X):
            return batch
        y = self.target.encode(X, missing="unknown").batch
        cond = y.x[1][:, 0].long()
        return batch.having(cond=cond if y.known[1] is None else cond.where(y.known[1][:, 0], -1))

    def missing(self, batch: Batch, name: str | int) -> np.ndarray | None:
        """Which cells of a column are unknown in the rows that `partial` made -> (n,); None where none is."""
        for slot in self.model.slots:
            if slot.column.name == name:
                mask = batch.known[0 if slot.code is None else 1]
                unknown = None if mask is None else ~mask[:, slot.value if slot.code is None else slot.code]
                return None if unknown is None or not unknown.any() else unknown.numpy()
        if name != self.schema.target or batch.cond is None or not (batch.cond < 0).any():
            return None
        return (batch.cond < 0).numpy()

    def evidence(self, n: int, y: Any, given: Mapping[Any, Any]) -> tuple[Batch, dict[Any, Region]]:
        """What n samples are conditioned on: a batch of what has one value, regions of what has several, by column.

        Raises EvidenceError for what is no evidence, or has no probability whatever the model.
        """
        given, target = dict(given), self.schema.target
        self._check_names(given)
        if target in given:
            if y is not None:
                raise EvidenceError(f"the target {target!r} is given twice, by y and by given; leave one out")
            if not isinstance(given[target], SETS):
                y = given.pop(target)
        try:
            meant = {name: region(self.schema[name], value) for name, value in given.items()}
            x = tuple(torch.zeros(1, f.shape[0], dtype=t) for f, t in zip(self.model.spec.fields, DTYPES, strict=True))
            known = tuple(torch.zeros_like(block, dtype=torch.bool) for block in x)
            settled = [s.column.name for s in self.model.slots if s.column.name in meant]
            settled = [name for name in settled if _settle(self._slot(name), meant[name], x, known)]
            batch = Batch(x, known).rows(torch.zeros(n, dtype=torch.long))
            return self.with_target(batch, y), {k: r for k, r in meant.items() if k not in settled}
        except DataError as error:
            raise EvidenceError(str(error)) from None

    def _slot(self, name: Any) -> Slot:
        return next(s for s in self.model.slots if s.column.name == name)

    def rows(self, n: int | None, y: Any, given: Any) -> Batch:
        """One row for each wanted sample, from a frame whose missing cells and columns are unknown; or n of a single
        picture with missing pixels."""
        if self.schema.picture is not None and np.shape(given) == self.schema.picture:
            given = np.broadcast_to(given, (1 if n is None else n, *self.schema.picture))
        given = self.framed(given)
        if n is not None and n != frame.length(given):
            raise EvidenceError(f"n is {n} but given has {frame.length(given)} rows; leave n out for one sample a row")
        self._check_names(frame.names(given))
        try:
            return self.with_target(self.partial(given), y)
        except DataError as error:
            raise EvidenceError(str(error)) from None

    def _check_names(self, names: Any) -> None:
        for name in names:
            if name not in self.schema.names:
                raise EvidenceError(f"no column {name!r} to condition on{did_you_mean(name, self.schema.names)}")
            if not self.schema[name].scored:
                raise EvidenceError(f"column {name!r} is {self.schema[name].kind}, which no model scores; leave it out")

    def with_target(self, batch: Batch, y: Any) -> Batch:
        """The batch with its target known."""
        if y is None:
            return batch
        if self.role == "density":
            raise EvidenceError("y was given, but the model was fitted without a target; leave y out")
        beside = self.encode_target(y, len(batch)).batch
        if self.role == "regression":
            return assemble(self.model, len(batch), (self.model, batch), (self.target, beside))
        return batch.having(cond=beside.x[1][:, 0].long())

    def check_room(self, what: str, tables: int, rows: int) -> None:
        """Raise DataError for more tables of so many rows than fit in memory."""
        if tables * rows * max(len(self.schema), 1) > MOST_CELLS:
            raise DataError(f"{what} is {tables}: more cells than fit in memory; draw at most {MOST_CELLS:,} at a time")

    # out ----------------------------------------------------------------------------------------------------------
    def decode(
        self, batch: Batch, *, generator: Generator, container: Container | None = None
    ) -> tuple[Any, np.ndarray | None]:
        """Encoded rows, their classes in cond, as a frame; and their target (n,). container: that of fit by default."""
        pieces = [(self.model, batch)]
        if batch.cond is not None and self.role == "classification":
            codes = batch.cond.to(torch.int32)[:, None]
            pieces.append((self.target, Batch((torch.zeros(len(batch), 0).double(), codes), (None, None))))
        X = self.sample.decode(assemble(self.sample, len(batch), *pieces), generator=generator, container=container)
        X = self.shaped(X) if container is None else X
        if batch.cond is not None and self.role == "classification":
            return X, self.classes[batch.cond.numpy()]
        if self.role == "density":
            return X, None
        y = self.target.decode(assemble(self.target, len(batch), *pieces), container="numpy", generator=generator)
        return X, np.asarray(y)[:, 0]

    def shaped(self, X: Any) -> Any:
        """Rows of pixels (n, pixels) as pictures, if they are any; other frames as they are."""
        if self.schema.picture is None or not isinstance(X, np.ndarray):
            return X
        return X.reshape(-1, *self.schema.picture)

    def numbers(self, batch: Batch) -> Tensor:
        """The numeric target of encoded rows in encoded numbers (n,), special codes as the numbers they stand for."""
        slot = next(s for s in self.model.slots if s.column.name == self.schema.target)
        numbers = batch.x[0][:, slot.value].double()
        if slot.code is None:
            return numbers
        atoms = torch.tensor([0.0, *slot.column.encoded(np.array(slot.column.atoms)), torch.nan], dtype=torch.float64)
        codes = batch.x[1][:, slot.code].long()
        return torch.where(codes > 0, atoms[codes], numbers)


def weights(sample_weight: Any, rows: int) -> Tensor:
    """The weights of rows -> (n,) float64."""
    try:
        weight = np.asarray(sample_weight)
    except ValueError:  # lists of different lengths
        weight = np.array(None)
    if weight.shape not in ((), (rows,)):
        raise DataError(
            f"sample_weight has the shape {weight.shape} (sample_weight.shape == {weight.shape}); expected ({rows},)"
        )
    if weight.dtype.kind not in "biuf" or not np.isfinite(weight).all() or (weight < 0).any():
        raise DataError("sample_weight holds something that is not a finite number of at least 0")
    weight = np.broadcast_to(weight.astype(np.float64), (rows,))
    with np.errstate(over="ignore"):
        total = float(weight.sum())
    if total > MOST_REPETITIONS:
        raise DataError(
            f"sample_weight sums to {total:g} repetitions; divide all weights by one number, to 2^53 at most"
        )
    counted = int((weight > 0).sum())
    if counted >= FEW_ROWS and 0 < total < LEAST_REPETITIONS * counted:
        warnings.warn(
            f"sample_weight sums to {total:.3g} over {counted:,} rows, which count as so many in all; "
            "weights are numbers of repetitions: multiply shares by the number of rows",
            UserWarning,
            stacklevel=3,
        )
    return torch.from_numpy(weight.copy())


def _settle(slot: Slot, region: Region, x: tuple[Tensor, ...], known: tuple[Tensor, ...]) -> bool:
    """Write a region of a single value as known cells of one row; False if it has several values."""
    point = slot.value is not None and region.lower == region.upper
    if slot.code is None:
        code = 0 if point else None
    elif region.codes is None or int(region.codes.sum()) != 1:
        return False
    else:
        code = int(region.codes.nonzero()[0, 0])
    if code is None or (slot.value is not None and code == 0 and not point):
        return False
    if slot.code is not None:
        x[1][:, slot.code], known[1][:, slot.code] = code, True
    if slot.value is not None and code == 0:
        x[0][:, slot.value], known[0][:, slot.value] = region.lower, True
    return True
