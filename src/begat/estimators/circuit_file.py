"""A fitted circuit as plain values and tensors, and the way back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from begat.codecs.table import Slot as Column
from begat.core import Spec
from begat.errors import FileError
from begat.estimators import leaning
from begat.estimators.holdings import holdings
from begat.estimators.store import Slot
from begat.estimators.structure import Structure
from begat.families.circuit import Circuit as Model
from begat.families.coupled import Coupled
from begat.families.coupling import Coupling
from begat.fitting.course import INTERRUPTED, STOPPED
from begat.leaves.part import Part
from begat.leaves.place_law import LAWS
from begat.leaves.places import Places
from begat.leaves.registry import build
from begat.leaves.registry import describe as described

if TYPE_CHECKING:
    from begat.estimators.circuit import Circuit
    from begat.estimators.cutting import Cut

ALONE = "alone"
"""The law of a column that has no table of its own."""


def describe(fit: Circuit) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration of the fitted model as JSON, and its tensors."""
    model, found = fit._circuit, fit.structure_
    columns, tensors = [], {"prior": model.prior}
    tensors |= {f"edge.{z}": table for z, table in enumerate(model.transitions, 1)}
    for d, law in enumerate(model.laws):
        part = law.places.part
        columns.append(
            {
                "law": law.kind, "alpha": law.alpha, "values": list(part.values), "codes": list(part.codes),
                "leaf": described(part.leaf), "cuts": len(law.places.cuts),
            }
        )  # fmt: skip
        tensors |= {} if law.kind == ALONE else {f"column.{d}": law.p}
        tensors |= {f"own.{d}.{name}": value for name, value in part.leaf.state_dict().items()}
        tensors |= {f"places.{d}.{name}": getattr(law.places, name) for name in ("cuts", "log_q", "log_base")}
    header = {
        "units": model.states, "columns": columns,
        "parents": list(found.parents), "hosts": list(found.hosts), "main": list(found.main),
        "links": [list(link) for link in found.links], "leaves": [[name, leaf] for name, leaf in fit.leaves_.items()],
        "rows": fit.rows_, "history": fit.history_, "ended": fit.ended_,
    }  # fmt: skip
    if isinstance(fit.model_, Coupled):
        coupling = fit.model_.coupling
        header["coupling"] = {"hub": coupling.hub, "columns": list(coupling.columns)}
        tensors["shift"] = coupling.shift
    return header, tensors


def contains(fit: Circuit, rows: Cut) -> dict[str, Any]:
    """What of the training rows a file of the model holds (estimators.holdings)."""
    slots, edged, counts = fit._joint.slots, [], []
    for slot, places, cells in zip(slots, rows.places, rows.cells.T, strict=True):
        if places.intervals:
            edged.append(slot.column.name)
        else:
            counts.append((slot.column, torch.bincount(cells.long(), rows.weight, minlength=places.size)))
    return holdings(fit.schema_, fit.leaves_, fit.rows_, edged, counts)


def layout(model: Mapping[str, Any], columns: int) -> dict[str, Slot]:
    """The tensors of a described model over so many columns."""
    units = model["units"]
    slots = {"prior": Slot((units,), torch.float32)}
    if type(units) is not int or units < 1 or len(model["columns"]) > columns:
        raise ValueError(f"{len(model['columns'])} columns and {units} states do not fit")
    slots |= {f"edge.{z}": Slot((units, units), torch.float32) for z in range(1, len(model["parents"]))}
    for d, column in enumerate(model["columns"]):
        leaf = build(column["leaf"])
        if (leaf.columns, leaf.states) != (1, 1):
            raise ValueError(f"the law of column {d} is not of one column and state")
        for name, shape in leaf.layout().items():
            slots[f"own.{d}.{name}"] = Slot(shape, torch.float64, "log" in name or name.endswith("edges"))
        places = Places(_part(column), torch.empty(column["cuts"], dtype=torch.float64))
        slots[f"places.{d}.cuts"] = Slot((column["cuts"],), torch.float64)
        for name in ("log_q", "log_base"):
            slots[f"places.{d}.{name}"] = Slot((places.size,), torch.float64, True)
        if column["law"] != ALONE:
            slots[f"column.{d}"] = Slot((places.size, units), torch.float32)
        if d == model.get("coupling", {}).get("hub"):
            slots["shift"] = Slot((places.size, len(model["coupling"]["columns"])), torch.float64)
    return slots


