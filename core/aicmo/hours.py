"""When somebody may be written to: hours of a day, days of a week, in whose time zone.

Opening and closing are moments, not readings of a clock: each is worked out once for its day, so the night in which
clocks are changed has one opening and one closing like any other. A wall time that does not exist that day is the
moment the clocks jump over it; of one that comes twice the first counts.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aicmo.errors import InvalidInput
from aicmo.text import shown

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ZONES = ("recipient", "business")
_SPAN = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Hours:
    """From ``opens`` to before ``closes``, in minutes of the day, on ``days`` (Monday is 0)."""

    opens: int
    closes: int
    days: frozenset[int]

    def opening(self, zone: tzinfo, now: datetime) -> datetime | None:
        """``None`` while open at ``now``; else when it opens next (UTC)."""
        today = now.astimezone(zone).date()
        for ahead in range(-1, 15):  # from yesterday, which the jump of a clock may reach into, past any week
            day = today + timedelta(days=ahead)
            if day.weekday() not in self.days:
                continue
            opens, closes = _moment(day, self.opens, zone), _moment(day, self.closes, zone)
            if opens <= now < closes:
                return None
            if now < opens < closes:
                return opens
        raise AssertionError("there is a day in every week")

    @property
    def seconds_a_day(self) -> float:
        """How long it is open on a day of its week, on the average."""
        return (self.closes - self.opens) * 60 * len(self.days) / 7


def _moment(day: date, minute: int, zone: tzinfo) -> datetime:
    """The first moment (UTC) at which a clock in ``zone`` shows that minute of the day, or a later one."""
    days, minute = divmod(minute, _DAY_MINUTES)
    wall = datetime.combine(day + timedelta(days=days), time(minute // 60, minute % 60))
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        return first
    before, after = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), first  # the clocks jump in between
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        if middle.astimezone(zone).replace(tzinfo=None) >= wall:
            after = middle
        else:
            before = middle
    return after.replace(microsecond=0)


@functools.lru_cache(maxsize=256)
def parse_hours(span: str, days: str) -> Hours | None:
    """``09:00-17:00`` and ``mon-fri``, of which either may be empty; both: ``None``. Raises ``InvalidInput``."""
    if not span and not days:
        return None
    opens, closes = 0, _DAY_MINUTES
    if span:
        found = _SPAN.fullmatch(span.strip())
        if not found:
            raise InvalidInput(f"{shown(span)} are no hours.", hint="Write them like 09:00-17:00.")
        first, first_minute, last, last_minute = map(int, found.groups())
        opens, closes = first * 60 + first_minute, last * 60 + last_minute
        if max(first_minute, last_minute) > 59 or closes > _DAY_MINUTES:
            raise InvalidInput(f"{shown(span)} are no hours of a day.", hint="A day goes from 00:00 to 24:00.")
        if closes <= opens:
            raise InvalidInput(f"The hours {shown(span)} end before they begin.", hint="Name hours of one day.")
    return Hours(opens, closes, _parse_days(days))


def _parse_days(text: str) -> frozenset[int]:
    """``mon-fri``, ``sat,sun``, ``mon,wed-fri``, ``sat-mon``; empty is every day."""
    chosen: set[int] = set()
    for part in filter(None, (each.strip().lower() for each in text.split(","))):
        first, dash, last = (each.strip()[:3] for each in part.partition("-"))
        if first not in DAYS or (dash and last not in DAYS):
            raise InvalidInput(f"{shown(part)} are no days.", hint="Write them like mon-fri, or mon,wed,fri.")
        begin = DAYS.index(first)
        chosen |= {(begin + n) % 7 for n in range((DAYS.index(last) - begin) % 7 + 1)} if dash else {begin}
    return frozenset(chosen or range(7))


# --- whose zone -------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def zone_named(name: str) -> ZoneInfo | None:
    """The zone of an IANA name such as ``Asia/Tokyo``; ``None`` when there is none."""
    try:
        return ZoneInfo(name.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError):  # also "", "Europe", "../x": a name no zone can have
        return None


def zone_of(fields: Mapping[str, str], ours: tzinfo) -> tzinfo:
    """Where a contact is: their ``timezone``, or that of their ``country`` if it has a single one; else ``ours``."""
    if name := fields.get("timezone"):
        return zone_named(name) or ours
    if country := fields.get("country"):
        return zone_named(_zone_by_country().get(country.strip().casefold(), "")) or ours
    return ours


@functools.lru_cache(maxsize=1)
def _zone_by_country() -> Mapping[str, str]:
    """Code or English name of each country with a single zone -> that zone, from IANA's own tables (``zone.tab``)."""
    rows = {name: _table(name) for name in ("zone.tab", "iso3166.tab")}
    zones: dict[str, list[str]] = {}
    for code, _, zone, *_ in rows["zone.tab"]:
        zones.setdefault(code, []).append(zone)
    single = {code: found[0] for code, found in zones.items() if len(found) == 1}
    by_name = {name.casefold(): single[code] for code, name, *_ in rows["iso3166.tab"] if code in single}
    return by_name | {code.casefold(): zone for code, zone in single.items()}


def _table(name: str) -> list[list[str]]:
    text = resources.files("tzdata").joinpath("zoneinfo", name).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]


def our_zone(name: str = "") -> tzinfo:
    """The zone of that name, or else this computer's, or what ``TZ`` says in its place, as for every program (POSIX).

    Raises ``InvalidInput`` for a name that there is not.
    """
    if name:
        zone = zone_named(name)
        if zone is None:
            raise InvalidInput(f"{shown(name)} is no time zone.", hint="Write it like Europe/Berlin.")
        return zone
    if said := os.environ.get("TZ", "").removeprefix(":"):
        return zone_named(said) or _offset_now()  # or it is spelled out, such as EST5EDT4
    try:
        with Path("/etc/localtime").open("rb") as file:  # with its changes of the clock
            return ZoneInfo.from_file(file, key="local")
    except (OSError, ValueError):
        return _offset_now()


def _offset_now() -> tzinfo:
    local = datetime.now().astimezone().tzinfo
    assert local is not None
    return local


def zone_label(zone: tzinfo, at: datetime) -> str:
    """``Asia/Tokyo``, or what the zone calls itself at that moment."""
    key = getattr(zone, "key", None)
    return key if key and key != "local" else at.astimezone(zone).tzname() or "UTC"
