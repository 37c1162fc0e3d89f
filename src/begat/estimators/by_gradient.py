"""What estimators do alike whose model over the places of columns is learnt by gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from time import monotonic
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from begat.core import Batch
from begat.estimators import places_file, training
from begat.estimators.checkpoint import Checkpoint
from begat.estimators.cutting import Cut
from begat.estimators.device import chosen
from begat.fitting.loop import held_out_score, train
from begat.fitting.plan import Plan, Run
from begat.fitting.together import joined
from begat.leaves.places import Places
from begat.nets.places import Scale

PASSES, STEPS, MARKS = 100, 5_000, (20, 100)
"""Passes over the rows and steps at most, where nothing is said, and steps from mark to mark: a pass, within these."""
BATCHES = (64, 512)
"""Rows of a batch: about the root of three times the rows, within these."""
MOST = 2**16
"""The largest size of a network that a file may state."""


class Said(Protocol):
    """The hyper-parameters that all of them have."""

    batch: int | str
    epochs: int | str
    validation: float
    device: str
    seconds: float | None
    random_state: Any


def batch_of(rows: Cut, said: Said) -> int:
    """Rows of a batch, as said, or for so many rows."""
    if said.batch != "auto":
        return int(said.batch)
    least, most = BATCHES
    return round(min(max((3 * len(rows.cells)) ** 0.5, least), most))


def learn(
    estimator: Any,
    rows: Cut,
    seed: int,
    *,
    rate: float,
    decay: float,
    batch: int,
    patience: int,
    sizes: Any,
    started: float,
    checkpoint: str | PathLike[str] | None,
    tell: Callable[[int, int, float | None], Any] | None,
) -> None:
    """Fit the estimator's `model_` to these rows, of which some are held out; sets what the estimator says of its fit.

    sizes: what else a checkpoint must agree in. Where nothing is said of `epochs` the fit has PASSES or STEPS at most;
    a number of them is made in full. The rate is constant: what the fit gives is the mean of the weights over the last
    ninth of the steps, and it ends when that has not been better for so many marks.
    """
    n, weight = len(rows.cells), rows.weight
    estimator.leaves_, estimator.rows_ = rows.names, float(n if weight is None else weight.sum())
    held, here = training.held_out(n, estimator.validation, seed)
    share = None if weight is None else (weight[here] / weight[here].mean()).float()
    feed = Batch((rows.cells[here].long(),), (None,), None, share)
    one = -(-len(feed) // batch)
    until_it_stalls = estimator.epochs == "auto"
    plan = Plan(
        steps=min(one * PASSES, STEPS) if until_it_stalls else one * int(estimator.epochs), batch=batch,
        rate=rate, warm=0.0, cool=0.0, decay=decay, average=1.0, every=min(max(one, MARKS[0]), MARKS[1]),
        patience=patience if len(held) and until_it_stalls else None, seed=seed,
    )  # fmt: skip
    device = chosen(estimator.device)
    run, keep, score, floor = Run(), None, None, 0.0
    if checkpoint is not None:
        name = type(estimator).__name__.lower()
        store = Checkpoint(checkpoint, name, estimator, [seed, batch, sizes], rows)
        run = store.read(Run.unpacked) or run

        def keep(r: Run) -> None:
            store.write(*r.packed())

    if len(held):
        seen = Batch((rows.cells[held].long(),), (None,)).to(device)
        score = held_out_score(estimator.model_, seen, seed)
        floor = float(sum(_base(p, c).mean() for p, c in zip(rows.places, rows.cells[held].T, strict=True)))

    def told(step: int, steps: int, line: dict[str, float]) -> None:
        gain = line["held"] - floor if "held" in line else None
        tell(-(-step // plan.every), -(-steps // plan.every), gain)  # type: ignore[misc]

    left = None if estimator.seconds is None else max(estimator.seconds - (monotonic() - started), 1e-3)
    estimator.model_.to(device)
    with joined(device) as world:
        run = train(
            estimator.model_, feed, plan, run, score=score, world=world, device=device, seconds=left, keep=keep,
            tell=None if tell is None else told,
        )  # fmt: skip
    estimator.model_.requires_grad_(False)
    estimator.history_ = [line["held"] - floor for line in run.history if "held" in line]
    estimator.ended_ = run.ended
    estimator._held = places_file.contains(estimator, rows)


def scales(places: list[Places]) -> list[Scale]:
    """The columns as networks know them."""
    return [Scale(p.log_base, p.intervals) for p in places]


S = TypeVar("S", bound=tuple[int, ...])


def stated(kind: type[S], said: Any) -> S:
    """The sizes of a network that a file states. ValueError for what are none."""
    size = kind(*said)
    if any(type(part) is not int or not 0 <= part <= MOST for part in size):
        raise ValueError(f"the sizes of its network are {size}")
    return size


def load(model: Any, tensors: Mapping[str, Tensor]) -> None:
    """Give a model's network the tensors of a file."""
    own = {n.removeprefix("net."): t.clone() for n, t in tensors.items() if n.startswith("net.")}
    model.net.load_state_dict(own)
    model.eval().requires_grad_(False)


def _base(places: Places, cells: Tensor) -> Tensor:
    """log p0 of places that are known, 0 of others -> (n,)."""
    known = cells < places.size
    return torch.where(known, places.log_base[cells.long().clamp(max=places.size - 1)], 0.0)
