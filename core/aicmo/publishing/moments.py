"""Moments as a person says them: ``tomorrow 9:00``, ``tue 17:30``, ``+3h``, ``2026-12-01 09:00``.

A day without an hour is refused, because nobody means midnight.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from aicmo.crm.days import parse_day
from aicmo.errors import InvalidInput
from aicmo.publishing.spans import parse_span
from aicmo.text import one_line, shown

EXAMPLES = "tomorrow 9:00, tue 17:30, +3h or 2026-12-01 09:00"
_HOUR = re.compile(r"([0-9]{1,2}):([0-9]{2})", re.ASCII)
_AHEAD = re.compile(r"\+[0-9]+[mhdw]", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def parse_moment(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """The moment (UTC) that ``text`` means at ``now``; hours are read by the clock of ``zone``, else this computer's.

    An hour alone is the next one on the clock. ``+3h`` and the like count from ``now``; other days are read as by
    ``parse_day``. ISO 8601 may bring a zone of its own. Raises ``InvalidInput``; the past is not refused.
    """
    said = one_line(text)
    today = now.astimezone(zone).date()
    if _AHEAD.fullmatch(said.casefold()):
        return now.astimezone(UTC) + timedelta(minutes=parse_span(said[1:]))
    if hour := _HOUR.fullmatch(said):
        at = _on(today, hour, said, zone)
        return at if at > now else _on(today + timedelta(days=1), hour, said, zone)
    day, _, clock = said.rpartition(" ")
    if day and (hour := _HOUR.fullmatch(clock)):
        return _on(parse_day(day, today), hour, said, zone)
    if _DATE.fullmatch(said):
        raise InvalidInput(f"{said} says no hour.", hint=f"Say {said} 09:00.")
    try:
        at = datetime.fromisoformat(said)
        return (at if at.tzinfo else _local(at, zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{shown(text)} is no time.", hint=f"Say {EXAMPLES}.") from None


def told_day(at: datetime, now: datetime, zone: tzinfo | None = None) -> str:
    """``Thu 26 Nov``, by the clock of ``zone``, else this computer's; with the year, where it is another than now."""
    there = at.astimezone(zone)
    return f"{there:%a %d %b}" if there.year == now.astimezone(zone).year else f"{there:%a %d %b %Y}"


def told_moment(at: datetime, now: datetime, zone: tzinfo | None = None) -> str:
    """``Thu 26 Nov 09:00``; the day as ``told_day`` says it."""
    return f"{told_day(at, now, zone)} {at.astimezone(zone):%H:%M}"


def _on(day: date, hour: re.Match[str], said: str, zone: tzinfo | None) -> datetime:
    try:
        at = datetime.combine(day, time(int(hour[1]), int(hour[2])))
    except ValueError:
        raise InvalidInput(f"{shown(said)} is no time.", hint="A day goes from 0:00 to 23:59.") from None
    return _local(at, zone).astimezone(UTC)


def _local(at: datetime, zone: tzinfo | None) -> datetime:
    return at.replace(tzinfo=zone) if zone else at.astimezone()
