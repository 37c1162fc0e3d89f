"""A fit that can be killed: where it is, in one file of a folder, written whole at each of its marks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from begat.errors import FileError
from begat.estimators.saved import plain
from begat.estimators.store import tensors_digest
from begat.estimators.whole import folder_place, whole
from begat.recipe import digest, parse

if TYPE_CHECKING:
    from begat.estimators.base import Generative
    from begat.estimators.cutting import Cut

T = TypeVar("T")
Groups = Mapping[str, dict[str, Tensor]]
UNBOUND = ("seconds",)
"""Hyper-parameters that may change between two runs of one fit: they end it, in the midst of an epoch, which then has
a score of its own in the history."""


def prepared(folder: str | PathLike[str]) -> Path:
    """The folder, made where there is none. FileError where it cannot be."""
    place = folder_place(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"cannot make the folder {place}: {error.strerror or error}; give another checkpoint") from None
    return place


class Checkpoint:
    """The file NAME.safetensors of a folder: of one estimator's fit to these rows, and what was `chosen` for it."""

    def __init__(self, folder: str | PathLike[str], name: str, estimator: Generative, chosen: Any, rows: Cut):
        self.path = prepared(folder) / f"{name}.safetensors"
        params = {k: plain(v) for k, v in estimator.get_params(deep=False).items() if k not in ("schema", *UNBOUND)}
        self.recipe = digest(json.dumps({"params": params, "chosen": chosen}, sort_keys=True, default=str))
        data = {"cells": rows.cells} | ({} if rows.weight is None else {"weight": rows.weight})
        self.data = tensors_digest({**data, **{f"base.{d}": p.base for d, p in enumerate(rows.places)}})
        self.data = digest(f"{estimator.schema_.digest()} {estimator.schema_.target!r} {self.data}")

    def read(self, unpacked: Callable[[Mapping[str, Any], Groups], T]) -> T | None:
        """Where the fit was left, made of what it said and its tensors; None where there is none yet. FileError for
        another fit's."""
        from safetensors import SafetensorError, safe_open

        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                said = parse((file.metadata() or {}).get("course", "{}").encode())
                # Clones lie as fresh tensors do: products of others differ in their last bits.
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, FileError) as error:
            raise FileError(
                f"{self.path} is no checkpoint, or a damaged one; remove it to begin anew ({error})"
            ) from None
        for what, mine in (("hyper-parameters", self.recipe), ("rows", self.data)):
            if said.get(what) != mine:
                raise FileError(f"{self.path} is of another fit: its {what} are not these; give another folder")
        if said.pop("whole", None) != digest(json.dumps(said, sort_keys=True) + tensors_digest(tensors)):
            raise FileError(f"{self.path} is damaged; remove it to begin anew")
        groups: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            group, _, rest = name.partition("/")
            groups.setdefault(group, {})[rest] = tensor
        try:
            return unpacked(said, groups)
        except (LookupError, TypeError, ValueError):
            raise FileError(f"{self.path} is damaged; remove it to begin anew") from None

    def write(self, said: Mapping[str, Any], groups: Groups) -> None:
        """Leave a fit in the folder, whole or not at all: JSON values, and groups of tensors by name."""
        from safetensors.torch import save_file

        tensors = {
            f"{group}/{name}": value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for group, own in groups.items()
            for name, value in own.items()
        }
        said = {**said, "hyper-parameters": self.recipe, "rows": self.data}
        said["whole"] = digest(json.dumps(said, sort_keys=True) + tensors_digest(tensors))
        with whole(Path(self.path)) as part:
            save_file(tensors, part, metadata={"course": json.dumps(said)})
