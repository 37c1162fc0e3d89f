"""What to say of a column that was inferred: why it is what it is, and what of it would surprise."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np

from begat.codecs.date_text import date_format, is_date
from begat.codecs.facts import Facts
from begat.codecs.numbers import apart, noisy
from begat.codecs.spelling import LONGEST, is_number, plain
from begat.schema import CODED, UNSCORED, Column, TextFormat

NAMED = 3
"""Special codes, or odd words, that are named."""
LOOKED_AT = 1000
"""Words of a column that show whether a closer look at all of them is worth its time."""


def described(made: Column, facts: Facts, why: str | None = None) -> Column:
    """The column with `why`, the share of missing cells and an example. why: of its rule; None: a person stated it.

    The first sentence of `why` says what decided; what follows would surprise.
    """
    notes = ["as stated" if why is None else why]
    if made.tick is not None:
        notes[0] += f", to the {made.tick}" + f" in {facts.cells.zone}" * bool(facts.cells.zone)
    if made.numeric and facts.text and facts.spelling is not None and _special(facts.spelling):
        notes.insert(0, f"text {max(facts.text[:LOOKED_AT], key=len)!r} read as numbers")
    if why is not None and made.kind in ("category", "text"):
        notes.extend(_nearly(facts))
    if made.kind in CODED:
        notes.extend(_alike(facts.text))
    notes.extend(_codes(made, facts))
    if made.kind == "decimal" and made.grid is not None and noisy(facts.seen, made.grid, facts.atoms):
        notes.append("up to rounding: 0.30000000000000004 counts, and comes back, as 0.3")
    if made.kind == "text":
        notes.append("set aside")
    if facts.token:
        notes.append(f"{facts.token!r} stands for missing")
    share = 1 - facts.rows / len(facts.cells) if len(facts.cells) else 0.0
    return replace(made, why="; ".join(notes), missing_share=share, example=_example(facts))


def surprising(column: Column) -> bool:
    """Whether a person should be told how a column was taken, unasked."""
    written = column.text is not None and not column.text.date.startswith(("%Y-", "%Y/")) and column.text.date != ""
    return column.kind in UNSCORED or "; " in column.why or written


def _special(form: TextFormat) -> bool:
    """Whether numbers are not in plain digits with a decimal point."""
    return not plain(form) or form.width > 0


def _example(facts: Facts) -> str:
    if not facts.rows:
        return ""
    first = 0 if facts.absent is None else int(np.argmin(facts.absent))
    if facts.cells.family in ("dates", "numbers"):
        return str(facts.cells.values[first]).split("T00:00:00")[0].split(".000000")[0][:80]
    return str(facts.cells.take(slice(first, first + 1)).objects("")[0])[:80]


def _codes(made: Column, facts: Facts) -> list[str]:
    """The special codes, the most frequent first."""
    if not made.atoms:
        return []
    notes = []
    repeats = {atom: int(np.count_nonzero(facts.numbers == atom)) for atom in made.atoms}
    for atom in sorted(repeats, key=lambda a: -repeats[a])[:NAMED] if len(made.atoms) < facts.rows else ():
        rest = apart(facts.seen, atom)
        if rest is None:
            notes.append(f"the value {atom:g} repeats {repeats[atom]} times")
        else:
            said = f"{repeats[atom]} rows, the rest is {rest[0]:g} to {rest[1]:g}"
            notes.append(f"{atom:g} looks like a code for something else: {said}")
    if len(made.atoms) > NAMED:
        notes.append(f"{len(made.atoms)} such values in all")
    return notes


def _nearly(facts: Facts) -> list[str]:
    """Why text that is mostly numbers or dates is neither."""
    some = facts.text[:: max(1, len(facts.text) // LOOKED_AT)]
    if 2 * sum(map(is_number, some)) > len(some):
        words = [w for w in facts.text if not is_number(w)]
        numbers = len(facts.text) - len(words)
        if words:
            named = ", ".join(map(repr, words[:NAMED])) + ", ..." * (len(words) > NAMED)
            return [f"{numbers} number{'s' * (numbers > 1)} and {len(words)} word{'s' * (len(words) > 1)} ({named})"]
        return [_unread(facts.text)]
    if 2 * sum(map(is_date, some)) > len(some):
        return _dates(facts)
    return []


def _unread(words: list[str]) -> str:
    """Why words that are all numbers were not read as such."""
    if any(re.match(r"\s*0\d", w) for w in words):
        return "leading zeros make them codes, no numbers"
    if max(sum(map(str.isdigit, w)) for w in words) > LONGEST:
        return f"more than {LONGEST} digits make them codes, no numbers"
    return "the numbers are not all spelled alike"


def _dates(facts: Facts) -> list[str]:
    """How many rows hold dates as most do; nothing where the dates look alike and all the same are no dates."""
    rows = {str(w): int(n) for w, n in zip(facts.cells.levels or (), facts.counts, strict=True)}
    looks: Counter[str] = Counter()
    example: dict[str, str] = {}
    for word in filter(is_date, facts.text):
        look = re.sub(r"\d", "0", word)
        looks[look] += rows[word]
        example.setdefault(look, word)
    look, most = looks.most_common(1)[0]
    fits = date_format([w for w in facts.text if re.sub(r"\d", "0", w) == look])
    if fits is None or most == facts.rows:
        return []
    return [f"{most} of {facts.rows} are dates like {example[look]}, the others are not"]


def _alike(words: list[str]) -> list[str]:
    """Levels that differ only by case or by blanks around them."""
    first: dict[str, str] = {}
    pairs = [(first[f], w) for w in sorted(words, reverse=True) if first.setdefault(f := w.strip().casefold(), w) != w]
    if not pairs:
        return []
    more = f", and {len(pairs) - 1} more such" if len(pairs) > 1 else ""
    return ["{!r} and {!r} are kept apart".format(*pairs[0]) + more]
