"""Dates as text: the format that reads every value of a column, read and written."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from begat.codecs.dates import ends, offset
from begat.errors import SchemaError, did_you_mean

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip
_ABBREVIATED = tuple(m[:3] for m in MONTHS)
_HALVES = ("AM", "PM")
_FIELDS = {
    "%Y": r"(?P<Y>\d{4})", "%y": r"(?P<y>\d{2})", "%m": r"(?P<m>\d{2})", "%-m": r"(?P<m>\d{1,2})",
    "%d": r"(?P<d>\d{2})", "%-d": r"(?P<d>\d{1,2})", "%H": r"(?P<H>\d{2})", "%-H": r"(?P<H>\d{1,2})",
    "%I": r"(?P<I>\d{2})", "%-I": r"(?P<I>\d{1,2})", "%M": r"(?P<M>\d{2})", "%S": r"(?P<S>\d{2})",
    "%f": r"(?P<f>\d{1,9})", "%p": r"(?P<p>[AaPp][Mm])", "%b": rf"(?P<b>{'|'.join(_ABBREVIATED)})",
    "%B": rf"(?P<B>{'|'.join(MONTHS)})", "%z": r"(?P<z>Z|[+-]\d{2}:?\d{2})",
    **{f"%{n}f": rf"(?P<f>\d{{{n}}})" for n in range(1, 10)},
}  # fmt: skip
_FIELD = re.compile(r"%-?\d?[A-Za-z]")
DATES = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y-%-m-%-d", "%Y/%-m/%-d", "%m/%d/%Y", "%d/%m/%Y", "%-m/%-d/%Y",
    "%-d/%-m/%Y", "%d-%m-%Y", "%m-%d-%Y", "%-d-%-m-%Y", "%-m-%-d-%Y", "%d.%m.%Y", "%-d.%-m.%Y", "%m.%d.%Y",
    "%m/%d/%y", "%d/%m/%y", "%-m/%-d/%y", "%-d/%-m/%y", "%d.%m.%y", "%d-%b-%Y", "%-d-%b-%Y", "%d-%b-%y", "%-d-%b-%y",
    "%d %b %Y", "%-d %b %Y", "%d %B %Y", "%-d %B %Y", "%b %d, %Y", "%b %-d, %Y", "%B %d, %Y", "%B %-d, %Y", "%Y-%m",
)  # fmt: skip
"""Formats of the date itself; the first that reads every value is taken. Two digits of a year are 1969 to 2068."""
_TIME = re.compile(
    r"(?P<gap>[T ])\d{1,2}:\d{2}(?P<s>:\d{2})?(?P<f>\.\d{1,9})?(?P<p> ?[AaPp][Mm])?"
    r"(?P<z>(?P<zg> ?)(?:Z|[+-]\d{2}:?\d{2}))?$"
)


@cache
def _reader(form: str) -> re.Pattern[str]:
    made, at = "", 0
    for field in _FIELD.finditer(form):
        if field[0] not in _FIELDS:
            raise SchemaError(f"the date format {form!r} has {field[0]!r}{did_you_mean(field[0], _FIELDS)}")
        made, at = made + re.escape(form[at : field.start()]) + _FIELDS[field[0]], field.end()
    try:
        return re.compile(made + re.escape(form[at:]), re.IGNORECASE | re.ASCII)
    except re.error:
        raise SchemaError(f"the date format {form!r} says the same part twice") from None


def read_dates(words: Sequence[str], form: str) -> np.ndarray:
    """Dates (m,) from text in one format, NaT where a word is not in it; microseconds, or nanoseconds if written so.

    The format is strftime's, with %-d, %-m, %-H, %-I for numbers without padding and %3f for three decimals of seconds.
    """
    pattern = _reader(form)
    found = [pattern.fullmatch(w.strip()) for w in words]
    fits = np.array([m is not None for m in found], dtype=bool)
    groups = [m.groupdict() for m in found if m is not None]
    get = {k: [g[k] for g in groups] for k in pattern.groupindex}

    def number(key: str, default: int) -> np.ndarray:
        return np.array(get[key], dtype=np.int64) if key in get else np.full(len(groups), default, dtype=np.int64)

    year = number("Y", 1970)
    if "y" in get:
        short = number("y", 0)
        year = np.where(short < 69, 2000 + short, 1900 + short)
    month = number("m", 1)
    for key, listed in (("b", _ABBREVIATED), ("B", MONTHS)):
        if key in get:
            place = {m.casefold(): i + 1 for i, m in enumerate(listed)}
            month = np.array([place[v.casefold()] for v in get[key]], dtype=np.int64)
    day, hour, minute, second = number("d", 1), number("H", 0), number("M", 0), number("S", 0)
    valid = (month >= 1) & (month <= 12) & (day >= 1) & (hour < 24) & (minute < 60) & (second < 60)
    if "I" in get:
        twelve, late = number("I", 12), np.array([v.casefold() == "pm" for v in get["p"]], dtype=bool)
        valid &= (twelve >= 1) & (twelve <= 12)
        hour = twelve % 12 + 12 * late
    months = ((year - 1970) * 12 + np.clip(month, 1, 12) - 1).astype("datetime64[M]")
    dates = months.astype("datetime64[D]") + (day - 1)
    valid &= dates.astype("datetime64[M]") == months
    out = dates.astype("datetime64[us]") + (((hour * 60 + minute) * 60 + second) * 1_000_000)
    if "z" in get:
        out = out - np.array([offset(v) for v in get["z"]], dtype=np.int64) * 1_000_000
    if "f" in get:
        nano = np.array([v.ljust(9, "0") for v in get["f"]], dtype=np.int64)
        out = out + nano // 1000
        if (nano % 1000).any():
            first, last = ends("ns")
            valid &= (out >= first.astype(out.dtype)) & (out < last.astype(out.dtype))
            out = out.astype("datetime64[ns]") + nano % 1000
    first, last = told(form) or ends(np.datetime_data(out.dtype)[0])
    out[~valid | (out < first) | (out > last)] = np.datetime64("NaT")
    all_of_them = np.full(len(words), np.datetime64("NaT"), dtype=out.dtype)
    all_of_them[fits] = out
    return all_of_them


def told(form: str) -> tuple[np.datetime64, np.datetime64] | None:
    """The first and the last date that text in a format of few parts can tell; None where it tells all."""
    if "%y" in form:
        return np.datetime64("1969", "us"), np.datetime64("2068-12-31T23:59:59.999999", "us")
    if "%Y%m%d" in form or form == "%Y-%m":  # other numbers look like these, too
        return np.datetime64("1900", "us"), np.datetime64("2099-12-31T23:59:59.999999", "us")
    return None


class _Clock(NamedTuple):
    """Dates (m,) in the parts that people write."""

    year: np.ndarray
    month: np.ndarray
    day: np.ndarray
    hour: np.ndarray
    minute: np.ndarray
    second: np.ndarray
    nano: np.ndarray


def _clock(values: np.ndarray) -> _Clock:
    months, days = values.astype("datetime64[M]"), values.astype("datetime64[D]")
    whole = values.astype("datetime64[s]")
    seconds = (whole - days).astype(np.int64)
    fine = np.datetime_data(values.dtype)[0] in ("ms", "us", "ns")
    nano = (values - whole).astype("timedelta64[ns]").astype(np.int64) if fine else np.zeros_like(seconds)
    month = months.astype(np.int64)
    day = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
    return _Clock(month // 12 + 1970, month % 12 + 1, day, seconds // 3600, seconds // 60 % 60, seconds % 60, nano)


_WRITTEN: dict[str, tuple[int, Callable[[_Clock], Any]]] = {
    "Y": (4, lambda c: c.year), "y": (2, lambda c: c.year % 100), "m": (2, lambda c: c.month),
    "d": (2, lambda c: c.day), "H": (2, lambda c: c.hour), "I": (2, lambda c: (c.hour - 1) % 12 + 1),
    "M": (2, lambda c: c.minute), "S": (2, lambda c: c.second), "p": (0, lambda c: np.array(_HALVES)[c.hour // 12]),
    "b": (0, lambda c: np.array(_ABBREVIATED)[c.month - 1]), "B": (0, lambda c: np.array(MONTHS)[c.month - 1]),
    "f": (0, lambda c: np.array([f"{v:09d}".rstrip("0") or "0" for v in c.nano.tolist()], dtype=object)),
    "z": (0, lambda c: np.full(len(c.year), "+00:00")),
}  # fmt: skip
"""The width of a part as a number (0: it is a word), and the part."""


_DATE = re.compile(
    rf"(?:{'|'.join(re.sub(r'[?]P<[A-Za-z]>', '?:', _reader(form).pattern) for form in DATES)})"
    rf"(?:{re.sub(r'[?]P<[a-z]+>', '?:', _TIME.pattern)[:-1]})?",
    re.IGNORECASE | re.ASCII,
)
"""One date in any of the formats, maybe with a time of day."""


def is_date(word: str) -> bool:
    """Whether a word looks like a date in some format."""
    return _DATE.fullmatch(word.strip()) is not None


def spell_dates(values: np.ndarray, form: str) -> list[str]:
    """Text of dates (m,) without NaT in this format: what `read_dates` reads as the same dates."""
    _reader(form)
    clock, parts, made, at = _clock(values), [], "", 0
    for field in _FIELD.finditer(form):
        code = field[0][-1]
        if len(field[0]) == 3 and field[0][1].isdigit():
            width = int(field[0][1])
            part = clock.nano // 10 ** (9 - width)
        else:
            width, read = _WRITTEN[code]
            part = read(clock)
        parts.append(part.tolist())
        made += _literal(form[at : field.start()]) + (f"{{:0{width}d}}" if width and field[0][1] != "-" else "{}")
        at = field.end()
    write = (made + _literal(form[at:])).format
    return [write(*row) for row in zip(*parts, strict=True)] if parts else [write()] * len(values)


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def date_format(words: Sequence[str]) -> tuple[str, str] | None:
    """The format in which all of these words are dates, and a remark where another would do; None if there is none."""
    if not words or not any(ch.isdigit() for ch in words[0]):
        return None
    tails = [_TIME.search(w.strip()) for w in words]
    if any((t is None) != (tails[0] is None) for t in tails):
        return None
    for tail in dict.fromkeys(_tails(tails)):
        few = list(dict.fromkeys([words[0], words[len(words) // 2], words[-1]]))
        for form in DATES:
            if not _reads(few, form + tail) or not _reads(words, form + tail):
                continue
            other = form.replace("%m", "%_").replace("%d", "%m").replace("%_", "%d")
            other = other.replace("%-m", "%_").replace("%-d", "%-m").replace("%_", "%-d")
            swapped = form[:2] != "%Y" and form.count("m") == form.count("d") == 1 and _reads(words, other + tail)
            return form + tail, f"every value also reads as {other}{tail}" if swapped else ""
    return None


def _reads(words: Sequence[str], form: str) -> bool:
    return not np.isnat(read_dates(words, form)).any()


def _tails(found: Sequence[re.Match[str] | None]) -> list[str]:
    """The formats that the time of day of these words may have, strictest first."""
    times = [t for t in found if t is not None]
    if not times:
        return [""]
    first = times[0]
    same = {t["z"] for t in times}
    zone = (first["z"] or "") if len(same) == 1 else first["zg"] + "%z" if None not in same else ""
    fraction = ""
    if first["f"]:
        lengths = {len(t["f"] or "") for t in times}
        fraction = f".%{len(first['f']) - 1}f" if len(lengths) == 1 else ".%f"
    half = (" %p" if first["p"].startswith(" ") else "%p") if first["p"] else ""
    hours = ("%I", "%-I") if half else ("%H", "%-H")
    return [f"{first['gap']}{h}:%M{':%S' if first['s'] else ''}{fraction}{half}{zone}" for h in hours]
