"""How often a provider may be called: per second, minute, hour and day, over all processes.

A rate is exact in the strict sense: no span of its length, wherever it begins, sees more calls than allowed. Where the
provider itself says that it allows less than is configured, its word holds for everybody. Where the store cannot be
used, rates are counted within this process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import AicmoError, InvalidInput
from aicmo.gateways.limit_store import LimitStore, MemoryLimitStore, milliseconds, moment
from aicmo.limit_state import Held, LimitUse, Step

SPANS_S: Mapping[str, int] = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
SLOTS = 20
"""Calls are remembered by twentieths of their span. So a call is forgotten up to 5 % late, and never early."""
LOWERED_S = 3600
"""How long a provider's word about its own limits is believed: a plan may be upgraded."""


class RateLimiter:
    """Rates of all providers, shared with every process that uses the same store."""

    def __init__(
        self, store: LimitStore, rates: Mapping[str, Mapping[str, int]], *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """``rates``: provider name -> span -> calls within it. A provider that is not named costs nothing to ask."""
        self._store = store
        self._rates = rates
        self._clock = clock
        self._memory = MemoryLimitStore()
        self._heard: dict[tuple[str, str], tuple[int, int]] = {}
        """What each provider last said of each span, and when (milliseconds since 1970)."""
        self.degraded = ""
        """Why the last use was counted within this process alone, as a sentence; empty when it was not."""

    async def reserve(self, provider: str, cost: int = 1) -> datetime | None:
        """Count ``cost`` calls and return ``None``; or count nothing and return the time (UTC) to ask again.

        Raises ``InvalidInput`` when ``cost`` is more than a span may ever see.
        """
        rates = self._rates.get(provider)
        if not rates:
            return None
        for span, most in rates.items():
            if cost > most:
                raise InvalidInput(f"{provider} may be called {most} times a {span}, and {cost} are asked for at once.")
        wait_until_ms = 0

        def step(uses: Sequence[LimitUse]) -> Sequence[LimitUse]:
            nonlocal wait_until_ms
            now_ms = milliseconds(self._clock.now())  # here, where nobody else is: times are in the order of the calls
            counted = [counted_call(use, rates[use.name], now_ms, cost) for use in uses]
            waits = [until_ms for _, until_ms in counted if until_ms is not None]
            wait_until_ms = max(waits, default=0)
            return uses if waits else [use for use, _ in counted]

        await self._update(provider, list(rates), step)
        return moment(wait_until_ms) if wait_until_ms else None

    async def lower(self, provider: str, allowed: Mapping[str, int]) -> None:
        """The provider itself says that it allows no more than this: span -> calls, 0 included. Believed for an hour.

        Only what is configured can be lowered, and nothing is ever raised above it. A provider may say different things
        of different requests; while it is believed, the least it said holds for all. A write for each change of what
        is said and half-hourly, not for each call.
        """
        rates = self._rates.get(provider, {})
        now_ms = milliseconds(self._clock.now())
        news = {
            span: most
            for span, most in allowed.items()
            if span in rates and self._is_news(self._heard.get((provider, span)), most, rates[span], now_ms)
        }
        if not news:
            return
        until_ms = now_ms + LOWERED_S * 1000

        def step(uses: Sequence[LimitUse]) -> Sequence[LimitUse]:
            return [lowered(use, news[use.name], now_ms, until_ms) for use in uses]

        await self._update(provider, list(news), step)
        self._heard.update({(provider, span): (most, now_ms) for span, most in news.items()})

    @staticmethod
    def _is_news(heard: tuple[int, int] | None, most: int, configured: int, now_ms: int) -> bool:
        if heard is None:
            return most < configured
        again_ms = heard[1] + LOWERED_S * 500
        return most != heard[0] or (most < configured and not heard[1] <= now_ms < again_ms)

    async def _update(self, provider: str, names: Sequence[str], step: Step) -> None:
        import asyncio

        try:
            await asyncio.to_thread(self._store.update, provider, names, step)
            self.degraded = ""
        except AicmoError as error:
            self.degraded = f"Rates are counted for this run alone: {error.message}"
            self._memory.update(provider, names, step)


def counted_call(use: LimitUse, most: int, now_ms: int, cost: int) -> tuple[LimitUse, int | None]:
    """``use`` with ``cost`` calls more and ``None``; or unchanged, and when to ask again (milliseconds since 1970)."""
    span_ms = SPANS_S[use.name] * 1000
    slot_ms = span_ms // SLOTS
    # To the slot's end and a whole span on: not one call of the slot is forgotten within a span of itself.
    until_ms = (now_ms // slot_ms + 1) * slot_ms + span_ms
    told = told_limit(use, now_ms)
    if told is not None:
        most = min(most, told)
    # A clock that went back must not make a call count for longer than a call made now.
    held = [replace(part, until_ms=min(part.until_ms, until_ms)) for part in use.held if part.until_ms > now_ms]
    over = sum(part.amount for part in held) + cost - most
    if over <= 0:
        if held and held[-1].until_ms == until_ms:
            held[-1] = replace(held[-1], amount=held[-1].amount + cost)
        else:
            held.append(Held(cost, until_ms))
        return replace(use, held=tuple(held)), None
    for part in held:  # the oldest first
        over -= part.amount
        if over <= 0:
            return use, part.until_ms if told is None else min(part.until_ms, use.lowered_until_ms)
    return use, use.lowered_until_ms


def told_limit(use: LimitUse, now_ms: int) -> int | None:
    """What the provider said it allows, while that is believed; else ``None``."""
    return use.lowered_to if now_ms < use.lowered_until_ms <= now_ms + 2 * LOWERED_S * 1000 else None


def lowered(use: LimitUse, most: int, now_ms: int, until_ms: int) -> LimitUse:
    """``use`` after the provider said that it allows ``most``; the least of what it says holds while it is believed."""
    told = told_limit(use, now_ms)
    if told is not None and told < most:
        return use
    return replace(use, lowered_to=most, lowered_until_ms=until_ms)
