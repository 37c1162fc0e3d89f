"""Held-out log-likelihood as a gain over the floor."""

from __future__ import annotations

import numpy as np

from begat.metrics.score import Score, mean

UNIT = "nats per row"


def gain(model: np.ndarray, floor: np.ndarray) -> Score:
    """mean_i (log p_model(x_i) - log p_floor(x_i)), nats per row, with its paired standard error sd / sqrt(n).

    model, floor: (n,) log-probabilities of the same rows under the same schema. Where one of them gives rows
    probability zero the gain is infinite and the note counts the rows; where the model gives NaN it is absent.
    """
    model, floor = np.asarray(model, dtype=np.float64), np.asarray(floor, dtype=np.float64)
    if model.shape != floor.shape or model.ndim != 1:
        return Score.absent(f"log-probabilities of shapes {model.shape} and {floor.shape}", UNIT, "higher")
    for values, who in ((model, "the model"), (floor, "the floor")):
        if np.isnan(values).any():
            return Score.absent(
                f"{who} gives {int(np.isnan(values).sum())} of {len(values)} rows no number", UNIT, "higher"
            )
    for values, who, sign in ((model, "the model", 1.0), (floor, "the floor", -1.0)):
        odd = ~np.isfinite(values)
        if odd.any():
            zero = "zero" if values[odd][0] < 0 else "infinite"
            note = f"{who} gives {int(odd.sum())} of {len(values)} rows probability {zero} (first: row {odd.argmax()})"
            return Score(sign * float(values[odd][0]), None, UNIT, "higher", None, note)
    return mean(model - floor, UNIT, "higher")
