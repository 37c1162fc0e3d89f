"""The one loop against the same steps written out: an MLP at batch 1,024 and a small U-Net at 16 x 16, one thread.

    python bench/loop.py

Both have the same network, batches and fused optimiser; the bare loop has no clipping, mean, marks or checks.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from statistics import median
from time import process_time

import torch
from torch import Tensor, nn

from begat.core import Batch, Objective
from begat.fitting.loop import train
from begat.fitting.plan import Plan, order_of

REPEATS = 15


class Regression(nn.Module):
    """A network that predicts the second field from the first, by squares."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def objectives(self) -> tuple[Objective, ...]:
        return (Objective("net", self.net, lambda batch, _: self.loss(*batch.x)),)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.net(x) - y).square().flatten(1).mean(1)


class UNet(nn.Module):
    """Two resolutions, two residual convolutions at each, with a skip."""

    def __init__(self, width: int = 32):
        super().__init__()
        self.enter, self.down = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.top, self.low = self._block(width), self._block(2 * width)
        self.up, self.leave = nn.ConvTranspose2d(2 * width, width, 2, 2), nn.Conv2d(2 * width, 1, 3, padding=1)

    @staticmethod
    def _block(width: int) -> nn.Module:
        one = [nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)]
        two = [nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)]
        return nn.Sequential(*one, *two)

    def forward(self, x: Tensor) -> Tensor:
        h = self.enter(x)
        h = h + self.top(h)
        low = self.down(h)
        low = low + self.low(low)
        return self.leave(torch.cat([h, self.up(low)], 1))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 64))


CASES = {
    "MLP 128 x 2, batch 1,024": (mlp, (64,), 1024, 300),
    "U-Net 16 x 16, batch 64": (UNet, (1, 16, 16), 64, 20),
}


def bare(model: Regression, x: Tensor, y: Tensor, plan: Plan) -> None:
    """The steps written out."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=plan.rate, betas=plan.betas, weight_decay=0.0, fused=True)
    for rows in order_of(plan, 0, len(x)):
        loss = model.loss(x[rows], y[rows]).mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()


def looped(model: Regression, x: Tensor, y: Tensor, plan: Plan) -> None:
    """The one loop."""
    train(model, Batch((x, y), (None, None)), plan)


def timed(run: Callable[..., None], make: Callable[[], nn.Module], x: Tensor, y: Tensor, plan: Plan) -> float:
    """Processor seconds of a fit from the same first weights."""
    torch.manual_seed(0)
    model = Regression(make())
    started = process_time()
    run(model, x, y, plan)
    return process_time() - started


def main() -> None:
    """Print the ratio of each case, of medians over runs in turn."""
    torch.set_num_threads(1)
    for name, (make, shape, size, steps) in CASES.items():
        rng = torch.Generator().manual_seed(0)
        x = torch.randn(8192, *shape, generator=rng)
        y, plan = x.flip(1), Plan(steps=steps, batch=size, every=100, average=0.999)
        pairs = [(timed(bare, make, x, y, plan), timed(looped, make, x, y, plan)) for _ in range(REPEATS)]
        bare_time, loop_time = (median(times) for times in zip(*pairs, strict=True))
        ratio, step = loop_time / bare_time, bare_time / steps
        print(f"{name:28} {ratio:.3f} of the bare loop ({1000 * step:.2f} ms a step)")


if __name__ == "__main__":
    main()
