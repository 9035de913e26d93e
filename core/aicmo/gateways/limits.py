"""What may still be used of a provider: calls per second, minute, hour and day; credits and money per month.

Everything is counted in one row per limit that all processes share, changed by a pure step inside the store's
transaction, so two runs can never both take the last one. How often a provider may be called stands in ``rates``. A
budget is a hard stop: what a call may cost is reserved before it and settled after; a run that dies in between has
spent its reservation, because it may have. Where the store cannot be used nothing is paid for: a budget that nobody can
read is not a budget.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import AicmoError, InvalidInput
from aicmo.gateways.attempt import Outcome
from aicmo.gateways.limit_store import LimitStore, milliseconds
from aicmo.gateways.providers import Provider
from aicmo.gateways.rates import RateLimiter
from aicmo.limit_state import Held, LimitUse

RESERVATION_S = 900
"""A reservation that nobody settled by then is spent. Longer than any call takes, polling included."""
PATIENCE_S = 2.0
"""A gate waits so long for a rate by itself; more is for the chain to decide."""
CALLS = "calls"
"""The unit that rates count. Every other unit is a budget's: ``credits``, or an ISO 4217 code in minor units."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the configuration allows one provider."""

    rates: Mapping[str, int] = field(default_factory=dict)
    """Span (a key of ``SPANS_S``) -> calls within it, over all processes; spans left out are not limited."""
    monthly: Mapping[str, int] = field(default_factory=dict)
    """Unit -> how much per calendar month, UTC; units left out are not limited."""


def allowance_of(provider: object) -> Allowance:
    """What ``provider``'s own settings allow it: its ``limits`` and ``monthly``, where it has them.

    Not for mail senders: what they sent is counted from the ledger, which also knows of a mail whose sender was killed.
    """
    return Allowance(getattr(provider, "limits", {}), getattr(provider, "monthly", {}))


@dataclass(frozen=True, slots=True)
class Reservation:
    """The call may be made. Hand it back to ``settle`` when it is known what it cost."""

    provider: str
    id: str = ""
    held: Mapping[str, int] = field(default_factory=dict)
    """Unit -> how much is reserved; empty when nothing is paid from a budget."""
    month: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The call must not be made."""

    provider: str
    outcome: Outcome
    """``RATE_LIMITED``, or ``QUOTA`` when a budget would be exceeded."""
    until: datetime | None
    """Not before then (UTC)."""
    reason: str
    """One plain sentence for a person."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a piece of work would do to a budget: for ``--dry-run``."""

    unit: str
    cost: int
    used: int
    """Spent and reserved this month."""
    limit: int | None
    """``None``: this unit has no budget, and nothing stops it."""

    @property
    def fits(self) -> bool:
        return self.limit is None or self.used + self.cost <= self.limit


class Gate(Protocol):
    """What a chain asks before it calls a provider, and tells afterwards."""

    async def take(self, provider: Provider, *, cost: Mapping[str, int]) -> Reservation | Refusal:
        """Whether a call that may cost ``cost`` (unit -> most it can cost) may be made now; if so, it is counted."""
        ...

    async def told(self, provider: Provider, allowed: Mapping[str, int]) -> None:
        """The provider said with an answer what it allows: span -> calls. Never raises."""
        ...

    async def settle(self, reservation: Reservation, spent: Mapping[str, int] | None) -> None:
        """What the call cost; ``{}`` when it cost nothing; ``None`` when nobody knows, and all of it counts.

        Never raises: what cannot be settled lapses, and is spent.
        """
        ...


# --- budgets ----------------------------------------------------------------------------------------------------------


