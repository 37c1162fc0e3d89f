"""What estimators do alike whose model over the places of columns is learnt by gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from time import monotonic
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from begat.core import Batch
from begat.errors import DataError
from begat.estimators import places_file, training
from begat.estimators.checkpoint import Checkpoint
from begat.estimators.cutting import Cut
from begat.estimators.device import chosen
from begat.fitting.loop import held_out_score, train
from begat.fitting.plan import Plan, Run
from begat.fitting.together import joined
from begat.leaves.places import Places
from begat.nets.places import Scale
from begat.random import seed_of

PASSES, STEPS, MARKS = 100, 5_000, (20, 100)
"""Passes over the rows and steps at most, where nothing is said, and steps from mark to mark: a pass, within these."""
BATCHES = (64, 512)
"""Rows of a batch: about the root of three times the rows, within these."""
MOST = 2**16
"""The largest size of a network that a file may state."""


class Said(Protocol):
    """The hyper-parameters that all of them have."""

    rate: float | str
    decay: float | str
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


def plan_of(
    said: Said, rows: Cut, *, rate: float, decay: float, patience: int | None, batch: int | None = None,
    passes: int = PASSES,
) -> Plan:  # fmt: skip
    """How a fit to these rows goes, as the estimator says, and as here where it says "auto".

    Where nothing is said of `epochs` it has so many passes or STEPS at most; a number of them is made in full. The rate
    is constant: what the fit gives is the mean of the weights over the last ninth of the steps, and it ends when that
    has not been better on held-out rows for so many marks.
    """
    size = batch_of(rows, said) if batch is None or said.batch != "auto" else batch
    held, here = training.held_out(len(rows.cells), said.validation, seed_of(said.random_state))
    one = -(-int(here.sum()) // size)
    until_it_stalls = said.epochs == "auto"
    return Plan(
        steps=min(one * passes, STEPS) if until_it_stalls else one * int(said.epochs), batch=size,
        rate=rate if said.rate == "auto" else float(said.rate), warm=0.0, cool=0.0,
        decay=decay if said.decay == "auto" else float(said.decay), average=1.0,
        every=min(max(one, MARKS[0]), MARKS[1]), patience=patience if len(held) and until_it_stalls else None,
        seed=seed_of(said.random_state),
    )  # fmt: skip


def learn(
    estimator: Any,
    rows: Cut,
    examples: Batch,
    plan: Plan,
    *,
    sizes: Any,
    started: float,
    checkpoint: str | PathLike[str] | None,
    tell: Callable[[int, int, float | None], Any] | None,
    floor: Tensor | None = None,
    score: Callable[[], Tensor] | None = None,
    model: Any = None,
) -> None:
    """Fit the estimator's `model_` to these rows, of which some are held out; sets what the estimator says of its fit.

    examples: the rows as the model reads them. sizes: what else a checkpoint must agree in. floor: what the held-out
    score is counted from, of each row (n,). score: of the model as it is, in place of that of held-out rows. model: a
    part of it that is fitted after the rest, with a checkpoint of its own, by its own held-out score.
    """
    n, weight, part = len(rows.cells), rows.weight, model
    model = estimator.model_ if model is None else model
    if part is None:
        estimator.leaves_, estimator.rows_ = rows.names, float(n if weight is None else weight.sum())
        estimator.history_, estimator.ended_, estimator._held = [], "", places_file.contains(estimator, rows)
    if not any(True for _ in model.parameters()):  # the class is the only column
        return
    held, here = training.held_out(n, estimator.validation, plan.seed)
    share = None if weight is None else (weight[here] / weight[here].mean()).float()
    feed = examples.rows(here).having(weight=share)
    device, run, keep, mean_floor = chosen(estimator.device), Run(), None, 0.0
    if checkpoint is not None:
        name = type(estimator if part is None else part).__name__.lower()
        store = Checkpoint(checkpoint, name, estimator, [plan.seed, plan.batch, sizes], rows)
        run = store.read(Run.unpacked) or run

        def keep(r: Run) -> None:
            store.write(*r.packed())

    if score is None and len(held) and len(model.objectives()) == 1:
        seen = examples.rows(held).having(weight=None).to(device)
        score = held_out_score(model, seen, plan.seed)
        mean_floor = 0.0 if floor is None else float(floor[held].mean())

    def told(step: int, steps: int, line: dict[str, float]) -> None:
        gain = line["held"] - mean_floor if "held" in line else None
        tell(-(-step // plan.every), -(-steps // plan.every), gain)  # type: ignore[misc]

    left = None if estimator.seconds is None else max(estimator.seconds - (monotonic() - started), 1e-3)
    model.to(device)
    with joined(device) as world:
        run = train(
            model, feed, plan, run, score=score, world=world, device=device, seconds=left, keep=keep,
            tell=None if tell is None else told,
        )  # fmt: skip
    model.requires_grad_(False)
    estimator.ended_ = estimator.ended_ or run.ended
    if part is not None:
        return
    estimator.history_ = [line["held"] - mean_floor for line in run.history if "held" in line]


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


def latent(z: Any, size: int) -> np.ndarray:
    """Normal numbers of rows that a person gives (n, size), as float32. DataError for what are none."""
    wanted = f"expected finite numbers (n, {size})"
    try:
        given = np.asarray(z)
    except ValueError:  # lists of different lengths
        raise DataError(f"z has rows of different lengths; {wanted}") from None
    if given.dtype.kind not in "biuf" or given.ndim != 2 or given.shape[1] != size:
        raise DataError(f"z is {given.dtype} of the shape {given.shape}; {wanted}")
    if not len(given) or not np.isfinite(given).all():
        raise DataError(f"z has no rows, or numbers that are not finite; {wanted}")
    return given.astype(np.float32)


def ends(one: np.ndarray, two: np.ndarray, steps: Any) -> tuple[np.ndarray, np.ndarray]:
    """The latents of two rows between which so many shall lie. DataError for what are none."""
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 2:
        raise DataError(f"steps is {steps!r}; give a whole number, at least 2")
    if len(one) != 1 or len(two) != 1:
        raise DataError(f"a and b have {len(one)} and {len(two)} rows; give one row each")
    return one, two


def described(estimator: Any, **said: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A fitted estimator as JSON, with what it says of its network, and the tensors of network and places."""
    columns, own = places_file.describe_all(estimator._places)
    net = {name: value for name, value in estimator.model_.state_dict().items() if name.startswith("net.")}
    return {"columns": columns, **said, **places_file.course(estimator)}, net | own


