"""How many messages may leave, now and over the coming days: an account's limits, its warm-up, what it has used.

``accounts`` reads the ledger; everything else is arithmetic over what it found. A new account warms up: on each day on
which it really sends (at least half of what it may, and without much trouble) the next day's cap is the next one of its
table, until the table ends and only the account's own limits hold. A cap "a day" holds for any 24 hours; the days by
which a warm-up counts are those of UTC, so that they are all alike, and at midnight there a new cap holds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Protocol

from aicmo.store import claiming, warming

SPANS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
LONGEST_DAYS = 400
"""Further ahead nothing is reckoned."""


class SendingAccount(Protocol):
    """What is asked of a provider of ``email_sending``."""

    @property
    def name(self) -> str:
        """Of the configuration's block, and in the ledger."""
        ...

    @property
    def limits(self) -> Mapping[str, int]:
        """Window (second, minute, hour, day) -> how many messages may leave in it."""
        ...

    @property
    def warm_up(self) -> Sequence[int]:
        """Messages a day while the account is new: on its first day of sending, its second ...; empty for none."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """A mail server as it stands now."""

    name: str
    limits: Mapping[str, int] = field(default_factory=dict)
    warm_up: tuple[int, ...] = ()
    """Both as a ``SendingAccount`` has them."""
    stage: int = 0
    """How many days of the warm-up are behind it."""
    used: int = 0
    """Sent in the last 24 hours."""

    @property
    def limits_now(self) -> Mapping[str, int]:
        """Its limits today, the warm-up's included."""
        return self._limits_on(0)

    def on_day(self, day: int, open_s: float = 86_400) -> int | None:
        """The most it may send on a day, 0 being today, of which ``open_s`` seconds are for sending; ``None``: no
        limit."""
        limits = self._limits_on(day)
        rates = [int(most * max(1.0, open_s / SPANS_S[window])) for window, most in limits.items()]
        if day == 0 and "day" in limits:
            rates.append(max(0, limits["day"] - self.used))
        return min(rates, default=None)

    def _limits_on(self, day: int) -> Mapping[str, int]:
        if self.stage + day >= len(self.warm_up):
            return self.limits
        cap = self.warm_up[self.stage + day]
        return {**self.limits, "day": min(cap, self.limits.get("day", cap))}


@dataclass(frozen=True, slots=True)
class Allowance:
    """How long so many messages take."""

    today: int | None
    """How many of all may go in the coming 24 hours; ``None``: no limit."""
    days: int | None
    """On how many days they go, today included: 1 when all may go now. ``None``: longer than can be said."""
    per_day: tuple[int, ...]
    """How many of them go on each of these days."""


def allowance(accounts: Sequence[Account], count: int, *, open_s: float = 86_400) -> Allowance:
    """How ``count`` messages spread over the coming days, by way of all ``accounts``: where one has sent what it may,
    the next takes over. ``open_s``: how many seconds of a day are for sending."""

    def permitted(day: int) -> int | None:
        each = [account.on_day(day, open_s) for account in accounts]
        return None if None in each else sum(most for most in each if most is not None)

    per_day: list[int] = []
    left = count
    while left > 0 and len(per_day) < LONGEST_DAYS:
        most = permitted(len(per_day))
        per_day.append(left if most is None else min(left, most))
        left -= per_day[-1]
    return Allowance(permitted(0), None if left > 0 else max(1, len(per_day)), tuple(per_day))


def accounts(db: sqlite3.Connection, providers: Sequence[SendingAccount], now: datetime) -> tuple[Account, ...]:
    """How the mail servers stand, by the ledger."""
    return tuple(account(db, provider, now) for provider in providers)


def account(db: sqlite3.Connection, provider: SendingAccount, now: datetime) -> Account:
    """How one of them stands."""
    stage = warming.stage(db, provider.name, provider.warm_up, now) if provider.warm_up else 0
    used = warming.sent_within_a_day(db, provider.name, now) if provider.limits or provider.warm_up else 0
    return Account(provider.name, provider.limits, tuple(provider.warm_up), stage, used)


def room_at(db: sqlite3.Connection, provider: SendingAccount, until: datetime, now: datetime) -> datetime:
    """When an account may send again that today's limits keep back ``until`` then: at midnight (UTC) or after it, where
    the limits of tomorrow leave room sooner; what they are is told by what was sent so far."""
    tomorrow = datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
    if until <= tomorrow:
        return until
    full = claiming.full_until(db, provider.name, account(db, provider, tomorrow).limits_now, tomorrow)
    return full[1] if full else tomorrow
