"""The law of one column, whatever is known of the others, at the values that a plot asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from begat.codecs.table import TableCodec
from begat.errors import EvidenceError, did_you_mean
from begat.estimators.circuit_fit import ROWS
from begat.estimators.rows import assemble
from begat.fitting.counted import by_rows

if TYPE_CHECKING:
    from begat.estimators.circuit import Circuit


def marginal_of(circuit: Circuit, column: str | int, at: Any, given: Mapping[Any, Any]) -> np.ndarray:
    """P(column = a | given) of each value a in `at` -> (m,), as Circuit.marginal says: a ratio of joints."""
    schema, border = circuit.schema_, circuit.border_
    if isinstance(column, (list, dict, set)):
        raise EvidenceError(f"column is a {type(column).__name__}; ask for one column by its name")
    if not isinstance(given, Mapping):
        raise EvidenceError(f"given is a {type(given).__name__}; give a mapping of columns to what is known of them")
    at = [at] if isinstance(at, str) or not hasattr(at, "__len__") else at
    n = len(at)
    if column not in schema.names or column in given:
        what = "is given" if column in given else f"is none of the table{did_you_mean(column, schema.names)}"
        raise EvidenceError(f"the column {column!r} {what}; ask for one that is not known")
    if not schema[column].scored:
        raise EvidenceError(f"column {column!r} is {schema[column].kind}, which no model scores")
    known, regions = border.evidence(1, None, given)
    asked = circuit._asked(regions)
    whole = circuit.model_.log_prob(circuit._joint.put(known), asked)[0]
    if torch.isneginf(whole):
        raise EvidenceError("the evidence has no probability; widen it or leave a part of it out")
    others, possible = known.rows(torch.zeros(n, dtype=torch.long)), None
    if column == schema.target and circuit.role_ == "classification":
        cells = others.having(cond=border.encode_target(at, n).batch.x[1][:, 0].long())
    else:
        codec = TableCodec(schema, [column])
        made, possible = codec.encode({column: at}, missing=circuit.missing)
        slot = codec.slots[0]
        told = made.known[0 if slot.code is None else 1]
        if told is not None and not bool(told[:, slot.value if slot.code is None else slot.code].all()):
            raise EvidenceError(f"a missing {column!r} is no outcome of this model; ask for values")
        cells = assemble(border.model, n, (border.model, others), (codec, made))
    wide = circuit._joint.put(cells)
    p = (by_rows(lambda b: circuit.model_.log_prob(b, asked), wide, ROWS) - whole).exp()
    return (p if possible is None else p * possible).numpy()
