"""Providers of one capability in order of preference: the first that may serve does; the next steps in if that is safe.

A side effect moves on only while every attempt so far says that nothing happened (``Applied.NO``). Our own bad input, a
dead recipient and refused content never move on: the next provider would be given the same. A miss moves on without
blame. The chain waits for nobody; when no one may serve it says why, and when to come back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.gateways.attempt import Applied, Attempt, Outcome
from aicmo.gateways.health import Admission, HealthRegistry
from aicmo.gateways.providers import Provider

P = TypeVar("P", bound=Provider)

_LAST_WORD = frozenset({Outcome.OK, Outcome.INPUT, Outcome.RECIPIENT, Outcome.CONTENT, Outcome.CANCELLED})
"""What no other provider could better."""
_MOST_HOPEFUL_FIRST = (
    Outcome.TRANSIENT,
    Outcome.AMBIGUOUS,
    Outcome.RATE_LIMITED,
    Outcome.QUOTA,
    Outcome.AUTH,
    Outcome.MISS,
    Outcome.SKIPPED,
)
"""Which failure speaks for a chain that nobody could serve. A miss is the answer only when all missed."""


@dataclass(frozen=True, slots=True)
class ChainResult:
    attempts: tuple[Attempt, ...]
    """Every call that was made, in order; empty when none was."""
    final: Attempt
    """The one that decides. ``SKIPPED`` when no call was made; its ``detail`` says why."""
    retry_at: datetime | None = None
    """When the work was not done and may be tried again: not before then (UTC). ``None``: at once, or never."""

    @property
    def served_by(self) -> str:
        """The provider that did it, or may have; empty when provably nobody did."""
        done = self.final.outcome is Outcome.OK or self.final.applied is not Applied.NO
        return self.final.provider if done else ""


class ProviderChain(Generic[P]):
    """``providers`` are in the configured order, which is the order they are tried in."""

    def __init__(
        self, capability: str, providers: Sequence[P], registry: HealthRegistry, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.capability = capability
        self.providers = tuple(providers)
        self.registry = registry
        self._clock = clock

    async def call(
        self,
        op: Callable[[P], Awaitable[Attempt]],
        *,
        side_effect: bool,
        only: str | None = None,
        deadline_s: float | None = None,
    ) -> ChainResult:
        """Let the first provider that may serve do ``op``; move on where that is safe.

        ``only`` names the one provider that may do it, because a thread stays with the sender that began it.
        ``deadline_s`` is for all attempts together; what still runs then is cancelled, and for a side effect nobody
        knows what came of it (``Applied.UNKNOWN``). An exception of ``op``, ``NotNow`` among them, passes through and
        blames nobody.
        """
        started = self._clock.monotonic()
        attempts: list[Attempt] = []
        closed: list[Admission] = []
        for provider in self._candidates(only):
            admission = await self.registry.admit(provider)
            if not admission.allowed:
                closed.append(admission)
                continue
            remaining_s = None if deadline_s is None else deadline_s - (self._clock.monotonic() - started)
            try:
                attempt = await _within(remaining_s, op, provider, side_effect)
            except BaseException:
                await self.registry.release(admission)
                raise
            attempts.append(attempt)
            await self.registry.record(provider, attempt, admission)
            if attempt.outcome in _LAST_WORD or (side_effect and attempt.applied is not Applied.NO):
                return ChainResult(tuple(attempts), attempt, attempt.retry_at)
        return await self._unserved(attempts, closed, only)

    async def usable(self, only: str | None = None) -> bool:
        """Whether a call made now would reach a provider."""
        return any([(await self.registry.look(provider)).allowed for provider in self._candidates(only)])

    async def next_try_at(self, only: str | None = None) -> datetime | None:
        """When a provider may be called: now or in the past when one is usable. ``None`` when there is none at all."""
        looks = [await self.registry.look(provider) for provider in self._candidates(only)]
        return min((look.until or self._clock.now() for look in looks), default=None)

    def _candidates(self, only: str | None) -> tuple[P, ...]:
        if only is None:
            return self.providers
        return tuple(provider for provider in self.providers if provider.name == only)

    async def _unserved(self, attempts: list[Attempt], closed: list[Admission], only: str | None) -> ChainResult:
        retry_at = await self.next_try_at(only)
        if attempts:
            final = min(attempts, key=lambda attempt: _MOST_HOPEFUL_FIRST.index(attempt.outcome))
            return ChainResult(tuple(attempts), final, None if final.outcome is Outcome.MISS else retry_at)
        if closed:
            why = "; ".join(f"{look.provider} is {look.reason}" for look in closed)
        else:
            why = f"{only} is not in the chain" if only else "no provider is configured"
        skipped = Attempt("", Outcome.SKIPPED, Applied.NO, detail=f"{self.capability}: {why}"[:300], retry_at=retry_at)
        return ChainResult((), skipped, retry_at)


async def _within(
    seconds: float | None, op: Callable[[P], Awaitable[Attempt]], provider: P, side_effect: bool
) -> Attempt:
    """The attempt ``op`` makes, or ``CANCELLED`` when ``seconds`` are over first."""
    if seconds is None:
        return await op(provider)
    import asyncio

    late = Attempt(
        provider.name, Outcome.CANCELLED, Applied.NO, "deadline", detail="the time for all attempts was over"
    )
    if seconds <= 0:
        return late
    scope = asyncio.timeout(seconds)
    try:
        async with scope:
            return await op(provider)
    except TimeoutError:
        if not scope.expired():
            raise
        return replace(late, applied=Applied.UNKNOWN if side_effect else Applied.NO)
