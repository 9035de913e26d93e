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
    """Show the app until the person quits; its log goes to the workspace's log file."""
    from aicmo.log import logging_to
    from aicmo_tui.app import AicmoApp

    with logging_to(workspace.paths.log_file):
        async with workspace:
            await AicmoApp(workspace).run_async()
