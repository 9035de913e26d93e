"""Open the app, then the workspace behind it, and close that again whatever happens in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aicmo_tui.cli.verb import Run, run_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from aicmo.workspace import Workspace


def open_app(run: Run) -> None:
    """The app on the configured workspace. Raises ``ConfigInvalid`` or ``StoreError`` when the screen is free again."""
    run_async(show(run.open_workspace))


async def show(opens: Callable[[], Workspace]) -> None:
    """Show the app until the person quits. ``opens`` runs in a thread, once the first frame stands.

    The app's log goes to the workspace's log file, and providers are checked now and then. Raises what ``opens``
    raised, and what ended the app if the person did not.
    """
    import asyncio
    from contextlib import AsyncExitStack

    from aicmo_tui.app import AicmoApp

    async with AsyncExitStack() as opened:

        async def open_workspace() -> Workspace:
            from aicmo.log import logging_to

            workspace = await opened.enter_async_context(await asyncio.to_thread(opens))
            opened.enter_context(logging_to(workspace.paths.log_file))
            checks = asyncio.create_task(keep_checking(workspace), name="aicmo-checks")
            opened.push_async_callback(asyncio.gather, checks, return_exceptions=True)
            opened.callback(checks.cancel)
            return workspace

        app = AicmoApp(opens=open_workspace)
        await app.run_async()
        if app.failure is not None:
            raise app.failure


async def keep_checking(workspace: Workspace) -> None:
    import asyncio

    service = await asyncio.to_thread(lambda: workspace.self_check)  # loads the providers' modules
    await service.keep_checking(workspace.config.health.check_interval_seconds)
