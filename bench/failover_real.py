"""The scenarios that need real processes and seconds: B4, B9 and B10; B6 is in ``failover_mail``."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from statistics import median
from typing import Any

from aicmo.errors import AicmoError
from aicmo.gateways import Answer, Applied, Attempt, HealthRegistry, Outcome, ProviderChain
from aicmo.provider_state import COOLING, Change, ProviderState
from aicmo.store.health import HealthDb
from bench.failover_mail import mail
from bench.failover_peers import guard_of
from bench.failover_virtual import Line

SPAWN = multiprocessing.get_context("spawn")


class Plain:
    """A provider that is nothing but a name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def fingerprint(self) -> str:
        return "key"


# --- B4: everybody comes at once when it may be tried again -----------------------------------------------------------


def _make_due(path: Path) -> None:
    """The first provider has been closed, and may be tried again now."""
    db, past = HealthDb(path), datetime.now(UTC) - timedelta(seconds=60)
    closed = replace(
        ProviderState("first"), state=COOLING, open_until=past, open_reason="transient", trips=1, closed_at=past
    )
    db.update("first", lambda _: (closed, None))
    db.close()


async def _herd(path: Path, calls_log: Path, callers: int, hold_s: float, all_asked: Any = None) -> None:
    db = HealthDb(path)
    registry = HealthRegistry(db)
    chain = ProviderChain("bench", [Plain("first"), Plain("second")], registry)

    async def op(provider: Plain) -> Answer[str]:
        if provider.name == "first":
            with calls_log.open("ab", buffering=0) as log:
                log.write(f"{os.getpid()}\n".encode())
            await asyncio.sleep(hold_s)
        return Answer(Attempt(provider.name, Outcome.OK, Applied.NO), provider.name)

    await asyncio.gather(*(chain.ask(op) for _ in range(callers)))
    if all_asked is not None:  # closing gives a probe up, and then the next one is right to ask
        await asyncio.to_thread(all_asked.wait)
    await registry.close()
    db.close()


HERD_S = 3.0
"""How long the one probe takes. All processes must ask while it is under way, however slowly one of them starts: who
comes after it has succeeded is let through, and rightly."""


def _herd_process(path: Path, calls_log: Path, callers: int, hold_s: float, together: Any) -> None:
    together.wait()
    asyncio.run(_herd(path, calls_log, callers, hold_s, together))


async def _peer_herd(peer: str, callers: int) -> int:
    """How many of so many concurrent callers a peer's half-open breaker lets through."""
    down, reached, guard = True, 0, guard_of(peer, open_s=0.05)

    async def work() -> str:
        nonlocal reached
        if down:
            raise TimeoutError
        reached += 1
        await asyncio.sleep(0.1)
        return "first"

    for _ in range(12):
        with suppress(Exception):
            await guard(work)
    await asyncio.sleep(0.1)
    down = False
    await asyncio.gather(*(guard(work) for _ in range(callers)), return_exceptions=True)
    return reached


def herd(peers: Sequence[str], *, short: bool) -> list[Line]:
    theirs = {peer: str(asyncio.run(_peer_herd(peer, 100))) for peer in peers}
    with tempfile.TemporaryDirectory(prefix="aicmo-herd-") as folder:
        path, log = Path(folder) / "health.db", Path(folder) / "calls"
        _make_due(path)
        asyncio.run(_herd(path, log, 100, 0.3))
        alone = len(log.read_text().split())
        log.unlink()
        path.unlink()
        _make_due(path)
        processes, each = (2, 50) if short else (4, 25)
        _together(processes, (path, log, each, HERD_S))
        together = len(log.read_text().split())
        lines = [
            Line("B4 herd, one process", "of 100 callers reach it", str(alone), theirs, "<= 1", alone <= 1),
            Line(f"B4 herd, {processes} x {each}", "of all callers reach it", str(together), {}, "<= 1", together <= 1),
        ]
        if not short:
            after_s = _killed_prober(Path(folder))
            lines.append(Line("B4 prober killed", "next probe after, s", f"{after_s:.1f}", {}, "<= 20", after_s <= 20))
    return lines


def _together(processes: int, arguments: tuple[Any, ...]) -> None:
    begin = SPAWN.Barrier(processes)
    running = [SPAWN.Process(target=_herd_process, args=(*arguments, begin)) for _ in range(processes)]
    for process in running:
        process.start()
    for process in running:
        process.join()


def _killed_prober(folder: Path) -> float:
    """Seconds from the kill of whoever carries the probe to the next probe."""
    path, log = folder / "killed.db", folder / "killed"
    _make_due(path)
    begin = SPAWN.Barrier(1)
    prober: BaseProcess = SPAWN.Process(target=_herd_process, args=(path, log, 1, 600.0, begin))
    prober.start()
    while not log.exists():
        time.sleep(0.01)
    assert prober.pid is not None
    os.kill(prober.pid, signal.SIGKILL)
    prober.join()
    killed = time.monotonic()
    while len(log.read_text().split()) < 2:
        asyncio.run(_herd(path, log, 1, 0.0))
        time.sleep(0.2)
    return time.monotonic() - killed


# --- B9: what it costs when all is well -------------------------------------------------------------------------------


async def _us_per_call(serve: Callable[[], Awaitable[Any]], calls: int) -> float:
    for _ in range(200):
        await serve()
    taken = []
    for _ in range(calls):
        started = time.perf_counter_ns()
        await serve()
        taken.append(time.perf_counter_ns() - started)
    return median(taken) / 1000


