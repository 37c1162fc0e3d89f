"""Pictures: every family on digits, VAEs, modes of stacked digits, the sampler's overhead, Fashion-MNIST.

    python bench/pictures.py digits|vae|stacked|overhead [--threads 2]

digits: 1,400 training and 397 held-out pictures of scikit-learn's: bits a dimension with their relation, accuracy and
calibration by Bayes' rule, logistic regression beside them. vae: begat's against pythae's, on the same blocks. stacked:
three digits in three channels, 25,600 draws: modes of 1,000 that a classifier finds, and reverse KL to an even law;
real pictures as ceiling, the classical game beside it. overhead: of the sampler over the time of its network.
"""

from __future__ import annotations

import os
import sys

os.environ["OMP_NUM_THREADS"] = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "2"

import json
import subprocess
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from peers import python_of
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from begat import GAN, VAE, Autoregressive, Circuit, Diffusion, Flow, NaiveBayes
from begat.metrics.classification import calibration_error

TRAIN, STACKED, DRAWS = 1_400, 25_600, 25_600
HERE = Path(__file__).parent
ENVIRONMENTS = Path("build/peers")


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training pictures and labels, held-out ones."""
    data, order = load_digits(), np.random.default_rng(0).permutation(1797)
    here, there = order[:TRAIN], order[TRAIN:]
    return data.images[here], data.target[here], data.images[there], data.target[there]


def bits(log_p: np.ndarray, pixels: int) -> float:
    return float(-log_p.mean() / pixels / np.log(2))


def digits() -> None:
    X, y, X_new, y_new = split()
    families: dict[str, Any] = {
        "naive Bayes": NaiveBayes(), "circuit": Circuit(), "autoregressive": Autoregressive(), "flow": Flow(),
        "flow, 10 affine maps of width 256": Flow(maps="affine", transforms=10, width=256),
        "VAE": VAE(), "diffusion": Diffusion(),
    }  # fmt: skip
    for name, model in families.items():
        started = perf_counter()
        model.fit(X, y)
        fitted = perf_counter()
        p = model.predict_proba(X_new)
        log_p = np.logaddexp.reduce([model.log_prob(X_new, np.full(len(X_new), c)) for c in model.classes_])
        report(name, p, y_new, fitted - started, perf_counter() - fitted)
        print(f"    {model.likelihood.relation} {bits(log_p, 64):.3f} bits a dimension", flush=True)
    twin = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000)).fit(X.reshape(TRAIN, -1), y)
    report("logistic regression", twin.predict_proba(X_new.reshape(len(X_new), -1)), y_new, 0.0, 0.0)
    alone = NaiveBayes(task="density").fit(X)
    print(f"independent pixels: = {bits(alone.log_prob(X_new), 64):.3f} bits a dimension")


def report(name: str, p: np.ndarray, y: np.ndarray, fit: float, ask: float) -> None:
    found = calibration_error(y, p)
    print(
        f"{name}: accuracy {(p.argmax(1) == y).mean():.4f}, calibration error {found.value:.3f}, "
        f"fit {fit:.0f} s, asked {ask:.0f} s"
    )


def vae() -> None:
    X, _, X_new, _ = split()
    started = perf_counter()
    model = VAE(task="density").fit(X)
    seconds = perf_counter() - started
    print(f"begat's VAE: <= {bits(model.log_prob(X_new), 64):.3f} bits a dimension, {seconds:.0f} s", flush=True)
    mixture = Circuit(shape="mixture", units=10, task="density").fit(X)
    print(f"a mixture of 10 by EM: {bits(mixture.log_prob(X_new), 64):.3f}")
    by_class = NaiveBayes().fit(X, split()[1])
    print(f"a mixture of the 10 classes: {bits(by_class.log_prob(X_new), 64):.3f}")
    print(f"independent pixels: {bits(NaiveBayes(task='density').fit(X).log_prob(X_new), 64):.3f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/rows.npz"
        np.savez(path, train=X.reshape(TRAIN, -1), held=X_new.reshape(len(X_new), -1), levels=17)
        for epochs in (10, 30, 100):
            found = asked("pythae", path, model.latent, model.width, model.depth, epochs)
            print(
                f"pythae's VAE, {epochs} epochs: its own decoder {found[1]:.3f}, with the best deviation "
                f"{found[2]:.3f} bits a dimension, {found[0]:.0f} s",
                flush=True,
            )


def asked(peer: str, *arguments: object) -> list[float]:
    """What a worker says in its environment."""
    command = [python_of(peer, ENVIRONMENTS), str(HERE / "workers" / f"with_{peer}.py"), *map(str, arguments)]
    command.append(os.environ["OMP_NUM_THREADS"])
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2_000:])
    return json.loads(done.stdout.splitlines()[-1])


class Reader(nn.Module):
    """Which digit a picture shows."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)
        self.three, self.four = nn.Linear(1024, 128), nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.max_pool2d(F.relu(self.two(F.relu(self.one(x[:, None] / 16)))), 2).flatten(1)
        return self.four(F.relu(self.three(F.dropout(h, 0.3, self.training))))


