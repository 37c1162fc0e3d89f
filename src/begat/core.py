"""The few types that every room shares: what an example looks like as tensors, and what a model promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Generator, Tensor, nn

from begat.random import Noise

Relation = Literal["=", "<=", "~"]
Label = Int[Tensor, " n"] | Float[Tensor, "n d"]
"""The class of each row, or its embedding."""
Stats = Mapping[str, Tensor]
"""Sufficient statistics by name. Leaves whose statistics are additive sum them over rows, files and machines."""


@dataclass(frozen=True)
class Field:
    """One tensor of an encoded example.

    `shape` is its shape without the batch. `levels` says what it holds: None real numbers, K integers in [0, K),
    a tuple of numbers of levels one for each position of the last axis (a block of categorical columns).
    """

    shape: tuple[int, ...]
    levels: int | tuple[int, ...] | None


@dataclass(frozen=True)
class Spec:
    """What an encoded example consists of: one field for an image or a text, two (values, codes) for a mixed table."""

    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Batch:
    """Encoded examples. x[i] is (n, *fields[i].shape); known[i] is its mask, None where everything is known.

    A cell that is not known contributes nothing to any probability: it is missing and integrated out, or it does not
    apply because the code that gates it says so. Its filler in x is 0. cond is the label (n,) or embedding (n, d);
    weight is (n,), a number of repetitions.
    """

    x: tuple[Shaped[Tensor, "n ..."], ...]
    known: tuple[Bool[Tensor, "n ..."] | None, ...]
    cond: Label | None = None
    weight: Float[Tensor, " n"] | None = None

    def __len__(self) -> int:
        return len(self.x[0])

    @property
    def device(self) -> torch.device:
        """Where its tensors lie."""
        return self.x[0].device

    def to(self, device: torch.device | str) -> Batch:
        """The batch on a device."""
        if self.x[0].device == torch.device(device):
            return self
        cond, weight = self.cond, self.weight
        return Batch(
            tuple(x.to(device) for x in self.x),
            tuple(None if k is None else k.to(device) for k in self.known),
            None if cond is None else cond.to(device),
            None if weight is None else weight.to(device),
        )

    def having(self, **changes: Any) -> Batch:
        """The batch with other labels, weights or cells."""
        return replace(self, **changes)

    def filled(self, made: tuple[Shaped[Tensor, "n ..."], ...]) -> Batch:
        """The complete batch that has the unknown cells of this one from `made`."""
        kept = zip(self.x, self.known, made, strict=True)
        x = tuple(c.to(d.dtype) if k is None else torch.where(k, c.to(d.dtype), d) for c, k, d in kept)
        return Batch(x, (None,) * len(x), self.cond)

    def rows(self, rows: slice | Int[Tensor, " m"] | Bool[Tensor, " n"]) -> Batch:
        """The batch of these rows: a range, places or a mask."""
        return Batch(
            tuple(x[rows] for x in self.x),
            tuple(None if k is None else k[rows] for k in self.known),
            None if self.cond is None else self.cond[rows],
            None if self.weight is None else self.weight[rows],
        )


class Region(NamedTuple):
    """A set of values of one column as evidence: the closed interval [lower, upper] and the allowed codes.

    A column of values alone has codes None; a column of codes alone ignores the interval; a column of special codes
    plus a remainder is in the region if its code is allowed and, where that code is 0, its value is in the interval.
    """

    lower: float = float("-inf")
    upper: float = float("inf")
    codes: Bool[Tensor, " levels"] | None = None

    def within(self, lower: float, upper: float) -> Region:
        """What of the interval lies between these bounds; empty where lower > upper."""
        return self._replace(lower=max(self.lower, lower), upper=min(self.upper, upper))

    def whole(self) -> Region:
        """The interval from its first whole number to its last; infinite ends stay."""
        return self._replace(lower=float(np.ceil(self.lower)), upper=float(np.floor(self.upper)))


@dataclass(frozen=True)
class Likelihood:
    """What a model's log-probability is.

    relation: "=" exact, "<=" a lower bound, "~" an estimate. unit: always said ("nats per row"). measure: what is
    counted (mass on grids and levels, density in a column's own units). samples: draws behind a bound or an estimate.
    unscored: columns that are not part of it. schema: digest of the measure; other digests do not compare.
    """

    relation: Relation
    unit: str
    measure: str
    samples: int | None = None
    unscored: tuple[str, ...] = ()
    schema: str = ""

    def __str__(self) -> str:
        word = {"=": "exact", "<=": "lower bound of the", "~": "estimated"}[self.relation]
        draws = f" from {self.samples} draws" if self.samples else ""
        left = f"; not scored: {', '.join(self.unscored)}" if self.unscored else ""
        return f"{word} log-probability{draws}, {self.unit}, counted as {self.measure}{left}"


@runtime_checkable
class Source(Protocol):
    """Where raw examples come from: a frame in memory, a folder of Parquet, a file larger than memory."""

    def __len__(self) -> int: ...

    def take(self, indices: Sequence[int]) -> Any:
        """These examples, in this order, as the raw kind."""
        ...

    def chunks(self, size: int) -> Any:
        """Every example once, in order, in raw pieces of at most `size`."""
        ...


class Objective(NamedTuple):
    """One player of a fit by gradients: whose parameters move, and what they lower, of each row -> (n,).

    A loss is in nats where it is a likelihood; else the family says what it is.
    """

    name: str
    player: nn.Module
    loss: Callable[[Batch, Noise], Float[Tensor, " n"]]


class Model(nn.Module, ABC):
    """The mathematics of a family on encoded tensors. It knows no file, no table and no optimiser."""

    @abstractmethod
    def sample(self, n: int, cond: Label | None = None, *, generator: Generator) -> Batch:
        """n encoded examples, of the classes cond where given."""


def unwritten(shape: tuple[int, ...], dtype: type[np.number]) -> Shaped[Tensor, ...]:
    """An uninitialised tensor for large results, from NumPy: unlike torch it asks Linux for large pages, which halves
    the time of the first write."""
    return torch.from_numpy(np.empty(shape, dtype))


def all_finite(x: Shaped[Tensor, ...]) -> bool:
    """Whether no number of x is NaN or infinite; one pass, no mask."""
    return bool(torch.isfinite(x.sum())) or bool(torch.isfinite(x).all())