async def _overhead(folder: Path, calls: int, peers: Sequence[str]) -> tuple[float, float, float, dict[str, float]]:
    """Microseconds with the store and in memory; commits a second; microseconds of the peers."""
    good = Attempt("first", Outcome.OK, Applied.YES)

    async def op(_: Plain) -> Attempt:
        return good

    async def work() -> str:
        return "first"

    db = CountingStore(folder / "health.db")
    registry, alone = HealthRegistry(db), HealthRegistry()
    chain = ProviderChain("bench", [Plain("first")], registry)
    simple = ProviderChain("bench", [Plain("first")], alone)
    started = time.monotonic()
    shared = await _us_per_call(lambda: chain.call(op, side_effect=True), calls)
    commits = db.writes / max(time.monotonic() - started, 1.0)
    memory = await _us_per_call(lambda: simple.call(op, side_effect=True), calls)
    theirs = {}
    for peer in peers:
        guard = guard_of(peer)
        theirs[peer] = await _us_per_call(lambda guard=guard: guard(work), calls)  # type: ignore[misc]
    await registry.close()
    await alone.close()
    db.close()
    return shared, memory, commits, theirs


def overhead(peers: Sequence[str], *, short: bool) -> list[Line]:
    with tempfile.TemporaryDirectory(prefix="aicmo-overhead-") as folder:
        figures = asyncio.run(_overhead(Path(folder), 2000 if short else 200_000, peers))
    shared, memory, commits, theirs = figures
    beside = {peer: f"{value:.1f}" for peer, value in theirs.items()}
    # A stopwatch on a busy machine proves nothing, so the short form shows the figures and judges none.
    judge = not short
    return [
        Line(
            "B9 healthy call", "us p50, shared state", f"{shared:.1f}", beside, "<= 25", shared <= 25 if judge else None
        ),
        Line("B9 healthy call", "us p50, in memory", f"{memory:.1f}", beside, "<= 10", memory <= 10 if judge else None),
        Line("B9 healthy call", "commits a second", f"{commits:.1f}", {}, "<= 2", commits <= 2),
    ]


# --- B10: an app and four workers on one file -------------------------------------------------------------------------


class CountingStore:
    """``health.db``, and how often it was written to."""

    def __init__(self, path: Path) -> None:
        self._db, self.writes = HealthDb(path), 0
        self.get, self.load_all, self.events = self._db.get, self._db.load_all, self._db.events
        self.close = self._db.close

    def update(self, name: str, change: Change) -> ProviderState:
        self.writes += 1
        return self._db.update(name, change)


def _busy_process(path: Path, seconds: float, begin: Any, results: Any) -> None:
    begin.wait()
    results.put(asyncio.run(_busy(path, seconds)))


async def _busy(path: Path, seconds: float) -> tuple[int, int, int, list[float]]:
    """50 calls a second; gives writes, calls that failed, calls without shared state, and how late each tick came."""
    store = CountingStore(path)
    registry = HealthRegistry(store)
    chain = ProviderChain("bench", [Plain("first"), Plain("second")], registry)
    late: list[float] = []
    failed = unshared = 0

    async def op(provider: Plain) -> Attempt:
        return Attempt(provider.name, Outcome.OK, Applied.YES, latency_s=0.01)

    async def tick(until: float) -> None:
        loop = asyncio.get_running_loop()
        while (now := loop.time()) < until:
            await asyncio.sleep(0.005)
            late.append(loop.time() - now - 0.005)

    async def call(until: float) -> None:
        nonlocal failed, unshared
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            try:
                failed += (await chain.call(op, side_effect=True)).final.outcome is not Outcome.OK
            except (AicmoError, sqlite3.Error):
                failed += 1
            unshared += bool(registry.degraded)
            await asyncio.sleep(0.02)

    until = asyncio.get_running_loop().time() + seconds
    await asyncio.gather(tick(until), call(until))
    await registry.close()
    store.close()
    return store.writes, failed, unshared, late


def crowd(*, short: bool) -> list[Line]:
    seconds, processes = (2.0, 2) if short else (60.0, 5)
    with tempfile.TemporaryDirectory(prefix="aicmo-crowd-") as folder:
        path = Path(folder) / "health.db"
        HealthDb(path).close()
        begin, results = SPAWN.Barrier(processes + 1), SPAWN.Queue()
        running = [SPAWN.Process(target=_busy_process, args=(path, seconds, begin, results)) for _ in range(processes)]
        for process in running:
            process.start()
        begin.wait()
        time.sleep(seconds / 3)
        foreign = sqlite3.connect(path, isolation_level=None)
        foreign.execute("BEGIN IMMEDIATE")
        time.sleep(1.0)
        foreign.execute("ROLLBACK")
        foreign.close()
        told = [results.get() for _ in running]
        for process in running:
            process.join()
    writes = sum(each[0] for each in told) / seconds
    failed, unshared = sum(each[1] for each in told), sum(each[2] for each in told)
    late = sorted(moment for each in told for moment in each[3])
    stall_ms = 1000 * late[int(len(late) * 0.999)]
    longest = f"longest {1000 * late[-1]:.0f}"
    name = f"B10 {processes} x 50/s, {seconds:.0f} s"
    return [
        Line(name, "calls that failed, 1 s of foreign lock included", str(failed), {}, "<= 0", not failed),
        Line(name, "calls while the store was refused", str(unshared), {}, "<= 0", not unshared),
        Line(
            name, f"loop late, ms p99.9 ({longest})", f"{stall_ms:.1f}", {}, "<= 20", None if short else stall_ms <= 20
        ),
        Line(name, "commits a second, all", f"{writes:.1f}", {}, "<= 8", writes <= 8),
    ]


def all_real(peers: Sequence[str], *, short: bool) -> list[Line]:
    return [*herd(peers, short=short), *mail(short=short), *overhead(peers, short=short), *crowd(short=short)]
