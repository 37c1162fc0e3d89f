"""What estimators of one joint over the places of all columns do alike, the class a column like the others."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from begat.codecs.source import TableSource
from begat.core import Batch, Region
from begat.errors import DataError, Impossible
from begat.estimators import parameters, target, training
from begat.estimators.base import Generative
from begat.estimators.checkpoint import prepared
from begat.estimators.class_column import ClassColumn
from begat.estimators.cutting import Cut, cut
from begat.fitting.counted import by_rows, pieces
from begat.leaves.places import Places

ROWS = 2048
"""Rows that are asked about at a time."""


class OverPlaces(Generative):
    """An estimator whose `model_` answers of batches that have the class as their last code.

    The model has sample, complete, log_prob, log_joint, log_posterior, expected and surprise, as families.circuit.
    """

    leaves_: dict[Any, str]
    history_: list[float]
    rows_: float
    ended_: str

    @property
    def _places(self) -> list[Places]:
        """The places of each column, fitted."""
        return list(self.model_.places)

    @property
    def _label(self) -> int | None:
        """The column of the class, if any."""
        return self._joint.target if self.role_ == "classification" else None

    @property
    def _joint(self) -> ClassColumn:
        """The columns of the one joint."""
        return ClassColumn(self.border_)

    def _begin(self, X: Any, y: Any, sample_weight: Any, checkpoint: str | PathLike[str] | None) -> training.Training:
        """The rows of a fit that forgets the one before it, with hyper-parameters and the checkpoint's folder looked at
        first, and the estimator set out for them."""
        parameters.check(self)
        if checkpoint is not None and self.random_state is None:
            raise DataError("random_state is None, and a checkpoint is of one fit; give random_state a number")
        if checkpoint is not None:
            prepared(checkpoint)
        for name in [n for n in vars(self) if n.endswith("_") and not n.startswith("_")]:
            delattr(self, name)
        if isinstance(X, TableSource):
            rows = training.of_source(self, X, y, sample_weight)
        else:
            X, given = training.framed(self, X)
            rows = training.of_table(self, X, target.split(X, y, self.task, given), given, sample_weight)
        self._set_out(rows.border)
        return rows

    def _counted(self, X: Any, y: Any, sample_weight: Any, checkpoint: str | PathLike[str] | None) -> Cut:
        """The rows of a fit as places."""
        rows = self._begin(X, y, sample_weight, checkpoint)
        return cut(self.leaves, self._joint.slots, rows, self._joint.put).counted()

    # what the verbs ask -------------------------------------------------------------------------------------------
    def _log_joint(self, batch: Batch) -> Tensor:
        wide, place = self._joint.put(batch.having(cond=None)), self._joint.target
        if self.role_ == "classification":
            assert place is not None
            return by_rows(lambda b: self.model_.log_joint(b, place), wide, ROWS)
        return by_rows(lambda b: self.model_.log_prob(b)[None], wide, ROWS)

    def _log_known(self, batch: Batch) -> Tensor:
        return by_rows(self.model_.log_prob, self._joint.put(batch), ROWS)

    def _log_posterior(self, batch: Batch) -> Tensor:
        place = self._joint.target
        assert place is not None
        return by_rows(lambda b: self.model_.log_posterior(b, place), self._joint.put(batch.having(cond=None)), ROWS)

    def _expected(self, batch: Batch) -> Tensor:
        place, column = self._joint.target, self.schema_[self.schema_.target]
        assert place is not None
        atoms = torch.from_numpy(np.asarray(column.encoded(np.array(column.atoms)), dtype=np.float64))
        numbers = torch.cat([self._places[place].mean(), atoms])
        return by_rows(lambda b: self.model_.expected(b, place, numbers), batch, ROWS)

    def _contains(self) -> dict[str, Any]:
        return self._held

    def _draw(self, n: int, rng: Generator) -> Batch:
        return self._joint.taken(self.model_.sample(n, generator=rng))

    def _complete(self, batch: Batch, regions: Mapping[Any, Region], rng: Generator) -> Batch:
        asked = self._asked(regions)
        done = []
        for where, piece in pieces(self._joint.put(batch), ROWS):
            try:
                done.append(self.model_.complete(piece, asked, generator=rng))
            except Impossible as error:
                raise Impossible(where.start + error.row) from None
        return self._joint.taken(stacked(done))

    def _asked(self, regions: Mapping[Any, Region]) -> dict[int, Region]:
        """Regions by the column of the circuit."""
        where = {slot.column.name: d for d, slot in enumerate(self._joint.slots)}
        return {where[name]: region for name, region in regions.items() if name in where}

    def _surprise(self, batch: Batch) -> dict[str | int, np.ndarray]:
        wide = self._joint.put(batch)
        odd = by_rows(self.model_.surprise, wide, ROWS).numpy()
        out = {}
        for slot, known, own in zip(self._joint.slots, self._known(wide), odd, strict=True):
            if slot.column.name != self.schema_.target or known.any():
                out[slot.column.name] = np.where(known, own, np.nan)
        return out

    def _known(self, batch: Batch) -> list[np.ndarray]:
        """Which cells of each column are known, the class among them."""
        return [(places.find(batch) < places.size).numpy() for places in self._places]


def stacked(batches: list[Batch]) -> Batch:
    """The rows of complete batches in one."""
    if len(batches) == 1:
        return batches[0]
    return Batch((torch.cat([b.x[0] for b in batches]), torch.cat([b.x[1] for b in batches])), (None, None))
