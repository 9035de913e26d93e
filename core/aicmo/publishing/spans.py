"""Spans of time as a person says them: ``30m``, ``2h``, ``3d``, ``1w``. A day is 24 hours, also when clocks change."""

from __future__ import annotations

import re

from aicmo.errors import InvalidInput
from aicmo.text import one_line, shown

MINUTES = {"w": 7 * 24 * 60, "d": 24 * 60, "h": 60, "m": 1}
LONGEST = 366 * 24 * 60
"""Minutes."""
_SPAN = re.compile(r"([0-9]{1,6})([mhdw])", re.ASCII)


def parse_span(text: str) -> int:
    """Minutes; ``0`` alone is none. Raises ``InvalidInput``, also for more than a year."""
    word = one_line(text).casefold()
    if word == "0":
        return 0
    found = _SPAN.fullmatch(word)
    if found is None:
        raise InvalidInput(f"{shown(text)} is no span of time.", hint="Say 30m, 2h, 3d or 1w.")
    minutes = int(found[1]) * MINUTES[found[2]]
    if minutes > LONGEST:
        raise InvalidInput(f"{shown(text)} is more than a year.", hint="Say 30m, 2h, 3d or 1w.")
    return minutes


def told_span(minutes: int) -> str:
    """The shortest that ``parse_span`` reads as the same: ``3d``, ``90m``; ``0`` for none."""
    for letter, size in MINUTES.items():
        if minutes and minutes % size == 0:
            return f"{minutes // size}{letter}"
    return "0"
