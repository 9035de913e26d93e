"""Asking every provider how it is, without costing anything and without doing any work.

A check goes the way of every call: the same admission and lease, the same rate, the same learning. So a check never
meets a provider that calls are kept from, and what it finds is what calls then go by. One that costs something is never
made by itself. What was found, and what the provider says is left of its allowance, is kept in a registry that all
processes share: the app, the command line and every scheduled run look at the same.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NoReturn, Protocol

from aicmo.check_state import RECENT, CheckChange, SelfCheck
from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import AicmoError
from aicmo.gateways.attempt import Answer, Applied, Attempt, Outcome, Quota
from aicmo.gateways.health import CHECK_TIMEOUT_S, HealthRegistry, has_free_check
from aicmo.gateways.limits import Gate, Refusal
from aicmo.gateways.providers import Provider

log = logging.getLogger(__name__)

AT_ONCE = 4
"""So many providers are checked side by side; one that hangs keeps nobody else waiting."""
JITTER = 0.1
"""Of the interval, either way: programs that start together do not ask together."""
STILL_FRESH = 0.8
"""Of the interval: a check that another process made within it is not made again."""


class SelfCheckStore(Protocol):
    """Where checks are kept. Both methods may raise ``AicmoError``; the registry then does without."""

    def load_all(self) -> Mapping[str, SelfCheck]: ...

    def update(self, provider: str, change: CheckChange) -> SelfCheck:
        """Replace what is stored of ``provider`` by ``change`` of it, in one step. Called in a thread."""
        ...


class MemorySelfCheckStore:
    """Checks of this process alone."""

    def __init__(self) -> None:
        self._checks: dict[str, SelfCheck] = {}

    def load_all(self) -> Mapping[str, SelfCheck]:
        return dict(self._checks)

    def update(self, provider: str, change: CheckChange) -> SelfCheck:
        self._checks[provider] = change(self._checks.get(provider) or SelfCheck(provider))
        return self._checks[provider]


class SelfCheckRegistry:
    """What the checks found. A store that cannot be used makes no check fail: this process then remembers alone."""

    def __init__(self, store: SelfCheckStore | None = None) -> None:
        self._memory = MemorySelfCheckStore()
        self._store: SelfCheckStore = store or self._memory
        self.degraded = ""
        """Why the last check is not shared, as a sentence; empty when it is."""

    def known(self) -> Mapping[str, SelfCheck]:
        """Every provider that was checked, by name. Reads the store: microseconds, unless somebody holds it."""
        alone = self._memory.load_all()
        try:
            known = dict(self._store.load_all())
        except AicmoError as error:
            self._degrade(error)
            return alone
        known.update({name: check for name, check in alone.items() if _newer(check, known.get(name))})
        return known

    async def keep(self, provider: str, change: CheckChange) -> SelfCheck:
        """Remember what a check found."""
        import asyncio

        try:
            kept = await asyncio.to_thread(self._store.update, provider, change)
        except AicmoError as error:
            self._degrade(error)
            return self._memory.update(provider, change)
        self.degraded = ""
        return kept

    def _degrade(self, error: AicmoError) -> None:
        self.degraded = f"Self-checks are not shared with other runs: {error.message}"


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of checking one provider."""

    provider: str
    attempt: Attempt
    """``SKIPPED`` when it was not asked; the ``detail`` says why."""
    quota: Quota | None = None
    """As it was told just now."""


