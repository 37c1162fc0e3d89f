"""Whether a model's likelihood counts what the floor's counts: only then is their difference a gain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from begat.core import Likelihood
from begat.schema import Schema


def unlike(model: Any, said: Likelihood, floor: Likelihood, schema: Schema) -> str:
    """Why the model's likelihood does not compare with the floor's, in words; empty where it does.

    Equal digests compare. Where the model has a `schema_`, the columns that differ from the table's `schema` are named:
    a model that integrates missing cells out has fewer events to spread its probability over than one that scores them.
    """
    if said.schema == floor.schema:
        return ""
    theirs = getattr(model, "schema_", None)
    if not isinstance(theirs, Schema):
        return f"its schema {said.schema or 'is not said and'} is not the floor's {floor.schema}"
    held = {c.name: c for c in theirs if c.scored}
    ours = {c.name: c for c in schema if c.scored}
    fewer = [n for n in ours if n not in held]
    if fewer:
        return f"it does not score {_some(fewer)}"
    more = [n for n in held if n not in ours]
    if more:
        return f"it scores {_some(more)} too, which the table does not"
    unknown = [n for n, c in ours.items() if c.missing and not held[n].missing]
    if unknown:
        return f"it takes missing cells of {_some(unknown)} for unknown and leaves them out; the floor scores them"
    other = [n for n, c in ours.items() if Schema((c,)).digest() != Schema((held[n],)).digest()]
    return f"its schema describes {_some(other)} in another way than the table's"


def _some(names: Iterable[object]) -> str:
    said = [repr(n) for n in names]
    return ", ".join(said[:3]) + (f" and {len(said) - 3} more" if len(said) > 3 else "")
