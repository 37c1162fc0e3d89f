"""The one interface of column distributions: p(x_d | k) for D columns of one kind under K states at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Generator, Tensor, nn

from begat.core import Region, Stats

T = TypeVar("T")
Block = Shaped[Tensor, "n d"]
Mask = Bool[Tensor, "n d"] | None
if TYPE_CHECKING:  # a leaf takes one of the forms, which one `reads` says; each leaf states its own
    Cells = Any
    Known = Any
else:
    Cells = Block | tuple[Block, Block]
    """(n, D) values or codes; the pair (codes, values) for a leaf of special codes plus a remainder."""
    Known = Mask | tuple[Mask, Mask]
ByColumn = Float[Tensor, "d n"]
"""A block with its columns first, as scores have them."""
MaskByColumn = Bool[Tensor, "d n"] | None
Observed = Int[Tensor, " n"]
State = Observed | Float[Tensor, "k n"]
Weight = Float[Tensor, " n"] | None
Scores = Float[Tensor, "d k n"]
Picked = Float[Tensor, "_ k n"]
"""Scores of some of the columns."""
Sums = Float[Tensor, "k n"]
Drawn = Shaped[Tensor, " n"]
PerState = Float[Tensor, " k"]
PerColumn = Float[Tensor, " d"]
Moments = Float[Tensor, "d k"]
At = Float[Tensor, " m"]
"""Numbers at which a law is asked."""
Regions = Mapping[int, Region]
"""A set of values of each of some columns."""
Tails = tuple[Float[Tensor, "k m"], Float[Tensor, "k m"]]


class Leaf(nn.Module, ABC):
    """Distributions of D columns under K states (classes of naive Bayes, latent states of a circuit).

    The states come first and the rows last, (..., K, n): a short axis at the end is slow.
    A fit is start, then statistics over all rows (any chunks, any order), then maximise:

        leaf.start(x, state); leaf.maximise(leaf.merge(leaf.statistics(a, ya), leaf.statistics(b, yb)))

    `state` is what is known of each row's state: integers (n,) if it is observed, or weights (K, n) if it is soft
    (responsibilities of EM). `weight` (n,) multiplies either. Unknown cells (`known` False) count nowhere.

    Parameters are float64 buffers; values may be float32 or float64, codes any integer type.
    A column on a grid is encoded as its whole numbers, and its leaf then gives mass on whole numbers.
    """

    additive: bool = True
    """Whether statistics add over rows, so that partial and out-of-core fits equal the fit in memory."""
    reads: ClassVar[str] = "values"
    """"values", "codes" or "both": which block(s) of an encoded table the leaf scores."""

    columns: int
    states: int

    # what a file needs -----------------------------------------------------------------------------------------
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The constructor's keywords as JSON. `type(leaf)(**leaf.config())` has the same layout."""

    @abstractmethod
    def layout(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every buffer a fitted leaf has, from the configuration alone (nothing allocated)."""

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Set the buffers that `layout` names, as `state_dict` gave them; those of an inner leaf restore it."""
        inner: dict[Leaf, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            owner: nn.Module = self
            while (owner is self or not isinstance(owner, Leaf)) and "." in name:
                first, _, name = name.partition(".")
                owner = owner.get_submodule(first)
            if isinstance(owner, Leaf) and owner is not self:
                inner.setdefault(owner, {})[name] = value
            else:
                setattr(owner, name, value)
        for leaf, own in inner.items():
            leaf.restore(own)

    # learning ---------------------------------------------------------------------------------------------------
    def start(self, x: Cells, state: State, weight: Weight = None, known: Known = None) -> None:
        """Fix the constants that statistics are relative to (an origin, bin edges) from some of the rows."""

    @abstractmethod
    def statistics(self, x: Cells, state: State, weight: Weight = None, known: Known = None) -> Stats:
        """Sufficient statistics of these rows under `state`."""

    def merge(self, a: Stats, b: Stats) -> Stats:
        """Statistics of both sets of rows: their sum for additive leaves."""
        return {name: a[name] + b[name] for name in a}

    @abstractmethod
    def maximise(self, stats: Stats) -> None:
        """Set the parameters that (after the documented smoothing) maximise the likelihood of these statistics."""

    # asking -----------------------------------------------------------------------------------------------------
    @abstractmethod
    def log_prob(self, x: Cells, known: Known = None) -> Scores:
        """log p(x_d | k) -> (D, K, n), nats; 0 for unknown cells, -inf outside the stated bounds."""

    def joint(self, x: Cells, known: Known = None) -> Sums:
        """sum_d log p(x_d | k) -> (K, n). Leaves of the exponential family do this as one matrix product."""
        return self.log_prob(x, known).sum(0)

    def odds(self, x: Cells, known: Known = None) -> Sums:
        """The joint up to a number for each row that all states share -> (K, n): all that Bayes' rule needs."""
        return self.joint(x, known)

    @abstractmethod
    def sample(self, state: Observed, *, generator: Generator) -> Cells:
        """One row for each state (n,) -> (n, D): exact draws from the density above."""

    def log_within(self, x: Cells, known: Known, regions: Regions) -> Sums:
        """log P(every unknown x_d with a region lies in it | the known cells, k) -> (K, n).

        Columns are independent given the state, so these are sums; a leaf of a block of columns says otherwise.
        """
        codes = known[0] if isinstance(known, tuple) else known
        rows = len(x[0] if isinstance(x, tuple) else x)
        total = torch.zeros(self.states, rows, dtype=torch.float64)
        for column, region in regions.items() if codes is not None else ():
            total += torch.where(codes[:, column], 0.0, self.log_mass(column, region)[:, None])
        return total

    def complete(self, x: Cells, known: Known, state: Observed, regions: Regions, *, generator: Generator) -> Cells:
        """Cells (n, D) whose unknown ones are drawn given the known ones, the state and the regions of log_within.

        What stands where a cell is known is of no account.
        """
        drawn = self.sample(state, generator=generator)
        for column, region in regions.items():
            inside = self.sample_in(column, region, state, generator=generator)
            for cells, cell in zip(_blocks(drawn), _blocks(inside), strict=True):
                cells[:, column] = cell.to(cells.dtype)
        return drawn

    @abstractmethod
    def log_mass(self, column: int, region: Region) -> PerState:
        """log P(x_d in region | k) -> (K,), for one column d."""

    @abstractmethod
    def sample_in(
        self, column: int, region: Region, state: Observed, *, generator: Generator
    ) -> Drawn | tuple[Drawn, Drawn]:
        """Draws of one column given that it lies in the region, for each state (n,) -> (n,)."""

    @abstractmethod
    def mean(self) -> Moments:
        """E[x_d | k] -> (D, K); NaN where it does not exist (codes of unordered levels)."""


def _blocks(x: Shaped[Tensor, ...] | tuple[Shaped[Tensor, ...], ...]) -> tuple[Shaped[Tensor, ...], ...]:
    return x if isinstance(x, tuple) else (x,)


def fresh(leaf: Leaf) -> Leaf:
    """An unfitted leaf with the same configuration."""
    return type(leaf)(**leaf.config())


def join(parts: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    """What the parts of a leaf say by name (statistics, layouts), each name with its part's before it."""
    return {f"{name}.{key}": value for name, said in parts.items() for key, value in said.items()}


def part(joined: Mapping[str, T], name: str) -> dict[str, T]:
    """What one part said."""
    return {key.removeprefix(f"{name}."): value for key, value in joined.items() if key.startswith(f"{name}.")}
