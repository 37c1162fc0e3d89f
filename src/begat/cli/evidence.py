"""Evidence as a person types it: age=40, age=30..50, "job=a|b"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from begat.errors import EvidenceError, did_you_mean
from begat.schema import Column, Schema


def parse(options: Sequence[str] | None, schema: Schema) -> dict[str | int, Any]:
    """What `--given` options say, as `given=` takes it: a value, a set of values or a range (low, high).

    COL=VALUE, COL=LOW..HIGH with either end open, COL=A|B. A level that itself contains these marks is taken whole.
    Raises EvidenceError for an unknown column, a malformed option, or a number that is none.
    """
    given: dict[str | int, Any] = {}
    for text in options or ():
        name, value = _divided(text, schema)
        if name in given:
            raise EvidenceError(
                f"--given names {name!r} twice; write '{name}=a|b' for either or '{name}=1..2' for both"
            )
        given[name] = _meaning(schema[name], value.strip())
    return given


def _divided(text: str, schema: Schema) -> tuple[str | int, str]:
    """The column and the rest; names may contain "=", so every one is tried."""
    names = {str(name): name for name in schema.names}
    marks = [i for i, mark in enumerate(text) if mark == "="]
    for i in marks:
        if text[:i].strip() in names:
            return names[text[:i].strip()], text[i + 1 :]
    if not marks:
        raise EvidenceError(f"--given {text!r} is not COL=VALUE; write --given age=40, 'age=30..50' or 'job=a|b'")
    name = text[: marks[0]]
    raise EvidenceError(f"no column {name!r} to condition on{did_you_mean(name, names)}")


def _meaning(column: Column, text: str) -> Any:
    if not text:
        raise EvidenceError(f"--given {column.name}= has no value; write --given {column.name}=VALUE")
    if column.coded:
        levels = {str(level): level for level in column.levels or ()}
        if text in levels:
            return levels[text]
        parts = [part.strip() for part in text.split("|")]
        for part in parts:
            if part not in levels:
                raise EvidenceError(f"column {column.name!r} has no level {part!r}{did_you_mean(part, levels)}")
        return {levels[part] for part in parts}
    if ".." in text:
        low, _, high = text.partition("..")
        ends = tuple(_value(column, end) if end.strip() else None for end in (low, high))
        if ends == (None, None):
            raise EvidenceError(f"--given {column.name}=.. has no end; write '{column.name}=30..50' or '30..'")
        return ends
    parts = [part for part in text.split("|") if part.strip()]
    return {_value(column, part) for part in parts} if len(parts) > 1 else _value(column, parts[0] if parts else text)


def _value(column: Column, text: str) -> Any:
    """A number of a numeric column; dates, and numbers spelled in a way of their own, stay text for the column."""
    text = text.strip()
    if not column.numeric or column.text is not None:
        return text
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    raise EvidenceError(f"column {column.name!r} is {column.kind}: {text!r} is no number; write it as 40 or 12.5")
