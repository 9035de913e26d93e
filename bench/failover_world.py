"""Where the failover scenarios take place: time that jumps, services that fail on a schedule, and who calls them.

Time is virtual: when nothing is left to do, it jumps to the next thing that is. An hour takes a second, and a seed
tells the whole story. Threads do not fit in there, so what is written to the store is written at once.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeVar

from aicmo.gateways import Answer, Applied, Attempt, HealthRegistry, Outcome, ProviderChain
from aicmo.store.health import HealthDb

T = TypeVar("T")

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HANG_S, HEALTHY_S, FAST_S = 10.0, 0.3, 1.0
"""A call that gets no answer is given up after ten seconds; a good one takes 0.3; whoever waits longer than one is not
served well."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Waiting takes no time. It begins at a small number: at 1.7e9 a float cannot tell neighbouring moments apart."""

    def __init__(self) -> None:
        super().__init__()
        self.virtual_s = 1e6
        self._clock_resolution = 1e-6
        look = self._selector.select

        def select(timeout: float | None) -> Any:
            if timeout and timeout > 0:
                self.virtual_s += max(timeout, 1e-6)
                timeout = 0
            return look(timeout)

        self._selector.select = select

    def time(self) -> float:
        return self.virtual_s


class LoopClock:
    """The running loop's time, as a ``Clock``."""

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.monotonic() - 1e6)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class AtOnce(Executor):
    """Runs what it is given before it returns."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:  # a future carries whatever was raised
            done.set_exception(error)
        return done


def virtually(work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, in no time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def elapsed_s() -> float:
    """Virtual seconds since the beginning."""
    return asyncio.get_running_loop().time() - 1e6


# --- services ---------------------------------------------------------------------------------------------------------


class ConnectionDown(ConnectionError):
    """No answer, or one that says it is broken. Its name is what a peer that judges errors by their names looks for."""


class TooFast(Exception):
    status = 429

    def __init__(self, retry_at_s: float) -> None:
        super().__init__("429")
        self.retry_at_s = retry_at_s


class BadInput(ValueError):
    status = 422


@dataclass
class Service:
    """One outside service. ``fault`` says what is wrong at a moment: ``hang``, ``refuse``, ``503``, ``slow``, ``lost``
    (done, but the answer is lost), ``429:<until>``, ``input``, or nothing."""

    name: str
    fault: Callable[[float], str] = lambda _: ""
    asked: list[float] = field(default_factory=list)
    """When it was called, work and checks alike."""
    wasted: int = 0
    """Calls it got while it was not well."""
    done: list[int] = field(default_factory=list)
    """The pieces of work that really happened."""

    async def work(self, number: int = 0) -> str:
        """Raises ``ConnectionDown``, ``TooFast`` or ``BadInput``."""
        fault = self._met()
        await self._suffer(fault)
        await asyncio.sleep(HEALTHY_S)
        self.done.append(number)
        if fault == "lost":
            await asyncio.sleep(HANG_S - HEALTHY_S)
            raise ConnectionDown("the answer was lost")
        return self.name

    async def whoami(self) -> None:
        """The free check: as sick as the rest, but it knows of no limits and loses no answers."""
        fault = self._met()
        if fault in ("hang", "refuse", "503", "slow"):
            await self._suffer(fault)
        await asyncio.sleep(0.1)

    def _met(self) -> str:
        now = elapsed_s()
        fault = self.fault(now)
        self.asked.append(now)
        self.wasted += fault != ""
        return fault

    async def _suffer(self, fault: str) -> None:
        if fault == "hang":
            await asyncio.sleep(HANG_S)
            raise ConnectionDown("no answer")
        if fault == "refuse":
            await asyncio.sleep(0.01)
            raise ConnectionDown("refused")
        if fault in ("503", "slow"):
            await asyncio.sleep(HEALTHY_S if fault == "503" else HANG_S / 2)
            raise ConnectionDown("503")
        if fault.startswith("429:"):
            await asyncio.sleep(0.05)
            raise TooFast(float(fault.partition(":")[2]))
        if fault == "input":
            await asyncio.sleep(0.05)
            raise BadInput("422")


def outage(start_s: float, end_s: float, kind: str = "hang") -> Callable[[float], str]:
    return lambda now: kind if start_s <= now < end_s else ""


class Ours:
    """A ``Service`` as one of our providers."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.name = service.name
        self.key = "key"

    def fingerprint(self) -> str:
        return self.key

    async def check(self) -> Attempt:
        try:
            await self.service.whoami()
        except ConnectionDown as error:
            return Attempt(self.name, Outcome.TRANSIENT, Applied.NO, "check", detail=str(error))
        return Attempt(self.name, Outcome.OK, Applied.NO)

    async def read(self) -> Answer[str]:
        attempt = await self.write(0)
        ok = attempt.outcome is Outcome.OK
        # What was read has changed nothing, whatever became of the answer.
        return Answer(replace(attempt, applied=Applied.NO), self.name if ok else None)

    async def write(self, number: int) -> Attempt:
        started = elapsed_s()
        try:
            await self.service.work(number)
        except TooFast as error:
            retry_at = BEGIN + timedelta(seconds=error.retry_at_s)
            return Attempt(self.name, Outcome.RATE_LIMITED, Applied.NO, "reply", "429", retry_at=retry_at)
        except BadInput:
            return Attempt(self.name, Outcome.INPUT, Applied.NO, "reply", "422")
        except ConnectionDown as error:
            lost = str(error) == "the answer was lost"
            code = "503" if str(error) == "503" else ""
            outcome, applied = (Outcome.AMBIGUOUS, Applied.UNKNOWN) if lost else (Outcome.TRANSIENT, Applied.NO)
            return Attempt(self.name, outcome, applied, "reply", code, str(error), latency_s=elapsed_s() - started)
        return Attempt(self.name, Outcome.OK, Applied.YES, "reply", "200", latency_s=elapsed_s() - started)


