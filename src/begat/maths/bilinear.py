"""Log-bilinear tables of conditional probabilities: fewer numbers than cells, and yet as narrow as the data want."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Table = Float[Tensor, "p c"]
START_RATE, LEARNING_RATE = 0.06, 0.015
"""Of the steps that make the first factors, and of those that follow counts which change."""
DECAYS = (0.9, 0.99)
PENALTY = 0.003
"""Twice the nats for each unit of the squares of the factors, times the root of the number of rows, as which the noise
of counts grows: with none, tables come out sharper than the next row finds them."""
FIRST = 2.0
"""Pseudo-rows, spread as the columns of the table, of the counts whose logarithms start the factors."""


class Bilinear(NamedTuple):
    """P(c | p) proportional to exp(U_p . W_c + b_c), for p = 1..P, c = 1..C and factors of R numbers.

    A table of P x C counts has as many numbers as cells and remembers single rows. Its logarithm has low rank where the
    conditional laws are members of one exponential family of R statistics W_c under natural parameters U_p: a narrow
    Gaussian band needs two, however narrow it is, while a product of rank 2 would blur it.

    u (P, R), w (C, R), b (C,) and, for the next step of `ascend`, the running means of the gradient and of its square
    (R (P + C) + C,) each, and the number of steps.
    """

    u: Float[Tensor, "p r"]
    w: Float[Tensor, "c r"]
    b: Float[Tensor, " c"]
    mean: Float[Tensor, " g"]
    square: Float[Tensor, " g"]
    steps: int = 0

    @classmethod
    def of(cls, counts: Table, rank: int, steps: int = 100) -> Bilinear:
        """Factors of these counts: the singular vectors of their smoothed log-ratios, then `steps` of `ascend`."""
        share = counts.sum(0) / counts.sum().clamp(min=1e-30)
        share = (share + 1e-6) / (share + 1e-6).sum()
        ratio = ((counts + FIRST * share) / (counts.sum(1, keepdim=True) + FIRST) / share).log()
        ratio = ratio - ratio.mean(1, keepdim=True)
        left, size, right = torch.linalg.svd(ratio.double(), full_matrices=False)
        rank = min(rank, len(size))
        root = size[:rank].sqrt()
        u, w = (left[:, :rank] * root).float(), (right[:rank].T * root).float()
        none = torch.zeros(u.numel() + w.numel() + len(share))
        made = cls(u.contiguous(), w.contiguous(), share.log().float(), none, none.clone())
        for _ in range(steps):
            made = made.ascend(counts, START_RATE)
        return made

    def table(self) -> Table:
        """P(c | p) -> (P, C), rows sum to one."""
        return torch.softmax(torch.addmm(self.b, self.u, self.w.T), 1)

    def ascend(self, counts: Table, rate: float = LEARNING_RATE) -> Bilinear:
        """One step up sum_pc N_pc log P(c | p) / N - PENALTY (|U|^2 + |W|^2) / (2 sqrt N), for counts (P, C) of N rows.

        The gradient of the first term in the logits is (N_pc - N_p P(c | p)) / N. The best factors of a product U W^T
        are charged the sum of its singular values, so that ranks the counts do not call for die out: Srebro, Rennie
        and Jaakkola, "Maximum-margin matrix factorization" (2004). The step is that of Kingma and Ba, "Adam" (2015),
        algorithm 1.
        """
        total = counts.sum().clamp(min=1e-30)
        hold = -PENALTY / float(total.sqrt())
        slope = torch.addcmul(counts, self.table(), counts.sum(1, keepdim=True), value=-1.0).div_(total)
        du = torch.addmm(self.u, slope, self.w, beta=hold)
        dw = torch.addmm(self.w, slope.T, self.u, beta=hold)
        gradient = torch.cat([du.view(-1), dw.view(-1), slope.sum(0)])
        first, second = DECAYS
        mean = torch.lerp(gradient, self.mean, first)
        square = torch.lerp(gradient * gradient, self.square, second)
        steps = self.steps + 1
        scale = rate / (1 - first**steps)
        step = scale * mean / ((square / (1 - second**steps)).sqrt() + 1e-8)
        du, dw, db = step.split([self.u.numel(), self.w.numel(), len(self.b)])
        return Bilinear(self.u + du.view_as(self.u), self.w + dw.view_as(self.w), self.b + db, mean, square, steps)
