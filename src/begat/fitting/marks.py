"""What happens at a mark of a fit by gradients, and which weights it ends with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from begat.fitting.course import DIVERGED, INTERRUPTED, STOPPED, ends_with_last
from begat.fitting.plan import Plan, Run, Tensors
from begat.fitting.player import Player

Scores = Float[Tensor, " held"]


class Marks:
    """What happens at a mark, and which weights the fit ends with."""

    def __init__(
        self,
        model: nn.Module,
        players: Sequence[Player],
        plan: Plan,
        run: Run,
        score: Callable[[], Scores] | None,
        keep: Callable[[Run], Any] | None,
        tell: Callable[[int, int, dict[str, float]], Any] | None,
    ):
        self.model, self.players, self.plan, self.run = model, players, plan, run
        self.score, self.keep, self.tell = score, keep, tell

    def begin(self) -> None:
        """Take the weights that a fit begins with as the best so far: it shall end with none that are worse."""
        run = self.run
        if self.score is not None and not run.step and not run.best:
            start = self._take()
            score = float(self._scores(start).mean())
            if math.isfinite(score):
                run.best, run.best_score = start, score

    def make(self) -> None:
        """Score the weights, take them as the best if they are, and leave the run in its checkpoint."""
        run = self.run
        line = {"step": float(run.step)} | {player.name: player.said() for player in self.players}
        last = self._take()
        if self.score is None:
            run.best = last
        else:
            line["held"] = float(self._scores(last).mean())
            if not math.isfinite(line["held"]):
                run.ended = DIVERGED
                return
            run.waited += 1
            if line["held"] > run.best_score or not run.best:
                run.best, run.best_score, run.waited = last, line["held"], 0
        run.history.append(line)
        if self.keep is not None:
            self.keep(run)
        if self.tell is not None:
            self.tell(run.step, self.plan.steps, line)

    def leave(self) -> None:
        """Leave the run in its checkpoint between two marks, as if nobody had looked."""
        self._take()
        if self.keep is not None:
            self.keep(self.run)

    def _take(self) -> Tensors:
        """Take weights and optimiser into the run; the weights that a fit would end with now."""
        run = self.run
        run.state = taken(self.model)
        run.optimiser = {name: value for player in self.players for name, value in player.state().items()}
        return {name: value.clone() for name, value in (run.state | run.average).items()}

    def choose(self) -> None:
        """End with the last weights or the best ones; where the fit was cut short, with whichever are better."""
        run = self.run
        best = run.best
        if self.plan.last and run.ended != DIVERGED:
            best = {name: value.clone() for name, value in (taken(self.model) | run.average).items()}
        elif run.ended in (INTERRUPTED, STOPPED):
            last = {name: value.clone() for name, value in (taken(self.model) | run.average).items()}
            if not best or self.score is None or float(self._scores(last).mean()) > run.best_score:
                best = last
        elif self.score is not None and not run.ended and best and self.plan.patience is None:
            last = run.state | run.average
            if ends_with_last(self._scores(best), self._scores(last)):
                best = last
        if best:
            put(self.model, best)

    def _scores(self, weights: Tensors) -> Scores:
        """The held-out scores under these weights; the model keeps its own."""
        assert self.score is not None
        own = taken(self.model)
        try:
            put(self.model, weights)
            self.model.eval()
            with torch.no_grad():
                return self.score().double().cpu()
        finally:
            self.model.train()
            put(self.model, own)


def taken(model: nn.Module) -> Tensors:
    """A copy of a model's weights and buffers by name."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def put(model: nn.Module, tensors: Tensors) -> None:
    """Give a model what `taken` took."""
    model.load_state_dict(tensors)
