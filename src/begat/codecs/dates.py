"""Dates as ticks: whole units since 1970-01-01 on the clocks of a zone, and the dates that a column can hold."""

from __future__ import annotations

import datetime
import re
from functools import cache

import numpy as np

from begat.codecs.grid import EXACT
from begat.errors import SchemaError, did_you_mean

UNITS = {
    "day": "D", "hour": "h", "minute": "m", "second": "s", "millisecond": "ms", "microsecond": "us", "nanosecond": "ns",
}  # fmt: skip
"""Ticks, coarsest first, and what numpy calls them."""
PER_DAY = {"day": 1, "hour": 24, "minute": 1440, "second": 86_400, "millisecond": 86_400_000,
           "microsecond": 86_400_000_000, "nanosecond": 86_400_000_000_000}  # fmt: skip
"""Ticks of a day."""
COARSER = {"nanosecond": "microsecond", "microsecond": "millisecond"}
"""What dates too far apart are rounded to."""


def coarsest(values: np.ndarray) -> str:
    """The coarsest tick of which every date (m,) without NaT is a whole number."""
    for tick, unit in UNITS.items():
        if (values.astype(f"datetime64[{unit}]") == values).all():
            return tick
    raise SchemaError("dates finer than nanoseconds are not supported")


def _unit(tick: str) -> str:
    """The numpy unit of a tick that a schema states."""
    if tick not in UNITS:
        raise SchemaError(f"tick {tick!r} does not exist{did_you_mean(tick, UNITS)}")
    return UNITS[tick]


def to_ticks(values: np.ndarray, tick: str, zone: str | None = None) -> np.ndarray:
    """Whole ticks (m,) since 1970-01-01, rounded down. Days of a zone are its own; finer ticks its winter time."""
    if zone and tick == "day":
        values = _days_here(values, zone)
    elif zone:
        values = values + np.timedelta64(_winter(zone), "s")
    return values.astype(f"datetime64[{_unit(tick)}]").astype(np.int64)


def from_ticks(ticks: np.ndarray, tick: str, unit: str, zone: str | None = None) -> np.ndarray:
    """The dates (m,) of whole ticks in a numpy unit, which holds them."""
    values = ticks.astype(np.int64).astype(f"datetime64[{_unit(tick)}]").astype(f"datetime64[{unit}]")
    if zone and tick == "day":
        return _days_in_utc(values, zone)
    return values - np.timedelta64(_winter(zone), "s").astype(f"timedelta64[{unit}]") if zone else values


def ends(unit: str, zone: str | None = None) -> tuple[np.datetime64, np.datetime64]:
    """The first and the last moment of UTC that calendars and a numpy unit hold, on the clocks of a zone, too."""
    first: np.datetime64 = np.datetime64("0001-01-01", "us")
    last: np.datetime64 = np.datetime64("9999-12-31T23:59:59.999999", "us")
    if unit == "ns":  # less what sums with a zone's hours, and numpy's own division of the first day, need
        day = PER_DAY["nanosecond"]
        return np.datetime64(-(2**63) + 2 * day, "ns"), np.datetime64(2**63 - 1 - day * bool(zone), "ns")
    if zone:
        first = first - np.timedelta64(min(0, _east(zone, 2)), "s")
        last = last - np.timedelta64(max(0, _east(zone, 9998)), "s")
    return first, last


def held(tick: str, zone: str | None, first: np.datetime64, last: np.datetime64) -> tuple[int, int]:
    """The first and the last tick between two moments of UTC."""
    low, high = to_ticks(np.array([first, last]), tick, zone)
    begun = from_ticks(np.array([low]), tick, "us", zone)[0] < first
    return int(low) + bool(begun), int(high)


def _place(zone: str) -> datetime.tzinfo:
    from zoneinfo import ZoneInfo

    if fixed := re.search(r"([+-]\d{2}:?\d{2})$", zone):
        return datetime.timezone(datetime.timedelta(seconds=offset(fixed[1])))
    try:
        return ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise SchemaError(f"the time zone {zone!r} is not known here; convert the dates to UTC") from None


@cache
def _east(zone: str, year: int) -> int:
    """The most seconds east of Greenwich in a year; negative west of it."""
    moments = (datetime.datetime(year, month, 1, tzinfo=datetime.UTC) for month in (1, 7))
    return max(int(m.astimezone(_place(zone)).utcoffset().total_seconds()) for m in moments)  # type: ignore[union-attr]


@cache
def _winter(zone: str) -> int:
    """Seconds east of Greenwich when no summer time is kept: a constant, so that ticks of a zone go back exactly."""
    moments = (datetime.datetime(2020, month, 1, tzinfo=datetime.UTC).astimezone(_place(zone)) for month in (1, 7))
    return min(int(m.utcoffset().total_seconds()) for m in moments)  # type: ignore[union-attr]


def _days_here(values: np.ndarray, zone: str) -> np.ndarray:
    """The wall clock of a zone at these moments of UTC."""
    import pandas as pd

    return pd.DatetimeIndex(values).tz_localize("UTC").tz_convert(zone).tz_localize(None).to_numpy()


def _days_in_utc(values: np.ndarray, zone: str) -> np.ndarray:
    import pandas as pd

    here = pd.DatetimeIndex(values).tz_localize(zone, ambiguous=np.ones(len(values), bool), nonexistent="shift_forward")
    return here.tz_convert("UTC").tz_localize(None).to_numpy()


def settled(tick: str, ends: np.ndarray, zone: str | None) -> tuple[str, int]:
    """The tick, or a coarser one, of which fewer than 2**53 lie between two dates (2,), and where its count begins."""
    low, high = to_ticks(ends, tick, zone).tolist()
    while high - low >= EXACT:
        tick = COARSER[tick]
        low, high = to_ticks(ends, tick, zone).tolist()
    week = 7 * PER_DAY[tick]  # whole weeks, so that weekdays and times of day stay where they are
    return tick, 0 if max(abs(low), abs(high)) < EXACT else low // week * week


def grain(values: np.ndarray, zone: str | None) -> str:
    """The coarsest exact tick of dates of a zone: days if all are its midnights."""
    if zone and (coarsest(_days_here(values, zone)) == "day"):
        return "day"
    return coarsest(values + np.timedelta64(_winter(zone), "s") if zone else values)


def offset(zone: str) -> int:
    """Seconds east of Greenwich of "Z", "+01:00" or "-0530"."""
    if zone in ("Z", "z"):
        return 0
    digits = zone[1:].replace(":", "")
    return (int(digits[:2]) * 60 + int(digits[2:])) * (-60 if zone[0] == "-" else 60)
