"""The one loop: every player of a model lowers what it wants lowered, a step each in turn."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol, runtime_checkable

import torch

from begat.core import Batch
from begat.fitting.course import DIVERGED, INTERRUPTED, STOPPED
from begat.fitting.marks import Marks, Scores, put
from begat.fitting.plan import Plan, Rows, Run, order_of
from begat.fitting.player import Player, alone
from begat.fitting.together import ALONE, World
from begat.random import Noise, mixed

BAD = 10
"""Steps in a row without a finite gradient at which a fit is over."""
HELD = 2048
"""Held-out rows that are scored at a time."""


@runtime_checkable
class Feed(Protocol):
    """Where encoded rows come from: a batch in memory, or a source that is encoded as it is read."""

    def __len__(self) -> int: ...

    def rows(self, rows: Rows) -> Batch:
        """The examples of these numbers, in this order."""
        ...


def train(
    model: Any,
    feed: Feed,
    plan: Plan,
    run: Run | None = None,
    *,
    score: Callable[[], Scores] | None = None,
    world: World = ALONE,
    device: torch.device | str = "cpu",
    seconds: float | None = None,
    keep: Callable[[Run], Any] | None = None,
    tell: Callable[[int, int, dict[str, float]], Any] | None = None,
) -> Run:
    """Fit a model by gradients and leave it with its best weights; the run, which `run` goes on with, is changed.

    score: of each held-out row under the model as it then is, more is better. world: the processes that share each
    batch. seconds: the fit ends at the first step after them; they drive no rate. keep: called with the run at each
    mark, to be able to go on from there, bit for bit on a processor. tell: called at each mark with the step, the
    number of steps and the mark's line of the history. KeyboardInterrupt ends the fit with the best weights so far, and
    so do BAD steps in a row without a finite gradient, with a warning.
    """
    run = Run() if run is None else run
    started = monotonic()
    players = [Player(each, plan, world) for each in model.objectives()]
    if run.state:
        put(model, run.state)
        for player in players:
            player.restore(run.optimiser)
    if plan.average:
        followed = {name: p.detach() for name, p in model.named_parameters()}
        run.average = {name: run.average.get(name, p).to(p.device, copy=True) for name, p in followed.items()}
    marks = Marks(model, players, plan, run, score, keep if world.rank == 0 else None, tell)
    marks.begin()
    model.train()
    over = plan.patience is not None and run.waited >= plan.patience  # a fit that had ended goes on no further
    try:
        for rows in () if over else order_of(plan, run.step, len(feed)):
            mine = world.share(len(rows))
            batch = feed.rows(rows[mine]).to(device)
            for player in players:
                with alone(players, player):
                    player.step(batch, run.step, mine.start, len(rows))
            run.step += 1
            if plan.average:
                moved = 1 - min(plan.average, (1 + run.step) / (10 + run.step))
                torch._foreach_lerp_(list(run.average.values()), list(followed.values()), moved)
            late = seconds is not None and world.any(monotonic() - started > seconds, device)
            if max(player.bad for player in players) >= BAD:
                run.ended = DIVERGED
            elif run.step % plan.every == 0 or run.step == plan.steps:
                marks.make()
                if plan.patience is not None and world.any(run.waited >= plan.patience, device):
                    break
            elif late:
                marks.leave()
            if late and run.step < plan.steps:
                run.ended = run.ended or STOPPED
            if run.ended:
                break
    except KeyboardInterrupt:
        run.ended = INTERRUPTED
    if run.ended == DIVERGED:
        warnings.warn(
            f"the fit diverged at step {run.step:,}: no finite gradient in {BAD} steps, or no finite score; it keeps "
            f"its best state so far (a rate below {plan.rate:g} may help)",
            UserWarning,
            stacklevel=2,
        )
    marks.choose()
    model.eval()
    return run


def held_out_score(model: Any, batch: Batch, seed: int) -> Callable[[], Scores]:
    """A score for `train`: minus the loss of each of these rows, of the one player, under noise that stays the same."""
    (objective,) = model.objectives()

    def score() -> Scores:
        found = []
        for number, first in enumerate(range(0, len(batch), HELD)):
            piece = batch.rows(slice(first, first + HELD))
            noise = Noise(mixed(seed, "held out", number), len(piece), device=batch.device)
            found.append(-objective.loss(piece, noise))
        return torch.cat(found)

    return score
