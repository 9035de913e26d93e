"""Is it them, or is it our own network?

When two different hosts cannot be reached within ten seconds and nobody has answered since, the fault is here. It is
then booked on nobody; everything waits, and one call every five seconds, over all processes, finds out whether the
network is back. What one process finds, all know; what nobody has confirmed for a minute, nobody believes. What lives
on this machine needs no network, and neither pauses nor counts.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import urlsplit

from aicmo.clock import Clock
from aicmo.errors import AicmoError
from aicmo.gateways.attempt import Applied, Attempt, Outcome
from aicmo.gateways.providers import Provider
from aicmo.network_state import NetworkChange, NetworkState

WINDOW_S = 10.0
RETRY_S = 5.0
BELIEVED_S = 60.0
LOOK_EVERY_S = 1.0
"""How often a process looks what the others have found; so all agree within a second."""


class NetworkStore(Protocol):
    """Where all processes look. Both methods may raise ``AicmoError``; each process then goes by what it finds."""

    def get(self) -> NetworkState:
        """Called on the event loop: at most 50 ms."""
        ...

    def update(self, change: NetworkChange) -> NetworkState:
        """Replace the state by ``change`` of it, in one step. Called in a thread."""
        ...


class Network:
    """What is believed of the way to the outside."""

    def __init__(self, store: NetworkStore | None, clock: Clock) -> None:
        """``store`` is ``None`` where this process is alone."""
        self._store = store
        self._clock = clock
        self._state = NetworkState()
        self._look_again_s = float("-inf")
        self._failed: dict[str, float] = {}
        """Hosts that this process could not reach, and when, by the monotonic clock."""

    @property
    def down(self) -> bool:
        """Whether it is gone, by what this process or another has found."""
        now_s = self._clock.monotonic()
        if self._store is not None and now_s >= self._look_again_s:
            self._look_again_s = now_s + LOOK_EVERY_S
            self._look()
        return self._state.down_since is not None and _believed(self._state, self._clock.now())

    @property
    def in_doubt(self) -> bool:
        """Whether an answer from anywhere would be news."""
        return self._state.down_since is not None or bool(self._failed)

    def closed_until(self, provider: Provider) -> datetime | None:
        """When a call to ``provider`` may look for the network; ``None`` when it may go now."""
        if not self.down or is_here(host_of(provider)):
            return None
        next_at, now = self._state.next_try_at, self._clock.now()
        return next_at if next_at is not None and now < next_at <= now + timedelta(seconds=RETRY_S) else None

    async def take_try(self, provider: Provider) -> bool:
        """Whether a call to ``provider`` may go out now; the next one that looks for the network, in five seconds."""
        if not self.down or is_here(host_of(provider)):
            return True
        now, ours = self._clock.now(), False

        def step(found: NetworkState) -> NetworkState:
            nonlocal ours
            ours = found.next_try_at is None or not now < found.next_try_at <= now + timedelta(seconds=RETRY_S)
            return replace(found, next_try_at=now + timedelta(seconds=RETRY_S)) if ours else found

        await self._update(step)
        return ours

    async def heard(self, provider: Provider, attempt: Attempt) -> None:
        """Take note of how a call went."""
        host, now_s = host_of(provider), self._clock.monotonic()
        if is_here(host):
            return
        if not unreachable(attempt):
            if attempt.outcome in (Outcome.OK, Outcome.MISS) or attempt.code:
                self._failed.clear()
                if self._state.down_since is not None:
                    await self._update(lambda _: NetworkState())
            return
        self._failed = {other: at for other, at in self._failed.items() if now_s - at <= WINDOW_S}
        self._failed[host] = now_s
        if len(self._failed) >= 2 or self.down:
            await self._update(self._gone)

    def _gone(self, found: NetworkState) -> NetworkState:
        now = self._clock.now()
        known = found.down_since is not None and _believed(found, now)
        return NetworkState(
            down_since=found.down_since if known else now,
            believed_until=now + timedelta(seconds=BELIEVED_S),
            next_try_at=found.next_try_at if known else now + timedelta(seconds=RETRY_S),
        )

    async def _update(self, change: NetworkChange) -> None:
        import asyncio

        if self._store is not None:
            with suppress(AicmoError):
                self._state = await asyncio.to_thread(self._store.update, change)
                return
        self._state = change(self._state)

    def _look(self) -> None:
        assert self._store is not None
        with suppress(AicmoError):  # the registry says what is wrong with the store
            self._state = self._store.get()


def _believed(state: NetworkState, now: datetime) -> bool:
    """A time that lies further ahead than any is written was written by a clock that was wrong."""
    until = state.believed_until
    return until is not None and now < until <= now + timedelta(seconds=2 * BELIEVED_S)


def unreachable(attempt: Attempt) -> bool:
    """Whether the call never got as far as anybody who could have answered."""
    return (
        attempt.outcome is Outcome.TRANSIENT
        and attempt.applied is Applied.NO
        and attempt.phase in ("connect", "dns")
        and not attempt.code
    )


def host_of(provider: Provider) -> str:
    """Where a provider's service lives, by its settings; its own name when they do not say."""
    settings = getattr(provider, "settings", None)
    host = getattr(settings, "host", None) or urlsplit(str(getattr(settings, "base_url", ""))).hostname
    return str(host).lower() if host else provider.name


def is_here(host: str) -> bool:
    """Whether it is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
