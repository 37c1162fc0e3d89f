"""What must hold for the one loop, whatever model it fits."""

from __future__ import annotations

import copy
import itertools
import os
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_naive_bayes import table
from torch import nn

from begat.core import Batch, Objective
from begat.fitting.course import DIVERGED, INTERRUPTED, STOPPED
from begat.fitting.loop import BAD, held_out_score, train
from begat.fitting.plan import Plan, Run, order_of
from begat.random import Noise


class Line(nn.Module):
    """y = a x + b, with a loss that may have noise."""

    def __init__(self, noise: float = 0.0):
        super().__init__()
        self.net, self.noise = nn.Linear(3, 1), noise
        with torch.no_grad():
            self.net.weight.zero_()
            self.net.bias.zero_()

    def objectives(self):
        return (Objective("line", self.net, self.loss),)

    def loss(self, batch, noise):
        x, y = batch.x
        return (self.net(x)[:, 0] - y + self.noise * noise.normal()) ** 2


class Chase(nn.Module):
    """A game of two: one wants to be where the other is, and the other, who wants to be at 3, at 0: but it cannot move
    it."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)

    def objectives(self):
        at = [lambda: self.one.weight[0, 0], lambda: self.two.weight[0, 0]]
        return (
            Objective("one", self.one, lambda b, _: ((at[0]() - at[1]()) ** 2 + 10 * at[1]() ** 2).expand(len(b))),
            Objective("two", self.two, lambda batch, _: (at[1]() - 3).pow(2).expand(len(batch))),
        )


def rows(n: int = 400, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=rng)
    return Batch((x, x @ torch.tensor([1.0, -2.0, 0.5]) + 3.0 + 0.1 * torch.randn(n, generator=rng)), (None, None))


PLAN = Plan(steps=300, batch=32, rate=0.1, warm=0.1, cool=0.5, every=50)


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def test_it_finds_the_least_squares_line():
    model = Line()
    run = train(model, rows(), PLAN)
    np.testing.assert_allclose(model.net.weight[0].detach(), [1.0, -2.0, 0.5], atol=0.03)
    assert run.step == 300 and len(run.history) == 6 and run.history[-1]["line"] < 0.02 and not run.ended


def test_two_players_lower_each_its_own():
    model = Chase()
    train(model, rows(), PLAN)
    assert abs(model.one.weight.item() - 3) < 0.05 and abs(model.two.weight.item() - 3) < 0.05


def test_every_row_comes_once_in_an_epoch_and_batches_are_of_one_size():
    for n, size in ((10, 3), (7, 7), (5, 8), (12, 4)):
        batches = list(order_of(Plan(steps=40, batch=size), 0, n))
        assert {len(b) for b in batches} == {min(size, n)}
        stream = torch.cat(batches)
        for epoch in stream[: len(stream) // n * n].split(n):
            assert sorted(epoch.tolist()) == list(range(n))
        later = list(order_of(Plan(steps=40, batch=size), 17, n))
        assert all(torch.equal(a, b) for a, b in zip(batches[17:], later, strict=True))


def test_the_rate_rises_and_falls_over_a_horizon_that_is_known():
    rates = [PLAN.rate_at(step) for step in range(PLAN.steps)]
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top]) and rates[151:] == sorted(rates[151:], reverse=True)
    assert rates[30] == pytest.approx(0.1) and rates[-1] < 1e-4 < rates[0]
    assert Plan(steps=10, cool=0.0, warm=0.0, rate=0.5).rate_at(9) == 0.5


@pytest.mark.parametrize("average", [0.0, 0.99])
@pytest.mark.parametrize("stop", [1, 50, 51, 199])
def test_a_fit_goes_on_from_any_mark_bit_for_bit(average, stop):
    plan = Plan(steps=200, batch=32, rate=0.1, every=25, average=average, seed=4)
    held = rows(64, seed=1)
    whole = Line(noise=0.5)
    one = train(whole, rows(), plan, score=held_out_score(whole, held, 0))
    kept: list[Run] = []

    class Killed(Exception):
        pass

    def keep(run):
        kept.append(copy.deepcopy(run))
        if run.step >= stop:
            raise Killed

    first = Line(noise=0.5)
    with pytest.raises(Killed):
        train(first, rows(), plan, score=held_out_score(first, held, 0), keep=keep)
    said, groups = kept[-1].packed()
    second = Line(noise=0.5)
    two = train(second, rows(), plan, Run.unpacked(said, groups), score=held_out_score(second, held, 0))
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(second), strict=True))
    assert one.history == two.history


def test_the_running_mean_is_what_is_given_and_is_calmer():
    plan = Plan(steps=400, batch=4, rate=0.05, warm=0.0, cool=0.0, every=400)
    best = torch.linalg.lstsq(torch.cat([rows().x[0], torch.ones(400, 1)], 1), rows().x[1][:, None]).solution[:, 0]
    gaps = {0.0: 0.0, 1.0: 0.0}
    for average, seed in itertools.product(gaps, range(10)):
        model = Line(noise=2.0)
        train(model, rows(), replace(plan, average=average, seed=seed))
        gaps[average] += float((torch.cat([*weights(model)[0], weights(model)[1]]) - best).norm())
    assert gaps[1.0] < 0.7 * gaps[0.0]


def test_patience_ends_a_fit_with_its_best_weights():
    held, scores = rows(8), iter([0.0, 1.0, 3.0, 2.0, 2.0])
    model, seen = Line(), []

    def score():
        seen.append(weights(model))
        return torch.full((8,), next(scores))

    run = train(model, held, Plan(steps=1000, batch=8, every=10, patience=2), score=score)
    assert run.step == 40 and run.best_score == 3.0
    assert all(torch.equal(a, b) for a, b in zip(weights(model), seen[2], strict=True))
    again = train(model, held, Plan(steps=1000, batch=8, every=10, patience=2), run, score=score)
    assert again.step == 40  # a fit that had ended goes on no further


@pytest.mark.filterwarnings("ignore:the fit diverged")
def test_a_loss_that_is_no_number_ends_a_fit_with_its_best_weights():
    class Broken(Line):
        steps = 0

        def loss(self, batch, noise):
            self.steps += 1
            return super().loss(batch, noise) * (float("nan") if self.steps > 20 else 1.0)

    model = Broken()
    with pytest.warns(UserWarning, match="diverged at step"):
        run = train(model, rows(), Plan(steps=500, batch=32, every=10, rate=0.1))
    assert run.ended == DIVERGED and run.step < 21 + BAD and all(torch.isfinite(p).all() for p in model.parameters())
    assert model.net.bias.item() > 0.5


def test_an_interrupt_and_a_limit_of_seconds_keep_what_there_is():
    def tell(step, steps, line):
        if step >= 20:
            raise KeyboardInterrupt

    model = Line()
    run = train(model, rows(), Plan(steps=500, batch=32, every=10, rate=0.1), tell=tell)
    assert run.ended == INTERRUPTED and run.step == 20 and model.net.bias.item() > 0.5
    model = Line()
    run = train(model, rows(), Plan(steps=10**6, batch=32), seconds=1e-9)
    assert run.ended == STOPPED and run.step == 1 and model.net.bias.item() != 0


def test_a_gradient_is_cut_to_its_norm():
    model = Line()
    train(model, rows(), Plan(steps=1, batch=32, rate=1.0, warm=0.0, cool=0.0, clip=1e-12, every=1))
    free = Line()
    train(free, rows(), Plan(steps=1, batch=32, rate=1.0, warm=0.0, cool=0.0, clip=None, every=1))
    assert abs(model.net.bias.item()) < 1e-3 < abs(free.net.bias.item())


def test_noise_is_that_of_its_rows_however_the_batch_is_shared():
    whole = Noise(3, 10).normal(2, 2)
    shared = [Noise(3, b - a, first=a, of=10).normal(2, 2) for a, b in ((0, 3), (3, 7), (7, 10))]
    assert torch.equal(whole, torch.cat(shared)) and whole.shape == (10, 2, 2)
    assert not torch.equal(whole, Noise(4, 10).normal(2, 2))


SCRIPT = """
import os, sys
import pandas as pd, torch
from begat import Autoregressive
torch.set_num_threads(1)
rows = pd.read_pickle(sys.argv[1])
model = Autoregressive(width=8, epochs=int(sys.argv[3]), batch=50, order=sys.argv[5], random_state=1)
model.set_params(seconds=float(sys.argv[6]) or None)
model.fit(rows, "income", checkpoint=sys.argv[4] or None)
if int(os.environ.get("RANK", "0")) == 0:
    model.log_prob(rows).tofile(sys.argv[2])
