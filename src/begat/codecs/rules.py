"""The decision table: which kind a column is. The first rule that holds decides; docs/schema.md shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from begat.codecs.facts import Facts
from begat.schema import Kind

Where = Literal["anywhere", "array", "feature"]
"""Which columns a rule is for: all, those of arrays (whose dtype states the kind), those that are not the target."""


class Rule(NamedTuple):
    """when: the condition in words, as the docs show it. holds: the condition. why: a sentence about the column."""

    kind: Kind
    when: str
    holds: Callable[[Facts], bool]
    why: Callable[[Facts], str]
    where: Where = "anywhere"


TABLE: tuple[Rule, ...] = (
    Rule("category", "no cell has a value",
         lambda f: f.rows == 0,
         lambda f: "every cell is missing; there is no value to learn from"),
    Rule("boolean", "the cells are True and False",
         lambda f: f.cells.family == "booleans",
         lambda f: "True and False"),
    Rule("datetime", "the cells are dates",
         lambda f: f.cells.family == "dates",
         lambda f: "dates"),
    Rule("ordinal", "the frame declares categories and their order",
         lambda f: f.cells.ordered,
         lambda f: f"{len(f.words)} ordered categories, declared by the frame"),
    Rule("category", "the frame declares categories",
         lambda f: f.cells.categorical,
         lambda f: f"{len(f.words)} categories, declared by the frame"),
    Rule("category", "words and numbers are mixed",
         lambda f: f.cells.family == "words" and not f.cells.textual,
         lambda f: f"words and numbers mixed, {len(f.words)} levels"),
    Rule("boolean", "text: two words for no and yes (No/Yes, N/Y, False/True, F/T, off/on, 0/1)",
         lambda f: f.pair is not None,
         lambda f: "two words, {!r} and {!r}".format(*(f.pair or ()))),
    Rule("datetime", "text: every word is a date, in one format",
         lambda f: f.date is not None,
         lambda f: "text {!r} read as dates, {}{}".format(f.text[0], *_noted(f.date))),
    Rule("identifier", "text that is no number, no sentences: 20 rows, 95% different (digits: all), one pattern",
         lambda f: f.distinct and not f.sentences and f.pattern is not None,
         lambda f: f"{len(f.text)} different words in one pattern", "feature"),
    Rule("text", "text that is no number: at least 20 rows, 95% different (digits: all), or half and over two words",
         lambda f: f.distinct or f.sentences,
         lambda f: f"{len(f.text)} different texts in {f.rows} rows", "feature"),
    Rule("category", "text that is no number, leading zeros among it",
         lambda f: f.cells.family == "words" and f.numbers is None,
         lambda f: f"{len(f.words)} level{'s' * (len(f.words) != 1)}"),
    Rule("identifier", "integers more than 2^53 apart",
         lambda f: f.integral and f.grid is None,
         lambda f: "whole numbers too far apart to be measured", "feature"),
    Rule("integer", "an array of integers",
         lambda f: f.integral,
         lambda f: "an array of integers", "array"),
    Rule("continuous", "an array of floats",
         lambda f: f.cells.family == "numbers",
         lambda f: "an array of floats", "array"),
    Rule("boolean", "the numbers are 0 and 1",
         lambda f: f.binary,
         lambda f: "the numbers 0 and 1"),
    Rule("identifier", "whole numbers of at least 20 rows, all different, that run on or stand in a column named id",
         lambda f: f.runs is not None,
         lambda f: str(f.runs), "feature"),
    Rule("count", "whole numbers from 0 or 1 up",
         lambda f: f.whole and f.floor in (0, 1),
         lambda f: f"whole numbers from {f.floor:.0f} up"),
    Rule("integer", "other whole numbers",
         lambda f: f.whole,
         lambda f: "whole numbers"),
    Rule("decimal", "numbers of at most 4 decimals, or of at most 9 where rows repeat or there are few points",
         lambda f: f.grid is not None,
         lambda f: _decimals(f)),
    Rule("continuous", "other numbers",
         lambda f: True,
         lambda f: "numbers on no coarse grid of decimals"),
)  # fmt: skip


def decide(facts: Facts, target: bool, array: bool) -> Rule:
    """The first rule that holds for a column. array: its container is one, whose dtype states the kind of numbers."""
    aside = {"feature"} if target else set()
    aside |= set() if array else {"array"}
    return next(rule for rule in TABLE if rule.where not in aside and rule.holds(facts))


def _noted(found: tuple[str, str] | None) -> tuple[str, str]:
    form, remark = found or ("", "")
    return form, f"; {remark}" if remark else ""


def _decimals(f: Facts) -> str:
    digits = f.grid.decimals if f.grid is not None else 0
    return f"numbers with {digits} decimal{'s' * (digits != 1)}"
