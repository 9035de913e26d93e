"""What the processes of ``test_limits_shared`` do. A module of its own, because a spawned process imports it."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aicmo.gateways.limits import Budgets, Refusal
from aicmo.gateways.rates import RateLimiter
from aicmo.store.health import HealthDb
from aicmo.store.limits import LimitDb

START = datetime(2026, 11, 30, 23, 59, 0, tzinfo=UTC)


class SharedClock:
    """One clock for several processes, that moves a little whenever somebody looks."""

    def __init__(self, elapsed_ms: Any, tick_ms: int) -> None:
        self._elapsed_ms = elapsed_ms
        self._tick_ms = tick_ms
        self.last = START

    def now(self) -> datetime:
        with self._elapsed_ms.get_lock():
            self._elapsed_ms.value += self._tick_ms
            self.last = START + timedelta(milliseconds=self._elapsed_ms.value)
        return self.last

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


def call_often(file: Path, log: Path, elapsed_ms: Any, tick_ms: int, span: str, most: int, calls: int) -> None:
    """Ask ``calls`` times; write the time of each one that was granted."""
    health = HealthDb(file)
    limits = LimitDb(health)
    clock = SharedClock(elapsed_ms, tick_ms)
    limiter = RateLimiter(limits, {"p": {span: most}}, clock=clock)

    async def work() -> list[float]:
        granted = []
        for _ in range(calls):
            if await limiter.reserve("p") is None:
                granted.append((clock.last - START).total_seconds())
        return granted

    log.write_text(json.dumps(asyncio.run(work())))
    assert not limiter.degraded
    limits.close()
    health.close()


def open_often(files: list[Path], all_at_once: Any) -> None:
    """Open each of ``files``, which are not there yet, at the same moment as the other processes."""
    for file in files:
        all_at_once.wait()
        HealthDb(file).close()


def spend_often(file: Path, log: Path, elapsed_ms: Any, tick_ms: int, most: int, *, rounds: int, die: bool) -> None:
    """Reserve 3, spend 2, ``rounds`` times or until refused; with ``die``, be killed between the two at the last."""
    health = HealthDb(file)
    limits = LimitDb(health)
    budgets = Budgets(limits, {"p": {"credits": most}}, clock=SharedClock(elapsed_ms, tick_ms))

    async def work() -> None:
        with log.open("a", buffering=1) as lines:
            for round_ in range(rounds):
                reservation = await budgets.reserve("p", {"credits": 3})
                if isinstance(reservation, Refusal):
                    return
                if die and round_ == rounds - 1:
                    lines.write(f"{reservation.month} 3\n")
                    lines.flush()
                    os._exit(9)
                await budgets.settle(reservation, {"credits": 2})
                lines.write(f"{reservation.month} 2\n")

    asyncio.run(work())
    limits.close()
    health.close()
