"""Copying: are synthetic rows nearer to the training rows than they should be, or exact copies of them?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from begat.metrics.columns import Feature, codes, drawn, features, measured, require
from begat.metrics.score import Score, share
from begat.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

ROWS = 5_000
REFERENCES = 10_000
ALARM = 3.0
"""Standard errors above what is expected at which rows are called copied: one-sided false-alarm rate 0.13% a figure."""
FEWEST = 10


@dataclass(frozen=True)
class Copying:
    """The figures of copying side by side, and the judgement: `flagged` with `why`, one sentence."""

    nearest: Score
    copies: Score
    own: Score
    flagged: bool
    why: str


def copying(
    train: pd.DataFrame,
    held_out: pd.DataFrame,
    fake: pd.DataFrame,
    schema: Schema | None = None,
    *,
    exchangeable: bool = True,
    alike: bool = False,
    seed: int = 0,
) -> Copying:
    """Whether synthetic rows copy training rows: `nearest_share` and `copied_share` against the hold-out's own.

    Flagged where the nearest share is more than 3 standard errors above 1/2, or the share of exact copies more than 3
    above the hold-out's own (error of a difference of two shares, pooled): fresh real rows are flagged once in 370
    times. `exchangeable=False` says that training and held-out rows were not split at random (by time, by group):
    then any model is nearer to its training rows, and the nearest share alone flags nothing. alike: as in
    `nearest_share`.
    """
    nearest = nearest_share(train, held_out, fake, schema, alike=alike, seed=seed)
    copies, own = copied_share(train, fake, schema), copied_share(train, held_out, schema)
    reasons = []
    if exchangeable and nearest.value is not None and nearest.stderr and nearest.value > 0.5 + ALARM * nearest.stderr:
        reasons.append(f"{nearest.value:.1%} of its rows are nearer to a training row than to a held-out row (50%)")
    if copies.value is not None and own.value is not None:
        n, m = len(fake), len(held_out)
        pooled = (copies.value * n + own.value * m) / (n + m)
        error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
        if copies.value - own.value > ALARM * error:
            reasons.append(
                f"{copies.value:.1%} of its rows are exact copies of training rows (held-out: {own.value:.1%})"
            )
    return Copying(nearest, copies, own, bool(reasons), " and ".join(reasons))


def nearest_share(
    train: pd.DataFrame,
    held_out: pd.DataFrame,
    fake: pd.DataFrame,
    schema: Schema | None = None,
    *,
    rows: int = ROWS,
    references: int = REFERENCES,
    alike: bool = False,
    seed: int = 0,
) -> Score:
    """Share of synthetic rows nearer to a training row than to a held-out row; ties count 1/2; 1/2 is ideal.

    Both sets of references are cut to the size of the smaller (and to `references`), the synthetic rows to `rows`.
    Squared distance: sum over numbers and dates of ((a - b) / sd)^2, sd over all references, plus 1 for every level
    that differs and for every number missing on one side only. alike: all numbers are of one unit, as pixels are, and
    sd is 1.

    With 2m references i, labels L_i = 1 for training, and w_i the share of synthetic rows nearest to i, the figure is
    sum w_i L_i. A model that has not copied cannot know the labels: under their m-of-2m permutations the mean is 1/2
    and the variance (1/4) (2m / (2m - 1)) sum (w_i - 1/(2m))^2, whose root is the standard error. So it counts the
    chance of the references as well as that of the synthetic rows.
    """
    m = min(len(train), len(held_out), references)
    if m < FEWEST or not len(fake):
        return Score.absent(f"{m} rows a side; the nearest share needs {FEWEST}", "share", "none", 0.5)
    draw = np.random.default_rng(seed)
    a, b = (drawn(f, m, draw) for f in (train, held_out))
    s = drawn(fake, rows, draw)
    used = features(train, schema)
    (near_a, far_a), (near_b, far_b) = _nearest(_cells((a, b, s), used, alike))
    tie = np.isclose(far_a, far_b, rtol=1e-9, atol=1e-12)
    to_train = np.where(tie, 0.5, far_a < far_b)
    weight = (np.bincount(near_a, to_train, 2 * m) + np.bincount(near_b + m, 1 - to_train, 2 * m)) / len(s)
    variance = 0.25 * (2 * m / (2 * m - 1)) * np.sum((weight - 1 / (2 * m)) ** 2)
    return Score(float(to_train.mean()), float(math.sqrt(variance)), "share", "none", 0.5)


def copied_share(train: pd.DataFrame, fake: pd.DataFrame, schema: Schema | None = None) -> Score:
    """Share of the rows of `fake` that equal some training row in every column; compare with the hold-out's own share.

    Numbers are equal if they agree in 12 significant digits (as float32 where a side is that), so that a copy that
    went through a text file is still one.
    """
    used = features(train, schema)
    require((train, fake), used)
    known, asked = (_keys(k) for k in zip(*(_whole(train[f.name], fake[f.name], f) for f in used), strict=True))
    return share(float(np.isin(asked, known).sum()), len(fake), "none")


def _whole(a: pd.Series, b: pd.Series, feature: Feature) -> list[np.ndarray]:
    import pandas as pd

    if feature.role == "level":
        return codes((a, b))
    both = np.concatenate([measured(s, feature.role) for s in (a, b)])
    if "float32" in (str(a.dtype).lower(), str(b.dtype).lower()):
        both = both.astype(np.float32).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** (11 - np.floor(np.log10(np.abs(both))))
        exact = np.where(np.isfinite(scale) & (scale > 0), np.round(both * scale) / scale, both)
    code = pd.factorize(exact, use_na_sentinel=True)[0]
    return [code[: len(a)], code[len(a) :]]


def _keys(columns: Sequence[np.ndarray]) -> np.ndarray:
    """One 64-bit key for each row of the columns."""
    import pandas as pd

    return pd.util.hash_pandas_object(pd.DataFrame(dict(enumerate(columns))), index=False).to_numpy()


def _cells(frames: Sequence[pd.DataFrame], used: Sequence[Feature], alike: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each frame as numbers (n, p), scaled unless alike, and codes (n, q); all but the last frame state the scale."""
    require(frames, used)
    points: list[list[np.ndarray]] = [[] for _ in frames]
    levels: list[list[np.ndarray]] = [[] for _ in frames]
    for feature in used:
        columns = [f[feature.name] for f in frames]
        if feature.role == "level":
            for level, code in zip(levels, codes(columns), strict=True):
                level.append(code)
            continue
        values = [measured(c, feature.role) for c in columns]
        real = np.concatenate(values[:-1])
        real = real[~np.isnan(real)]
        centre = float(np.mean(real)) if len(real) else 0.0
        spread = float(np.std(real)) if len(real) and not alike else 0.0
        partly = any(np.isnan(x).any() for x in values)
        for point, level, x in zip(points, levels, values, strict=True):
            gone = np.isnan(x)
            point.append(np.where(gone, 0.0, (x - centre) / (spread or 1.0)))
            if partly:
                level.append(gone.astype(np.int64))
    return [(_stacked(p, len(f)), _stacked(q, len(f))) for p, q, f in zip(points, levels, frames, strict=True)]


def _stacked(columns: list[np.ndarray], n: int) -> np.ndarray:
    return np.column_stack(columns) if columns else np.zeros((n, 0))


def _nearest(cells: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """For both references: the index of the row nearest to each synthetic row and its squared distance, (s,) each."""
    *references, (x, z) = cells
    found = []
    for p, q in references:
        q = np.ascontiguousarray(q.T)
        square = (p**2).sum(1)
        index = np.empty(len(x), np.int64)
        for start in range(0, len(x), 256):
            rows = slice(start, start + 256)
            apart = square - 2 * x[rows] @ p.T
            for mine, theirs in zip(z[rows].T, q, strict=True):
                apart += mine[:, None] != theirs
            index[rows] = apart.argmin(1)
        # the product rounds; the distances that decide ties are computed from the differences themselves
        found.append((index, ((x - p[index]) ** 2).sum(1) + (z != q.T[index]).sum(1)))
    return found
