"""The one loop: every player of a model lowers what it wants lowered, a step each in turn."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from begat.core import Batch, Objective
from begat.fitting.course import DIVERGED, INTERRUPTED, STOPPED, ends_with_last, finite, step_of
from begat.fitting.together import ALONE, World
from begat.random import Noise, mixed

Losses = Float[Tensor, " n"]
Scores = Float[Tensor, " held"]
Rows = Int[Tensor, " m"]
Tensors = dict[str, Tensor]
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


@dataclass(frozen=True)
class Plan:
    """How a fit goes: so many steps of AdamW on batches of `batch` rows.

    The rate rises linearly over the share `warm` of the steps and falls to nothing over the share `cool` at the end,
    as a cosine. clip: the norm that a gradient is cut to. decay: of weights that are matrices, per unit of rate.
    average: the largest decay of the running mean of the weights, (1 + step) / (10 + step) at first, which is what the
    fit gives; 0 for none, 1 for the mean over the last ninth or so of all steps. every: steps between two marks, at
    which a fit is scored and left in its checkpoint. patience: marks without a better score at which it stops. seed:
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
    players = [_Player(each, plan, world) for each in model.objectives()]
    if run.state:
        _put(model, run.state)
        for player in players:
            player.restore(run.optimiser)
    if plan.average:
        weights = {name: p.detach().clone() for name, p in model.named_parameters()}
        run.average = {name: run.average.get(name, p).to(p.device) for name, p in weights.items()}
    marks = _Marks(model, players, plan, run, score, keep if world.rank == 0 else None, tell)
    marks.begin()
    model.train()
    over = plan.patience is not None and run.waited >= plan.patience  # a fit that had ended goes on no further
    try:
        for rows in () if over else _order(plan, run.step, len(feed)):
            mine = world.share(len(rows))
            batch = feed.rows(rows[mine]).to(device)
            for player in players:
                with _alone(players, player):
                    player.step(batch, run.step, mine.start, len(rows))
            run.step += 1
            _follow(run.average, model, plan, run.step)
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
            f"the fit diverged at step {run.step:,}: no finite gradient in {BAD} steps; it keeps its best state so far "
            f"(a rate below {plan.rate:g} may help)",
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


class _Player:
    """One player's parameters, its optimiser, and how many steps in a row it could not make."""

    def __init__(self, objective: Objective, plan: Plan, world: World):
        self.name, self.player, self.loss = objective
        self.plan, self.world = plan, world
        self.named = [(name, p) for name, p in self.player.named_parameters() if p.requires_grad]
        self.parameters = [p for _, p in self.named]
        matrices = [p for p in self.parameters if p.ndim > 1]
        others = [p for p in self.parameters if p.ndim <= 1]
        groups = [
            {"params": group, "weight_decay": decay}
            for group, decay in ((matrices, plan.decay), (others, 0.0))
            if group
        ]
        fused = all(p.device.type in ("cpu", "cuda") for p in self.parameters)
        self.optimiser = torch.optim.AdamW(groups, lr=plan.rate, betas=plan.betas, fused=fused)
        self.total, self.steps, self.bad = 0.0, 0, 0

    def step(self, batch: Batch, step: int, first: int, of: int) -> None:
        """Lower the mean loss of a batch, of which this process has the rows from `first` on of `of`."""
        noise = Noise(mixed(self.plan.seed, step, self.name), len(batch), first=first, of=of, device=batch.device)
        each = self.loss(batch, noise)
        loss = each.sum() / of if batch.weight is None else (each * batch.weight).sum() / of
        loss.backward()
        self.world.add([p.grad for p in self.parameters if p.grad is not None])
        value = self.world.total(loss)
        fine = math.isfinite(value)
        if fine and self.plan.clip is not None:
            fine = math.isfinite(float(nn.utils.clip_grad_norm_(self.parameters, self.plan.clip)))
        if fine:
            for group in self.optimiser.param_groups:
                group["lr"] = self.plan.rate_at(step)
            self.optimiser.step()
            self.total, self.steps, self.bad = self.total + value, self.steps + 1, 0
        else:
            self.bad += 1
        self.optimiser.zero_grad()

    def said(self) -> float:
        """The mean loss since the last time this was asked."""
        out, self.total, self.steps = self.total / max(self.steps, 1), 0.0, 0
        return out

    def state(self) -> Tensors:
        """The optimiser's tensors by name."""
        return {
            f"{self.name}/{name}/{key}": value.detach().clone()
            for name, p in self.named
            for key, value in self.optimiser.state[p].items()
        }

    def restore(self, tensors: Tensors) -> None:
        """Set what `state` gave."""
        for name, p in self.named:
            start = f"{self.name}/{name}/"
            own = {k.removeprefix(start): v.clone().to(p.device) for k, v in tensors.items() if k.startswith(start)}
            if own:
                self.optimiser.state[p] = own


class _Marks:
    """What happens at a mark, and which weights the fit ends with."""

    def __init__(
        self,
        model: nn.Module,
        players: list[_Player],
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
        run.state = _taken(self.model)
        run.optimiser = {name: value for player in self.players for name, value in player.state().items()}
        return {name: value.clone() for name, value in (run.state | run.average).items()}

    def choose(self) -> None:
        """End with the last weights or the best ones; where the fit was cut short, with whichever are better."""
        run = self.run
        best = run.best
        if run.ended in (INTERRUPTED, STOPPED):
            last = {name: value.clone() for name, value in (_taken(self.model) | run.average).items()}
            if not best or self.score is None or float(self._scores(last).mean()) > run.best_score:
                best = last
        elif self.score is not None and not run.ended and best and self.plan.patience is None:
            last = run.state | run.average
            if ends_with_last(self._scores(best), self._scores(last)):
                best = last
        if best:
            _put(self.model, best)

    def _scores(self, weights: Tensors) -> Scores:
        """The held-out scores under these weights; the model keeps its own."""
        assert self.score is not None
        own = _taken(self.model)
        try:
            _put(self.model, weights)
            self.model.eval()
            with torch.no_grad():
                return self.score().double().cpu()
        finally:
            self.model.train()
            _put(self.model, own)


def _order(plan: Plan, step: int, n: int) -> Iterator[Rows]:
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


@contextmanager
def _alone(players: list[_Player], player: _Player) -> Iterator[None]:
    """Only this player's parameters have gradients meanwhile."""
    others = [p for each in players if each is not player for p in each.parameters]
    for p in others:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in others:
            p.requires_grad_(True)


def _follow(average: Tensors, model: nn.Module, plan: Plan, step: int) -> None:
    """Move the running mean towards the weights; at first, when they are still moving far, faster."""
    if average:
        keep = min(plan.average, (1 + step) / (10 + step))
        weights = dict(model.named_parameters())
        with torch.no_grad():
            torch._foreach_lerp_(list(average.values()), [weights[name].detach() for name in average], 1 - keep)


def _taken(model: nn.Module) -> Tensors:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _put(model: nn.Module, tensors: Tensors) -> None:
    model.load_state_dict(tensors)