class SelfCheckService:
    """Checks each of ``providers``, once each, whatever number of chains they stand in."""

    def __init__(
        self,
        providers: Sequence[Provider],
        health: HealthRegistry,
        registry: SelfCheckRegistry,
        *,
        gate: Gate | None = None,
        clock: Clock = SYSTEM_CLOCK,
        rng: Callable[[], float] = random.random,
    ) -> None:
        """``gate`` is asked for each provider's rate before it is asked anything."""
        self.providers = tuple(providers)
        self.registry = registry
        self._health = health
        self._gate = gate
        self._clock = clock
        self._rng = rng

    async def check_all(
        self,
        *,
        early: bool = False,
        unless_within_s: float = 0.0,
        told: Callable[[Checked], None] = lambda _: None,
    ) -> tuple[Checked, ...]:
        """Check everybody, four at a time; the findings in the providers' order. ``told`` hears each as it comes.

        ``early``: a person asked, so nobody waits for the end of cooling. Who was checked within ``unless_within_s``,
        by whatever process, is left out. Raises what an adapter did not foresee, after all others were checked.
        """
        import asyncio

        side_by_side = asyncio.Semaphore(AT_ONCE)
        due_before = self._clock.now() - timedelta(seconds=unless_within_s)
        known = self.registry.known() if unless_within_s else {}

        async def one(provider: Provider) -> Checked:
            async with side_by_side:
                found = await self.check(provider, early=early)
            told(found)
            return found

        due = [it for it in self.providers if not _checked_after(known.get(it.name), due_before, self._clock)]
        results = await asyncio.gather(*(one(provider) for provider in due), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return tuple(result for result in results if isinstance(result, Checked))

    async def check(self, provider: Provider, *, early: bool = False, paid: bool = False) -> Checked:
        """Check one. ``paid``: a person has agreed to what the check costs."""
        attempt = await self._asked(provider, early=early, paid=paid)
        if attempt.outcome in (Outcome.SKIPPED, Outcome.CANCELLED):
            return Checked(provider.name, attempt)
        quota = None
        if attempt.outcome in (Outcome.OK, Outcome.QUOTA) and hasattr(provider, "quota"):
            quota = await self._quota(provider)
        await self.registry.keep(provider.name, partial(_found, attempt=attempt, quota=quota, clock=self._clock))
        return Checked(provider.name, attempt, quota)

    async def keep_checking(self, interval_s: float) -> NoReturn:
        """Check everybody now and then about every ``interval_s`` seconds, until cancelled. No failure ends it."""
        while True:
            try:
                await self.check_all(unless_within_s=interval_s * STILL_FRESH)
            except Exception as error:  # an adapter's fault must not end the checks of all others
                log.error("A self-check failed in itself: %s", type(error).__name__)
            await self._clock.sleep(interval_s * (1 - JITTER + 2 * JITTER * self._rng()))

    async def _asked(self, provider: Provider, *, early: bool, paid: bool) -> Attempt:
        """The check itself, when it is free or agreed to, due, and within the provider's rate."""
        if self._gate is None or not (has_free_check(provider) or paid):
            return await self._health.probe(provider, early=early, paid=paid)
        look = await self._health.look(provider)
        if not look.allowed and not early:
            return _not_now(provider, look.reason, look.until)
        taken = await self._gate.take(provider, cost={})
        if isinstance(taken, Refusal):
            return _not_now(provider, taken.reason, taken.until)
        try:
            return await self._health.probe(provider, early=early, paid=paid)
        finally:
            await self._gate.settle(taken, {})

    async def _quota(self, provider: Any) -> Quota | None:
        """What the provider says is left; ``None`` when it cannot be asked now. Decides nothing about its health."""
        import asyncio

        if self._gate is not None:
            taken = await self._gate.take(provider, cost={})
            if isinstance(taken, Refusal):
                return None
            await self._gate.settle(taken, {})
        scope = asyncio.timeout(CHECK_TIMEOUT_S)
        try:
            async with scope:
                answer: Answer[Quota] = await provider.quota()
        except TimeoutError:
            if not scope.expired():
                raise
            return None
        return answer.value


def _newer(ours: SelfCheck, theirs: SelfCheck | None) -> bool:
    """Whether ``ours`` was found while the store was away, and nobody has checked since."""
    if theirs is None or theirs.checked_at is None:
        return True
    return ours.checked_at is not None and ours.checked_at > theirs.checked_at


def _checked_after(check: SelfCheck | None, moment: datetime, clock: Clock) -> bool:
    # A time that lies ahead comes of a clock that was wrong, and must not put off every check until then.
    return check is not None and check.checked_at is not None and moment < check.checked_at <= clock.now()


def _not_now(provider: Provider, why: str, until: datetime | None) -> Attempt:
    return Attempt(provider.name, Outcome.SKIPPED, Applied.NO, "check", detail=why[:300], retry_at=until)


def _found(before: SelfCheck, attempt: Attempt, quota: Quota | None, clock: Clock) -> SelfCheck:
    now = clock.now()
    went_well = attempt.outcome is Outcome.OK
    after = replace(
        before,
        checked_at=now,
        outcome=attempt.outcome.value,
        code=attempt.code,
        detail=attempt.detail,
        recent=(*before.recent, round(attempt.latency_s * 1000) if went_well else None)[-RECENT:],
    )
    if quota is None:
        return after
    return replace(
        after,
        quota_unit=quota.unit,
        quota_left=quota.left,
        quota_limit=quota.limit,
        quota_resets_at=quota.resets_at,
        quota_told_at=now,
    )
