"""A fitted circuit as plain values and tensors, and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from begat.codecs.table import Slot as Column
from begat.core import Spec
from begat.errors import FileError
from begat.estimators import leaning, places_file
from begat.estimators.store import Slot
from begat.estimators.structure import Structure
from begat.families.circuit import Circuit as Model
from begat.families.coupled import Coupled
from begat.families.coupling import Coupling
from begat.leaves.place_law import LAWS

if TYPE_CHECKING:
    from begat.estimators.circuit import Circuit

ALONE = "alone"
"""The law of a column that has no table of its own."""


def describe(fit: Circuit) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration of the fitted model as JSON, and its tensors."""
    model, found = fit._circuit, fit.structure_
    columns, tensors = [], {"prior": model.prior}
    tensors |= {f"edge.{z}": table for z, table in enumerate(model.transitions, 1)}
    for d, law in enumerate(model.laws):
        said, own = places_file.describe(d, law.places)
        columns.append({"law": law.kind, "alpha": law.alpha, **said})
        tensors |= ({} if law.kind == ALONE else {f"column.{d}": law.p}) | own
    header = {
        "units": model.states, "columns": columns,
        "parents": list(found.parents), "hosts": list(found.hosts), "main": list(found.main),
        "links": [list(link) for link in found.links], **places_file.course(fit),
    }  # fmt: skip
    if isinstance(fit.model_, Coupled):
        coupling = fit.model_.coupling
        header["coupling"] = {"hub": coupling.hub, "columns": list(coupling.columns)}
        tensors["shift"] = coupling.shift
    return header, tensors


def layout(model: Mapping[str, Any], columns: int) -> dict[str, Slot]:
    """The tensors of a described model over so many columns."""
    units = model["units"]
    slots = {"prior": Slot((units,), torch.float32)}
    if type(units) is not int or units < 1 or len(model["columns"]) > columns:
        raise ValueError(f"{len(model['columns'])} columns and {units} states do not fit")
    slots |= {f"edge.{z}": Slot((units, units), torch.float32) for z in range(1, len(model["parents"]))}
    for d, column in enumerate(model["columns"]):
        size, own = places_file.layout(d, column)
        slots |= own
        if column["law"] != ALONE:
            slots[f"column.{d}"] = Slot((size, units), torch.float32)
        if d == model.get("coupling", {}).get("hub"):
            slots["shift"] = Slot((size, len(model["coupling"]["columns"])), torch.float64)
    return slots


def restored(
    model: Mapping[str, Any], tensors: Mapping[str, Tensor], slots: Sequence[Column], spec: Spec
) -> tuple[Structure, Model | Coupled]:
    """The structure and the mathematics that `describe` described. FileError where they do not fit these columns."""
    laws = []
    if len(model["columns"]) != len(slots):
        raise FileError(f"the file has {len(model['columns'])} columns, its schema calls for {len(slots)}")
    for d, (column, slot) in enumerate(zip(model["columns"], slots, strict=True)):
        places = places_file.restored(d, column, tensors, slot)
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


def _can_lean(hub: Any, columns: Any, slots: Sequence[Column]) -> bool:
    """Whether these columns may lean on this one."""
    inside = all(type(d) is int and 0 <= d < len(slots) for d in (hub, *columns))
    return (
        inside
        and hub not in columns
        and len(set(columns)) == len(columns)
        and all(leaning.can_lean(slots[d].column) for d in columns)
    )
