"""The recipe of a model as JSON text: its fields, its format number, and a reader that believes nothing."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from begat.errors import FileError, did_you_mean

FORMAT = 1
LARGEST_TEXT = 32 * 2**20
MOST_VALUES = 4_000_000
DEEPEST = 64

Header = dict[str, Any]
MIGRATIONS: Mapping[int, Callable[[Header], Header]] = {}
"""MIGRATIONS[n] turns a header of format n into one of format n + 1; there is one for every n below FORMAT."""

FIELDS: Mapping[str, type] = {
    "format": int, "begat": str, "family": str, "params": dict, "schema": dict, "likelihood": dict, "model": dict,
    "rows": dict, "tensors": str,
}  # fmt: skip
"""The fields of a header: what wrote it, the family, its hyper-parameters, the schema, what its log-probability is,
the configuration that its tensors' layout follows from, what of the training rows it contains, the tensors' digest."""
NEEDED = ("format", "begat", "family", "tensors")


def check(header: Header, families: Iterable[str] = ()) -> None:
    """Raise FileError unless a header of the current format has known fields of the right type and a known family."""
    for name, value in header.items():
        if name not in FIELDS:
            raise FileError(f"a model has no field {name!r}{did_you_mean(name, FIELDS)}")
        if not isinstance(value, FIELDS[name]) or isinstance(value, bool):
            expected = {dict: "an object", str: "text", int: "a whole number"}[FIELDS[name]]
            raise FileError(f"the field {name!r} is {type(value).__name__}; expected {expected}")
    for name in NEEDED:
        if name not in header:
            raise FileError(f"the field {name!r} is missing; save the model again")
    families = tuple(families)
    if families and header["family"] not in families:
        family = header["family"]
        raise FileError(f"the family {family!r} is unknown to this begat{did_you_mean(family, families)}")


def migrate(
    header: Header, migrations: Mapping[int, Callable[[Header], Header]] = MIGRATIONS, to: int = FORMAT
) -> Header:
    """The header in format `to`: every migration from its own format on, in order. Raises FileError if it is newer."""
    number = header.get("format")
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise FileError(f"the format is {number!r}; expected a whole number from 1 to {to}")
    if number > to:
        raise FileError(f"written by a newer begat (format {number}, this one reads up to {to}): update begat")
    for step in range(number, to):
        try:
            header = {**migrations[step](header), "format": step + 1}
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise FileError(f"its format {number} cannot be brought to {to}: {error!r}") from None
    return header


def text(header: Header) -> str:
    """The header as JSON. Raises FileError where it holds anything but bounded, finite, plain JSON values."""
    try:
        made = json.dumps(header, ensure_ascii=False, allow_nan=False)
        raw = made.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise FileError(f"the recipe of a model is plain JSON with finite numbers: {error}") from None
    if len(raw) > LARGEST_TEXT:
        raise FileError(f"the recipe has {len(raw):,} bytes; {LARGEST_TEXT:,} fit: store long lists as tensors")
    parse(raw)
    return made


def parse(raw: bytes) -> Header:
    """A JSON object of bounded size and depth without doubled names, numbers that are not finite, or broken text.

    What it builds is bounded before it is built: by the number of marks that separate values. Raises FileError.
    """
    if sum(map(raw.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise FileError(f"a header of more than {MOST_VALUES:,} values; no model has as many")
    try:
        value = json.loads(
            raw.decode(), object_pairs_hook=_object, parse_constant=_number, parse_float=_number, parse_int=_integer
        )
        if not isinstance(value, dict):
            raise ValueError("it is not an object")
        _walk(value)
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise FileError(f"this is no model file, or a damaged one; its header is no plain JSON: {reason}") from None
    return value


def digest(made: str) -> str:
    """Thirty-two hex digits that name a text."""
    return hashlib.blake2b(made.encode(), digest_size=16).hexdigest()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {twice!r} stands in it twice")
    return made


def _number(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(f"the number {word[:20]} is not finite")
    return value


def _integer(word: str) -> int:
    if len(word) > 20:
        raise ValueError(f"the number {word[:20]}... is longer than any")
    return int(word)


def _walk(value: object) -> None:
    heap: list[tuple[object, int]] = [(value, 1)]
    while heap:
        item, depth = heap.pop()
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} deep")
        if isinstance(item, str):
            item.encode()  # half of a surrogate pair is no text
        elif isinstance(item, dict):
            heap.extend((part, depth + 1) for pair in item.items() for part in pair)
        elif isinstance(item, list):
            heap.extend((part, depth + 1) for part in item)
