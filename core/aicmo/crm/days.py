"""Days as a person says them: ``tuesday``, ``tomorrow``, ``+3d``, ``2w``, ``2026-11-24``."""

from __future__ import annotations

import re
from datetime import date, timedelta

from aicmo.errors import InvalidInput
from aicmo.text import one_line, shown

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MAX_DAYS = 3650
"""How far ahead a plan may lie: ten years."""
_AHEAD = re.compile(r"\+?([0-9]{1,4})([dw])")


def parse_day(text: str, today: date) -> date:
    """The day that ``text`` means on ``today``.

    A weekday, also by its first three letters, is the next one: on a Tuesday, ``tuesday`` is in a week. ``3d`` and
    ``2w`` are so many days or weeks ahead. Raises ``InvalidInput``.
    """
    word = one_line(text).casefold()
    if word in ("today", "tomorrow"):
        return today + timedelta(days=word == "tomorrow")
    for number, name in enumerate(WEEKDAYS):
        if word in (name, name[:3]):
            return today + timedelta(days=(number - today.weekday() - 1) % 7 + 1)
    if ahead := _AHEAD.fullmatch(word):
        days = int(ahead[1]) * (7 if ahead[2] == "w" else 1)
        if days <= MAX_DAYS:
            return today + timedelta(days=days)
    elif re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", word):
        try:
            return date.fromisoformat(word)
        except ValueError:  # a 31st of November
            pass
    raise InvalidInput(f"{shown(text)} is no day.", hint="Say tuesday, tomorrow, +3d, 2w or 2026-11-24.")
