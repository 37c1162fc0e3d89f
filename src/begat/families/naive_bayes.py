"""Naive Bayes: P(Y | X) is proportional to P(Y) prod_j P(X_j | Y)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from begat.core import Batch, Model, Spec, Stats
from begat.errors import EvidenceError
from begat.leaves.part import Evidence, Part, assemble
from begat.maths.choice import choose

Joint = Float[Tensor, "k n"]
Rows = Float[Tensor, " n"]
Cellwise = Float[Tensor, "_ n"]
Classes = Int[Tensor, " n"]
Allowed = Bool[Tensor, " k"]


class NaiveBayes(Model):
    """The joint P(x, y) = P(y) prod_j P(x_j | y), the archetype of generative models.

    One object answers every question with sums over the K classes:

        sample     y ~ P(y), then every x_j ~ P(x_j | y)
        condition  y ~ P(y | what is known) prod_j P(x_j in R_j | y), then x_j ~ P(x_j | y, x_j in R_j)
        impute     the same without regions R_j
        score      P(x)         = sum_y P(y) prod_j P(x_j | y)
        classify   P(y | x)     = P(y) prod_j P(x_j | y) / P(x)                    (Bayes' rule)
        surprise   P(x_j | x_i, i != j) = P(x) / P(x without j)

    A class that nobody observes (a bin of a numeric target, no target at all: K = 1) is summed out the same way. Where
    columns are scored together (a block of counts), j counts blocks.
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
        out: list[Stats] = [{"classes": torch.bincount(y, batch.weight, minlength=self.classes).double()}]
        for part in self.parts:
            cells, known = part.take(batch)
            out.append(part.leaf.statistics(cells, y, batch.weight, known))
        return out

    def merge(self, a: Sequence[Stats], b: Sequence[Stats]) -> list[Stats]:
        """The statistics of both sets of rows."""
        prior: Stats = {"classes": a[0]["classes"] + b[0]["classes"]}
        return [prior, *(p.leaf.merge(s, t) for p, s, t in zip(self.parts, a[1:], b[1:], strict=True))]

    def maximise(self, stats: Sequence[Stats]) -> None:
        """P(y) = N_y / N; each P(x_j | y) by its leaf.

        A declared class without rows gets one pseudo-row: with m of them P(y) = N_y / (N + m), and 1 / (N + m) for
        each of these, so that the other classes keep their frequencies relative to each other.
        """
        count = stats[0]["classes"]
        count = torch.where(count > 0, count, 1.0)
        self.log_prior = (count / count.sum()).log()
        for part, s in zip(self.parts, stats[1:], strict=True):
            part.leaf.maximise(s)

    # sampler ------------------------------------------------------------------------------------------------------
    def sample(self, n: int, cond: Classes | None = None, *, generator: Generator) -> Batch:
        """n rows; their classes, drawn from P(y) unless given, are in the batch's cond."""
        y = choose(self.log_prior[:, None].expand(-1, n), generator=generator) if cond is None else cond
        drawn = [(part, part.leaf.sample(y, generator=generator)) for part in self.parts]
        return assemble(self.spec, drawn, y)

    def impute(
        self, batch: Batch, regions: Evidence | None = None, allowed: Allowed | None = None, *, generator: Generator
    ) -> Batch:
        """The batch with every unknown cell drawn from P(unknown | known, unknown cells in their regions).

        Known cells stay as they are; a class of -1 in batch.cond is unknown as well. A region is keyed by (part, column
        of the part); `allowed` (K,) are the classes an unknown one is among. A row without any probability is an
        EvidenceError.
        """
        inside = [{d: r for (q, d), r in (regions or {}).items() if q == p} for p in range(len(self.parts))]
        joint = self.joint(batch).double()
        for part, asked in zip(self.parts, inside, strict=True):
            joint = joint + part.leaf.log_within(*part.take(batch), asked) if asked else joint
        if allowed is not None:
            excluded = ~allowed[:, None] if batch.cond is None else ~allowed[:, None] & (batch.cond < 0)
            joint = joint.masked_fill(excluded, -torch.inf)
        y = choose(joint, generator=generator)
        if batch.cond is not None:
            y = torch.where(batch.cond < 0, y, batch.cond)
        impossible = ~torch.isfinite(joint.gather(0, y[None])[0])
        if impossible.any():
            row = int(impossible.nonzero()[0, 0])
            raise EvidenceError(f"the evidence has no probability (row {row}); widen it or leave a part of it out")
        drawn = [
            (part, part.leaf.complete(*part.take(batch), y, asked, generator=generator))
            for part, asked in zip(self.parts, inside, strict=True)
        ]
        return assemble(self.spec, drawn, y, batch)

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
        odds = [part.leaf.odds(*part.take(batch)) for part in self.parts]
        prior = self.log_prior[:, None].to(odds[0].dtype if odds else torch.float64)
        log_p = torch.log_softmax(sum(odds, prior).expand(-1, len(batch)), 0)
        impossible = log_p[0].isnan()
        return torch.where(impossible, self.log_prior[:, None].to(log_p.dtype), log_p) if impossible.any() else log_p

    def surprise(self, batch: Batch) -> list[tuple[Part, Cellwise]]:
        """-log P(x_j | all other columns) -> one (D, n) a part: log P(x without j) - log P(x), y known in batch.cond
        or summed out. Others that no class can produce leave the prior."""
        each = [(part, part.leaf.log_prob(*part.take(batch))) for part in self.parts]
        if batch.cond is not None:
            return [(p, -cells.gather(1, batch.cond.expand(len(cells), 1, -1))[:, 0]) for p, cells in each]
        joint, prior = self.joint(batch), self.log_prior[:, None]
        whole, out = torch.logsumexp(joint, 0), []
        for part, cells in each:
            without = joint - cells
            for d, rows in enumerate(torch.isneginf(cells).any(1)):
                if rows.any():  # a zero cannot be taken out of a product
                    without[d][:, rows] = self.joint(part.without(d, batch.rows(rows)))
            others, told = torch.logsumexp(without, 1), whole
            if (lost := torch.isneginf(others)).any():
                others = torch.where(lost, torch.logsumexp(prior, 0), others)
                told = torch.where(lost, torch.logsumexp(prior + cells, 1), whole)
            out.append((part, others - told))
        return out
