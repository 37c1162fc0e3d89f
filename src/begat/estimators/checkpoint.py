"""A fit that can be killed: its course in one file of a folder, written whole after each epoch."""

from __future__ import annotations

import json
import math
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from begat.errors import FileError
from begat.estimators.saved import plain
from begat.estimators.store import tensors_digest
from begat.estimators.whole import folder_place, whole
from begat.fitting.em import Course
from begat.recipe import digest, parse

if TYPE_CHECKING:
    from begat.estimators.circuit import Circuit
    from begat.estimators.circuit_fit import Recipe
    from begat.estimators.cutting import Cut

GROUPS = ("stats", "state", "best")
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
    """The course of one fit, of this recipe and what was chosen for it to these rows, in the file
    circuit.UNITS.safetensors of a folder."""

    def __init__(self, folder: str | PathLike[str], recipe: Circuit, made: Recipe, rows: Cut, units: int):
        self.path = prepared(folder) / f"circuit.{units}.safetensors"
        params = {k: plain(v) for k, v in recipe.get_params(deep=False).items() if k not in ("schema", *UNBOUND)}
        chosen = [units, made.tree, made.root, made.rank, made.hide, made.seed, *made.pull]
        self.recipe = digest(json.dumps({"params": params, "chosen": chosen}, sort_keys=True, default=str))
        data = {"cells": rows.cells} | ({} if rows.weight is None else {"weight": rows.weight})
        self.data = tensors_digest({**data, **{f"base.{d}": p.base for d, p in enumerate(rows.places)}})
        self.data = digest(f"{recipe.schema_.digest()} {recipe.schema_.target!r} {self.data}")

    def read(self, course: Course) -> Course:
        """Where the fit was left; the course given where there is none yet. FileError for another fit's."""
        from safetensors import SafetensorError, safe_open

        if not self.path.exists():
            return course
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
        parts: dict[str, dict[str, Tensor]] = {group: {} for group in GROUPS}
        for name, tensor in tensors.items():
            group, _, rest = name.partition("/")
            parts[group][rest] = tensor
        history, step = said["history"], said["step"]
        best = -math.inf if said["best_score"] is None else said["best_score"]
        numbers = isinstance(history, list) and all(type(score) is float for score in (*history, best))
        if not numbers or type(step) is not int or step < 0:
            raise FileError(f"{self.path} is damaged; remove it to begin anew")
        return Course(step, parts["stats"], parts["state"], parts["best"], best, history)

    def write(self, course: Course) -> None:
        """Leave the course in the folder, whole or not at all."""
        from safetensors.torch import save_file

        tensors = {
            f"{group}/{name}": value.detach().clone(memory_format=torch.contiguous_format)
            for group in GROUPS
            for name, value in getattr(course, group).items()
        }
        said: dict[str, Any] = {
            "hyper-parameters": self.recipe, "rows": self.data, "step": course.step,
            "best_score": course.best_score if math.isfinite(course.best_score) else None, "history": course.history,
        }  # fmt: skip
        said["whole"] = digest(json.dumps(said, sort_keys=True) + tensors_digest(tensors))
        with whole(Path(self.path)) as part:
            save_file(tensors, part, metadata={"course": json.dumps(said)})
