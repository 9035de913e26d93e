"""The app's one sender: whatever runs in the store is sent while the app is open, whichever screen is shown.

It belongs to the app, never to a screen. When another process is the sender this one stands by and takes over when
that one ends. Stopping it lets what is on its way arrive; everything else stays queued in the store.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from typing import TYPE_CHECKING

from aicmo.errors import AicmoError
from aicmo_tui.hints import hint_in_app
from aicmo_tui.present import people
from aicmo_tui.work import off_loop

if TYPE_CHECKING:
    from aicmo.publishing.inbox.listening import Listening
    from aicmo.publishing.inbox.optouts import OptOutReport
    from aicmo.publishing.sending.outbox import Outbox
    from aicmo_tui.app import AicmoApp

LOOK_EVERY_S = 2.0
"""How soon the app notices what was started elsewhere, what is due, and that another sender has ended."""
EVIDENCE_EVERY_S = 30.0
"""How soon the app notices that an unknown delivery is to be looked for; most times none is, and nobody is asked."""


class Sending:
    def __init__(self, app: AicmoApp) -> None:
        self._app = app
        self._outbox: Outbox | None = None
        self._stopping = False
        self._something_new = asyncio.Event()
        self._listening: Listening | None = None

    @property
    def under_way(self) -> bool:
        """Whether this process is the sender right now."""
        return self._outbox is not None

    def start(self) -> None:
        """Look after the store from now on: send what runs in it, look for what may or may not have gone, and read who
        opts out by mail."""
        self._app.run_worker(self._look_after, group="send", exclusive=True, exit_on_error=False, description="sending")
        self._app.run_worker(self._look_for_evidence, group="evidence", exclusive=True, exit_on_error=False)
        self._app.run_worker(self._look_for_opt_outs, group="opt-outs", exclusive=True, exit_on_error=False)

    def look(self) -> None:
        """Look at once: something was started or resumed here."""
        self._something_new.set()

    async def stop(self) -> None:
        """Take nothing more; returns when what is on its way has settled."""
        self._stopping = True
        self._something_new.set()
        if self._outbox is not None:
            self._outbox.stop()
        workers = [worker for worker in self._app.workers if worker.group == "send" and worker.is_running]
        await self._app.workers.wait_for_complete(workers)

    async def _look_after(self) -> None:
        while not self._stopping:
            try:
                if await off_loop(self._app, self._something_runs):
                    await self._opt_outs().hear()  # first: who leaves gets nothing more
                    await self._send()
            except Exception as error:  # told, and tried again: the store knows what was sent
                self._app.report(error)
            self._something_new.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._something_new.wait(), LOOK_EVERY_S)

    async def _look_for_evidence(self) -> None:
        await self._app.ready()
        while not self._stopping:
            try:
                await self._app.workspace.publishing.evidence().look()
            except AicmoError as error:
                self._app.report(error)
            await asyncio.sleep(EVIDENCE_EVERY_S)

    async def _look_for_opt_outs(self) -> None:
        await self._app.ready()
        await self._opt_outs().go_on()

    def _opt_outs(self) -> Listening:
        """One for the app's life. A mailbox that cannot be read is not told of here: Health does."""
        if self._listening is None:
            from aicmo.publishing.inbox.listening import Listening

            async def look() -> OptOutReport:
                return await self._app.workspace.publishing.opt_outs().look()

            self._listening = Listening(look, told=self._tell_who_left, failed=self._app.report)
        return self._listening

    def _tell_who_left(self, left: OptOutReport) -> None:
        if left.opted_out:
            self._app.tell(f"{people(left.opted_out)} asked by mail to get nothing more.", title="Opted out")

    def _something_runs(self) -> bool:
        from aicmo.store import campaigns
        from aicmo.store.campaigns import CampaignStatus

        workspace = self._app.workspace
        now = workspace.clock.now()
        running = any(campaign.status is CampaignStatus.RUNNING for campaign in workspace.publishing.campaigns())
        return running or bool(workspace.db.read(lambda db: campaigns.due_ids(db, now)))

    async def _send(self) -> None:
        self._outbox = self._app.workspace.publishing.outbox(what="aicmo app")
        try:
            report = await self._outbox.run(patience_s=math.inf)
            if report.warning:  # Home lists the campaigns, each with the reason
                self._app.tell(hint_in_app(report.warning), title="Nothing is sent", severe=True)
        finally:
            self._outbox = None
