"""Naive Bayes: P(Y | X) is proportional to P(Y) prod_j P(X_j | Y)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from begat.core import Batch, Model, Region, Spec, Stats, all_finite
from begat.errors import EvidenceError
from begat.leaves.part import Part

Joint = Float[Tensor, "k n"]
Rows = Float[Tensor, " n"]
Cellwise = Float[Tensor, "_ n"]
Classes = Int[Tensor, " n"]
Allowed = Bool[Tensor, " k"]
Regions = Mapping[tuple[int, int], Region]


class NaiveBayes(Model):
    """The joint P(x, y) = P(y) prod_j P(x_j | y), the archetype of generative models.

    One object answers every question with sums over the K classes:

        score      P(x)         = sum_y P(y) prod_j P(x_j | y)
        classify   P(y | x)     = P(y) prod_j P(x_j | y) / P(x)                    (Bayes' rule)
        sample     y ~ P(y), then every x_j ~ P(x_j | y)
        impute     y ~ P(y | what is known), then the unknown x_j ~ P(x_j | y)
        condition  y ~ P(y | what is known) prod_j P(x_j in R_j | y), then x_j ~ P(x_j | y, x_j in R_j)

    A class that nobody observes (a bin of a numeric target, no target at all: K = 1) is summed out the same way.
    """

    def __init__(self, spec: Spec, parts: Sequence[Part], classes: int):
        super().__init__()
        self.spec, self.parts, self.classes = spec, tuple(parts), classes
        self.leaves = nn.ModuleList(part.leaf for part in parts)
        self.register_buffer("log_prior", None)

    log_prior: Tensor

    # maximum likelihood: counts of y for P(y), each leaf's statistics for P(x_j | y) -------------------------------
    def start(self, batch: Batch, y: Classes) -> None:
        """Fix what the leaves' statistics are relative to."""
        for part in self.parts:
            cells, known = part.take(batch)
            part.leaf.start(cells, y, batch.weight, known)

    def statistics(self, batch: Batch, y: Classes) -> list[Stats]:
        """Sufficient statistics of these rows of classes y (n,): the weight of each class, then one entry a leaf."""
        count = torch.bincount(y, batch.weight, minlength=self.classes).double()
        out: list[Stats] = [{"classes": count}]
        for part in self.parts:
            cells, known = part.take(batch)
            out.append(part.leaf.statistics(cells, y, batch.weight, known))
        return out

    def merge(self, a: Sequence[Stats], b: Sequence[Stats]) -> list[Stats]:
        """The statistics of both sets of rows."""
        prior: Stats = {"classes": a[0]["classes"] + b[0]["classes"]}
        return [prior, *(p.leaf.merge(s, t) for p, s, t in zip(self.parts, a[1:], b[1:], strict=True))]

    def maximise(self, stats: Sequence[Stats]) -> None:
        """P(y) = N_y / N; each P(x_j | y) by its leaf."""
        self.log_prior = (stats[0]["classes"] / stats[0]["classes"].sum()).log()
        for part, s in zip(self.parts, stats[1:], strict=True):
            part.leaf.maximise(s)

    # density ------------------------------------------------------------------------------------------------------
    def joint(self, batch: Batch) -> Joint:
        """log P(x, y) = log P(y) + sum_j log P(x_j | y) -> (K, n)."""
        total = self.log_prior[:, None].expand(-1, len(batch))
        for part in self.parts:
            total = total + part.leaf.joint(*part.take(batch))
        return total

    def log_prob(self, batch: Batch) -> Rows:
        """log P(x), or log P(x, y) where batch.cond holds the classes -> (n,)."""
        joint = self.joint(batch)
        return torch.logsumexp(joint, 0) if batch.cond is None else joint.gather(0, batch.cond[None])[0]

    def posterior(self, batch: Batch) -> Joint:
        """log P(y | x) = log P(x, y) - log P(x) -> (K, n); a row that no class can produce leaves the prior."""
        joint = self.log_prior[:, None]
        for part in self.parts:
            joint = joint + part.leaf.odds(*part.take(batch))
        joint = joint.expand(-1, len(batch))
        whole = torch.logsumexp(joint, 0)
        if all_finite(whole):
            return joint - whole
        return torch.where(torch.isfinite(whole), joint - whole, self.log_prior[:, None].to(joint.dtype))

    def surprise(self, batch: Batch) -> list[tuple[Part, Cellwise]]:
        """-log P(x_j | all other columns) -> one (D, n) a part: log P(x without j) - log P(x), y known in batch.cond
        or summed out."""
        each = [(part, part.leaf.log_prob(*part.take(batch))) for part in self.parts]
        if batch.cond is not None:
            return [(p, -cells.gather(1, batch.cond.expand(len(cells), 1, -1))[:, 0]) for p, cells in each]
        joint = self.joint(batch)
        whole = torch.logsumexp(joint, 0)
        out = []
        for part, cells in each:
            without = torch.where(torch.isfinite(cells), joint - cells, -torch.inf)
            out.append((part, torch.logsumexp(without, 1) - whole))
        return out

    # sampler ------------------------------------------------------------------------------------------------------
    def sample(self, n: int, cond: Classes | None = None, *, generator: Generator) -> Batch:
        """n rows; their classes, drawn from P(y) unless given, are in the batch's cond."""
        if cond is None:
            cond = choose(self.log_prior[:, None].expand(-1, n), generator)
        return self._fill(cond, generator)

    def _fill(
        self, y: Classes, generator: Generator, known: Batch | None = None, regions: Regions | None = None
    ) -> Batch:
        """Every cell from P(x_j | y, what is known of its block), or from P(x_j | y, x_j in its region)."""
        values, codes = (f.shape[0] for f in self.spec.fields)
        x = (torch.zeros(len(y), values, dtype=torch.float64), torch.zeros(len(y), codes, dtype=torch.int32))
        for part in self.parts:
            cells, mask = (None, None) if known is None else part.take(known)
            if mask is None or isinstance(mask, tuple):
                drawn = part.leaf.sample(y, generator=generator)
            else:
                drawn = part.leaf.complete(cells, mask, y, generator=generator)
            part.place(drawn, *x)
        for (p, d), region in (regions or {}).items():
            drawn = self.parts[p].leaf.sample_in(d, region, y, generator=generator)
            column = tuple(t[:, None] for t in drawn) if isinstance(drawn, tuple) else drawn[:, None]
            self.parts[p].only(d).place(column, *x)
        return Batch(x, (None, None), y)

    def impute(
        self,
        batch: Batch,
        regions: Regions | None = None,
        allowed: Allowed | None = None,
        *,
        generator: Generator,
    ) -> Batch:
        """The batch with every unknown cell drawn from P(unknown | known, unknown cells in their regions).

        Known cells stay as they are; a class of -1 in batch.cond is unknown as well. A region is keyed by (part, column
        of the part); `allowed` (K,) are the classes an unknown one is among. A row without any probability is an
        EvidenceError.
        """
        joint, asked = self.joint(batch).double(), {}
        if allowed is not None:
            joint = joint.masked_fill(~allowed[:, None], -torch.inf)
        for (p, d), region in (regions or {}).items():
            unknown = ~self.parts[p].known(batch, d)
            if unknown.any():
                asked[p, d] = region
                joint = joint + torch.where(unknown, self.parts[p].leaf.log_mass(d, region)[:, None], 0.0)
        y = choose(joint, generator)
        if batch.cond is not None:
            y = torch.where(batch.cond < 0, y, batch.cond)
        impossible = ~torch.isfinite(joint.gather(0, y[None])[0])
        if impossible.any():
            row = int(impossible.nonzero()[0, 0])
            raise EvidenceError(f"the evidence has no probability (row {row}); widen it or leave a part of it out")
        drawn = self._fill(y, generator, batch, asked)
        filled = tuple(
            x if k is None else torch.where(k, x.to(d.dtype), d)
            for x, k, d in zip(batch.x, batch.known, drawn.x, strict=True)
        )
        return Batch(filled, (None, None), y)


def choose(log_p: Joint, generator: Generator) -> Classes:
    """One class for each column of unnormalised log-probabilities (K, n) -> (n,)."""
    cdf = torch.softmax(log_p.double(), 0).cumsum(0)
    u = torch.rand(log_p.shape[1], generator=generator, dtype=torch.float64) * cdf[-1]
    return (cdf <= u).sum(0).clamp(max=len(log_p) - 1)
