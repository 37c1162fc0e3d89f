"""What estimators with an encoder and a decoder of columns do alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from begat.estimators import by_gradient, places_file
from begat.estimators.store import Slot
from begat.nets.coder import Coder
from begat.random import Seed, generator, mixed, seed_of

EMBED, RANK = 16, 48
"""Numbers of an embedding, and waves that a law of numbers is tilted by."""
RATE, DECAY, PATIENCE = 3e-3, 0.1, 7


class Size(NamedTuple):
    """The sizes of encoder and decoder."""

    latent: int
    width: int
    embed: int
    rank: int
    depth: int


def fit(
    said: Any, X: Any, y: Any, sample_weight: Any, checkpoint: str | PathLike[str] | None,
    tell: Callable[[int, int, float | None], Any] | None,
) -> None:  # fmt: skip
    """Fit an estimator that makes its `model_` by `_model(places, size, rng)`."""
    started = monotonic()
    rows, seed = said._counted(X, y, sample_weight, checkpoint), seed_of(said.random_state)
    said._size = Size(said.latent, said.width, EMBED, RANK, said.depth)
    said.model_ = said._model(rows.places, torch.Generator().manual_seed(mixed(seed, "weights")))
    examples, floor = by_gradient.as_cells(rows)
    plan = by_gradient.plan_of(said, rows, rate=RATE, decay=DECAY, patience=PATIENCE)
    by_gradient.learn(
        said, rows, examples, plan, floor=floor, sizes=list(said._size), started=started, checkpoint=checkpoint,
        tell=tell,
    )  # fmt: skip


def encode(fitted: Any, X: Any) -> np.ndarray:
    """The latents of what is known of rows -> (n, latent)."""
    check_is_fitted(fitted, "model_")
    return fitted.model_.encode(fitted._joint.put(fitted.border_.partial(X, fitted.unseen))).numpy()


def decode(fitted: Any, z: Any, random_state: Seed) -> Any:
    """A row drawn for each latent (n, latent), as a frame like X."""
    check_is_fitted(fitted, "model_")
    latent, rng = by_gradient.latent(z, fitted.model_.net.latent), generator(random_state)
    drawn = fitted.model_.decode(torch.from_numpy(latent), generator=rng)
    return fitted.border_.decode(fitted._joint.taken(drawn), generator=rng)[0]


def layout(header: Mapping[str, Any], columns: int, *, sure: bool) -> dict[str, Slot]:
    """The tensors of a file; sure: whether the latent is a point."""
    model = header["model"]
    sizes, intervals, slots = places_file.layout_all(model["columns"], columns)
    size = by_gradient.stated(Size, model["size"])
    shapes = Coder.layout(sizes, intervals, **size._asdict(), sure=sure)
    return slots | {f"net.{name}": Slot(shape, torch.float32) for name, shape in shapes.items()}


def restore(made: Any, model: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
    """Set the model that a file describes."""
    places = places_file.restored_all(model["columns"], tensors, made._joint.slots)
    made._size = Size(*model["size"])
    made.model_ = made._model(places, torch.Generator().manual_seed(0))
    by_gradient.load(made.model_, tensors)
    places_file.set_course(made, model)
