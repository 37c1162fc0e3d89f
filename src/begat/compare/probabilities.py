"""Asking a classifier for log-probabilities, whichever way it offers them."""

from __future__ import annotations

from typing import Any

import numpy as np


def log_probabilities(model: Any, X: Any) -> np.ndarray:
    """log P(y | x) -> (n, classes), nats: the model's own where it has them, for they do not underflow."""
    with np.errstate(divide="ignore"):
        if hasattr(model, "predict_log_proba"):
            return np.asarray(model.predict_log_proba(X), dtype=np.float64)
        return np.log(np.asarray(model.predict_proba(X), dtype=np.float64))
