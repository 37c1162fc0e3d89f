"""A leaf and its columns: the piece of an encoded table that one distribution scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from begat.core import Batch, Region, Spec
from begat.leaves.base import Block, Cells, Known, Leaf, Mask, Observed

Evidence = Mapping[tuple[int, int], Region]
"""Regions by the number of a part and the column within it."""


class Part(NamedTuple):
    """A leaf and the columns of the encoded table that it scores: positions in values and in codes, aligned."""

    leaf: Leaf
    values: tuple[int, ...] = ()
    codes: tuple[int, ...] = ()

    def take(self, batch: Batch) -> tuple[Cells, Known]:
        """The cells and masks of this part."""
        if self.leaf.reads == "values":
            return _columns(batch, 0, self.values)
        codes = _columns(batch, 1, self.codes)
        if self.leaf.reads == "codes":
            return codes
        values = _columns(batch, 0, self.values)
        return (codes[0], values[0]), (codes[1], values[1])

    def place(self, drawn: Cells, values: Float[Tensor, "n v"], codes: Int[Tensor, "n c"]) -> None:
        """Write drawn cells where `take` reads them."""
        if isinstance(drawn, tuple):
            codes[:, list(self.codes)], values[:, list(self.values)] = drawn[0].to(codes.dtype), drawn[1].double()
        elif self.leaf.reads == "codes":
            codes[:, list(self.codes)] = drawn.to(codes.dtype)
        else:
            values[:, list(self.values)] = drawn.double()

    def without(self, column: int, batch: Batch) -> Batch:
        """The batch with one column of the part unknown."""
        masks = []
        for x, known, columns in zip(batch.x, batch.known, (self.values, self.codes), strict=True):
            if columns:
                known = torch.ones(x.shape, dtype=torch.bool) if known is None else known.clone()
                known[:, columns[column]] = False
            masks.append(known)
        return batch.having(known=tuple(masks))

    def known(self, batch: Batch, column: int) -> Bool[Tensor, " n"]:
        """Whether the cells of one column are known -> (n,). A column with codes is known where its code is."""
        field, index = (1, self.codes[column]) if self.codes else (0, self.values[column])
        mask = batch.known[field]
        return torch.ones(len(batch), dtype=torch.bool) if mask is None else mask[:, index]


def assemble(spec: Spec, drawn: Iterable[tuple[Part, Any]], y: Observed, known: Batch | None = None) -> Batch:
    """Rows of classes y (n,) with the cells (n, D) that each part has drawn, but for those that are known."""
    values, codes = (field.shape[0] for field in spec.fields)
    x = (torch.zeros(len(y), values, dtype=torch.float64), torch.zeros(len(y), codes, dtype=torch.int32))
    for part, cells in drawn:
        part.place(cells, *x)
    if known is None:
        return Batch(x, (None, None), y)
    return known.filled(x).having(cond=y)


def _columns(batch: Batch, field: int, columns: tuple[int, ...]) -> tuple[Block, Mask]:
    x, known = batch.x[field], batch.known[field]
    if columns == tuple(range(x.shape[1])):  # the whole block: no copy
        return x, known
    pick = slice(columns[0], columns[-1] + 1) if len(columns) == columns[-1] - columns[0] + 1 else list(columns)
    return x[:, pick], None if known is None else known[:, pick]