def reader() -> tuple[Reader, float]:
    """A classifier of digits, and its accuracy on those held out."""
    X, y, X_new, y_new = (torch.tensor(each) for each in split())
    torch.manual_seed(0)
    net = Reader()
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01)
    for _ in range(40):
        for rows in torch.randperm(TRAIN).split(64):
            loss = F.cross_entropy(net(X[rows].float()), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    net.eval().requires_grad_(False)
    return net, float((net(X_new.float()).argmax(1) == y_new).float().mean())


def modes(net: Reader, pictures: np.ndarray) -> tuple[int, float]:
    """Modes of 1,000 that these (n, 8, 8, 3) show, and KL(their shares || even shares), nats."""
    x = torch.tensor(pictures).float()
    read = torch.stack([net(x[..., i]).argmax(1) for i in range(3)], 1)
    count = torch.bincount(read @ torch.tensor([100, 10, 1]), minlength=1000).double()
    p = count / count.sum()
    return int((count > 0).sum()), float((p[p > 0] * (1000 * p[p > 0]).log()).sum())


def stacked() -> None:
    net, accuracy = reader()
    images, rng = load_digits().images, np.random.default_rng(0)
    X, other = (images[rng.integers(1797, size=(STACKED, 3))].transpose(0, 2, 3, 1) for _ in range(2))
    print(f"classifier {accuracy:.4f}; real pictures: {modes(net, other)}", flush=True)
    games: dict[str, Any] = {"relativistic, R1 + R2": GAN(), "classical, no penalty": GAN(loss="classical", penalty=0)}
    for name, model in games.items():
        started = perf_counter()
        model.fit(X)
        seconds = perf_counter() - started
        found = modes(net, model.sample(DRAWS, random_state=0))
        print(
            f"{name}: {found[0]} modes, KL {found[1]:.3f}, coverage {model.history_[-1]:.3f}, {seconds:.0f} s",
            flush=True,
        )


def overhead() -> None:
    """A U-Net of 16 x 16, 64 pictures, 20 steps."""
    rng = np.random.default_rng(0)
    model = Diffusion(epochs=1, steps=20).fit(rng.integers(0, 256, (128, 16, 16)).astype(np.uint8)).model_
    net, spent = model.net, [0.0]
    forward = net.forward

    def timed(*arguments: Any) -> torch.Tensor:
        started = process_time()
        out = forward(*arguments)
        spent[0] += process_time() - started
        return out

    net.forward = timed
    ratios = []
    for _ in range(9):
        spent[0], started = 0.0, process_time()
        model.sample(64, generator=torch.Generator().manual_seed(0))
        ratios.append((process_time() - started) / spent[0] - 1)
    print(f"overhead of the sampler over its network: {median(ratios):.1%} ({min(ratios):.1%} to {max(ratios):.1%})")


if __name__ == "__main__":
    for wanted in sys.argv[1:2] or ["digits", "vae", "stacked", "overhead"]:
        {"digits": digits, "vae": vae, "stacked": stacked, "overhead": overhead}[wanted]()
