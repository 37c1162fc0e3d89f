"""What estimators whose networks see whole pictures do alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from begat.codecs.pictures import levels_of
from begat.core import Batch
from begat.errors import DataError, FileError
from begat.estimators.class_column import ClassColumn
from begat.estimators.cutting import Cut
from begat.estimators.training import Training
from begat.leaves.pixels import Scale
from begat.schema import Schema

LOWEST, MOST = 4, 4
"""The side below which a network halves pictures no further, and how often it does at most."""


class Pixels(NamedTuple):
    """rows: the pictures of a fit, each a row of levels with its class as the last cell, for checkpoints. examples:
    what a network reads, levels (n, D) and classes. scale: how levels become numbers of mean 0 and deviation 1.
    log_prior: of the classes, each counted once more than it is there; None without classes."""

    rows: Cut
    examples: Batch
    scale: Scale
    log_prior: Tensor | None


def pixels(read: Training, joint: ClassColumn, schema: Schema) -> Pixels:
    """The pictures of a fit. DataError for a numeric target, unknown pixels, and weights that are all zero."""
    if read.border.role == "regression":
        raise DataError("pictures with a number as target are no table; give classes as y, or leave it out")
    parts = [joint.put(batch) for batch in read.batches]
    if any(batch.known[0] is not None for batch in parts):
        raise DataError("a picture of the fit has unknown pixels; impute them first")
    weight = None if parts[0].weight is None else torch.cat([b.weight for b in parts if b.weight is not None])
    cells = torch.cat([torch.cat([b.x[0].to(torch.int16), b.x[1].to(torch.int16)], 1) for b in parts])
    rows = Cut([], cells, weight, {}).counted()
    x, log_prior, label = rows.cells[:, : parts[0].x[0].shape[1]], None, None
    if joint.classes:
        label = rows.cells[:, -1].long()
        shares = None if rows.weight is None else rows.weight.double()
        count = torch.bincount(label, shares, minlength=len(schema[schema.target].levels or ())).double() + 1
        log_prior = (count / count.sum()).log()
    weighted = None if rows.weight is None else rows.weight.float()
    numbers = x.float()
    deviation = max(float(numbers.std(correction=0)), 1e-3)
    examples = Batch((x.to(torch.uint8),), (None,), label, weighted)
    return Pixels(rows, examples, Scale(float(numbers.mean()), deviation, levels_of(schema)), log_prior)


def known(batch: Batch) -> list[np.ndarray]:
    """Which pixels of each column are known, the class among them."""
    masks = [
        torch.ones_like(x, dtype=torch.bool) if k is None else k for x, k in zip(batch.x, batch.known, strict=True)
    ]
    return list(torch.cat(masks, 1).T.numpy())


def whole(schema: Schema) -> tuple[int, int, int]:
    """Height, width and channels of the pictures of a schema."""
    assert schema.picture is not None
    height, width, *channels = schema.picture
    return height, width, channels[0] if channels else 1


def halvings(sides: tuple[int, ...]) -> int:
    """How often a network halves pictures of these sides."""
    count, least = 0, min(sides[:2])
    while least >= 2 * LOWEST and count < MOST:
        least, count = (least + 1) // 2, count + 1
    return count


def described(scale: Scale, log_prior: Tensor | None) -> dict[str, Any]:
    """What a file says of pixels, as JSON."""
    return {**scale._asdict(), "log_prior": None if log_prior is None else log_prior.tolist()}


def restored(said: Mapping[str, Any], schema: Schema) -> tuple[Scale, Tensor | None]:
    """What `described` said. FileError for what is none of these pictures."""
    mean, deviation, levels, prior = (said[name] for name in ("mean", "deviation", "levels", "log_prior"))
    sound = type(mean) is float and type(deviation) is float and deviation > 0 and type(levels) is int
    if not sound or levels != levels_of(schema):
        raise FileError("its pixels are not those of its schema; the file is damaged")
    classes = 0 if schema.target is None else len(schema[schema.target].levels or ())
    log_prior = None if prior is None else torch.tensor(prior, dtype=torch.float64)
    if (0 if log_prior is None else len(log_prior)) != classes or (
        log_prior is not None and not bool(torch.isfinite(log_prior).all())
    ):
        raise FileError("its classes are not those of its schema; the file is damaged")
    return Scale(mean, deviation, levels), log_prior