class Budgets:
    """Credits and money of all providers for the calendar month, UTC, shared with every process on the same store."""

    def __init__(
        self, store: LimitStore, monthly: Mapping[str, Mapping[str, int]], *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """``monthly``: provider name -> unit -> how much per month. Units left out are not counted."""
        self._store = store
        self._monthly = monthly
        self._clock = clock

    async def reserve(self, provider: str, cost: Mapping[str, int]) -> Reservation | Refusal:
        """Put ``cost`` aside, all of it or nothing. A ``Refusal`` is until the first of next month.

        A kill right after this, or a cancelled wait for it, leaves the reservation counted, and after fifteen minutes
        spent: rather a few credits too few this month than one too many. Raises ``InvalidInput`` for a cost below zero.
        """
        import asyncio

        if any(amount < 0 for amount in cost.values()):
            raise InvalidInput(f"A call to {provider} cannot cost less than nothing.")
        monthly = self._monthly.get(provider, {})
        held = {unit: amount for unit, amount in cost.items() if amount and unit in monthly}
        if not held:
            return Reservation(provider)
        now = self._clock.now().astimezone(UTC)
        month, now_ms = f"{now:%Y-%m}", milliseconds(now)
        reservation = Reservation(provider, os.urandom(8).hex(), held, month)
        short = ""

        def step(uses: Sequence[LimitUse]) -> Sequence[LimitUse]:
            nonlocal short
            after = []
            for unit, use in zip(held, uses, strict=True):
                use = with_lapsed_spent(use, now_ms)
                left = monthly[unit] - used(use)
                if left < held[unit]:
                    short = f"{max(left, 0)} of {monthly[unit]} {unit} are left for {month}, {held[unit]} are needed"
                part = Held(held[unit], now_ms + RESERVATION_S * 1000, reservation.id)
                after.append(replace(use, held=(*use.held, part)))
            return uses if short else after

        try:
            await asyncio.to_thread(self._store.update, provider, _names(held, month), step)
        except AicmoError as error:
            reason = f"The budget of {provider} cannot be read, so nothing is paid for: {error.message}"
            return Refusal(provider, Outcome.QUOTA, now + timedelta(minutes=1), reason)
        if short:
            return Refusal(provider, Outcome.QUOTA, _next_month(now), f"The budget of {provider} is used up: {short}.")
        return reservation

    async def settle(self, reservation: Reservation, spent: Mapping[str, int] | None) -> None:
        """Book what was really spent in the month of the reservation, and give the rest back. Once per reservation.

        More than was reserved is booked too: it is the truth, and the next reservation meets it. ``None`` books all
        that was reserved. A reservation that has lapsed stays spent. Raises ``StoreError``; this one then lapses.
        """
        import asyncio

        if not reservation.held:
            return
        costs = reservation.held if spent is None else {unit: spent.get(unit, 0) for unit in reservation.held}

        def step(uses: Sequence[LimitUse]) -> Sequence[LimitUse]:
            return [
                settled(use, reservation.id, reserved=reservation.held[unit], cost=costs[unit])
                for unit, use in zip(reservation.held, uses, strict=True)
            ]

        names = _names(reservation.held, reservation.month)
        await asyncio.to_thread(self._store.update, reservation.provider, names, step)

    async def estimate(self, provider: str, cost: Mapping[str, int]) -> tuple[Estimate, ...]:
        """What ``cost`` would do to this month's budgets; nothing is reserved. Raises ``StoreError``."""
        import asyncio

        month = f"{self._clock.now().astimezone(UTC):%Y-%m}"
        uses = {use.name: use for use in await asyncio.to_thread(self._store.load_all) if use.provider == provider}
        monthly = self._monthly.get(provider, {})
        return tuple(
            Estimate(unit, amount, used(uses.get(name, LimitUse(provider, name))), monthly.get(unit))
            for (unit, amount), name in zip(cost.items(), _names(cost, month), strict=True)
        )


def used(use: LimitUse) -> int:
    """Spent and reserved: both count."""
    return use.spent + sum(part.amount for part in use.held)


def with_lapsed_spent(use: LimitUse, now_ms: int) -> LimitUse:
    """``use`` with every reservation that nobody settled in time taken for spent."""
    lapsed = sum(part.amount for part in use.held if part.until_ms <= now_ms)
    if not lapsed:
        return use
    return replace(use, spent=use.spent + lapsed, held=tuple(part for part in use.held if part.until_ms > now_ms))


def settled(use: LimitUse, key: str, *, reserved: int, cost: int) -> LimitUse:
    """``use`` with the reservation ``key`` replaced by its ``cost``."""
    held = tuple(part for part in use.held if part.key != key)
    if len(held) == len(use.held):  # lapsed: all of it is spent already
        return replace(use, spent=use.spent + max(cost - reserved, 0))
    return replace(use, held=held, spent=use.spent + cost)


def whole(amount: Decimal | float) -> int:
    """Credits as they are booked: a fraction counts as a whole one. Some providers charge in fractions."""
    return math.ceil(amount)


def _names(units: Mapping[str, int], month: str) -> list[str]:
    return [f"{unit} {month}" for unit in units]


def _next_month(now: datetime) -> datetime:
    return datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)


# --- both -------------------------------------------------------------------------------------------------------------


class LimitGate:
    """The ``Gate`` of a workspace: first the rate, then the budget."""

    def __init__(self, store: LimitStore, allowances: Mapping[str, Allowance], *, clock: Clock = SYSTEM_CLOCK) -> None:
        """``allowances``: provider name -> what is allowed. One that is not named is never limited."""
        self.rates = RateLimiter(store, {name: each.rates for name, each in allowances.items()}, clock=clock)
        self.budgets = Budgets(store, {name: each.monthly for name, each in allowances.items()}, clock=clock)
        self._clock = clock
        self._unsettled = ""

    @property
    def degraded(self) -> str:
        """What is wrong with the counting right now, as a sentence; empty when nothing is."""
        return self.rates.degraded or self._unsettled

    async def take(self, provider: Provider, *, cost: Mapping[str, int]) -> Reservation | Refusal:
        """See ``Gate``. ``cost`` counts one call unless it says otherwise under ``calls``.

        Waits for a rate when its turn comes within ``PATIENCE_S``. A call that the budget then refuses stays counted in
        the rate: at worst the next one waits a little longer than it would have to.
        """
        deadline = self._clock.monotonic() + PATIENCE_S
        calls = cost.get(CALLS, 1)
        while (until := await self.rates.reserve(provider.name, calls)) is not None:
            wait_s = max((until - self._clock.now()).total_seconds(), 0.001)
            if self._clock.monotonic() + wait_s > deadline:
                reason = f"The rate set for {provider.name} is used up."
                return Refusal(provider.name, Outcome.RATE_LIMITED, until, reason)
            await self._clock.sleep(wait_s)
        return await self.budgets.reserve(
            provider.name, {unit: amount for unit, amount in cost.items() if unit != CALLS}
        )

    async def told(self, provider: Provider, allowed: Mapping[str, int]) -> None:
        """See ``Gate``."""
        await self.rates.lower(provider.name, allowed)

    async def settle(self, reservation: Reservation, spent: Mapping[str, int] | None) -> None:
        """See ``Gate``."""
        try:
            await self.budgets.settle(reservation, spent)
            self._unsettled = ""
        except AicmoError as error:
            self._unsettled = f"What {reservation.provider} cost is not booked and counts in full: {error.message}"
