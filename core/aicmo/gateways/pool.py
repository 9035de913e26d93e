"""Connections to one server, kept open between messages.

No more than ``size`` exist at a time; the one used last is used next, so that spare ones grow old and are closed. The
pool never opens a connection and never repairs one: who takes it finds out what it is worth.
"""

from __future__ import annotations

import asyncio
from typing import Generic, Protocol, TypeVar

from aicmo.clock import SYSTEM_CLOCK, Clock


class Link(Protocol):
    @property
    def alive(self) -> bool:
        """Whether, as far as this side knows, it can still be used."""
        ...

    @property
    def uses(self) -> int:
        """How many messages it has carried."""
        ...

    async def quit(self) -> None:
        """Take leave and close. Never raises; bounded in time."""
        ...

    def abort(self) -> None:
        """Close at once; what is not yet written never leaves."""
        ...


L = TypeVar("L", bound=Link)


class Pool(Generic[L]):
    def __init__(self, *, size: int, idle_s: float, uses: int, clock: Clock = SYSTEM_CLOCK) -> None:
        """``idle_s``: an unused connection is closed after so long. ``uses``: after so many messages it is, too."""
        self._idle_s = idle_s
        self._uses = uses
        self._clock = clock
        self._idle: list[tuple[L, float]] = []
        self._reaper: asyncio.Task[None] | None = None
        self._closed = False
        self.slots = asyncio.Semaphore(size)
        """Hold one for as long as you hold a connection: it is what bounds them."""

    def take(self) -> L | None:
        """The connection used last, or ``None``: open one."""
        while self._idle:
            link, _ = self._idle.pop()
            if link.alive:
                return link
            link.abort()
        return None

    async def put(self, link: L) -> None:
        """Give back a connection that is ready for a next message."""
        if self._closed or link.uses >= self._uses:
            await link.quit()
        elif link.alive:
            self._idle.append((link, self._clock.monotonic()))
            if self._reaper is None:
                self._reaper = asyncio.create_task(self._reap(), name="aicmo-pool")
        else:
            link.abort()

    async def close(self) -> None:
        """Close the idle connections, and each of the others when it is given back."""
        self._closed = True
        reaper, self._reaper = self._reaper, None
        if reaper is not None:
            reaper.cancel()
            await asyncio.gather(reaper, return_exceptions=True)
        idle, self._idle = self._idle, []
        await asyncio.gather(*(link.quit() for link, _ in idle))

    async def _reap(self) -> None:
        """Close what has been idle too long; end when nothing is idle."""
        while self._idle:
            await self._clock.sleep(max(self._idle[0][1] + self._idle_s - self._clock.monotonic(), 0.0))
            now = self._clock.monotonic()
            old = [link for link, since in self._idle if now - since >= self._idle_s]
            self._idle = [(link, since) for link, since in self._idle if now - since < self._idle_s]
            await asyncio.gather(*(link.quit() for link in old))
        self._reaper = None
