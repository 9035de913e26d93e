"""The peers, run for real: a first service guarded by each library as its documentation shows, then a second one.

They know nothing of chains, so falling back is written around them, as their users do. Where a library measures time,
it is given the loop's. One that is not installed is left out, and the table says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

from bench.failover_world import Serve, Service

Guard = Callable[[Callable[[], Awaitable[str]]], Awaitable[str]]
PEERS = {"tenacity": "tenacity", "purgatory": "purgatory", "redress": "redress", "interlock-cb": "interlock"}
"""Package -> the module it brings."""


def installed() -> list[str]:
    return [name for name, module in PEERS.items() if find_spec(module)]


def missing() -> list[str]:
    return [name for name in PEERS if name not in installed()]


def with_fallback(guard: Guard, services: list[Service]) -> Serve:
    """The first service through ``guard``; whatever it raises, the others in turn, unguarded."""

    async def serve() -> str:
        try:
            return await guard(services[0].work)
        except Exception:  # a breaker that is open raises its own error, each peer another
            for spare in services[1:-1]:
                try:
                    return await spare.work()
                except Exception:  # whatever the spare died of, the next is asked
                    continue
            return await services[-1].work()

    return serve


def _now() -> float:
    return asyncio.get_running_loop().time()


def _tenacity(open_s: float) -> Guard:
    from tenacity import AsyncRetrying, stop_after_attempt

    async def guard(work: Callable[[], Awaitable[str]]) -> str:
        return await AsyncRetrying(stop=stop_after_attempt(3), reraise=True)(work)

    return guard


def _purgatory(open_s: float) -> Guard:
    import purgatory.domain.model
    from purgatory import AsyncCircuitBreakerFactory

    purgatory.domain.model.time = SimpleNamespace(time=_now)  # type: ignore[assignment]  # it takes no clock
    factory = AsyncCircuitBreakerFactory(default_threshold=5, default_ttl=open_s)

    async def guard(work: Callable[[], Awaitable[str]]) -> str:
        async with await factory.get_breaker("first"):
            return await work()

    return guard


def _redress(open_s: float) -> Guard:
    from redress import AsyncPolicy, AsyncRetry, CircuitBreaker, ErrorClass, default_classifier

    trips = {ErrorClass.TRANSIENT, ErrorClass.SERVER_ERROR, ErrorClass.RATE_LIMIT}
    breaker = CircuitBreaker(failure_threshold=5, recovery_timeout_s=open_s, trip_on=trips, clock=_now)
    retry = AsyncRetry(classifier=default_classifier, strategy=lambda context: 0.0, max_attempts=1)
    policy = AsyncPolicy(retry=retry, circuit_breaker=breaker)
    return policy.call


def _interlock(open_s: float) -> Guard:
    from interlock import CircuitBreaker, Config

    breaker: Any = CircuitBreaker(
        name="first",
        clock=SimpleNamespace(monotonic=_now),
        config=Config(wait_duration_in_open=open_s, minimum_number_of_calls=5, window_size=10),
    )
    return breaker.call_async  # type: ignore[no-any-return]


_MAKERS = {"tenacity": _tenacity, "purgatory": _purgatory, "redress": _redress, "interlock-cb": _interlock}


def guard_of(name: str, *, open_s: float = 30.0) -> Guard:
    """A fresh guard, as a fresh process would have it: 5 failures, then open for so long (tenacity: 3 tries)."""
    return _MAKERS[name](open_s)
