"""What a circuit's fit finds out by trial on held-out rows: what its columns lean on, and the pull of its target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from begat.codecs.table import Slot
from begat.core import Batch
from begat.estimators import leaning, structure, training
from begat.estimators.circuit_fit import Recipe, dependence, fit
from begat.estimators.cutting import Cut, cut
from begat.families.coupling import Coupling
from begat.fitting.course import INTERRUPTED
from begat.leaves.places import Places
from begat.maths.paired import surpasses
from begat.random import mixed

LEANING, PULLING = 6_000, 12_000
"""Rows at most of a trial of columns that lean, and of one of pulls, whose gains are less; every fourth is held out, in
an order of its own, for that of the rows may have seasons."""
UNITS, EPOCHS, BATCH = 64, 12, 512
SURE, LIKELY = 4.0, 2.0
"""Standard errors by which held-out rows must be more probable: for columns that lean and for a target without pull, of
which some of what is asked about is lost; for more pull."""

Scores = Float[Tensor, " n"]


def coupling(
    recipe: Recipe,
    wanted: Any,
    slots: Sequence[Slot],
    rows: Cut,
    first: Batch,
    border: Any,
    hub: int | None,
    until: float,
) -> Coupling | None:
    """The coupling that makes held-out rows most probable, if any does; that on this hub without a trial.

    Each is tried with a small circuit on some of the rows `first`. until: the second of the clock at which what has
    been tried decides.
    """
    from begat.estimators import leaves

    found = leaning.candidates(slots, rows.places, first, leaves.settle(wanted, slots), target=recipe.root, hub=hub)
    if hub is not None or not found:
        return found[0] if found else None
    some = first.rows(training.spaced(len(first), LEANING))
    plain, tried = _scores(recipe, rows.places, some, until), []
    for each in found:
        parts = dict(zip(each.columns, leant(each, slots, _of(border, some), lambda b: b).places, strict=True))
        places = [parts.get(d, p) for d, p in enumerate(rows.places)]
        tried.append((each, _scores(recipe, places, each.apart(some), until), SURE))
    return _best(plain, tried)


def leant(found: Coupling, slots: Sequence[Slot], rows: training.Training, seen_as: Callable[[Batch], Batch]) -> Cut:
    """The rows as places of what is left of the columns that lean."""
    return cut("auto", leaning.residual(slots, found), rows, lambda b: found.apart(seen_as(b)))


def merged(rows: Cut, found: Coupling, left: Cut) -> Cut:
    """All columns as places, those that lean as what is left of them."""
    places, cells = list(rows.places), rows.cells.clone()
    for i, d in enumerate(found.columns):
        places[d], cells[:, d] = left.places[i], left.cells[:, i]
    return Cut(places, cells, rows.weight, {**rows.names, **left.names})


def pulled(recipe: Recipe, places: Sequence[Places], first: Batch, until: float) -> Recipe:
    """The recipe with the pull under which held-out rows (and their target given the rest) are most probable.

    Joint likelihood alone would let go of a target that is one of many columns, and yet the one that is asked about.
    """
    if recipe.root is None or not recipe.tree:
        return recipe
    some = first.rows(training.spaced(len(first), PULLING))
    cells = torch.stack([p.find(some) for p in places], 1).int()
    found: dict[Any, Recipe] = {}
    for pull in structure.PULLS:
        tree = structure.learn(places, cells, some.weight, root=recipe.root, states=1, tree=True, pull=pull)
        found.setdefault(tree.links, replace(recipe, pull=pull))
    if len(found) < 2:
        return recipe
    plain, *others = found.values()
    scores = [_scores(each, places, some, until, twice=recipe.root) for each in found.values()]
    errors = [LIKELY if each.pull.times > plain.pull.times else SURE for each in others]
    return _best(scores[0], zip(others, scores[1:], errors, strict=True)) or plain


def _best(plain: Scores | None, tried: Iterable[tuple[Any, Scores | None, float]]) -> Any:
    """What makes held-out rows most probable of all that is better than plain by so many standard errors, if any is;
    None stands for scores that there was no time for."""
    if plain is None:
        return None
    best, most = None, float(plain.mean())
    for each, scores, errors in tried:
        if scores is not None and float(scores.mean()) > most and surpasses(scores - plain, errors):
            best, most = each, float(scores.mean())
    return best


def _of(border: Any, batch: Batch) -> training.Training:
    return training.Training(border, len(batch), batch, [batch])


def _scores(
    recipe: Recipe, places: Sequence[Places], batch: Batch, until: float, *, twice: int | None = None
) -> Scores | None:
    """log P of a quarter of these rows under a small circuit that is fitted to the others; None where that takes until
    later than it may.

    twice: a column whose dependence on the others, log P(x_d | rest) - log p0(x_d), is added once more.
    """
    left = until - monotonic()
    if left <= 0:
        return None
    cells = torch.stack([p.find(batch) for p in places], 1)
    held = torch.randperm(len(cells), generator=torch.Generator().manual_seed(mixed(recipe.seed, "trial"))) % 4 == 3
    units = min(UNITS, max(len(cells) // 64, 1))
    weight = None if batch.weight is None else batch.weight[~held]
    seconds = None if left == torch.inf else left
    made = fit(
        recipe, places, cells[~held].int(), weight, units, EPOCHS, held=cells[held], batch=BATCH, seconds=seconds
    )
    if made.course.ended == INTERRUPTED:  # there is nothing yet to keep
        raise KeyboardInterrupt
    if made.course.ended:
        return None
    here = cells[held]
    whole = dependence(made.model, here)
    score = made.model.log_within(batch.rows(held), here) + whole
    if twice is not None:
        rest = here.clone()
        rest[:, twice] = places[twice].size
        score = score + whole - dependence(made.model, rest)
    return score
