"""A spline flow of zuko or nflows: its speed, or its held-out log-likelihood. Runs in their environment.

with_flows.py speed zuko|nflows -> milliseconds of a step, of log_prob, of samples
with_flows.py fit zuko FILE.npz steps|seconds NUMBER BATCH RATE DRAWS -> nats a dimension of held-out rows, and steps
"""

from __future__ import annotations

import json
import sys
from statistics import median
from time import perf_counter

import numpy as np
import torch

torch.set_num_threads(1)
COLUMNS, ROWS, WIDTH, BINS, TRANSFORMS, REPEATS = 64, 1024, 128, 8, 4, 9


def zuko_flow(columns: int):
    import zuko

    flow = zuko.flows.NSF(columns, 0, bins=BINS, transforms=TRANSFORMS, passes=2, hidden_features=(WIDTH, WIDTH))
    return flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,))


def nflows_flow(columns: int):
    from nflows import distributions, flows, transforms

    class Net(torch.nn.Module):
        def __init__(self, inner: int, outer: int):
            super().__init__()
            self.net = torch.nn.Sequential(
                torch.nn.Linear(inner, WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, WIDTH), torch.nn.ReLU(),
                torch.nn.Linear(WIDTH, outer),
            )  # fmt: skip

        def forward(self, x, context=None):
            return self.net(x)

    chain = []
    for i in range(TRANSFORMS):
        mask = torch.zeros(columns)
        mask[(slice(None, columns // 2) if i % 2 else slice(columns // 2, None))] = 1
        chain.append(
            transforms.PiecewiseRationalQuadraticCouplingTransform(
                mask, Net, num_bins=BINS, tails="linear", tail_bound=5.0
            )
        )
    flow = flows.Flow(transforms.CompositeTransform(chain), distributions.StandardNormal([columns]))
    return flow, flow.log_prob, flow.sample


FLOWS = {"zuko": zuko_flow, "nflows": nflows_flow}


def timed(ask) -> float:
    """Milliseconds, the median of several."""
    ask()
    ask()
    out = []
    for _ in range(REPEATS):
        started = perf_counter()
        ask()
        out.append(perf_counter() - started)
    return 1000 * median(out)


def speed(module, log_prob, sample, x: torch.Tensor) -> list[float]:
    """Milliseconds of a training step, of log_prob and of samples, of as many rows as x."""
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        loss = -log_prob(x).mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    out = [timed(step)]
    with torch.no_grad():
        return [*out, timed(lambda: log_prob(x)), timed(lambda: sample(len(x)))]


def fit(path: str, until: str, much: str, batch: str, rate: str, draws: str) -> None:
    """Fit to standardised rows; where they have a step, with uniform noise over it, as its bound has."""
    with np.load(path) as file:
        train, held, step = (torch.from_numpy(file[name]) for name in ("train", "held", "step"))
    torch.manual_seed(0)
    mean, scale = train.mean(0), train.std(0)
    flow, log_prob, _ = FLOWS["zuko"](train.shape[1])
    optimiser = torch.optim.AdamW(flow.parameters(), lr=float(rate), fused=True)
    order = torch.randperm(len(train))
    seen, train = train[order[: len(order) // 20]], train[order[len(order) // 20 :]]
    started, steps, size, best = perf_counter(), 0, int(batch), (-np.inf, None)
    while steps < float(much) if until == "steps" else perf_counter() - started < float(much):
        x = train[torch.randint(len(train), (size,))]
        loss = -log_prob(((x + step * torch.rand_like(x) - mean) / scale).float()).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        steps += 1
        if steps % 50 == 0:  # the best by rows of its own, as begat's has
            with torch.no_grad():
                value = float(log_prob(((seen + step * 0.5 - mean) / scale).float()).mean())
            if value > best[0]:
                best = value, {name: p.clone() for name, p in flow.state_dict().items()}
    if best[1] is not None:
        flow.load_state_dict(best[1])
    seconds = perf_counter() - started
    shift = torch.where(step > 0, step.clamp(min=1e-300).log(), 0.0).sum() - scale.log().sum()
    with torch.no_grad():
        each = []
        for _ in range(int(draws)):
            noisy = ((held + step * torch.rand_like(held) - mean) / scale).float()
            each.append(torch.cat([log_prob(piece) for piece in noisy.split(4096)]).double())
        found = torch.logsumexp(torch.stack(each), 0) - np.log(len(each)) + shift
    print(json.dumps([float(found.mean()) / train.shape[1], steps, seconds]))


if __name__ == "__main__":
    if sys.argv[1] == "speed":
        torch.manual_seed(0)
        print(json.dumps(speed(*FLOWS[sys.argv[2]](COLUMNS), torch.randn(ROWS, COLUMNS))))
    else:
        fit(*sys.argv[3:])
