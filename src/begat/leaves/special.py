"""The leaf of special codes plus a remainder: one mechanism for repeated values, caps and missing cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from begat.core import Region, Stats
from begat.leaves.base import Block, Drawn, Known, Leaf, Mask, Moments, Observed, PerState, Scores, State, Sums, Weight
from begat.leaves.categorical import Categorical

Pair = tuple[Block, Block]
"""Codes and values of the same cells."""


TRIES = 100
"""How often a draw on an atom is drawn again; a remainder that has hardly any other value keeps it then."""
LEAST_LEFT = 1e-12
"""What the atoms leave of the remainder counts as no less."""


class Special(Leaf):
    """P(code, value | k) = P(code | k) * (p(value | k) where code = 0), for D columns and K states.

    Code 0 is the remainder, the others are numbers that repeat and the missing value. Cells are the pair
    (codes (n, D), values (n, D)); a value whose code is not 0, or not known, does not apply, whatever its mask says.
    Where code 0 is known and the value is not, the value is integrated out.

    On a grid the remainder could fall on a number that has a code of its own. That never counts: given the atoms (the
    numbers that codes 1, 2, ... stand for, in encoded numbers), p(value | k) is renormalised without them, and draws on
    them are drawn again. The remainder is fitted as if it were not truncated: with atoms its parameters are those of
    the law before the atoms are taken out, not the maximum likelihood of what is left.

    codes: the categorical of the codes. remainder: any leaf of values, of the same columns and states. Both may be
    given as the description that `registry.describe` makes of them. The statistics add if the remainder's do.
    """

    reads = "both"

    def __init__(
        self,
        codes: Categorical | Mapping[str, Any],
        remainder: Leaf | Mapping[str, Any],
        atoms: tuple[tuple[float, ...], ...] = (),
    ):
        from begat.leaves.registry import build  # the registry contains this class

        super().__init__()
        made = build(codes) if isinstance(codes, Mapping) else codes
        rest = build(remainder) if isinstance(remainder, Mapping) else remainder
        if not isinstance(made, Categorical) or rest.reads != "values":
            kinds = f"{type(made).__name__} and {type(rest).__name__}"
            raise TypeError(f"special codes take a Categorical and a leaf of values, not {kinds}")
        if (made.columns, made.states) != (rest.columns, rest.states):
            raise ValueError(
                f"codes of {made.columns} columns and {made.states} states, remainder of {rest.columns} and "
                f"{rest.states}; give both the same"
            )
        if atoms and len(atoms) != made.columns:
            raise ValueError(f"atoms of {len(atoms)} columns for {made.columns}; give each column its own, or none any")
        self.codes, self.remainder, self.atoms = made, rest, tuple(map(tuple, atoms))
        self.columns, self.states, self.additive = made.columns, made.states, rest.additive

    codes: Categorical
    remainder: Leaf

    def config(self) -> dict[str, Any]:
        from begat.leaves.registry import describe

        return {"codes": describe(self.codes), "remainder": describe(self.remainder), "atoms": self.atoms}

    def layout(self) -> dict[str, tuple[int, ...]]:
        return {
            f"{part}.{name}": shape
            for part, leaf in (("codes", self.codes), ("remainder", self.remainder))
            for name, shape in leaf.layout().items()
        }

    # learning -----------------------------------------------------------------------------------------------------
    def start(self, x: Pair, state: State, weight: Weight = None, known: Known = None) -> None:
        codes, values, codes_known, applies = _parts(x, known)
        self.codes.start(codes, state, weight, codes_known)
        self.remainder.start(values, state, weight, applies)

    def statistics(self, x: Pair, state: State, weight: Weight = None, known: Known = None) -> Stats:
        codes, values, codes_known, applies = _parts(x, known)
        return join(
            {
                "codes": self.codes.statistics(codes, state, weight, codes_known),
                "remainder": self.remainder.statistics(values, state, weight, applies),
            }
        )

    def merge(self, a: Stats, b: Stats) -> Stats:
        return join(
            {
                "codes": self.codes.merge(part(a, "codes"), part(b, "codes")),
                "remainder": self.remainder.merge(part(a, "remainder"), part(b, "remainder")),
            }
        )

    def maximise(self, stats: Stats) -> None:
        self.codes.maximise(part(stats, "codes"))
        self.remainder.maximise(part(stats, "remainder"))

    # asking -------------------------------------------------------------------------------------------------------
    def log_prob(self, x: Pair, known: Known = None) -> Scores:
        codes, values, codes_known, applies = _parts(x, known)
        out = self.codes.log_prob(codes, codes_known) + self.remainder.log_prob(values, applies)
        left = self.log_left()
        return out if left is None else out - left[:, :, None] * applies.T[:, None]

    def joint(self, x: Pair, known: Known = None) -> Sums:
        codes, values, codes_known, applies = _parts(x, known)
        out = self.codes.joint(codes, codes_known) + self.remainder.joint(values, applies)
        left = self.log_left()
        return out if left is None else out - left.T @ applies.T.double()

    def sample(self, state: Observed, *, generator: Generator) -> Pair:
        """Codes and values (n, D) each; the filler of a value that does not apply is 0."""
        codes = self.codes.sample(state, generator=generator)
        values = self.remainder.sample(state, generator=generator)
        assert isinstance(codes, Tensor) and isinstance(values, Tensor)
        for _ in range(TRIES if self.atoms else 0):
            twice = (codes == 0) & self._is_atom(values)
            rows = twice.any(1).nonzero()[:, 0]
            if not len(rows):
                break
            again = self.remainder.sample(state[rows], generator=generator)
            values[rows] = torch.where(twice[rows], again.to(values.dtype), values[rows])
        return codes, values.masked_fill(codes != 0, 0.0)

    def _is_atom(self, values: Block) -> Bool[Tensor, "n d"]:
        """Which values (n, D) of the remainder are numbers that have a code of their own."""
        odd = torch.zeros_like(values, dtype=torch.bool)
        for d, atoms in enumerate(self.atoms):
            for atom in atoms:
                odd[:, d] |= values[:, d] == atom
        return odd

    def _atoms(self, within: Region | None = None) -> tuple[Moments, Moments]:
        """sum_a p(a | k) and sum_a a p(a | k) of the remainder over each column's atoms (in a region) -> (D, K)."""
        mass, moment = torch.zeros(2, self.columns, self.states, dtype=torch.float64)
        for i in range(max(map(len, self.atoms), default=0)):
            at = torch.tensor([a[min(i, len(a) - 1)] if a else 0.0 for a in self.atoms], dtype=torch.float64)
            counts = torch.tensor([i < len(a) for a in self.atoms])
            if within is not None:
                counts &= (at >= within.lower) & (at <= within.upper)
            p = torch.where(counts[:, None], self.remainder.log_prob(at[None])[:, :, 0].exp(), 0.0)
            mass, moment = mass + p, moment + p * at[:, None]
        return mass, moment

    def log_left(self) -> Moments | None:
        """log of what the atoms leave of the remainder, by which it is renormalised -> (D, K); None without atoms."""
        return torch.log1p(-self._atoms()[0].clamp(max=1 - LEAST_LEFT)) if self.atoms else None

    def log_mass(self, column: int, region: Region) -> PerState:
        """log (P(an allowed code other than 0) + P(code 0) P(value in the interval), if 0 is allowed) -> (K,)."""
        special, remainder = self._branches(column, region)
        return torch.logaddexp(special, remainder)

    def _branches(self, column: int, region: Region) -> tuple[PerState, PerState]:
        """log P of the two ways to lie in the region: by a special code, by a value of the remainder; (K,) each."""
        table = self.codes.table(column)
        allowed = torch.ones(len(table), dtype=torch.bool) if region.codes is None else region.codes.bool()
        special = torch.logsumexp(table.masked_fill(~allowed[:, None], -torch.inf)[1:], 0)
        if not allowed[0]:
            return special, torch.full_like(special, -torch.inf)
        interval = region._replace(codes=None)
        mass, left = self.remainder.log_mass(column, interval), self.log_left()
        if left is not None:
            inside = (mass.exp() - self._atoms(interval)[0][column]).clamp(min=0.0)
            mass = torch.where(inside > 1e-14 * mass.exp(), inside.log(), -torch.inf) - left[column]
        return special, table[0] + mass

    def sample_in(self, column: int, region: Region, state: Observed, *, generator: Generator) -> tuple[Drawn, Drawn]:
        """Codes and values (n,) each."""
        special, remainder = self._branches(column, region)
        state = state.long()
        share = torch.sigmoid(remainder - special).nan_to_num(1.0)[state]  # nan: the region has no mass either way
        plain = torch.rand(len(state), generator=generator, dtype=torch.float64) < share
        table = self.codes.table(column)
        allowed = torch.ones(len(table), dtype=torch.bool) if region.codes is None else region.codes.bool().clone()
        allowed[0] = False
        codes = torch.zeros_like(state)
        if bool((~plain).any()):
            drawn = self.codes.sample_in(column, Region(codes=allowed), state, generator=generator)
            codes = torch.where(plain, 0, drawn)
        values = torch.zeros(len(state), dtype=torch.float64)
        if bool(plain.any()):
            interval = region._replace(codes=None)
            number = self.remainder.sample_in(column, interval, state[plain], generator=generator)
            assert isinstance(number, Tensor)
            values[plain] = number.double()
            for _ in range(TRIES if self.atoms else 0):
                twice = plain & sum((values == a for a in self.atoms[column]), torch.zeros_like(plain))
                if not bool(twice.any()):
                    break
                again = self.remainder.sample_in(column, interval, state[twice], generator=generator)
                assert isinstance(again, Tensor)
                values[twice] = again.double()
        return codes, values

    def mean(self) -> Moments:
        """E[value | code 0, k] = (E[X | k] - sum_a a p(a | k)) / (1 - sum_a p(a | k)), X the remainder, a the atoms.

        Where the atoms leave nothing that can be told from rounding, E[X | k].
        """
        mean = self.remainder.mean()
        if not self.atoms:
            return mean
        mass, moment = self._atoms()
        return torch.where(mass < 1 - LEAST_LEFT, (mean - moment) / (1 - mass).clamp(min=LEAST_LEFT), mean)


def _parts(x: Pair, known: Known) -> tuple[Block, Block, Mask, Bool[Tensor, "n d"]]:
    """Codes, values, which codes are known, and which values apply and are known."""
    codes, values = x
    codes_known, values_known = known if isinstance(known, tuple) else (known, known)
    applies = codes == 0
    for mask in (codes_known, values_known):
        applies = applies if mask is None else applies & mask
    return codes, values, codes_known, applies


def join(parts: Mapping[str, Stats]) -> Stats:
    """The statistics of a leaf of parts, each name with its part's before it."""
    return {f"{name}.{key}": value for name, stats in parts.items() for key, value in stats.items()}


def part(stats: Stats, name: str) -> Stats:
    """The statistics of one part, as it made them."""
    return {key.removeprefix(f"{name}."): value for key, value in stats.items() if key.startswith(f"{name}.")}
