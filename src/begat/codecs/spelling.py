"""How text spells numbers, booleans, dates and missing values: found from the words, read, and written again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from begat.codecs.cells import Cells, cells
from begat.codecs.date_text import is_date, read_dates, spell_dates
from begat.schema import Column, TextFormat

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = frozenset({"", "?", "na", "n/a", "#n/a", "<na>", "nan", "nat", "null", "missing", "(missing)"})
"""Words that stand for a missing value, without regard to case and surrounding blanks."""
GAPS = frozenset({"none", "-", "--", ".", "..."})
"""Those that do so only among numbers, dates or booleans; among words they are levels: none, mild, severe."""
BOOLEANS = (("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t"), ("off", "on"), ("0", "1"))
"""Pairs of words that mean False and True, without regard to case."""
MARKS = ((".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "\u00a0"), (",", "\u00a0"),
         (",", "\u202f"), (".", "'"), (".", "’"))  # fmt: skip
"""Decimal and thousands marks; the first that reads every word is taken."""
AFFIX = r"(?:[$€£¥₹]|USD|EUR|GBP|CHF|%|‰)"
"""What may stand before or after the numbers of a column, the same in every cell."""
_NUMBER = re.compile(
    rf"[-+]?(?:{AFFIX} ?)?[-+]?(?=[.,]?\d)(?:\d{{1,3}}(?:(?P<g>[., '’\u00a0\u202f])\d{{3}}(?:(?P=g)\d{{3}})*)|\d*)"
    rf"(?:(?!(?P=g))[.,]\d*)?(?:e[-+]?\d+)?(?: ?{AFFIX})?",
    re.IGNORECASE | re.ASCII,
)
"""One number in any spelling."""
FEW = 100
"""Words up to which all are tried at once."""
LONGEST = 15
"""Digits of a whole number from text; longer ones do not fit a float64 and are left as the codes that they are."""


def is_missing(words: Sequence[Any], among: Iterable[Any] | None = None) -> np.ndarray:
    """(m,) True for the words that stand for a missing value in a column of the words `among` (these, unless given)."""
    folded = [w.strip().casefold() if isinstance(w, str) else None for w in words]
    found = np.array([w in MISSING for w in folded], dtype=bool)
    gaps = np.array([w in GAPS for w in folded], dtype=bool)
    return found | gaps if gaps.any() and _are_values(words if among is None else among) else found


def missing_in(column: Column, words: Sequence[Any]) -> np.ndarray:
    """(m,) True for the words that stand for a missing value in a column of this schema, whatever the other rows hold.

    Its levels decide; where it has none, its example; of numbers and dates nothing but the kind.
    """
    among: Iterable[Any] = () if column.numeric or column.kind == "datetime" else (column.example,)
    found = is_missing(words, among if column.levels is None else column.levels)
    token = column.text.missing if column.text is not None else ""
    return found | np.array([w == token for w in words], dtype=bool) if token else found


def _are_values(words: Iterable[Any]) -> bool:
    """Whether all words that surely are no missing ones spell numbers, dates or booleans."""
    text = [w for w in words if isinstance(w, str)]
    others = [w for w in text if w.strip().casefold() not in MISSING | GAPS]
    rest = [w for w in others if not is_number(w)]
    return all(map(is_date, rest)) or boolean_levels(others) is not None


def is_number(word: str) -> bool:
    """Whether a word is a number in some spelling; leading zeros and length do not matter."""
    return _NUMBER.fullmatch(word.strip()) is not None


def number_of(word: str, form: TextFormat) -> float:
    """The number that a person means by a word: in this spelling, with or without its affixes, or in plain digits.

    NaN if it is none.
    """
    sign, body = word.strip()[:1], word.strip()[1:]
    if sign not in ("+", "-"):
        sign, body = "", word.strip()
    body = body.removeprefix(form.prefix.strip()).removesuffix(form.suffix.strip()).strip()
    found = _numbers([sign + body], TextFormat(form.decimal, form.thousands))
    try:
        return float(sign + body) if np.isnan(found[0]) else float(found[0])
    except ValueError:
        return float("nan")


def boolean_levels(words: Sequence[str]) -> tuple[str, str] | None:
    """The two words that mean False and True, in this order; None if these words are no such pair."""
    if len(words) == 2:
        folded = {w.casefold(): w for w in words}
        for no, yes in BOOLEANS:
            if set(folded) == {no, yes}:
                return folded[no], folded[yes]
    return None


def number_format(words: Sequence[str], zeros: bool = False) -> TextFormat | None:
    """The one spelling in which all of these words are numbers; None if there is none.

    Leading zeros make a code, not a number, unless `zeros` says otherwise; so do more than 15 digits. "1,234" counts
    thousands where every group fits, and has a decimal comma otherwise.
    """
    if not words:
        return None
    tried = [words[0], words[len(words) // 2], words[-1]]
    first = re.fullmatch(rf"[-+]?({AFFIX} ?)?[-+]?[\d.,].*?( ?{AFFIX})?", words[0].strip())
    if first is None or not all(map(is_number, tried)):
        return None
    prefix, suffix = first[1] or "", first[2] or ""
    for decimal, thousands in MARKS:
        form = TextFormat(decimal, thousands, prefix, suffix)
        if all(np.isfinite(_numbers(w, form, strict=True)).all() for w in ([tried] * (len(words) > FEW) + [words])):
            return _details(words, form, zeros)
    return None


def _details(words: Sequence[str], form: TextFormat, zeros: bool) -> TextFormat | None:
    """The digits after the mark, if every word has as many, and the width that leading zeros keep."""
    import pyarrow.compute as pc

    text = _digits(words, form)
    bare = text.to_pylist() if form.prefix or form.suffix else words  # without the E of EUR
    powers = any("e" in w or "E" in w for w in bare)
    text = pc.replace_substring_regex(text, "[eE].*", "") if powers else text
    length, mark = pc.utf8_length(text).to_numpy(), pc.find_substring(text, form.decimal).to_numpy()
    whole, rest = np.where(mark < 0, length, mark), np.where(mark < 0, 0, length - mark - 1)
    padded = bool((pc.starts_with(text, "0").to_numpy(zero_copy_only=False) & (whole > 1)).any())
    if (padded and not zeros) or whole.max() > LONGEST:
        return None
    width = int(whole[0]) if padded and (whole == whole[0]).all() else 0
    fixed = int(rest[0]) if (rest == rest[0]).all() and not powers else 0
    return TextFormat(form.decimal, form.thousands, form.prefix, form.suffix, width=width, decimals=fixed or -1)


def _digits(words: Sequence[str], form: TextFormat) -> pa.Array:
    """Numbers in this spelling without sign, affixes and thousands: their digits and marks."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_ltrim(pc.utf8_trim_whitespace(pa.array(words, pa.string())), "+-")
    if form.prefix or form.suffix:
        end = -len(form.suffix) if form.suffix else None
        text = pc.utf8_ltrim(pc.utf8_slice_codeunits(text, len(form.prefix), end), "+-")
    return pc.replace_substring(text, form.thousands, "") if form.thousands else text


