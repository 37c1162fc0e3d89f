"""begat's flow against zuko's and nflows' of the same size: speed, and held-out log-likelihood; one thread each.

    python bench/flows.py [speed] [likelihood] [california protein digits]

Speed: 4 transforms, networks of 128 x 2, 8 bins, 64 columns, 1,024 rows; each is measured in processes of its own, in
turn, and the medians are compared. Likelihood: of the same rows, in nats a dimension of the data's own units; where a
column has a step its numbers are spread over it evenly, on all sides (a bound for each). At equal steps, batches and
rate; and at as many seconds.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from peers import HERE, python_of
from sklearn.datasets import load_digits
from tables import _widedeep
from workers.with_flows import BINS, COLUMNS, ROWS, TRANSFORMS, WIDTH, speed

from begat import Flow
from begat.core import Spec
from begat.families.flow import Flow as Model
from begat.maths.bijections import BIJECTIONS
from begat.nets.couplings import Sizes, Steps, levels

ROUNDS, STEPS, SECONDS, BATCH, RATE, DRAWS = 3, 1_000, 60, 512, 2e-3, 8
NAMES = ("california", "protein", "digits")
WORKER = str(HERE / "workers" / "with_flows.py")


def asked(*arguments: str) -> list[float]:
    """What the worker says in the peers' environment."""
    command = [python_of("flows", Path("build/peers")), WORKER, *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def own_speed() -> list[float]:
    """Milliseconds of a training step, of log f and of draws of begat's flow of ranks."""
    rng = torch.Generator().manual_seed(0)
    size = BIJECTIONS["spline"].size(BINS)
    net = Steps(levels(COLUMNS, TRANSFORMS, autoregressive=False, rng=rng), Sizes(COLUMNS, 0, size, WIDTH, 1), rng)
    flow = Model(Spec(()), [], net, None, BIJECTIONS["spline"], hide=0.0, samples=1)
    x = torch.rand(ROWS, COLUMNS)
    return speed(
        net, lambda x: flow._log_f(x, None, None), lambda n: flow._pushed(torch.rand(n, COLUMNS), x, None, None), x
    )


def compare_speed() -> None:
    torch.set_num_threads(1)
    rounds = [
        {"begat": own_speed(), **{peer: asked("speed", peer) for peer in ("zuko", "nflows")}} for _ in range(ROUNDS)
    ]
    mean = {name: [median(r[name][i] for r in rounds) for i in range(3)] for name in rounds[0]}
    for name, (step, density, draws) in mean.items():
        ratio = ", ".join(f"{a / b:.2f}" for a, b in zip(mean[name], mean["begat"], strict=True))
        print(f"{name:7} step {step:6.1f} ms, log_prob {density:6.1f} ms, sample {draws:6.1f} ms; times begat: {ratio}")


def data(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training rows, held-out rows and the step of each column, 0 where it is continuous."""
    rng = np.random.default_rng(0)
    if name == "digits":
        x = load_digits().data
        x, step = x[:, x.std(0) > 0], 1.0
    else:
        pattern = {"california": "california*", "protein": "bio_train*"}[name]
        x = _widedeep(pattern).select_dtypes("number").astype(float)
        if name == "protein":
            x = x.drop(columns=[c for c in x.columns if x[c].nunique() < 100 or c.lower().endswith("id")])
        x, step = x.to_numpy(), 0.0
        x = x + _steps(x) * rng.random(x.shape)  # numbers that repeat are none of a continuous law
    order = rng.permutation(len(x))[:50_000]
    cut = len(order) // 5
    return x[order[cut:]], x[order[:cut]], np.full(x.shape[1], step)


def _steps(x: np.ndarray) -> np.ndarray:
    """The least distance of two numbers of each column."""
    return np.array([np.diff(np.unique(column)).min() for column in x.T])


def _frame(x: np.ndarray, whole: bool) -> np.ndarray | pd.DataFrame:
    """An array is of continuous numbers; a frame of whole ones has mass."""
    return pd.DataFrame(x.astype(int)).add_prefix("x") if whole else x


def own_fit(train: np.ndarray, held: np.ndarray, whole: bool, **how: object) -> tuple[float, float]:
    """Nats a dimension of begat's flow, and its seconds."""
    torch.set_num_threads(1)
    started = perf_counter()
    model = Flow(
        transforms=TRANSFORMS, bins=BINS, width=WIDTH, depth=1, hide=0.0, samples=DRAWS, task="density", batch=BATCH,
        rate=RATE, **how,
    ).fit(_frame(train, whole))  # fmt: skip
    return model.score(_frame(held, whole)) / train.shape[1], perf_counter() - started


def compare_likelihood(names: list[str]) -> None:
    for name in names:
        train, held, step = data(name)
        batch = min(BATCH, len(train))
        epochs = round(STEPS * batch / (0.95 * len(train)))
        ours, seconds = own_fit(train, held, bool(step[0]), epochs=epochs)
        longer, _ = own_fit(train, held, bool(step[0]), epochs=100_000, seconds=SECONDS)
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/rows.npz"
            np.savez(path, train=train, held=held, step=step)
            rest = (str(batch), str(RATE), str(DRAWS if step[0] else 1))
            steps = asked("fit", "zuko", path, "steps", str(STEPS), *rest)
            equal = asked("fit", "zuko", path, "seconds", str(SECONDS), *rest)
        print(
            f"{name:11} {train.shape[1]} columns, {len(train):,} rows, nats a dimension: {STEPS:,} steps: begat "
            f"{ours:.4f} ({seconds:.0f} s), zuko {steps[0]:.4f} ({steps[2]:.0f} s); {SECONDS} s: begat {longer:.4f}, "
            f"zuko {equal[0]:.4f} ({equal[1]:,.0f} steps)",
            flush=True,
        )


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["speed", "likelihood"]
    names = [n for n in NAMES if n in wanted]
    if "speed" in wanted:
        compare_speed()
    if "likelihood" in wanted or names:
        compare_likelihood(names or list(NAMES))
