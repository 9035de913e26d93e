"""Time as an argument.

Whoever needs to know the time or to wait takes a ``Clock``; the default is the machine's, a test hands in its own.
Wall-clock times are UTC and aware; durations are measured with ``monotonic`` so that a clock set back harms nothing.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The wall clock, UTC and aware."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards; only differences mean anything."""
        ...

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait, on the running event loop."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()


def rfc3339(moment: datetime) -> str:
    """``2026-11-22T14:05:00.123Z``: how times are stored. Fixed width, so text order is time order.

    Raises ``ValueError`` for a naive time, which would be a guess.
    """
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_rfc3339(text: str) -> datetime:
    """The inverse of ``rfc3339``; any RFC 3339 offset is read. Raises ``ValueError``."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {text}")
    return moment.astimezone(UTC)