def load(model: Any, tensors: Mapping[str, Tensor]) -> None:
    """Give a model's network the tensors of a file."""
    own = {n.removeprefix("net."): t.clone() for n, t in tensors.items() if n.startswith("net.")}
    model.net.load_state_dict(own)
    model.eval().requires_grad_(False)


def as_cells(rows: Cut) -> tuple[Batch, Tensor]:
    """Rows as places, and log P of each row under independent columns -> (n,); 0 of cells that are not known."""
    floor = torch.zeros(len(rows.cells), dtype=torch.float64)
    for places, cells in zip(rows.places, rows.cells.T, strict=True):
        known = cells < places.size
        floor += torch.where(known, places.log_base[cells.long().clamp(max=places.size - 1)], 0.0)
    return Batch((rows.cells.long(),), (None,)), floor


def as_pieces(model: Any, batches: Iterable[Batch], rows: Cut) -> tuple[Batch, Cut]:
    """Rows as pieces of the model's cube, those of weight 0 left out; `rows` without them, too. DataError where a cell
    is unknown, which such a model learns nothing from."""
    pieces = []
    for batch in batches:
        found = model.found(batch)
        if not bool(found.known.all()):
            row, i = (int(at) for at in (~found.known).nonzero()[0])
            raise DataError(
                f"a row of the fit lacks a cell whose absence is no outcome (row {row}, column {i} of those modelled); "
                "leave missing='outcome', impute first, or take Circuit, Autoregressive or VAE"
            )
        pieces.append(model.cube.pieces(found, batch.weight))
    x = tuple(torch.cat([p.x[i] for p in pieces]) for i in range(2))
    cond = None if pieces[0].cond is None else torch.cat([p.cond for p in pieces])
    whole = Batch(x, (None, None), cond)
    return whole if rows.weight is None else whole.rows(rows.weight > 0), rows.counted()
