"""Naive Bayes against scikit-learn's: 1,000,000 rows, 10 classes, one thread, the same run; medians of the repeats.

    python bench/naive_bayes.py [rows] [repeats]

GaussianNB on 50 float32 columns, CategoricalNB on 20 columns of 10 levels, as arrays; and the same through a DataFrame
whose kinds are inferred. scikit-learn has no such path: its array path is the peer of both.
"""

import os

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import platform
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import sklearn
import torch
from sklearn.base import clone
from sklearn.naive_bayes import CategoricalNB, GaussianNB

from begat import NaiveBayes

torch.set_num_threads(1)


def seconds(call: Callable[[], object], repeats: int) -> float:
    """The median of the repeats, after one call to warm up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def compare(name: str, X: np.ndarray, y: np.ndarray, ours: NaiveBayes, theirs: object, repeats: int) -> None:
    frame = pd.DataFrame(X, columns=[f"c{i}" for i in range(X.shape[1])])
    fits = {
        "peer": lambda: theirs.fit(X, y),
        "array": lambda: ours.fit(X, y),
        "frame": lambda: ours.fit(frame, y),
    }
    took = {}
    for path, fit in fits.items():
        took[path, "fit"] = seconds(fit, repeats)
        data = frame if path == "frame" else X
        model = theirs if path == "peer" else ours
        took[path, "predict"] = seconds(lambda m=model, d=data: m.predict_log_proba(d), repeats)
        if path == "array":
            # Against the peer in float64: its own float32 sums lose more digits than we may differ.
            exact = clone(theirs).fit(X.astype(np.float64) if X.dtype == np.float32 else X, y)
            gap = float(np.abs(ours.predict_proba(X[:10_000]) - exact.predict_proba(X[:10_000])).max())
    for verb in ("fit", "predict"):
        peer, array, table = (took[path, verb] for path in ("peer", "array", "frame"))
        print(
            f"{name:14} {verb:8} peer {peer:6.3f} s   begat {array:6.3f} s ({peer / array:4.1f}x)   "
            f"frame {table:6.3f} s ({table / array:4.2f} times the array)"
        )
    print(f"{name:14} largest difference of probabilities in 10,000 rows: {gap:.1e}")


def main(rows: int = 1_000_000, repeats: int = 5) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, rows)
    versions = f"scikit-learn {sklearn.__version__}, torch {torch.__version__}, {platform.machine()}"
    print(f"{rows:,} rows, one thread, median of {repeats}; {versions}")
    X = rng.standard_normal((rows, 50), dtype=np.float32) + 0.3 * rng.standard_normal((10, 50), dtype=np.float32)[y]
    compare("GaussianNB", X, y, NaiveBayes(leaves="gaussian", var_smoothing=0), GaussianNB(var_smoothing=0), repeats)
    shift = rng.integers(0, 3, (10, 20))
    Z = np.minimum(rng.integers(0, 10, (rows, 20)), 9 - shift[y])
    compare("CategoricalNB", Z, y, NaiveBayes(leaves="categorical"), CategoricalNB(), repeats)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
