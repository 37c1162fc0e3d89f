"""mostlyai-engine's TabularARGN at its defaults: its medium size, at most 100 epochs, an early stop."""

from __future__ import annotations

import pandas as pd
from mostlyai.engine import TabularARGN
from worker import SEED, Sample, work


def fit(train: pd.DataFrame) -> Sample:
    return TabularARGN(random_state=SEED).fit(train).sample


if __name__ == "__main__":
    work("mostlyai-engine", {"TabularARGN": fit})
