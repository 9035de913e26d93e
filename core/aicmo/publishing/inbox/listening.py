"""Who asks for no more mail is heard before mail goes out and while it does, also where that takes hours.

The app and the command line share this one rhythm. A mailbox that cannot be read holds up nothing.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import AicmoError
from aicmo.publishing.inbox.optouts import OptOutReport
from aicmo.tasks import cut_off

log = logging.getLogger(__name__)

HEAR_EVERY_S = 60.0
"""How soon it is noticed that somebody opted out by mail."""
FRESH_S = 30.0
"""Nothing is sent on an older look into the mailboxes than this."""


class Listening:
    def __init__(
        self,
        look: Callable[[], Awaitable[OptOutReport]],
        *,
        told: Callable[[OptOutReport], None] = lambda report: None,
        failed: Callable[[AicmoError], None] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """``look`` is that of ``OptOuts``. ``told`` gets what each look came to, ``failed`` why one came to nothing;
        without it, that is logged and stands in ``heard``."""
        self._look = look
        self._told = told
        self._failed = failed or self._note
        self._clock = clock
        self._looking = asyncio.Lock()
        self._heard_at = -math.inf
        self.heard = OptOutReport()
        """What all looks together came to; why the last one could not read an account to its end."""

    async def hear(self) -> None:
        """Look into the mailboxes, unless that was done just now."""
        async with self._looking:
            if self._clock.monotonic() - self._heard_at < FRESH_S:
                return
            try:
                new = await self._look()
            except AicmoError as error:
                self._failed(error)
                return
            finally:
                self._heard_at = self._clock.monotonic()
            before = self.heard
            self.heard = OptOutReport(before.read + new.read, before.opted_out + new.opted_out, new.why_not)
            self._told(new)

    async def go_on(self) -> NoReturn:
        """Hear every ``HEAR_EVERY_S``, until cancelled."""
        while True:
            await self.hear()
            await self._clock.sleep(HEAR_EVERY_S)

    @asynccontextmanager
    async def meanwhile(self) -> AsyncIterator[None]:
        """Hear first, and go on as long as the block runs."""
        await self.hear()
        going_on = asyncio.create_task(self.go_on(), name="opt-outs")
        try:
            yield
        finally:
            await cut_off([going_on])

    def _note(self, error: AicmoError) -> None:
        log.warning("the mail was not read for opt-outs: %s", error.message)
        self.heard = OptOutReport(self.heard.read, self.heard.opted_out, error.message)
