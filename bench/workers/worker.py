"""What every worker does, in a peer's own environment: read rows, fit, sample, say how long fitting took.

    python bench/workers/with_sdv.py PEER TRAIN.parquet ROWS FOLDER

It writes FOLDER/rows.parquet and FOLDER/fit.json (version, processor seconds of the fit).
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

Sample = Callable[[int], pd.DataFrame]
Fit = Callable[[pd.DataFrame], Sample]

CAP = 1500
"""Processor seconds that a worker has for everything; the system ends it after them."""
SEED = 0


def work(package: str, peers: dict[str, Fit]) -> None:
    """Serve the command line: the named peer of this package, fitted to the rows of a file."""
    peer, train, rows, folder = sys.argv[1], pd.read_parquet(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    resource.setrlimit(resource.RLIMIT_CPU, (CAP, CAP + 10))
    warnings.simplefilter("ignore")
    random.seed(SEED)
    np.random.seed(SEED)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(SEED)
    begun = _processor()
    sample = peers[peer](train)
    seconds = _processor() - begun
    sample(rows).to_parquet(folder / "rows.parquet")
    (folder / "fit.json").write_text(json.dumps({"version": version(package), "fit_seconds": round(seconds, 1)}))


def _processor() -> float:
    """Processor seconds of this process and of its finished children, all threads."""
    return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