class Fleet:
    """Processes of ours that share one ``health.db``, or have none."""

    def __init__(self, services: list[Service], seed: int, *, shared: bool = True) -> None:
        self.services, self.chance = services, random.Random(seed)
        self.folder = tempfile.TemporaryDirectory(prefix="aicmo-failover-")
        self.shared = shared
        self.opened: list[tuple[HealthRegistry, HealthDb | None]] = []

    def process(self) -> ProviderChain[Ours]:
        """A chain as a process that has just been started would have it."""
        db = HealthDb(Path(self.folder.name) / "health.db") if self.shared else None
        registry = HealthRegistry(db, clock=LoopClock(), rng=self.chance.random, writer=AtOnce())
        self.opened.append((registry, db))
        return ProviderChain("bench", [Ours(it) for it in self.services], registry, clock=LoopClock())

    async def end(self, *, last: bool = True) -> None:
        """End all processes; with ``last`` the shared file goes too."""
        for registry, db in self.opened:
            await registry.close()
            if db is not None:
                db.close()
        self.opened.clear()
        if last:
            self.folder.cleanup()


# --- callers ----------------------------------------------------------------------------------------------------------

Serve = Callable[[], Awaitable[str]]
"""One request: gives the name of who served it, or raises."""


@dataclass
class Seen:
    """What a caller got: when it asked, when it had its answer, and from whom; empty when it got none."""

    asked_s: float
    answered_s: float
    by: str


async def steadily(serve: Serve, every_s: float, until_s: float, *, first_s: float = 0.0) -> list[Seen]:
    """Ask every so often, without waiting for earlier answers, and wait for the last ones."""
    seen: list[Seen] = []

    async def one() -> None:
        started = elapsed_s()
        try:
            by = await serve()
        except Exception:  # a peer's own words for "nobody served"
            by = ""
        seen.append(Seen(started, elapsed_s(), by))

    tasks = []
    moment = first_s
    while moment < until_s:
        await asyncio.sleep(max(moment - elapsed_s(), 0))
        tasks.append(asyncio.create_task(one()))
        moment += every_s
    await asyncio.gather(*tasks)
    return sorted(seen, key=lambda it: it.asked_s)


def first_after(seen: list[Seen], moment_s: float, good: Callable[[Seen], bool]) -> float:
    """Seconds from ``moment_s`` to the answer of the first request asked after it that is ``good``; else infinite."""
    return next((it.answered_s - moment_s for it in seen if it.asked_s >= moment_s and good(it)), float("inf"))


@dataclass(frozen=True)
class Figure:
    """A mean over seeds, with the half width of its 95 % interval."""

    mean: float
    half: float

    @property
    def high(self) -> float:
        return self.mean + self.half

    @property
    def low(self) -> float:
        return self.mean - self.half

    def __str__(self) -> str:
        if self.mean == float("inf"):
            return "never"
        mean = f"{self.mean:.4g}" if abs(self.mean) < 1000 else f"{self.mean:.0f}"
        return mean if not self.half else f"{mean} ±{self.half:.2g}"


def over_seeds(values: list[float]) -> Figure:
    mean = fmean(values)
    if len(values) < 2 or mean == float("inf"):
        return Figure(mean, 0.0)
    return Figure(mean, 1.96 * stdev(values) / sqrt(len(values)))