def _numbers(words: Sequence[str], form: TextFormat, strict: bool = False) -> np.ndarray:
    """Numbers (m,) float64 of words, NaN where a word is none. strict: thousands must be marked wherever there are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pa.array(words, pa.string())
    quick = plain_numbers(text) if plain(form) else None
    if quick is not None:
        return quick
    mark, group = re.escape(form.decimal), re.escape(form.thousands)
    whole = r"\d+"
    if form.thousands:
        grouped = rf"[1-9]\d{{0,2}}(?:{group}\d{{3}})+"
        whole = rf"(?:{grouped}|\d{{1,3}})" if strict else rf"(?:{grouped}|\d+)"
    pattern = (
        rf"^\s*(?P<a>[-+]?)(?:{re.escape(form.prefix)})(?P<b>[-+]?)(?P<i>(?:{whole})?)"
        rf"(?P<d>(?:{mark}\d*)?)(?P<e>(?:[eE][-+]?\d+)?)(?:{re.escape(form.suffix)})\s*$"
    )
    found = pc.extract_regex(text, pattern)
    sign, inner, i, d, e = (pc.struct_field(found, [k]) for k in range(5))
    if form.thousands:
        i = pc.replace_substring(i, form.thousands, "")
    d = pc.replace_substring(d, form.decimal, ".")
    sign = pc.replace_substring(pc.binary_join_element_wise(sign, inner, ""), "+", "")
    bare = pc.binary_join_element_wise(sign, i, d, e, "")
    readable = pc.match_substring_regex(bare, r"^-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$")
    bare = pc.if_else(readable, bare, pa.scalar(None, pa.string()))
    out = pc.cast(bare, pa.float64()).to_numpy(zero_copy_only=False)
    return np.where(np.isinf(out), np.nan, out)


def plain(form: TextFormat) -> bool:
    """Whether numbers are in plain digits with a decimal point."""
    return (form.decimal, form.thousands, form.prefix, form.suffix) == (".", "", "", "")


def plain_numbers(text: Any) -> np.ndarray | None:
    """Numbers (m,) float64 of an Arrow array of text in plain digits, NaN where null, by Arrow's own parser.

    None where some word needs a closer look: "inf" and "nan" are numbers to the parser, and none to a person.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        numbers = pc.cast(text, pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None
    return numbers if int(np.isfinite(numbers).sum()) == len(text) - text.null_count else None


def parse(values: Any, column: Column) -> np.ndarray:
    """Text as the numbers (float64) or dates (datetime64) that the column's kind and `text` format make of it.

    values: (n,) text in any container. NaN or NaT where a cell is missing, or is not in the format.
    """
    found = values if isinstance(values, Cells) else cells(values, column.name)
    form, words = column.text or TextFormat(), [str(v) for v in found.levels or ()]
    if column.kind == "datetime":
        form_of_dates = form.date or "%Y-%m-%d"
        made = read_dates(words, form_of_dates)
        table = np.concatenate([made, np.array(["NaT"], dtype=made.dtype)])
    else:
        table = np.concatenate([_numbers(words, form), [np.nan]])
    return table[found.values]


def spell(values: Any, column: Column) -> np.ndarray:
    """Numbers, dates or words as text (n,) in the column's `text` format; its missing token where missing.

    `parse` inverts it bit for bit. Fixed decimals give way to more where a number has more.
    """
    found = values if isinstance(values, Cells) else cells(values, column.name)
    form = column.text or TextFormat()
    absent = found.missing()
    table: np.ndarray
    if found.levels is not None:
        table, codes = found.objects(form.missing), np.arange(len(found))
    else:
        present = found.values if absent is None else found.values[~absent]
        distinct, inverse = np.unique(present, return_inverse=True)
        if found.family == "numbers":
            # -0.0 equals 0.0, but it is spelled differently
            negative = np.signbit(present) & (present == 0)
            distinct, inverse = (present, np.arange(len(present))) if negative.any() else (distinct, inverse)
            single = found.values.dtype == np.float32  # whose shortest text is shorter
            made = [_spelled(v, str(abs(v)), form) for v in (distinct if single else distinct.tolist())]
        elif found.family == "dates":
            made = spell_dates(distinct, form.date or "%Y-%m-%d")
        else:
            made = [str(v) for v in distinct.tolist()]
        codes = np.full(len(found), len(made))
        codes[slice(None) if absent is None else ~absent] = inverse
        table = np.empty(len(made) + 1, dtype=object)
        table[:] = [*made, form.missing]
    return table[codes]


def _spelled(value: float, text: str, form: TextFormat) -> str:
    """A number whose size has this shortest text."""
    if form.decimals > 0 and float(fixed := f"{abs(value):.{form.decimals}f}") == abs(value):
        text = fixed
    elif text.endswith(".0"):
        text = text[:-2]
    whole, point, rest = text.partition(".")
    whole, power, exponent = (*whole.partition("e"),) if not point else (whole, "", "")
    if form.width:
        whole = whole.zfill(form.width)
    if form.thousands:
        whole = re.sub(r"(?<=\d)(?=(?:\d{3})+$)", form.thousands, whole)
    sign = "-" if np.signbit(value) else ""
    return f"{sign}{form.prefix}{whole}{power}{exponent}{form.decimal if point else ''}{rest}{form.suffix}"