def _part(column: Mapping[str, Any]) -> Part:
    return Part(build(column["leaf"]), tuple(column["values"]), tuple(column["codes"]))


def restored(
    model: Mapping[str, Any], tensors: Mapping[str, Tensor], slots: Sequence[Column], spec: Spec
) -> tuple[Structure, Model | Coupled]:
    """The structure and the mathematics that `describe` described. FileError where they do not fit these columns."""
    laws = []
    if len(model["columns"]) != len(slots):
        raise FileError(f"the file has {len(model['columns'])} columns, its schema calls for {len(slots)}")
    for d, (column, slot) in enumerate(zip(model["columns"], slots, strict=True)):
        part = _part(column)
        part.leaf.restore(_own(tensors, f"own.{d}."))
        _check(part, slot)
        places = Places(part, tensors[f"places.{d}.cuts"])
        if not bool((places.cuts.diff() > 0).all()):
            raise FileError(f"the cuts of column {slot.column.name!r} do not rise; the file is damaged")
        places.take(tensors[f"places.{d}.log_q"], tensors[f"places.{d}.log_base"])
        law = LAWS[column["law"]](places, model["units"], column["alpha"])
        if law.kind != ALONE:
            law.p = tensors[f"column.{d}"].clone()
        laws.append(law)
    links = tuple((int(a), int(b), float(nats)) for a, b, nats in model["links"])
    found = Structure(tuple(model["parents"]), tuple(model["hosts"]), tuple(model["main"]), links)
    if len(found.main) != len(found.parents) or any(
        not -1 <= c < len(slots) for c in (*found.main, *(c for link in links for c in link[:2]))
    ):
        raise FileError("its tree is not one of its columns; the file is damaged")
    made = Model(spec, laws, found.hosts, found.parents, model["units"])
    made.prior = tensors["prior"]
    made.transitions = [tensors[f"edge.{z}"].clone() for z in range(1, len(found.parents))]
    if "coupling" not in model:
        return found, made
    hub, columns = model["coupling"]["hub"], model["coupling"]["columns"]
    if not _can_lean(hub, columns, slots):
        raise FileError("a column that leans on another is no number without bounds; the file is damaged")
    values = [v for d in columns if (v := slots[d].value) is not None]
    whole = torch.tensor([slots[d].column.grid is not None for d in columns])
    if not bool((tensors["shift"].frac()[:, whole] == 0).all()):
        raise FileError("a column that leans on another would leave its grid; the file is damaged")
    return found, Coupled(made, Coupling(hub, laws[hub].places, columns, values, tensors["shift"]))


def history(model: Mapping[str, Any]) -> tuple[list[float], str]:
    """How the fit went, and why it ended early. FileError for what no fit says."""
    scores, ended = model["history"], model.get("ended", "")
    if not isinstance(scores, list) or any(type(s) is not float or not math.isfinite(s) for s in scores):
        raise FileError("its history is no list of finite numbers; the file is damaged")
    if ended not in ("", INTERRUPTED, STOPPED):
        raise FileError(f"its fit ended as no fit does ({ended!r:.40}); the file is damaged")
    return scores, ended


def rows(model: Mapping[str, Any]) -> float:
    """The weight of the rows of the fit. FileError for what is none."""
    found = model["rows"]
    if type(found) not in (int, float) or not 0 < found < math.inf:
        raise FileError("the number of its rows is none; the file is damaged")
    return float(found)


def _can_lean(hub: Any, columns: Any, slots: Sequence[Column]) -> bool:
    """Whether these columns may lean on this one."""
    inside = all(type(d) is int and 0 <= d < len(slots) for d in (hub, *columns))
    return (
        inside
        and hub not in columns
        and len(set(columns)) == len(columns)
        and all(leaning.can_lean(slots[d].column) for d in columns)
    )


def _own(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {n[len(name) :]: t for n, t in tensors.items() if n.startswith(name)}


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