os._exit(0)  # gloo's threads abort a process now and then that takes them down while the other still speaks
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
@pytest.mark.parametrize("order", ["fixed", "any"])
def test_two_processes_fit_what_one_does(tmp_path, order):
    """To 1e-5 nats, noise and a restart from a checkpoint included."""
    table(300).to_pickle(tmp_path / "rows.pickle")  # Arrow's threads may abort a process that ends soon
    (tmp_path / "fit.py").write_text(textwrap.dedent(SCRIPT))
    where = {**os.environ, "OMP_NUM_THREADS": "1"}

    def fit(name: str, processes: int, kept: str = "", seconds: float = 0.0) -> np.ndarray:
        start = [sys.executable]
        if processes > 1:
            start += ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        call = [*start, "fit.py", "rows.pickle", name, "6", kept, order, str(seconds)]
        done = subprocess.run(call, cwd=tmp_path, env=where, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return np.fromfile(tmp_path / name)

    alone = fit("one", 1)
    np.testing.assert_allclose(fit("two", 2), alone, atol=1e-5)
    assert np.abs(fit("cut", 2, "kept", seconds=1e-9) - alone).max() > 1e-3
    np.testing.assert_allclose(fit("on", 2, "kept"), alone, atol=1e-5)


def test_a_fit_ends_with_nothing_worse_than_it_began_with():
    model = Line()
    held = rows(64, seed=1)
    before = float(held_out_score(model, held, 0)().mean())
    train(model, rows(), Plan(steps=40, batch=32, rate=50.0, every=10, cool=0.0), score=held_out_score(model, held, 0))
    assert float(held_out_score(model, held, 0)().mean()) >= before - 1e-6
