"""A fitted naive Bayes as plain values and tensors, the way back, and what of its training rows they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from begat.codecs.table import TableCodec
from begat.core import Stats
from begat.errors import FileError
from begat.estimators.holdings import holdings
from begat.estimators.store import Slot
from begat.families.naive_bayes import NaiveBayes as Model
from begat.leaves.categorical import Categorical
from begat.leaves.part import Part
from begat.leaves.registry import build
from begat.leaves.registry import describe as described
from begat.leaves.special import Special

if TYPE_CHECKING:
    from begat.estimators.naive_bayes import NaiveBayes


def describe(fit: NaiveBayes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration of the fitted model as JSON, and its tensors."""
    parts = [{"values": list(p.values), "codes": list(p.codes), "leaf": described(p.leaf)} for p in fit.model_.parts]
    named = [[name, leaf] for name, leaf in fit.leaves_.items()]
    tensors = {"log_prior": fit.model_.log_prior}
    for p, part in enumerate(fit.model_.parts):
        tensors |= {f"part.{p}.{name}": value for name, value in part.leaf.state_dict().items()}
    if fit.role_ == "regression":
        tensors["edges"] = fit.edges_
    return {"states": fit.model_.classes, "parts": parts, "leaves": named, "rows": fit.rows_}, tensors


def layout(model: Mapping[str, Any], columns: int) -> dict[str, Slot]:
    """The tensors of a described model over so many columns."""
    states = model["states"]
    slots = {"log_prior": Slot((states,), torch.float64, True)}
    for p, part in enumerate(model["parts"]):
        leaf = build(part["leaf"])
        width = max(len(part["values"]), len(part["codes"]))
        if leaf.columns != width or width > columns or leaf.states != states:
            raise ValueError(f"leaf {p} does not fit its columns")
        for name, shape in leaf.layout().items():
            slots[f"part.{p}.{name}"] = Slot(shape, torch.float64, "log" in name or name.endswith("edges"))
    if model["role"] == "regression":
        slots["edges"] = Slot((states - 1,), torch.float64)
    return slots


def restored(model: Mapping[str, Any], tensors: Mapping[str, Tensor], codec: TableCodec) -> Model:
    """The mathematics that `describe` described. FileError where it does not fit the columns of the codec."""
    parts = []
    for p, value in enumerate(model["parts"]):
        part = Part(build(value["leaf"]), tuple(value["values"]), tuple(value["codes"]))
        own = f"part.{p}."
        part.leaf.restore({n[len(own) :]: t for n, t in tensors.items() if n.startswith(own)})
        parts.append(part)
    _check(parts, codec)
    made = Model(codec.spec, parts, model["states"])
    made.log_prior = tensors["log_prior"]
    return made


def _check(parts: Sequence[Part], codec: TableCodec) -> None:
    """Every column of the codec belongs to exactly one part, and with as many codes as its leaf has."""
    values = sorted(i for p in parts for i in p.values)
    codes = sorted(i for p in parts for i in p.codes)
    widths = [f.shape[0] for f in codec.spec.fields]
    if any(type(i) is not int for i in (*values, *codes)):
        raise FileError("a leaf's columns are not whole numbers; the file is damaged")
    if values != list(range(widths[0])) or codes != list(range(widths[1])):
        raise FileError("its leaves do not cover the columns of its schema; the file is damaged")
    levels = codec.spec.fields[1].levels
    assert isinstance(levels, tuple)
    for part in parts:
        leaf = part.leaf.codes if isinstance(part.leaf, Special) else part.leaf
        if part.codes and (not isinstance(leaf, Categorical) or leaf.levels != tuple(levels[i] for i in part.codes)):
            raise FileError("a leaf has other levels than the schema; the file is damaged")
        rest = part.leaf.remainder if isinstance(part.leaf, Special) else part.leaf
        by_value = {s.value: s.column for s in codec.slots if s.value is not None}
        for end, side in enumerate(("lower", "upper")):
            stated = tuple(by_value[i].limits[end] for i in part.values)
            if part.values and getattr(rest, side, stated) != stated:
                raise FileError(f"a leaf has other {side} bounds than the schema; the file is damaged")


def contains(fit: NaiveBayes, stats: Sequence[Stats]) -> dict[str, Any]:
    """What of the training rows a file of the model holds (estimators.holdings)."""
    edged = [n for n, leaf in fit.leaves_.items() if leaf in ("histogram", "calendar")]
    if fit.role_ == "regression" and fit.schema_.target not in edged:
        edged.append(fit.schema_.target)
    column_of = {s.code: s.column for s in fit.border_.model.slots if s.column.coded}
    counts = []
    if fit.role_ == "classification":
        counts.append((fit.schema_[fit.schema_.target], stats[0]["classes"]))
    for part, seen in zip(fit.model_.parts, stats[1:], strict=True):
        if isinstance(part.leaf, Categorical):
            each = seen["counts"].sum(1).split(part.leaf.levels)
            counts += [(column_of[code], count) for code, count in zip(part.codes, each, strict=True)]
    return holdings(fit.schema_, fit.leaves_, fit.rows_, edged, counts)
