"""The places of every column as plain values and tensors, and the way back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from begat.codecs.table import Slot as Column
from begat.errors import FileError
from begat.estimators.holdings import holdings
from begat.estimators.store import Slot
from begat.fitting.course import DIVERGED, INTERRUPTED, STOPPED
from begat.leaves.part import Part
from begat.leaves.places import Places
from begat.leaves.registry import build
from begat.leaves.registry import describe as described

if TYPE_CHECKING:
    from begat.estimators.cutting import Cut
    from begat.estimators.over_places import OverPlaces


def describe(d: int, places: Places) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration of the places of column d as JSON, and their tensors."""
    part = places.part
    said = {
        "values": list(part.values), "codes": list(part.codes), "leaf": described(part.leaf), "cuts": len(places.cuts)
    }  # fmt: skip
    tensors = {f"own.{d}.{name}": value for name, value in part.leaf.state_dict().items()}
    return said, tensors | {f"places.{d}.{name}": getattr(places, name) for name in ("cuts", "log_q", "log_base")}


def layout(d: int, said: Mapping[str, Any]) -> tuple[int, dict[str, Slot]]:
    """The number of the described places, and their tensors. ValueError where they are of no column."""
    leaf = build(said["leaf"])
    if (leaf.columns, leaf.states) != (1, 1):
        raise ValueError(f"the law of column {d} is not of one column and state")
    slots = {
        f"own.{d}.{name}": Slot(shape, torch.float64, "log" in name or name.endswith("edges"))
        for name, shape in leaf.layout().items()
    }
    size = Places(_part(said), torch.empty(said["cuts"], dtype=torch.float64)).size
    slots[f"places.{d}.cuts"] = Slot((said["cuts"],), torch.float64)
    return size, slots | {f"places.{d}.{name}": Slot((size,), torch.float64, True) for name in ("log_q", "log_base")}


def restored(d: int, said: Mapping[str, Any], tensors: Mapping[str, Tensor], slot: Column) -> Places:
    """The described places of a column. FileError where they do not fit it."""
    part = _part(said)
    part.leaf.restore({n.removeprefix(f"own.{d}."): t for n, t in tensors.items() if n.startswith(f"own.{d}.")})
    _check(part, slot)
    places = Places(part, tensors[f"places.{d}.cuts"])
    if not bool((places.cuts.diff() > 0).all()):
        raise FileError(f"the cuts of column {slot.column.name!r} do not rise; the file is damaged")
    places.take(tensors[f"places.{d}.log_q"], tensors[f"places.{d}.log_base"])
    return places


def describe_all(places: Sequence[Places]) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """The configurations of all columns, and their tensors."""
    columns: list[dict[str, Any]] = []
    tensors: dict[str, Tensor] = {}
    for d, each in enumerate(places):
        said, own = describe(d, each)
        columns.append(said)
        tensors |= own
    return columns, tensors


def layout_all(said: Sequence[Mapping[str, Any]], most: int) -> tuple[list[int], list[int], dict[str, Slot]]:
    """The numbers of places and of intervals of the described columns, `most` at most, and their tensors."""
    if len(said) > most:
        raise ValueError(f"{len(said)} columns do not fit")
    sizes: list[int] = []
    intervals: list[int] = []
    slots: dict[str, Slot] = {}
    for d, column in enumerate(said):
        size, own = layout(d, column)
        slots |= own
        sizes.append(size)
        intervals.append(column["cuts"] + 1 if column["values"] else 0)
    return sizes, intervals, slots


def restored_all(
    said: Sequence[Mapping[str, Any]], tensors: Mapping[str, Tensor], slots: Sequence[Column]
) -> list[Places]:
    """The described places of all columns. FileError where they do not fit them."""
    if len(said) != len(slots):
        raise FileError(f"the file has {len(said)} columns, its schema calls for {len(slots)}")
    return [restored(d, column, tensors, slot) for d, (column, slot) in enumerate(zip(said, slots, strict=True))]


def course(fit: OverPlaces) -> dict[str, Any]:
    """What an estimator says of its fit, as JSON."""
    leaves = [[name, leaf] for name, leaf in fit.leaves_.items()]
    return {"leaves": leaves, "rows": fit.rows_, "history": fit.history_, "ended": fit.ended_}


def set_course(fit: OverPlaces, model: Mapping[str, Any]) -> None:
    """Set what `course` said. FileError for what no fit says."""
    fit.leaves_, fit.rows_ = dict(map(tuple, model["leaves"])), rows(model)
    fit.history_, fit.ended_ = history(model)


def contains(fit: OverPlaces, rows: Cut) -> dict[str, Any]:
    """What of the training rows a file of the model holds (estimators.holdings)."""
    slots, edged, counts = fit._joint.slots, [], []
    if not rows.places and slots:  # pictures, of which a network alone is kept, and how many there are of each class
        classes = [(slots[-1].column, torch.bincount(rows.cells[:, -1].long(), rows.weight))] if fit._label else []
        return holdings(fit.schema_, {}, fit.rows_, [], classes)
    for slot, places, cells in zip(slots, rows.places, rows.cells.T, strict=True):
        if places.intervals:
            edged.append(slot.column.name)
        else:
            counts.append((slot.column, torch.bincount(cells.long(), rows.weight, minlength=places.size)))
    return holdings(fit.schema_, fit.leaves_, fit.rows_, edged, counts)


def history(model: Mapping[str, Any]) -> tuple[list[float], str]:
    """How the fit went, and why it ended early. FileError for what no fit says."""
    scores, ended = model["history"], model.get("ended", "")
    if not isinstance(scores, list) or any(type(s) is not float or not math.isfinite(s) for s in scores):
        raise FileError("its history is no list of finite numbers; the file is damaged")
    if ended not in ("", INTERRUPTED, STOPPED, DIVERGED):
        raise FileError(f"its fit ended as no fit does ({ended!r:.40}); the file is damaged")
    return scores, ended


def rows(model: Mapping[str, Any]) -> float:
    """The weight of the rows of the fit. FileError for what is none."""
    found = model["rows"]
    if type(found) not in (int, float) or not 0 < found < math.inf:
        raise FileError("the number of its rows is none; the file is damaged")
    return float(found)


def _part(said: Mapping[str, Any]) -> Part:
    return Part(build(said["leaf"]), tuple(said["values"]), tuple(said["codes"]))


def _check(part: Part, slot: Column) -> None:
    """Raise FileError unless a column's law reads the column, with its codes and its bounds."""
    column, name = slot.column, slot.column.name
    values = () if slot.value is None else (slot.value,)
    codes = () if slot.code is None else (slot.code,)
    if any(type(place) is not int for place in (*part.values, *part.codes)):
        raise FileError(f"the law of column {name!r} reads cells that have no number; the file is damaged")
    if (part.values, part.codes) != (values, codes) or part.leaf.reads != (
        "both" if values and codes else "values" if values else "codes"
    ):
        raise FileError(f"the law of column {name!r} reads other cells than the column's; the file is damaged")
    leaf: Any = part.leaf.codes if part.leaf.reads == "both" else part.leaf
    if codes and tuple(leaf.levels) != (column.codes,):
        raise FileError(f"the law of column {name!r} has other levels than the schema; the file is damaged")
    rest: Any = part.leaf.remainder if part.leaf.reads == "both" else part.leaf
    if values and (rest.lower + rest.upper) != column.limits:
        raise FileError(f"the law of column {name!r} has other bounds than the schema; the file is damaged")
