"""Identifiers: the pattern that a column of them follows, and new ones in that pattern.

A pattern is text. {17..4711} is a number that runs on, as wide as its first bound is written; [0-9]*3 is three
characters of a class; anything else stands for itself, with \\ before a mark of the pattern that is meant literally.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from begat.codecs.grid import EXACT, above
from begat.errors import SchemaError

CLASSES = {
    "0-9": "0123456789",
    "a-z": "abcdefghijklmnopqrstuvwxyz",
    "A-Z": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "0-9a-f": "0123456789abcdef",
    "0-9A-F": "0123456789ABCDEF",
    "0-9a-z": "0123456789abcdefghijklmnopqrstuvwxyz",
    "0-9A-Z": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "a-zA-Z": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "0-9a-zA-Z": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
}
"""Classes of characters, narrowest first."""
NAMED = re.compile(r"(^|[_\-. ])(id|ids|uuid|guid|key|rowid|index|nr|no)$|(?<=[a-z])(ID|Id)$", re.IGNORECASE)
"""Names of columns that say that their numbers identify."""
_TOKEN = re.compile(
    r"\\(?P<c>.)|\{(?P<lo>-?\d+)\.\.(?P<hi>-?\d+)\}|\[(?P<k>[0-9a-zA-Z-]+)\](?:\*(?P<n>\d+))?|(?P<t>[^\\{}\[\]])"
)
WIDE = 2**64
"""Patterns with more identifiers than this start at random: two draws do not meet."""


def pattern_of(words: Sequence[str]) -> str | None:
    """The pattern that distinct words share, None if they do not look alike: a running number, or equal characters."""
    numbered = _numbered(words)
    if numbered is not None:
        return numbered
    if len({len(w) for w in words}) != 1 or len(words[0]) > 128:
        return None
    tokens: list[tuple[str, int]] = []
    for place in range(len(words[0])):
        seen = {w[place] for w in words}
        if len(seen) == 1:
            token = _quoted(seen.pop())
        else:
            token = next((f"[{k}]" for k, chars in CLASSES.items() if seen <= set(chars)), "")
            if not token:
                return None
        if tokens and tokens[-1][0] == token and token[0] == "[":
            tokens[-1] = (token, tokens[-1][1] + 1)
        else:
            tokens.append((token, 1))
    return "".join(token if n == 1 else f"{token}*{n}" if token[0] == "[" else token * n for token, n in tokens)


def _numbered(words: Sequence[str]) -> str | None:
    """One run of digits between the same beginning and the same end."""
    first = re.fullmatch(r"(\D*)(\d+)(\D*)", words[0])
    if first is None:
        return None
    before, _, after = first.groups()
    middle = [w[len(before) : len(w) - len(after)] for w in words if w.startswith(before) and w.endswith(after)]
    if len(middle) != len(words) or not all(m.isascii() and m.isdigit() and len(m) <= 15 for m in middle):
        return None
    width = min(map(len, middle))
    padded = any(m[0] == "0" and len(m) > 1 for m in middle)
    if padded and len({len(m) for m in middle}) > 1:
        return None
    numbers = [int(m) for m in middle]
    low = str(min(numbers)).zfill(width) if padded else str(min(numbers))
    return f"{''.join(map(_quoted, before))}{{{low}..{max(numbers)}}}{''.join(map(_quoted, after))}"


def _quoted(character: str) -> str:
    return f"\\{character}" if character in "\\{}[]*" else character


def _parts(pattern: str) -> Iterator[tuple[str, int, int] | str]:
    """Literal text, classes as ("chars", how many, -1) and running numbers as ("", next, width)."""
    at = 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None or (token["k"] and token["k"] not in CLASSES):
            raise SchemaError(f"the pattern {pattern!r} cannot be read at character {at + 1}")
        at = token.end()
        if token["k"]:
            yield CLASSES[token["k"]], int(token["n"] or 1), -1
        elif token["hi"]:
            padded = len(token["lo"]) > 1 and token["lo"][0] == "0"
            yield "", int(token["hi"]) + 1, len(token["lo"]) if padded else 0
        else:
            yield token["c"] or token["t"]


def make(pattern: str, n: int, generator: torch.Generator | None = None, start: int = 0) -> list[str]:
    """n different identifiers, number `start` and on of those that the pattern and the generator determine.

    A running number goes on after the last one seen, so none repeats an old one. One with leading zeros keeps its
    width: after 99999 come the numbers from 00000 to below the first one seen, and only then those between. Characters
    of classes are counted through in a scattered order. A pattern with fewer than start + n identifiers grows by a
    number at its end.
    """
    parts = list(_parts(pattern))
    if any(not isinstance(p, str) and not p[0] for p in parts):
        template = "".join(
            _literal(p) if isinstance(p, str) else p[0][0] * p[1] if p[0] else f"{{:0{p[2]}d}}" for p in parts
        )
        counters = [(p[1], 10 ** p[2] if p[2] else None) for p in parts if not isinstance(p, str) and not p[0]]
        turns = [room for _, room in counters]
        again = None if None in turns else math.lcm(*(room for room in turns if room))
        return [
            template.format(*(first + i if room is None else (first + i) % room for first, room in counters))
            + (f"-{i // again + 1}" if again is not None and i >= again else "")
            for i in range(start, start + n)
        ]
    places = [chars for p in parts if not isinstance(p, str) for chars in [p[0]] * p[1]]
    room = math.prod(len(chars) for chars in places)
    first = 0
    if room > WIDE and generator is not None:
        draws = torch.randint(2**31, (room.bit_length() // 31 + 1,), generator=generator).tolist()
        first = sum(d << (31 * i) for i, d in enumerate(draws))
    # Steps of about the golden section of the whole, without a common divisor: every identifier once, far apart.
    step = next(s for s in range(max(1, round(room * 0.6180339887)), 2 * room + 2) if math.gcd(s, room) == 1)
    template = "".join(_literal(p) if isinstance(p, str) else "{}" * p[1] for p in parts)
    made = []
    for i in range(start, start + n):
        index, row = (first + i * step) % room, []
        for chars in reversed(places):
            index, digit = divmod(index, len(chars))
            row.append(chars[digit])
        made.append(template.format(*reversed(row)) + (f"-{i // room + 1}" if i >= room else ""))
    return made


def numbers(pattern: str, n: int, dtype: str, start: int = 0) -> np.ndarray:
    """n whole numbers (n,), number `start` and on after the last one of a pattern such as "{17..4711}".

    After the largest number that the dtype holds come those from 0, from the smallest where the pattern has negatives.
    """
    found = re.fullmatch(r"\{(-?\d+)\.\.(-?\d+)\}", pattern)
    if found is None:
        raise SchemaError(f"the pattern {pattern!r} makes no whole numbers, as its column holds; write {{17..4711}}")
    kind = np.dtype(dtype)
    lowest, highest = (-EXACT, EXACT) if kind.kind == "f" else (int(np.iinfo(kind).min), int(np.iinfo(kind).max))
    lowest = lowest if int(found[1]) < 0 else 0
    first = int(found[2]) + 1 + start - lowest
    made = [lowest + (first + i) % (highest - lowest + 1) for i in range(n)]
    return np.array(made, dtype=object).astype(kind)


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def running(values: np.ndarray, lowest: int, highest: int, name: object) -> str | None:
    """Why whole numbers (n,) identify rows: they run on, or differ in a column named so. None if they do not."""
    n = len(values)
    if n < 20:
        return None
    named = bool(NAMED.search(str(name)))
    steady = n >= 100 and highest - lowest + 1 == n and bool((np.diff(values) == 1).all())
    dense = highest - lowest + 1 == n and (named or lowest in (0, 1) or steady)
    if not (dense or named):
        return None
    if highest - lowest < 4 * n + 1000:
        distinct = int((np.bincount(above(values, lowest)) > 0).sum())
    else:
        distinct = len(np.unique(values))
    if distinct < n:
        return None
    if dense:
        return f"running numbers {lowest} to {highest}"
    return f"whole numbers, all different, in a column named {name!r}"
