"""Plans as an iCalendar file (RFC 5545) that any calendar program imports.

Each is an event of a whole day, or at its time, that keeps nobody busy (3.8.2.7), because calendars on the web and on
phones ignore the to-dos of a file. Imported again, it replaces itself: its identity never changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from aicmo.errors import InvalidInput
from aicmo.text import plain

MAX_OCTETS = 75
"""Of a line, without its end (3.1)."""


@dataclass(frozen=True, slots=True)
class CalendarDay:
    uid: str
    """Unique in the world (3.8.4.7)."""
    day: date
    summary: str
    description: str = ""
    at: datetime | None = None
    """The moment, where it has one; else it is a whole day's."""


def calendar(days: Iterable[CalendarDay], now: datetime) -> str:
    """The file's text, with CRLF at the end of each line."""
    stamp = _utc(now)
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//AICMO//Plans//EN"]
    for each in days:
        lines += [
            "BEGIN:VEVENT",
            f"UID:{_escaped(each.uid)}",
            f"DTSTAMP:{stamp}",
            *_when(each),
            f"SUMMARY:{_escaped(each.summary)}",
            *([f"DESCRIPTION:{_escaped(each.description)}"] if each.description else ()),
            "TRANSP:TRANSPARENT",
            "END:VEVENT",
        ]
    lines.append("END:VCALENDAR")
    return "".join(f"{_folded(line)}\r\n" for line in lines)


def _when(each: CalendarDay) -> tuple[str, ...]:
    """3.6.1: a day ends where the next begins; what starts at a time and lasts no time has no end."""
    if each.at is not None:
        return (f"DTSTART:{_utc(each.at)}",)
    return f"DTSTART;VALUE=DATE:{each.day:%Y%m%d}", f"DTEND;VALUE=DATE:{each.day + timedelta(days=1):%Y%m%d}"


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def write_calendar(path: Path, text: str) -> None:
    """Put a calendar into a file that only its owner reads. Raises ``InvalidInput`` when it cannot be written."""
    try:
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}.", hint="Name another file.") from error


def _escaped(text: str) -> str:
    """3.3.11: what has a meaning in a text gets a backslash, a line's end becomes one."""
    for each in "\\;,":
        text = text.replace(each, f"\\{each}")
    return plain(text).replace("\n", "\\n")


def _folded(line: str) -> str:
    """3.1: a long line goes on behind a line's end and a space; no letter is cut in two."""
    parts: list[str] = [""]
    octets = 0
    for letter in line:
        size = len(letter.encode())
        if octets + size > MAX_OCTETS:
            parts.append("")
            octets = 1  # the space
        parts[-1] += letter
        octets += size
    return "\r\n ".join(parts)
