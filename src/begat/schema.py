"""The schema states the measure: what each column is, which values it may take, and how it looked."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

from begat.errors import FileError, SchemaError, did_you_mean

Kind = Literal[
    "category", "boolean", "ordinal", "count", "integer", "decimal", "continuous", "datetime", "identifier", "text"
]
KINDS: tuple[str, ...] = get_args(Kind)
CODED = ("category", "boolean", "ordinal")
"""Kinds whose values are levels, encoded as codes."""
GRIDDED = ("count", "integer", "decimal", "datetime")
"""Kinds whose values are points of a grid, encoded as whole numbers; they have mass."""
UNSCORED = ("identifier", "text")
"""Kinds that no model scores: identifiers are made anew in their pattern, free text is set aside."""
Scalar = str | int | float | bool
FORMAT = 1
LARGEST_FILE = 64 * 2**20


@dataclass(frozen=True)
class Grid:
    """The points (offset + multiple * k) / 10**decimals for whole k: integers are Grid(), cents Grid(decimals=2).

    Dates count ticks: k * multiple + offset ticks since 1970-01-01 of their `tick`.
    """

    decimals: int = 0
    multiple: int = 1
    offset: int = 0


@dataclass(frozen=True)
class TextFormat:
    """How text spelled a column: marks and suffix of numbers, words of booleans and of missing values, dates.

    decimal and thousands are the marks ("." and "" where plain); prefix and suffix surround the number ("$", " %");
    width is the number of digits kept by leading zeros (0: none); decimals the number of digits always written after
    the mark (-1: as few as needed); missing the token that stood for a missing value; date the strftime format of
    dates; read whether the frame holds what the text was read as (numbers, dates, missing cells) in place of the text.
    """

    decimal: str = "."
    thousands: str = ""
    prefix: str = ""
    suffix: str = ""
    width: int = 0
    decimals: int = -1
    missing: str = ""
    date: str = ""
    read: bool = False


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column.

    kind: see KINDS. dtype: how the frame held it ("float32", "Int64", "str", "category", "datetime64[ns, UTC]").
    levels: of coded kinds, as they looked and in their order. grid: of gridded kinds. lower, upper: stated bounds,
    inclusive, in the column's own numbers; None is infinity. atoms: special codes, numbers that repeat beyond what the
    rest would explain. missing: whether a missing value is an outcome. tick: unit of dates ("day", "second", ...).
    text: how text spelled it, where it was text. pattern: of identifiers. scored: False leaves it out of every
    likelihood. why, missing_share, example, seen (smallest and largest) describe; they do not change the measure.
    """

    name: str | int
    kind: Kind
    dtype: str = "float64"
    levels: tuple[Scalar, ...] | None = None
    grid: Grid | None = None
    lower: float | None = None
    upper: float | None = None
    atoms: tuple[float, ...] = ()
    missing: bool = False
    tick: str | None = None
    text: TextFormat | None = None
    pattern: str | None = None
    scored: bool = True
    why: str = ""
    missing_share: float = 0.0
    example: str = ""
    seen: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        where = f"column {self.name!r}"
        if self.kind not in KINDS:
            raise SchemaError(f"{where}: kind {self.kind!r} does not exist{did_you_mean(self.kind, KINDS)}")
        if self.levels is not None and len({(type(v).__name__, v) for v in self.levels}) != len(self.levels):
            raise SchemaError(f"{where}: a level is named twice")
        if self.grid is not None and (self.grid.multiple < 1 or not 0 <= self.grid.decimals <= 15):
            raise SchemaError(f"{where}: a grid has a multiple of at least 1 and 0 to 15 decimals, not {self.grid}")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise SchemaError(f"{where}: lower bound {self.lower} is above upper bound {self.upper}")
        if len(set(self.atoms)) < len(self.atoms):
            raise SchemaError(f"{where}: a special code is named twice")
        if any(not math.isfinite(a) for a in self.atoms):
            raise SchemaError(f"{where}: special codes are finite numbers")
        if self.kind in UNSCORED and self.scored:
            object.__setattr__(self, "scored", False)

    @property
    def coded(self) -> bool:
        """Encoded as a code alone."""
        return self.kind in CODED

    @property
    def special(self) -> bool:
        """Encoded as special codes plus a remainder: code 0 is the remainder, then the atoms, then missing."""
        return not self.coded and (bool(self.atoms) or self.missing)

    @property
    def codes(self) -> int:
        """How many codes the column has: its levels, or 1 + its special codes; missing is the last. 0: none."""
        if self.coded:
            return len(self.levels or ()) + self.missing
        return 1 + len(self.atoms) + self.missing if self.special else 0

    @property
    def complete(self) -> bool:
        """Whether its kind has the levels or the grid it needs; what a person left out is inferred from the data."""
        return not (self.coded and self.levels is None) and not (self.kind in GRIDDED and self.grid is None)

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers with a mean."""
        return self.kind in ("count", "integer", "decimal", "continuous")

    @property
    def limits(self) -> tuple[float, float]:
        """The stated bounds in encoded numbers (whole numbers of the grid, inwards); infinite where there is none."""
        low = -math.inf if self.lower is None else float(self.lower)
        high = math.inf if self.upper is None else float(self.upper)
        if self.grid is None:
            return low, high
        low, high = self.encoded(low), self.encoded(high)
        # 1e-9: a bound that is a point of the grid stays one although its decimals are binary fractions.
        return (
            float(math.ceil(low - 1e-9 * max(1.0, abs(low)))) if math.isfinite(low) else low,
            float(math.floor(high + 1e-9 * max(1.0, abs(high)))) if math.isfinite(high) else high,
        )

    def encoded(self, numbers: Any) -> Any:
        """Numbers of the column as the codec encodes them: steps of its grid, or themselves."""
        if self.grid is None:
            return numbers
        return (numbers * 10.0**self.grid.decimals - self.grid.offset) / self.grid.multiple

    def decoded(self, steps: Any) -> Any:
        """The numbers that encoded ones stand for; means of steps give means of numbers."""
        if self.grid is None:
            return steps
        return (self.grid.offset + self.grid.multiple * steps) / 10.0**self.grid.decimals

    @property
    def measure(self) -> str:
        """What its log-probability counts: "mass" or "density"."""
        return "density" if self.kind == "continuous" else "mass"


DESCRIPTIVE = ("dtype", "text", "why", "missing_share", "example", "seen", "pattern")
"""Fields of a column that do not change the measure."""


@dataclass(frozen=True)
class Schema:
    """The columns of a table in their order, the target among them if it has one, and the container they came in."""

    columns: tuple[Column, ...]
    target: str | int | None = None
    container: Literal["pandas", "polars", "numpy"] = "pandas"

    def __post_init__(self) -> None:
        names = [c.name for c in self.columns]
        twice = sorted({str(n) for n in names if names.count(n) > 1}) if len(set(names)) < len(names) else []
        if twice:
            raise SchemaError(f"columns share the name {twice[0]!r}; give each its own")
        if self.target is not None and self.target not in names:
            raise SchemaError(f"the target {self.target!r} is not a column{did_you_mean(self.target, names)}")

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.columns)

    def __repr__(self) -> str:
        target = "" if self.target is None else f", target={self.target!r}"
        return f"Schema({len(self)} column{'s' * (len(self) != 1)}{target})"

    def __getitem__(self, name: object) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise SchemaError(f"no column {name!r}{did_you_mean(name, (c.name for c in self.columns))}")

    @property
    def names(self) -> tuple[str | int, ...]:
        return tuple(c.name for c in self.columns)

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns without the target."""
        return tuple(c for c in self.columns if c.name != self.target)

    @property
    def unscored(self) -> tuple[str, ...]:
        return tuple(str(c.name) for c in self.columns if not c.scored)

    def only(self, names: Iterable[str | int]) -> Schema:
        """The schema of these columns, in this order."""
        names = list(names)
        return Schema(tuple(self[n] for n in names), self.target if self.target in names else None, self.container)

    def change(self, name: str | int, **changes: Any) -> Schema:
        """The schema with one column's fields replaced."""
        old = self[name]
        return replace(self, columns=tuple(replace(c, **changes) if c is old else c for c in self.columns))

    def digest(self) -> str:
        """Sixteen hex digits that name the measure, whichever column is the target: equal digests compare."""
        rows = [
            {k: v for k, v in asdict(c).items() if k not in DESCRIPTIVE}
            for c in sorted(self.columns, key=lambda c: str(c.name))
            if c.scored
        ]
        text = json.dumps(rows, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    # as JSON ------------------------------------------------------------------------------------------------------
    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; fields at their defaults are left out so that a person can read and edit the rest."""
        return {
            "format": FORMAT,
            "container": self.container,
            "target": self.target,
            "columns": [_plain(c) for c in self.columns],
        }

    @classmethod
    def from_dict(cls, value: Any) -> Schema:
        """The schema that `to_dict` wrote; errors name the column and the field."""
        if not isinstance(value, Mapping) or not isinstance(value.get("columns"), Sequence):
            raise SchemaError("a schema is an object with a list of columns")
        if value.get("format", FORMAT) != FORMAT:
            raise SchemaError(f"schema format {value.get('format')!r}; this begat reads format {FORMAT}: update begat")
        unknown = set(value) - {"format", "container", "target", "columns"}
        if unknown:
            name = sorted(map(str, unknown))[0]
            raise SchemaError(
                f"a schema has no field {name!r}{did_you_mean(name, ['format', 'container', 'target', 'columns'])}"
            )
        container = value.get("container", "pandas")
        if container not in ("pandas", "polars", "numpy"):
            raise SchemaError(f"container {container!r}; expected pandas, polars or numpy")
        return cls(tuple(_column(c) for c in value["columns"]), value.get("target"), container)

    def save(self, path: str | PathLike[str]) -> None:
        """Write it as a JSON file that a person can edit and pass back."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Schema:
        """Read a schema file."""
        path = Path(path)
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise FileError(f"{path} is larger than any schema ({LARGEST_FILE // 2**20} MB); is it the right file?")
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise FileError(f"{path} is not a schema file: {error}") from None
        return cls.from_dict(value)


def _plain(column: Column) -> dict[str, Any]:
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


def _column(value: Any) -> Column:
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
            v = tuple(v) if key == "levels" else tuple(float(i) for i in v)
            if key == "seen" and len(v) != 2:
                raise SchemaError(f"column {name!r}: seen is two numbers, the smallest and the largest")
        if key in ("grid", "text") and v is not None:
            v = _part(name, key, v)
        made[key] = v
    if "kind" not in made:
        raise SchemaError(f"column {name!r} has no kind; give one of {', '.join(KINDS)}")
    return Column(**made)


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
