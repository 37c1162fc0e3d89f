"""Encoded rows put together from parts: features and target, known columns and unknown ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from begat.codecs import frame
from begat.codecs.cells import cells
from begat.codecs.column import allowed, encode_column
from begat.codecs.levels import Unseen
from begat.codecs.table import Encoded, TableCodec, shared
from begat.core import Batch
from begat.errors import EvidenceError


def assemble(codec: TableCodec, rows: int, *pieces: tuple[TableCodec, Batch]) -> Batch:
    """A batch over all of the codec's columns from batches over some of them; what no piece has is unknown."""
    if len(pieces) == 1 and pieces[0][0].names == codec.names:
        return pieces[0][1]
    dtype = torch.float64
    widths = [f.shape[0] for f in codec.spec.fields]
    x = (torch.zeros(rows, widths[0], dtype=dtype), torch.zeros(rows, widths[1], dtype=torch.int32))
    known = tuple(torch.zeros(rows, w, dtype=torch.bool) for w in widths)
    place = {slot.column.name: (slot.value, slot.code) for slot in codec.slots}
    for part, batch in pieces:
        for slot in part.slots:
            for field, theirs in enumerate((slot.value, slot.code)):
                mine = place[slot.column.name][field] if slot.column.name in place else None
                if theirs is not None and mine is not None:
                    mask = batch.known[field]
                    x[field][:, mine] = batch.x[field][:, theirs].to(x[field].dtype)
                    known[field][:, mine] = True if mask is None else mask[:, theirs]
    return Batch(x, tuple(None if bool(k.all()) else k for k in known), cond=pieces[0][1].cond if pieces else None)


def single(codec: TableCodec, cells: Any) -> Encoded:
    """The cells of a codec's only column as rows; a missing one is unknown."""
    slot = codec.slots[0]
    made = encode_column(slot.column, cells, "unknown")
    rows = len(made.codes if made.values is None else made.values)  # type: ignore[arg-type]
    values, known_values = _column(made.values if slot.value is not None else None, made.known_values, rows)
    codes, known_codes = _column(made.codes if slot.code is not None else None, made.known_codes, rows)
    possible = None if made.possible is None else torch.from_numpy(made.possible)
    return Encoded(Batch((values, codes), (known_values, known_codes)), possible)


def _column(x: Any, mask: Any, rows: int) -> tuple[Tensor, Tensor | None]:
    if x is None:
        return torch.zeros(rows, 0), None
    return shared(x)[:, None], None if mask is None else torch.from_numpy(mask)[:, None]


def partial(codec: TableCodec, X: Any, unseen: Unseen = "error") -> Batch:
    """The rows of X in which missing cells, and columns of the codec that X lacks, are unknown.

    A number outside its column's stated bounds or off its grid has no probability: EvidenceError.
    """
    here = set(frame.names(X))
    part = TableCodec(codec.schema, [name for name in codec.names if name in here])
    encoded = part.encode(X, missing="unknown", unseen=unseen)
    if encoded.possible is not None and not encoded.possible.all():
        row = int((~encoded.possible).nonzero()[0, 0])
        at = {name: i for i, name in enumerate(frame.names(X))}
        for column in (slot.column for slot in part.slots):
            found = cells(frame.column(X, at[column.name]), column.name).take(slice(row, row + 1))
            fits = encode_column(column, found, "unknown", unseen).possible
            if fits is not None and not fits.all():
                value = found.objects()[0]
                raise EvidenceError(
                    f"column {column.name!r} is {allowed(column)}, not {value} (row {row}); it has no probability"
                )
    return assemble(codec, frame.length(X), (part, encoded.batch))
