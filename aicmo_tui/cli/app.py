"""Open the app on a workspace, and close that again whatever happens in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aicmo_tui.cli.verb import Run, run_async

if TYPE_CHECKING:
    from aicmo.workspace import Workspace


def open_app(run: Run) -> None:
    """The app on the configured workspace. Raises ``ConfigInvalid`` or ``StoreError`` before the screen is taken."""
    run_async(show(run.open_workspace()))


async def show(workspace: Workspace) -> None:
    """Show the app until the person quits; its log goes to the workspace's log file. Meanwhile providers are checked
    now and then."""
    import asyncio

    from aicmo.log import logging_to
    from aicmo_tui.app import AicmoApp

    async def keep_checking() -> None:
        service = await asyncio.to_thread(lambda: workspace.self_check)  # loads the providers' modules
        await service.keep_checking(workspace.config.health.check_interval_seconds)

    with logging_to(workspace.paths.log_file):
        async with workspace:
            checks = asyncio.create_task(keep_checking(), name="aicmo-checks")
            try:
                await AicmoApp(workspace).run_async()
            finally:
                checks.cancel()
                await asyncio.gather(checks, return_exceptions=True)
