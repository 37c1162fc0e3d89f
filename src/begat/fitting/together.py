"""Several processes that fit one model: each has its share of every batch, and all have the sum of the gradients."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class World:
    """The processes of a fit, and which of them this is."""

    rank: int = 0
    size: int = 1

    def share(self, n: int) -> slice:
        """This process's rows of a batch of n."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the processes, all in one message."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        torch.distributed.all_reduce(flat)
        for t, total in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            t.copy_(total.view_as(t))

    def total(self, value: Tensor) -> float:
        """The sum of a number over the processes."""
        value = value.detach().clone()
        if self.size > 1:
            torch.distributed.all_reduce(value)
        return float(value)

    def any(self, said: bool, device: torch.device | str = "cpu") -> bool:
        """Whether any process says so; device: where its tensors lie."""
        return said if self.size == 1 else self.total(torch.tensor(float(said), device=device)) > 0


ALONE = World()


@contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """The processes that torchrun started, as its environment says, each with a device of this kind; this one alone
    where it started none."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    distributed, mine = torch.distributed, False
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        mine = True
    try:
        yield World(distributed.get_rank(), distributed.get_world_size())
        distributed.barrier()  # or one that is done first takes its half of what the other still says with it
    finally:
        if mine:
            distributed.destroy_process_group()
