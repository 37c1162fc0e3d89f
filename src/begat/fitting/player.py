"""One player of a fit by gradients: what it moves, and the steps that it makes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from begat.core import Batch, Objective
from begat.fitting.plan import Plan, Tensors
from begat.fitting.together import World
from begat.random import Noise, mixed


class Player:
    """One player's parameters, its optimiser, and how many steps in a row it could not make."""

    def __init__(self, objective: Objective, plan: Plan, world: World):
        self.name, self.player, self.loss = objective
        self.plan, self.world = plan, world
        self.named = [(name, p) for name, p in self.player.named_parameters() if p.requires_grad]
        self.parameters = [p for _, p in self.named]
        matrices = [p for p in self.parameters if p.ndim > 1]
        others = [p for p in self.parameters if p.ndim <= 1]
        groups = [
            {"params": group, "weight_decay": decay}
            for group, decay in ((matrices, plan.decay), (others, 0.0))
            if group
        ]
        fused = all(p.device.type in ("cpu", "cuda") for p in self.parameters)
        self.optimiser = torch.optim.AdamW(groups, lr=plan.rate, betas=plan.betas, fused=fused)
        self.total, self.steps, self.bad = 0.0, 0, 0

    def step(self, batch: Batch, step: int, first: int, of: int) -> None:
        """Lower the mean loss of a batch, of which this process has the rows from `first` on of `of`."""
        noise = Noise(mixed(self.plan.seed, step, self.name), len(batch), first=first, of=of, device=batch.device)
        each = self.loss(batch, noise)
        loss = each.sum() / of if batch.weight is None else (each * batch.weight).sum() / of
        loss.backward()
        self.world.add([p.grad for p in self.parameters if p.grad is not None])
        value = self.world.total(loss)
        fine = math.isfinite(value)
        if fine and self.plan.clip is not None:
            fine = math.isfinite(self._cut(self.plan.clip))
        if fine:
            for group in self.optimiser.param_groups:
                group["lr"] = self.plan.rate_at(step)
            self.optimiser.step()
            self.total, self.steps, self.bad = self.total + value, self.steps + 1, 0
        else:
            self.bad += 1
        self.optimiser.zero_grad()

    def _cut(self, most: float) -> float:
        """Cut the gradient to a norm; the norm that it had. (torch's own takes five times as long.)"""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = float(torch.stack(torch._foreach_norm(gradients)).norm())
        if norm > most:
            torch._foreach_mul_(gradients, most / norm)
        return norm

    def said(self) -> float:
        """The mean loss since the last time this was asked."""
        out, self.total, self.steps = self.total / max(self.steps, 1), 0.0, 0
        return out

    def state(self) -> Tensors:
        """The optimiser's tensors by name."""
        return {
            f"{self.name}/{name}/{key}": value.detach().clone()
            for name, p in self.named
            for key, value in self.optimiser.state[p].items()
        }

    def restore(self, tensors: Tensors) -> None:
        """Set what `state` gave."""
        for name, p in self.named:
            start = f"{self.name}/{name}/"
            own = {k.removeprefix(start): v.clone().to(p.device) for k, v in tensors.items() if k.startswith(start)}
            if own:
                self.optimiser.state[p] = own


@contextmanager
def alone(players: Sequence[Player], player: Player) -> Iterator[None]:
    """Only this player's parameters have gradients meanwhile."""
    others = [p for each in players if each is not player for p in each.parameters]
    for p in others:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in others:
            p.requires_grad_(True)
