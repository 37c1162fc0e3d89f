"""Which columns lean on which: additive couplings that could pay, from the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from begat.codecs.table import Slot
from begat.core import Batch
from begat.errors import DataError
from begat.estimators import training
from begat.estimators.wish import Wish
from begat.families.coupling import Coupling
from begat.leaves.places import Places
from begat.maths.entropy import spacings
from begat.schema import Column

Numbers = npt.NDArray[np.float64]
ROWS = 4_000
"""Rows that tell what leans on what."""
LEAST_ROWS = 100
"""Known pairs at least that tell of two columns."""
FEW = 1_000
"""Rows from which on columns lean unasked. Of fewer it makes held-out rows more probable too, but drawn rows easier to
tell from real ones: so few say too little of what is left."""
GAIN = 0.7
"""Nats of a column's entropy that leaning on a number takes away at least: a correlation of .87. What is less the
states of a circuit hold as well."""
TRIED = 3
"""Hubs that are tried."""
POINTS = 20
"""Distinct numbers at least of a column that leans or is leant on."""
FARTHEST = 1e100
"""The square of a number beyond may be none; such columns neither lean nor are leant on."""
KNOTS = 8
RIDGE = 1e-3


def candidates(
    slots: Sequence[Slot],
    places: Sequence[Places],
    batch: Batch,
    wishes: Mapping[Any, Wish],
    *,
    target: int | None,
    hub: int | None = None,
) -> list[Coupling]:
    """Couplings that take away most entropy, the best first, one for each of the hubs tried; or that on this hub.

    A column leans if it is a number without stated bounds and special codes but for missing, whose leaf nobody chose:
    what is left of others would not keep their bounds. The target leans, but nothing leans on it.
    """
    if hub is None and len(batch) < FEW:
        return []
    some = batch.rows(training.spaced(len(batch), ROWS))
    lean = [
        d for d, s in enumerate(slots)
        if can_lean(s.column) and wishes[s.column.name].name == "auto" and places[d].intervals >= POINTS
    ]  # fmt: skip
    hubs = [d for d, s in enumerate(slots) if s.column.numeric and places[d].intervals >= POINTS and d != target]
    if hub is not None and hub not in hubs:
        raise DataError(
            f"column {slots[hub].column.name!r} ({slots[hub].column.kind}) cannot be leant on: give lean_on a column "
            f"of numbers of which {POINTS} or more differ, not the target and no dates"
        )
    numbers = {d: _numbers(slots[d], some) for d in {*lean, *hubs}}
    far = {d for d, x in numbers.items() if np.nanmax(np.abs(x), initial=0.0) > FARTHEST}
    lean, hubs = [d for d in lean if d not in far], [d for d in hubs if d not in far]
    ranked = []
    for h in hubs if hub is None else [hub] if hub in hubs else []:
        gains = _gains(numbers[h], {d: (numbers[d], _step(slots[d])) for d in lean if d != h})
        leant = tuple(d for d, gain in gains.items() if gain > GAIN)
        if leant:
            ranked.append((-sum(gains[d] for d in leant), h, leant))
    if hub is not None and not ranked:
        raise DataError(
            f"no column leans on {slots[hub].column.name!r}: none without bounds and special codes follows it closely; "
            f"leave lean_on out"
        )
    return [_coupling(h, leant, slots, places, batch) for _, h, leant in sorted(ranked)[:TRIED]]


def can_lean(column: Column) -> bool:
    """Whether it is a number without stated bounds and without special codes but for missing."""
    return column.numeric and not column.atoms and column.limits == (-np.inf, np.inf)


def residual(slots: Sequence[Slot], coupling: Coupling) -> list[Slot]:
    """The columns that lean as what is left of them."""
    return [Slot(replace(s.column, seen=None), s.value, s.code) for s in (slots[d] for d in coupling.columns)]


def _step(slot: Slot) -> float:
    return float(slot.column.grid is not None)


def _numbers(slot: Slot, batch: Batch) -> Numbers:
    """The encoded numbers of a column, NaN where there is none -> (n,)."""
    assert slot.value is not None
    x = batch.x[0][:, slot.value].double()
    known = batch.known[0]
    x = x if known is None else torch.where(known[:, slot.value], x, torch.nan)
    if slot.code is not None:
        x = torch.where(batch.x[1][:, slot.code] == 0, x, torch.nan)
    return x.numpy()


def _gains(h: Numbers, others: Mapping[int, tuple[Numbers, float]]) -> dict[int, float]:
    """The entropy of each column less that of what is left of it given h, of the rows that the curve was not fitted to.

    others: by column, numbers and the step of their grid.
    """
    known = np.isfinite(h)
    if known.sum() < LEAST_ROWS:
        return dict.fromkeys(others, 0.0)
    h, out = h[known], dict.fromkeys(others, 0.0)
    for part in (0, 1):
        basis = _basis(h[part::2])
        fit, test = basis(h[part::2]), basis(h[1 - part :: 2])
        for d, (x, step) in others.items():
            here, there = x[known][part::2], x[known][1 - part :: 2]
            sure, asked = np.isfinite(here), np.isfinite(there)
            if min(sure.sum(), asked.sum()) < LEAST_ROWS // 2:
                continue
            left = there[asked] - _curve(fit[sure], here[sure])(test[asked])
            left = np.rint(left) if step else left
            out[d] += 0.5 * (spacings(there[asked], step) - spacings(left, step))
    return out


def _basis(h: Numbers) -> Callable[[Numbers], Numbers]:
    """Cubic splines with knots at quantiles of h, straight beyond the last: (n,) -> (n, b)."""
    from sklearn.preprocessing import SplineTransformer

    middle, scale = h.mean(), max(float(h.std()), 1e-300)
    knots = max(min(KNOTS, len(np.unique(h)) // 2), 2)
    spline = SplineTransformer(n_knots=knots, degree=3, knots="quantile", extrapolation="linear")
    spline.fit(((h - middle) / scale)[:, None])
    return lambda at: spline.transform(((at - middle) / scale)[:, None])


def _curve(basis: Numbers, x: Numbers) -> Callable[[Numbers], Numbers]:
    """E[x | h] of rows with this basis, by least squares: (m, b) -> (m,)."""
    middle, scale = x.mean(), max(float(x.std()), 1e-300)
    square = basis.T @ basis + RIDGE * np.eye(basis.shape[1])
    weight = np.linalg.solve(square, basis.T @ ((x - middle) / scale))
    return lambda at: middle + scale * (at @ weight)


def _coupling(
    hub: int, leant: tuple[int, ...], slots: Sequence[Slot], places: Sequence[Places], batch: Batch
) -> Coupling:
    """The coupling of columns that lean on this hub, from all the rows of the batch."""
    at, h = places[hub], _numbers(slots[hub], batch)
    middle = at.middle().numpy()
    where = at.find(batch).numpy()
    shift = torch.zeros(at.size, len(leant), dtype=torch.float64)
    for i, d in enumerate(leant):
        x = _numbers(slots[d], batch)
        both = np.isfinite(h) & np.isfinite(x)
        by = np.full(at.size, x[np.isfinite(x)].mean())
        basis = _basis(h[both])
        by[: at.intervals] = _curve(basis(h[both]), x[both])(basis(middle))
        for v in range(at.intervals, at.size):
            rows = (where == v) & np.isfinite(x)
            if rows.sum() >= POINTS:
                by[v] = x[rows].mean()
        shift[:, i] = torch.from_numpy(np.rint(by) if _step(slots[d]) else by)
    return Coupling(hub, at, leant, [_value(slots[d]) for d in leant], shift)


def _value(slot: Slot) -> int:
    assert slot.value is not None
    return slot.value
