"""A fitted estimator as a header and tensors: parameters and levels as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from begat.errors import FileError, did_you_mean
from begat.estimators import store
from begat.estimators.border import Border
from begat.estimators.store import Slot, pack_strings, unpack_strings
from begat.schema import Schema

if TYPE_CHECKING:
    from begat.estimators.base import Generative

MANY = 1000
"""From this many levels on a vocabulary of words is a tensor, not a part of the header."""


def write(estimator: Generative, path: str | PathLike[str]) -> None:
    """The file of a fitted estimator."""
    model, tensors = estimator._describe()
    schema, words = pack_levels(estimator.schema_.to_dict())
    header = {
        "family": type(estimator).__name__,
        "params": {k: plain(v) for k, v in estimator.get_params(deep=False).items() if k != "schema"},
        "schema": schema,
        "likelihood": asdict(estimator.likelihood) if hasattr(estimator, "likelihood") else {},
        "model": {"role": estimator.role_, "named": estimator.named_, **model},
        "rows": estimator._contains(),
    }
    store.save(path, header, {**tensors, **words})


def read(path: str | PathLike[str], families: Mapping[str, type[Generative]]) -> Generative:
    """The fitted estimator of a file; FileError, one line, for what is no such file."""

    def layout(header: Mapping[str, Any]) -> dict[str, Slot]:
        schema = header["schema"]
        return {**families[header["family"]]._layout(header, len(schema["columns"])), **packed_slots(schema)}

    stored = store.load(path, layout=layout, families=families)
    try:
        return _fitted(families[stored.header["family"]], stored.header, stored.tensors)
    except FileError as error:
        raise FileError(f"{path}: {error}") from None
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise FileError(f"{path} does not describe a fitted model: {reason}") from None


def _fitted(family: type[Generative], header: Mapping[str, Any], tensors: dict[str, Tensor]) -> Generative:
    params = {name: restored(value) for name, value in header["params"].items()}
    for name in params:
        if name not in family._get_param_names():
            raise FileError(f"{family.__name__} has no field {name!r}{did_you_mean(name, family._get_param_names())}")
    schema = Schema.from_dict(unpack_levels(header["schema"], tensors))
    made, model = family(**params, schema=schema), header["model"]
    for column in schema:
        if not column.complete or (column.kind == "datetime" and column.tick is None):
            raise FileError(f"the schema of column {column.name!r} is not complete; the file is damaged")
    role, named, target = model["role"], model["named"], schema.target
    fits = {"density": target is None and not named, "classification": target is not None and schema[target].coded}
    fits["regression"] = target is not None and schema[target].numeric
    if not fits.get(role) or type(named) is not bool:
        raise FileError(f"its role {role!r} does not go with its target {target!r}; the file is damaged")
    made._set_out(Border(schema, role, named))
    made._restore(model, tensors)
    made._held = header.get("rows", {})
    return made


def plain(value: Any) -> Any:
    """A hyper-parameter as JSON; a mapping becomes {"pairs": [[key, value], ...]}, since keys may be numbers.

    What is no hyper-parameter of a file (a random state that is a generator) becomes None.
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {"pairs": [[plain(k), plain(v)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value if value is None or isinstance(value, bool | int | float | str) else None


def restored(value: Any) -> Any:
    """The hyper-parameter that `plain` wrote."""
    if isinstance(value, Mapping):
        return {k: restored(v) for k, v in value["pairs"]}
    return [restored(v) for v in value] if isinstance(value, list) else value


def pack_levels(schema: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A schema's dictionary with its long vocabularies taken out, and those as tensors."""
    tensors: dict[str, Tensor] = {}
    columns = []
    for i, column in enumerate(schema["columns"]):
        levels = column.get("levels")
        if levels and len(levels) >= MANY and all(isinstance(v, str) for v in levels):
            words, starts = pack_strings(levels)
            tensors[f"levels.{i}.words"], tensors[f"levels.{i}.starts"] = words, starts
            column = {**column, "levels": {"words": len(words), "starts": len(starts)}}
        columns.append(column)
    return {**schema, "columns": columns}, tensors


def packed_slots(schema: Mapping[str, Any]) -> dict[str, Slot]:
    """The tensors that `pack_levels` made, from the header alone."""
    slots = {}
    for i, column in enumerate(schema["columns"]):
        if isinstance(column.get("levels"), Mapping):
            slots[f"levels.{i}.words"] = Slot((int(column["levels"]["words"]),), torch.uint8)
            slots[f"levels.{i}.starts"] = Slot((int(column["levels"]["starts"]),), torch.int64)
    return slots


def unpack_levels(schema: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The schema's dictionary with its vocabularies back in place."""
    columns = []
    for i, column in enumerate(schema["columns"]):
        if isinstance(column.get("levels"), Mapping):
            levels = unpack_strings(tensors[f"levels.{i}.words"], tensors[f"levels.{i}.starts"])
            if len(set(levels)) < len(levels):
                raise FileError(f"column {column.get('name')!r} has a level twice; the file is damaged")
            column = {**column, "levels": levels}
        columns.append(column)
    return {**schema, "columns": columns}
