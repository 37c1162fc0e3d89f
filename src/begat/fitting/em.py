"""Stepwise expectation maximisation: counts of a batch at a time, mixed into running ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from begat.core import Stats
from begat.fitting.course import INTERRUPTED, STOPPED, ends_with_last, finite, step_of
from begat.random import mixed

Rows = Int[Tensor, "n d"]
Weight = Float[Tensor, " n"]
Scores = Float[Tensor, " held"]
Tensors = dict[str, Tensor]
FIRST_RATE = 0.75
"""The share of a batch in the running counts at the start: states that are still to be found are soon forgotten."""
LEAST_RATE = 1e-3


class Learner(Protocol):
    """A model of counts: its statistics under its current parameters, and the parameters that they give."""

    def statistics(self, rows: Rows, weight: Weight | None = None, kept: float = 1.0) -> Stats: ...

    def maximise(self, stats: Stats, anew: bool = False) -> None: ...

    def state(self) -> Tensors:
        """All that `maximise` starts from and sets, by name."""
        ...

    def restore(self, tensors: Tensors) -> None: ...


@dataclass(frozen=True)
class Schedule:
    """How a fit goes: epochs of batches of `batch` rows, each cell hidden with the probability `hide`.

    The rate falls linearly over the epochs. A hidden cell sends no message and is counted nowhere, which keeps the
    states from remembering single rows, as dropout does a network. seed: of the order of the rows, a function of
    (seed, epoch), and of what is hidden, one of (seed, step).
    """

    epochs: int
    batch: int = 1024
    hide: float = 0.3
    seed: int = 0


@dataclass
class Course:
    """Where a fit is: the next step, running counts, the learner's state, the best state so far and its score.

    history: the held-out score after each epoch, nats per row. ended: why the fit is over, if it is.
    """

    step: int = 0
    stats: Tensors = field(default_factory=dict)
    state: Tensors = field(default_factory=dict)
    best: Tensors = field(default_factory=dict)
    best_score: float = -math.inf
    history: list[float] = field(default_factory=list)
    ended: str = ""

    def packed(self) -> tuple[dict[str, Any], dict[str, Tensors]]:
        """What a checkpoint holds: JSON values, and tensors by group."""
        said = {"step": self.step, "best_score": finite(self.best_score), "history": self.history}
        return said, {"stats": self.stats, "state": self.state, "best": self.best}

    @classmethod
    def unpacked(cls, said: Mapping[str, Any], groups: Mapping[str, Tensors]) -> Course:
        """The course that `packed` gave. LookupError, TypeError or ValueError for what is none."""
        best = said["best_score"]
        course = cls(step_of(said["step"]), groups["stats"], groups["state"], groups["best"])
        course.best_score = -math.inf if best is None else float(best)
        course.history = [float(score) for score in said["history"]]
        return course


def stepwise(
    learner: Learner,
    rows: Rows,
    unknown: Int[Tensor, " d"],
    schedule: Schedule,
    course: Course,
    *,
    weight: Weight | None = None,
    score: Callable[[], Scores] | None = None,
    seconds: float | None = None,
    keep: Callable[[Course], Any] | None = None,
    tell: Callable[[int, int, float | None], Any] | None = None,
) -> Course:
    """Fit by stepwise EM: S <- (1 - eta) S + eta (n / m) s(batch), then the parameters that S gives, m rows a batch.

    Cappe and Moulines, "On-line expectation-maximization for latent data models" (2009), equation 10; Liang and Klein,
    "Online EM for unsupervised models" (2009), section 3.2.

    course: where to begin, with the first running counts (of all rows) in `stats`; it is changed, and its `best` is
    the state that the learner has at the end: the last one, unless the held-out rows are less probable under it than
    under the best one by more than a standard error, or the fit was cut short. unknown: what stands for a hidden cell
    of each column. score: the log-likelihood of each held-out row. seconds: the fit ends at the first step after them;
    they drive no rate. keep: called with the course after each epoch, to be able to go on from there. tell: called
    after each epoch with its number, the number of epochs, and the mean score. KeyboardInterrupt ends the fit with the
    best state so far.
    """
    n, started = len(rows), monotonic()
    steps = -(-n // schedule.batch)
    total = steps * schedule.epochs
    whole = float(n) if weight is None else float(weight.sum())
    if course.state:
        learner.restore(course.state)
    try:
        while course.step < total and not course.ended:
            epoch, within = divmod(course.step, steps)
            order = torch.randperm(n, generator=_generator(schedule.seed, "order", epoch))
            for step in range(within, steps):
                batch = order[step * schedule.batch : (step + 1) * schedule.batch]
                share = None if weight is None else weight[batch]
                shown = _hidden(rows[batch].long(), unknown, schedule, course.step)
                new = learner.statistics(shown, share, 1.0 - schedule.hide)
                scale = whole / (len(batch) if share is None else max(float(share.sum()), 1e-30))
                rate = max(FIRST_RATE * (1 - course.step / total), LEAST_RATE)
                for name, held in course.stats.items():
                    held.mul_(1 - rate).add_(new[name], alpha=rate * scale)
                learner.maximise(course.stats, anew=step == steps - 1)
                course.step += 1
                if seconds is not None and monotonic() - started > seconds:
                    course.ended = STOPPED
                    break
            _settle(learner, course, score)
            if keep is not None:
                keep(course)
            if tell is not None:
                tell(course.step // steps, schedule.epochs, course.history[-1] if course.history else None)
        _choose(learner, course, score)
    except KeyboardInterrupt:
        course.ended = INTERRUPTED
        if not course.best:
            _settle(learner, course, score)
    learner.restore(course.best or learner.state())
    return course


def _settle(learner: Learner, course: Course, score: Callable[[], Scores] | None) -> None:
    """Take the learner's state into the course, as the best one if it is."""
    course.state = {name: value.clone() for name, value in learner.state().items()}
    if score is None:
        course.best = course.state
        return
    found = float(score().mean())
    course.history.append(found)
    if found > course.best_score or not course.best:
        course.best, course.best_score = course.state, found


def _choose(learner: Learner, course: Course, score: Callable[[], Scores] | None) -> None:
    """The last state in place of the best one, where a fit ends with it."""
    if score is None or course.ended or not course.state:
        return
    learner.restore(course.best)
    best = score()
    learner.restore(course.state)
    last = score()
    if ends_with_last(best, last):
        course.best, course.best_score = course.state, float(last.mean())


def _hidden(rows: Rows, unknown: Int[Tensor, " d"], schedule: Schedule, step: int) -> Rows:
    if not schedule.hide:
        return rows
    u = torch.rand(rows.shape, generator=_generator(schedule.seed, "hide", step))
    return torch.where(u < schedule.hide, unknown, rows)


def _generator(*parts: int | str) -> Generator:
    return Generator().manual_seed(mixed(*parts))
