"""The app's one run of enrichment or verification, going on whichever screen is shown.

It belongs to the app, never to a screen. Leaving the app stops it between batches; what was paid for is in the store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aicmo_tui.work import off_loop

if TYPE_CHECKING:
    from aicmo.crm.enrichment import EnrichmentResult, Progress, Wish
    from aicmo.crm.repository import Who
    from aicmo_tui.app import AicmoApp


class Enriching:
    def __init__(self, app: AicmoApp) -> None:
        self._app = app
        self.under_way = False
        self._stopped = False
        self.progress: Progress | None = None
        """How far it is; ``None`` until the first people are about to be asked about."""

    def start(self, who: Who, wish: Wish, then: Callable[[EnrichmentResult], object]) -> None:
        """Ask about them from now on, and call ``then`` with the result. Does nothing while another run goes on."""
        if self.under_way:
            return
        self.under_way, self._stopped, self.progress = True, False, None

        async def run() -> None:
            try:
                pipeline = self._app.workspace.enrichment
                await off_loop(self._app, lambda: self._app.workspace.chain(wish.capability))  # loads the providers
                if not self._stopped:
                    then(await pipeline.run(who, wish, progress=self._note))
            except Exception as error:  # the edge of the app: told, and the app goes on
                self._app.report(error)
            finally:
                self.under_way = False

        self._app.run_worker(run, group="enrich", exclusive=True, exit_on_error=False, description="enriching")

    async def stop(self) -> None:
        """Take no further batch; returns when those on their way have their outcome."""
        self._stopped = True
        if self.under_way:
            await self._app.workspace.enrichment.stop()
            workers = [worker for worker in self._app.workers if worker.group == "enrich" and worker.is_running]
            await self._app.workers.wait_for_complete(workers)

    def _note(self, progress: Progress) -> None:
        self.progress = progress
