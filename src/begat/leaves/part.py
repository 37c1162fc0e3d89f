"""A leaf and its columns: the piece of an encoded table that one distribution scores."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from begat.core import Batch
from begat.leaves.base import Cells, Known, Leaf


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

    def place(self, drawn: Cells, values: Tensor, codes: Tensor) -> None:
        """Write drawn cells where `take` reads them."""
        if isinstance(drawn, tuple):
            codes[:, list(self.codes)], values[:, list(self.values)] = drawn[0].to(codes.dtype), drawn[1].double()
        elif self.leaf.reads == "codes":
            codes[:, list(self.codes)] = drawn.to(codes.dtype)
        else:
            values[:, list(self.values)] = drawn.double()

    def only(self, column: int) -> Part:
        """The part's column alone, for placing it."""
        return Part(self.leaf, self.values[column : column + 1], self.codes[column : column + 1])

    def known(self, batch: Batch, column: int) -> Tensor:
        """Whether the cells of one column are known -> (n,). A column with codes is known where its code is."""
        field, index = (1, self.codes[column]) if self.codes else (0, self.values[column])
        mask = batch.known[field]
        return torch.ones(len(batch), dtype=torch.bool) if mask is None else mask[:, index]


def _columns(batch: Batch, field: int, columns: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
    x, known = batch.x[field], batch.known[field]
    if columns == tuple(range(x.shape[1])):  # the whole block: no copy
        return x, known
    pick = slice(columns[0], columns[-1] + 1) if len(columns) == columns[-1] - columns[0] + 1 else list(columns)
    return x[:, pick], None if known is None else known[:, pick]
