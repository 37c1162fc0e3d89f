"""arfpy's adversarial random forest at its defaults."""

from __future__ import annotations

import pandas as pd
from arfpy import arf
from worker import Sample, work


def fit(train: pd.DataFrame) -> Sample:
    """Forest and density: both are needed before it can draw."""
    if train.isna().any(axis=None):  # it would run into a domain error of scipy's that says nothing of this
        raise SystemExit("ARF takes no gaps")
    model = arf.arf(x=train)
    model.forde()
    return model.forge


if __name__ == "__main__":
    work("arfpy", {"ARF": fit})
