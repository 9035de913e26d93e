"""The people on their way past the providers: one lane each, in which full batches are taken by several at a time.

In a waterfall who a provider does not know goes into the lane of the next one, which waits for a whole batch as long as
more may come. A lane that is closed lets everybody in it pass to the next. Credits are taken from a purse before a
batch is asked about and what is left of them put back after, so no number of workers can overspend it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from aicmo.crm.enrichment.asking import Desk
from aicmo.crm.enrichment.result import ProviderCounts


class Purse:
    """Credits that may still be spent; ``None``: as many as there are."""

    def __init__(self, credits: int | None = None) -> None:
        self._left = credits
        self._held = 0
        self._changed = asyncio.Condition()

    async def take(self, wanted: int) -> int:
        """Up to ``wanted``, and at least one if there is any, waiting for what others may put back; 0: it is empty."""
        if self._left is None:
            return wanted
        async with self._changed:
            await self._changed.wait_for(lambda: self._left or not self._held)
            taken = min(wanted, self._left)
            self._left -= taken
            self._held += taken
            return taken

    async def settle(self, taken: int, spent: int) -> None:
        """Put back what was not spent."""
        if self._left is None:
            return
        async with self._changed:
            self._left = max(self._left + taken - spent, 0)
            self._held -= taken
            self._changed.notify_all()


class Lane:
    """Who waits to be asked about at one desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.counts = ProviderCounts(desk.name)
        self.purse = Purse()
        self.queue: deque[int] = deque()
        self.on_their_way = 0
        """People whose answer is being waited for."""
        self.closed = ""
        """Why nobody is asked about here any more; empty while somebody is."""

    @property
    def still(self) -> bool:
        """Whether nothing comes out of it any more, unless something goes in."""
        return not self.on_their_way and (not self.queue or bool(self.closed))


class Lanes:
    """All lanes of a run, and the one signal that something has moved."""

    def __init__(self, lanes: Iterable[Lane]) -> None:
        self.all = tuple(lanes)
        self.stopped = asyncio.Event()
        self._moved = asyncio.Condition()

    async def take(self, lane: Lane) -> list[int]:
        """A full batch, or the last one; none when nobody comes any more, the lane is closed, or all is stopped."""
        async with self._moved:
            while not self.stopped.is_set() and not lane.closed:
                no_more = all(other.still for other in self.all[: self.all.index(lane)])
                if len(lane.queue) >= lane.desk.size or (no_more and lane.queue):
                    taken = [lane.queue.popleft() for _ in range(min(lane.desk.size, len(lane.queue)))]
                    lane.on_their_way += len(taken)
                    return taken
                if no_more and not lane.on_their_way:
                    break
                await self._moved.wait()
            return []

    async def give_back(self, lane: Lane, people: Iterable[int]) -> None:
        """Who was taken and not asked about goes first again."""
        back = list(people)
        async with self._moved:
            lane.queue.extendleft(reversed(back))
            lane.on_their_way -= len(back)
            self._moved.notify_all()

    async def done(self, lane: Lane, people: int) -> None:
        """So many of those taken have their answer, or never will; whoever goes on is in the next lane by now."""
        async with self._moved:
            lane.on_their_way -= people
            self._moved.notify_all()

    async def close(self, lane: Lane, why: str) -> list[int]:
        """Ask about nobody here any more; who was still in it."""
        async with self._moved:
            lane.closed = lane.closed or why
            left = list(lane.queue)
            lane.queue.clear()
            self._moved.notify_all()
            return left

    async def stop(self) -> None:
        """No batch is taken any more."""
        self.stopped.set()
        async with self._moved:
            self._moved.notify_all()
