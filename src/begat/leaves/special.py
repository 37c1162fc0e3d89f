"""The leaf of special codes plus a remainder: one mechanism for repeated values, caps and missing cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from begat.core import Region, Stats
from begat.leaves.base import (
    Block,
    Drawn,
    Known,
    Leaf,
    Mask,
    Moments,
    Observed,
    PerState,
    Scores,
    State,
    Sums,
    Weight,
    join,
    part,
)
from begat.leaves.categorical import Categorical
from begat.leaves.punctured import Punctured

Pair = tuple[Block, Block]
"""Codes and values of the same cells."""


class Special(Leaf):
    """P(code, value | k) = P(code | k) * (p(value | k) where code = 0), for D columns and K states.

    Code 0 is the remainder, the others are numbers that repeat and the missing value. Cells are the pair
    (codes (n, D), values (n, D)); a value whose code is not 0, or not known, does not apply, whatever its mask says.
    Where code 0 is known and the value is not, the value is integrated out.

    On a grid the remainder could fall on a number that has a code of its own. That never counts: given the atoms (the
    numbers that codes 1, 2, ... stand for, in encoded numbers), p(value | k) is renormalised without them, and so are
    draws (leaves.punctured). The remainder is fitted as if it were not truncated: with atoms its parameters are those
    of the law before the atoms are taken out, not the maximum likelihood of what is left. Where the atoms are all
    points that there are, code 0 has no probability, and the others share its pseudo-count in proportion.

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
        if any(atoms) and not getattr(rest, "grid", False):
            raise ValueError(f"atoms take mass from a remainder on a grid, and this {type(rest).__name__} is on none")
        self.codes, self.remainder, self.atoms = made, rest, tuple(map(tuple, atoms))
        self.columns, self.states, self.additive = made.columns, made.states, rest.additive

    codes: Categorical
    remainder: Leaf

    def config(self) -> dict[str, Any]:
        from begat.leaves.registry import describe

        return {"codes": describe(self.codes), "remainder": describe(self.remainder), "atoms": self.atoms}

    def layout(self) -> dict[str, tuple[int, ...]]:
        return join({"codes": self.codes.layout(), "remainder": self.remainder.layout()})

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
        for d in torch.isneginf(self._rest.log_left()).all(1).nonzero()[:, 0].tolist():
            self.codes.forbid(d, 0)

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
        assert isinstance(codes, Tensor)
        values = self._rest.sample(state, codes == 0, generator=generator)
        return codes, values.masked_fill(codes != 0, 0.0)

    @property
    def _rest(self) -> Punctured:
        """The remainder without the atoms."""
        return Punctured(self.remainder, self.atoms or ((),) * self.columns)

    def log_left(self) -> Moments | None:
        """log of what the atoms leave of the remainder, by which it is renormalised -> (D, K); None without atoms.

        0 where they leave nothing: code 0 has no probability there, and there is nothing to renormalise.
        """
        if not any(self.atoms):
            return None
        left = self._rest.log_left()
        return left.masked_fill(torch.isneginf(left), 0.0)

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
        mass, left = self._rest.log_mass(column, region._replace(codes=None)), self.log_left()
        mass = mass if left is None else mass - left[column]
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
            values[plain] = self._rest.sample_in(column, region._replace(codes=None), state[plain], generator=generator)
        return codes, values

    def mean(self) -> Moments:
        """E[value | code 0, k]."""
        return self._rest.mean()


def _parts(x: Pair, known: Known) -> tuple[Block, Block, Mask, Bool[Tensor, "n d"]]:
    """Codes, values, which codes are known, and which values apply and are known."""
    codes, values = x
    codes_known, values_known = known if isinstance(known, tuple) else (known, known)
    applies = codes == 0
    for mask in (codes_known, values_known):
        applies = applies if mask is None else applies & mask
    return codes, values, codes_known, applies
