"""How a fit by gradients goes, and where it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Int
from torch import Generator, Tensor

from begat.fitting.course import finite, step_of
from begat.random import mixed

Rows = Int[Tensor, " m"]
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Plan:
    """How a fit goes: so many steps of AdamW on batches of `batch` rows.

    The rate rises linearly over the share `warm` of the steps and falls to nothing over the share `cool` at the end,
    as a cosine. clip: the norm that a gradient is cut to. decay: of weights that are matrices, per unit of rate.
    average: the largest decay of the running mean of the weights, (1 + step) / (10 + step) at first, which is what the
    fit gives; 0 for none, 1 for the mean over the last ninth or so of all steps. every: steps between two marks, at
    which a fit is scored and left in its checkpoint. patience: marks without a better score at which it stops. last:
    whether it ends with its last weights whatever their scores, which then only tell how it went. seed:
    the order of the rows is a function of (seed, epoch), noise one of (seed, step, player).

    Loshchilov and Hutter, "Decoupled weight decay regularization" (2019), algorithm 2.
    """

    steps: int
    batch: int = 1024
    rate: float = 1e-3
    warm: float = 0.02
    cool: float = 0.5
    betas: tuple[float, float] = (0.9, 0.99)
    decay: float = 0.0
    clip: float | None = 1.0
    average: float = 0.0
    every: int = 100
    patience: int | None = None
    last: bool = False
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """The rate of a step."""
        up, down = self.warm * self.steps, self.cool * self.steps
        rise = min((step + 1) / max(up, 1.0), 1.0)
        left = (self.steps - step) / max(down, 1.0)
        return self.rate * rise * (1.0 if left >= 1 else 0.5 - 0.5 * math.cos(math.pi * left))


@dataclass
class Run:
    """Where a fit is: the next step; weights, optimiser and running mean; the best weights so far and their score.

    history: at each mark its step, each player's mean loss since the mark before, and the mean score of held-out rows,
    if there is one. waited: marks since the best. ended: why the fit is over before its last step, if it is.
    """

    step: int = 0
    state: Tensors = field(default_factory=dict)
    optimiser: Tensors = field(default_factory=dict)
    average: Tensors = field(default_factory=dict)
    best: Tensors = field(default_factory=dict)
    best_score: float = -math.inf
    waited: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    ended: str = ""

    def packed(self) -> tuple[dict[str, Any], dict[str, Tensors]]:
        """What a checkpoint holds: JSON values, and tensors by group."""
        said = {
            "step": self.step, "best_score": finite(self.best_score), "waited": self.waited, "history": self.history
        }  # fmt: skip
        groups = {"state": self.state, "optimiser": self.optimiser, "average": self.average, "best": self.best}
        return said, groups

    @classmethod
    def unpacked(cls, said: Mapping[str, Any], groups: Mapping[str, Tensors]) -> Run:
        """The run that `packed` gave. LookupError, TypeError or ValueError for what is none."""
        best = said["best_score"]
        run = cls(
            step_of(said["step"]),
            groups["state"],
            groups["optimiser"],
            groups.get("average", {}),
            groups.get("best", {}),
        )
        run.best_score, run.waited = -math.inf if best is None else float(best), step_of(said["waited"])
        run.history = [{str(name): float(value) for name, value in line.items()} for line in said["history"]]
        return run


def order_of(plan: Plan, step: int, n: int) -> Iterator[Rows]:
    """The rows of each step from this one on: one permutation of the n rows after another, cut into batches."""
    size, epoch, order = min(plan.batch, n), -1, torch.empty(0, dtype=torch.long)

    def permutation(number: int) -> Rows:
        return torch.randperm(n, generator=Generator().manual_seed(mixed(plan.seed, "order", number)))

    for number in range(step, plan.steps):
        at, within = divmod(number * size, n)
        if at != epoch:
            epoch, order = at, permutation(at)
        rows = order[within : within + size]
        if len(rows) < size:
            epoch, order = at + 1, permutation(at + 1)
            rows = torch.cat([rows, order[: size - len(rows)]])
        yield rows
