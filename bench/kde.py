"""KDE naive Bayes against one scikit-learn KernelDensity for each class and feature, on one thread.

    python bench/kde.py [--repeats 3]

20,000 rows, 10 columns, 5 classes, 2,000 queries; fit and predict_log_proba together. One training row of each column
is an outlier at 1,000. The peer has the same bandwidths (it has no automatic one that follows a column's scale by
class). Accuracy is that of log p(x_d | class) against the exact float64 sum, for queries out to 10 deviations.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import json
import platform
import time
from collections.abc import Callable

import numpy as np
import sklearn
import torch
from scipy.special import logsumexp
from sklearn.neighbors import KernelDensity

from begat import NaiveBayes
from begat.leaves.kde import KDE

ROWS, COLUMNS, CLASSES, QUERIES = 20_000, 10, 5, 2_000


def table(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns of different shapes and scales, half of them far from normal; queries from the same law."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, ROWS + QUERIES)
    x = rng.normal(size=(ROWS + QUERIES, COLUMNS)) + 0.5 * y[:, None]
    x[:, 1::2] += 3 * rng.integers(0, 2, x[:, 1::2].shape)
    x[:, 2::4] = np.exp(0.5 * x[:, 2::4])
    x[np.arange(COLUMNS), np.arange(COLUMNS)] = 1000.0
    x *= 10.0 ** np.arange(-4, COLUMNS - 4)
    return x[:ROWS], y[:ROWS], x[ROWS:]


def ours(x: np.ndarray, y: np.ndarray, queries: np.ndarray) -> tuple[NaiveBayes, np.ndarray]:
    """log P(class | x) of the queries -> (QUERIES, CLASSES), and the model."""
    model = NaiveBayes(leaves="kde").fit(x, y)
    return model, model.predict_log_proba(queries)


def peer(x: np.ndarray, y: np.ndarray, queries: np.ndarray, bandwidth: np.ndarray) -> np.ndarray:
    joint = np.tile(np.log(np.bincount(y) / len(y)), (len(queries), 1))
    for k in range(CLASSES):
        rows = x[y == k]
        for d in range(COLUMNS):
            density = KernelDensity(bandwidth=bandwidth[d, k]).fit(rows[:, d : d + 1])
            joint[:, k] += density.score_samples(queries[:, d : d + 1])
    return joint - logsumexp(joint, axis=1, keepdims=True)


def errors(leaf: KDE, x: np.ndarray) -> dict[str, float]:
    """Largest errors of log p against the exact sum: in nats within 4 deviations, as a share of |log p| beyond."""
    exact = KDE(COLUMNS, CLASSES, exact=True)
    exact.restore(leaf.state_dict())
    out = {"nats within 4 deviations": 0.0, "share of log p from 4 to 10 deviations": 0.0, "share at the outlier": 0.0}
    clean = x < 900 * 10.0 ** np.arange(-4, COLUMNS - 4)
    centre = np.array([x[clean[:, d], d].mean() for d in range(COLUMNS)])
    deviation = np.array([x[clean[:, d], d].std() for d in range(COLUMNS)])
    z = np.linspace(-10, 10, 2001)
    query = torch.from_numpy(centre + deviation * z[:, None])
    off, want = (leaf.log_prob(query) - exact.log_prob(query)).abs(), exact.log_prob(query).abs()
    near = torch.from_numpy(np.abs(z) <= 4)
    out["nats within 4 deviations"] = float(off[..., near].max())
    out["share of log p from 4 to 10 deviations"] = float((off / want)[..., ~near].max())
    query = torch.from_numpy(x.max(0) + deviation * z[:, None])
    off, want = (leaf.log_prob(query) - exact.log_prob(query)).abs(), exact.log_prob(query).abs()
    out["share at the outlier"] = float((off / want.clamp(min=1)).max())
    return out


def seconds(call: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and processor seconds of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--repeats", type=int, default=3, help="of the peer, about 10 s each; begat's are ten times as many"
    )
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    x, y, queries = table()
    model, log_p = ours(x, y, queries)
    leaf = model.model_.parts[0].leaf
    assert isinstance(leaf, KDE)
    bandwidth = leaf.bandwidth.numpy()
    fast, slow = [], []
    for _ in range(repeats):  # in turns, so that both meet the same load
        fast += [seconds(lambda: ours(x, y, queries)) for _ in range(10)]
        slow += [seconds(lambda: peer(x, y, queries, bandwidth))]
    (fast_wall, fast_processor), (slow_wall, slow_processor) = (np.median(t, 0).tolist() for t in (fast, slow))
    gap = np.abs(np.exp(log_p) - np.exp(peer(x, y, queries, bandwidth))).max()
    result = {
        "machine": f"{platform.machine()}, one thread, torch {torch.__version__}, scikit-learn {sklearn.__version__}",
        "begat, seconds (processor)": [round(fast_wall, 5), round(fast_processor, 5)],
        "scikit-learn, seconds (processor)": [round(slow_wall, 3), round(slow_processor, 3)],
        "times faster (by processor)": [round(slow_wall / fast_wall), round(slow_processor / fast_processor)],
        "largest difference of a probability": float(gap),
        **errors(leaf, x),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
