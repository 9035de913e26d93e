"""A clock that a test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
"""A Sunday."""


class MovedClock:
    """Stands still until a test moves it; or goes on by ``tick`` whenever it is looked at."""

    def __init__(self, at: datetime = NOON, *, tick: timedelta = timedelta()) -> None:
        self.at, self._tick = at, tick

    def now(self) -> datetime:
        self.at += self._tick
        return self.at

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
