"""Columns as plain JSON values, and from JSON that a person may have edited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from begat.errors import SchemaError, did_you_mean
from begat.schema.column import KINDS, Column, Grid, TextFormat


def plain(column: Column) -> dict[str, Any]:
    """A column as plain JSON values; fields at their defaults are left out, but its name, kind and dtype."""
    out: dict[str, Any] = {}
    for f in fields(Column):
        value = getattr(column, f.name)
        if f.name in ("name", "kind", "dtype") or value != f.default:
            if isinstance(value, (Grid, TextFormat)):
                value = {k: v for k, v in asdict(value).items() if v != type(value).__dataclass_fields__[k].default}
            out[f.name] = list(value) if isinstance(value, tuple) else value
    return out


_TYPES: dict[str, tuple[type, ...]] = {
    "name": (str, int), "kind": (str,), "dtype": (str,), "lower": (int, float, type(None)),
    "upper": (int, float, type(None)), "missing": (bool,), "tick": (str, type(None)), "pattern": (str, type(None)),
    "scored": (bool,), "why": (str,), "missing_share": (int, float), "example": (str,),
}  # fmt: skip


def column_of(value: Any) -> Column:
    """The column that `plain` wrote. SchemaError, with the column and the field, for what is none."""
    if not isinstance(value, Mapping):
        raise SchemaError(f"a column of a schema is an object with a name and a kind, not {type(value).__name__}")
    known = {f.name for f in fields(Column)}
    name = value.get("name")
    if isinstance(name, bool) or not isinstance(name, (str, int)):
        raise SchemaError(f"a column's name is text or a whole number, not {name!r}")
    made: dict[str, Any] = {}
    for key, v in value.items():
        if key not in known:
            raise SchemaError(f"column {name!r} has no field {key!r}{did_you_mean(key, known)}")
        if key in _TYPES and not isinstance(v, _TYPES[key]):
            raise SchemaError(f"column {name!r}: {key} is {v!r}; expected {_TYPES[key][0].__name__}")
        if key in ("levels", "atoms", "seen") and v is not None:
            scalars = (str, int, float, bool) if key == "levels" else (int, float)
            if not isinstance(v, list | tuple) or not all(isinstance(i, scalars) for i in v):
                raise SchemaError(f"column {name!r}: {key} is a list of {'values' if key == 'levels' else 'numbers'}")
            v = tuple(v) if key == "levels" else tuple(_float(name, key, i) for i in v)
            if key == "seen" and len(v) != 2:
                raise SchemaError(f"column {name!r}: seen is two numbers, the smallest and the largest")
        if key in ("grid", "text") and v is not None:
            v = _part(name, key, v)
        made[key] = v
    if "kind" not in made:
        raise SchemaError(f"column {name!r} has no kind; give one of {', '.join(KINDS)}")
    return Column(**made)


def _float(name: object, key: str, value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise SchemaError(f"column {name!r}: {key} holds a number beyond 1e308") from None


def _part(name: object, key: str, value: Any) -> Grid | TextFormat:
    cls: type[Grid] | type[TextFormat] = Grid if key == "grid" else TextFormat
    if not isinstance(value, Mapping):
        raise SchemaError(f"column {name!r}: {key} is an object, not {value!r}")
    for k, v in value.items():
        field = cls.__dataclass_fields__.get(k)
        if field is None:
            raise SchemaError(f"column {name!r}: {key} has no field {k!r}{did_you_mean(k, cls.__dataclass_fields__)}")
        if type(v) is not type(field.default):
            raise SchemaError(f"column {name!r}: {key}.{k} is {v!r}; expected {type(field.default).__name__}")
    return cls(**value)
