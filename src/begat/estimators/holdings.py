"""What of the training rows a model file holds, for a person to read before it is handed on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from begat.schema import Column, Schema

FEW = 5
"""A level of fewer rows than this may point to a person."""
NAMED = 5
"""Of such levels of a column so many are named."""


def holdings(
    schema: Schema,
    leaves: Mapping[Any, str],
    rows: float,
    edges: Iterable[Any],
    counts: Iterable[tuple[Column, Tensor]],
) -> dict[str, Any]:
    """What of the training rows a file of the model holds, by column.

    leaves: the leaf of each column. edges: columns of which it holds points between values. counts: of the rows of each
    level of columns of levels. Gives number: rows, as weighted. points: columns of whose every value the file has.
    extremes: of the least and greatest. edges. codes: of numbers that repeat. levels: of words. rare: {column: levels
    of fewer than FEW rows, how many ("count") and the first of them ("names")}.
    """
    rare = {}
    for column, count in counts:
        few = [str(v) for v, n in zip(column.levels or (), count.tolist(), strict=False) if 0 < n < FEW]
        if few:
            rare[str(column.name)] = {"count": len(few), "names": few[:NAMED]}
    return {
        "number": rows,
        "points": [str(n) for n, leaf in leaves.items() if leaf == "kde"],
        "extremes": [str(c.name) for c in schema if c.seen is not None],
        "edges": [str(name) for name in edges],
        "codes": [str(c.name) for c in schema if c.atoms],
        "levels": [str(c.name) for c in schema if c.levels],
        "rare": rare,
    }
