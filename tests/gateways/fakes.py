"""A clock that moves when told, and providers that answer as told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from aicmo.gateways import Applied, Attempt, Outcome


class ManualClock:
    def __init__(self) -> None:
        self.at = datetime(2026, 11, 22, 12, tzinfo=UTC)
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self._monotonic += seconds


class FakeProvider:
    """Answers with each of ``outcomes`` in turn, then ``OK``; an exception among them is raised."""

    def __init__(self, name: str, *outcomes: Outcome | Attempt | BaseException, key: str = "key") -> None:
        self.name = name
        self.answers = list(outcomes)
        self.calls = 0
        self.key = key

    def fingerprint(self) -> str:
        return self.key

    async def work(self) -> Attempt:
        self.calls += 1
        answer = self.answers.pop(0) if self.answers else Outcome.OK
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Attempt) else attempt(self.name, answer)


def attempt(name: str, outcome: Outcome, applied: Applied | None = None, *, code: str = "", **more: object) -> Attempt:
    if applied is None:
        applied = {Outcome.OK: Applied.YES, Outcome.AMBIGUOUS: Applied.UNKNOWN}.get(outcome, Applied.NO)
    return Attempt(name, outcome, applied, code=code, **more)  # type: ignore[arg-type]


def middle() -> float:
    """Jitter without surprise."""
    return 0.5


Rng = Callable[[], float]
