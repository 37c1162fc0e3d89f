"""From rows cut into places to a fitted circuit: structure, start, stepwise EM, and what nobody says of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from begat.core import Spec
from begat.estimators import structure
from begat.families.circuit import Circuit as Model
from begat.fitting.em import Course, Schedule, stepwise
from begat.leaves.places import Places
from begat.maths.paired import surpasses
from begat.random import mixed

ROWS = 2048
"""Rows whose messages are passed at a time."""
MOST_UNITS, LANES = 256, 8
"""States of a latent at most, and what more of them are first a multiple of, as processors like it, where nothing is
said."""
POWER = 0.57
"""Of n rows, the states of a latent are about n to this power, where nothing is said."""
WORK = 16 * MOST_UNITS**2
"""Cells of all tables between latents at most, about, where nothing is said: what a step of learning costs."""
EPOCHS = (4, 30, 60)
"""Passes over the rows, where nothing is said: at least, over TYPICAL rows, at most; fewer over more of them."""
TYPICAL = 10_000
HIDE, MANY = (0.3, 0.1), 2_000
"""The probability with which a cell is hidden, where nothing is said, of fewer rows than so many and of more."""
SMALL = 4_000
"""Rows up to which the number of states is chosen by held-out likelihood."""
FEW_RANK, SMALL_RANK, RANKS, ROWS_EACH = 6, 4, (3, 8), 3_000
"""Statistics of a table between two latents, where nothing is said: of fewer than MANY rows and of up to SMALL, whose
states are few; of more rows at least, at most, and rows for each. With more of them what is drawn is nearer to the rows
of the fit than to others."""

Cells = Int[Tensor, "n d"]
Weight = Float[Tensor, " n"]


@dataclass(frozen=True)
class Recipe:
    """What a circuit is made with, whatever the number of its states: see the estimator's keywords.

    root: the column whose latent is the first. pull: how much it weighs in the tree.
    """

    spec: Spec
    root: int | None
    tree: bool
    rank: int
    alpha: float
    hide: float
    seed: int
    pull: structure.Pull = structure.PULLS[0]


class Fitted(NamedTuple):
    """A circuit, the structure it has, and how its fit went."""

    model: Model
    found: structure.Structure
    course: Course


def fit(
    recipe: Recipe,
    places: Sequence[Places],
    cells: Cells,
    weight: Weight | None,
    units: int,
    epochs: int,
    *,
    held: Cells,
    batch: int,
    begin: Callable[[Course], tuple[Course, Any]] | None = None,
    **how: Any,
) -> Fitted:
    """A circuit of so many states, fitted to rows of these weights and scored by rows held out.

    begin: where to go on from, and what keeps the course, given the course at the start. how: `seconds` and `tell`, as
    of `stepwise`.
    """
    found = structure.learn(places, cells, weight, root=recipe.root, states=units, tree=recipe.tree, pull=recipe.pull)
    units = 1 if all(h < 0 for h in found.hosts) else units
    laws = [structure.law(p, units, recipe.alpha, alone=h < 0) for p, h in zip(places, found.hosts, strict=True)]
    model = Model(recipe.spec, laws, found.hosts, found.parents, units)
    rng = torch.Generator().manual_seed(mixed(recipe.seed, "start", units))
    stats = structure.start(laws, found, cells, weight, units, rng)
    model.begin(stats, recipe.rank, structure.EVEN)
    course, keep = (Course(stats=stats), None) if begin is None else begin(Course(stats=stats))
    unknown = torch.tensor([p.size for p in places])
    plan = Schedule(epochs, batch, recipe.hide, seed=recipe.seed)
    score = (lambda: dependence(model, held)) if len(held) else None
    course = stepwise(model, cells, unknown, plan, course, weight=weight, score=score, keep=keep, **how)
    return Fitted(model, found, course)


def dependence(model: Model, cells: Cells) -> Float[Tensor, " n"]:
    """log P(x) - sum_d log p0(x_d) of rows given as places -> (n,)."""
    return torch.cat([model.log_ratio(piece.long()) for piece in cells.split(ROWS)])


def better(one: Fitted, other: Fitted, held: Cells) -> bool:
    """Whether held-out rows are more probable under one circuit than under the other by more than a standard error."""
    return len(held) > 0 and surpasses(dependence(one.model, held) - dependence(other.model, held))


# what nobody says -------------------------------------------------------------------------------------------------
def sizes(n: int, columns: int) -> tuple[int, ...]:
    """The numbers of states to try for n rows, in turn for as long as fewer are better."""
    wish = min(max(n, 1) ** POWER, MOST_UNITS, math.sqrt(WORK / max(columns, 1)))
    most = round(wish / LANES) * LANES if wish > LANES else max(round(wish), 1)
    return tuple(dict.fromkeys(max(most // f, 1) for f in ((1,) if n > SMALL else (1, 4, 16, 64))))


def passes(n: int) -> int:
    """Passes over n rows: fewer over more of them."""
    least, typical, most = EPOCHS
    power = 2 / 3 if n < TYPICAL else 1 / 3
    return min(max(round(typical * (TYPICAL / max(n, 1)) ** power), least), most)


def hidden(n: int) -> float:
    """The probability with which a cell of n rows is hidden: .3 of few, .1 of many."""
    return HIDE[n >= MANY]


def ranked(n: int) -> int:
    """Statistics of a table between two latents, of n rows."""
    if n <= SMALL:
        return FEW_RANK if n < MANY else SMALL_RANK
    least, most = RANKS
    return min(max(round(n / ROWS_EACH), least), most)
