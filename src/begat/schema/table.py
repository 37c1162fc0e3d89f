"""The columns of a table in their order, as a value and as a file that a person can edit."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from begat.errors import FileError, SchemaError, did_you_mean
from begat.schema.column import Column
from begat.schema.written import column_of, plain

FORMAT = 1
FIELDS = ("format", "container", "target", "columns", "picture")
LARGEST_FILE = 64 * 2**20
DESCRIPTIVE = ("dtype", "text", "why", "missing_share", "example", "seen", "pattern")
"""Fields of a column that do not change the measure."""


@dataclass(frozen=True)
class Schema:
    """The columns of a table in their order, the target among them if it has one, and the container they came in.

    picture: of columns that are pixels, how a picture has them: (height, width) or (height, width, channels).
    """

    columns: tuple[Column, ...]
    target: str | int | None = None
    container: Literal["pandas", "polars", "numpy"] = "pandas"
    picture: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        names = [c.name for c in self.columns]
        if len(self._by_name) < len(names):
            twice = next(name for name, times in Counter(names).items() if times > 1)
            raise SchemaError(f"columns share the name {twice!r}; give each its own")
        if self.target is not None and self.target not in self._by_name:
            raise SchemaError(f"the target {self.target!r} is not a column{did_you_mean(self.target, names)}")
        if self.picture is not None and math.prod(self.picture) != len(self.features):
            sides = " x ".join(map(str, self.picture))
            raise SchemaError(f"pictures of {sides} have {math.prod(self.picture)} pixels, not {len(self.features)}")

    @cached_property
    def _by_name(self) -> dict[str | int, Column]:
        return {c.name: c for c in self.columns}

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __repr__(self) -> str:
        target = "" if self.target is None else f", target={self.target!r}"
        return f"Schema({len(self)} column{'s' * (len(self) != 1)}{target})"

    def __getitem__(self, name: Any) -> Column:
        if name not in self._by_name:
            raise SchemaError(f"no column {name!r}{did_you_mean(name, self.names)}")
        return self._by_name[name]

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
        target = self.target if self.target in names else None
        whole = [n for n in names if n != target] == [c.name for c in self.features]
        return Schema(tuple(self[n] for n in names), target, self.container, self.picture if whole else None)

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
            **({} if self.picture is None else {"picture": list(self.picture)}),
            "columns": [plain(c) for c in self.columns],
        }

    @classmethod
    def from_dict(cls, value: Any) -> Schema:
        """The schema that `to_dict` wrote; errors name the column and the field."""
        if not isinstance(value, Mapping) or not isinstance(value.get("columns"), Sequence):
            raise SchemaError("a schema is an object with a list of columns")
        if value.get("format", FORMAT) != FORMAT:
            raise SchemaError(f"schema format {value.get('format')!r}; this begat reads format {FORMAT}: update begat")
        for field in value:
            if field not in FIELDS:
                raise SchemaError(f"a schema has no field {field!r}{did_you_mean(field, FIELDS)}")
        container, target = value.get("container", "pandas"), value.get("target")
        if container not in ("pandas", "polars", "numpy"):
            raise SchemaError(f"container {container!r}; expected pandas, polars or numpy")
        if isinstance(target, bool) or not isinstance(target, str | int | None):
            raise SchemaError(f"target {target!r}; expected the name of a column, or null")
        sides = value.get("picture")
        sound = isinstance(sides, list | tuple) and all(type(side) is int and side > 0 for side in sides)
        if sides is not None and not (sound and len(sides) in (2, 3)):
            raise SchemaError(f"picture {sides!r}; expected [height, width] or [height, width, channels]")
        picture = None if sides is None else tuple(sides)
        return cls(tuple(map(column_of, value["columns"])), target, container, picture)

    def save(self, path: str | PathLike[str]) -> None:
        """Write it as a JSON file that a person can edit and pass back."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"
        try:
            Path(path).write_text(text, encoding="utf-8")
        except OSError as error:
            raise FileError(f"{path} cannot be written: {error.strerror or error}") from None

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Schema:
        """Read a schema file."""
        path = Path(path)
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise FileError(f"{path} is larger than any schema ({LARGEST_FILE // 2**20} MB); is it the right file?")
            value = json.loads(path.read_text(encoding="utf-8-sig"))
        except FileError:
            raise
        except (OSError, ValueError, RecursionError) as error:
            raise FileError(f"{path} is not a schema file: {error}") from None
        return cls.from_dict(value)
