"""The class as one more column: how a model of one joint over all columns sees an encoded table."""

from __future__ import annotations

from typing import Any

import torch

from begat.codecs.table import Slot
from begat.core import Batch, Field, Spec
from begat.estimators.border import Border


class ClassColumn:
    """The columns of a border's tables, and after them the class, where there is one.

    slots: the columns. spec: of the batches with the class as their last code. target: the target's number among the
    columns, None where there is none.
    """

    def __init__(self, border: Border):
        self.classes = border.role == "classification"
        values, codes = border.model.spec.fields
        self.spec = Spec((values, Field((codes.shape[0] + self.classes,), None)))
        self.slots = border.model.slots
        if self.classes:
            self.slots = (*self.slots, Slot(border.schema[border.schema.target], None, codes.shape[0]))
        names: list[Any] = [slot.column.name for slot in self.slots]
        self.target = None if border.role == "density" else names.index(border.schema.target)

    def put(self, batch: Batch) -> Batch:
        """The batch with its class as the last code; unknown where there is none, or -1."""
        if not self.classes:
            return batch
        codes, known = batch.x[1], batch.known[1]
        cond = torch.full((len(batch),), -1) if batch.cond is None else batch.cond
        told = cond >= 0
        if known is not None or not bool(told.all()):
            known = torch.ones_like(codes, dtype=torch.bool) if known is None else known
            known = torch.cat([known, told[:, None]], 1)
        wide = torch.cat([codes, cond.clamp(min=0).to(codes.dtype)[:, None]], 1)
        return Batch((batch.x[0], wide), (batch.known[0], known), None, batch.weight)

    def taken(self, batch: Batch) -> Batch:
        """The complete batch with its last code as its class."""
        if not self.classes:
            return batch
        return Batch((batch.x[0], batch.x[1][:, :-1]), (None, None), batch.x[1][:, -1].long())
