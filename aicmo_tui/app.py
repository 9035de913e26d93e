"""The Textual app over an opened workspace: modes, styles, keys and what belongs to no single screen.

It owns the threads that blocking work runs on and the one sender, so that leaving a screen stops nothing. All state
that matters is in the store; killing the terminal loses none of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from textual.app import App

from aicmo.errors import AicmoError
from aicmo.text import one_line
from aicmo_tui.commands import COMMANDS, system_commands
from aicmo_tui.keys import app_bindings
from aicmo_tui.present import TITLE, line, people
from aicmo_tui.screens import FIRST, SCREENS, factory
from aicmo_tui.sending import Sending
from aicmo_tui.standing import still_to_go
from aicmo_tui.theme import DARK, THEMES
from aicmo_tui.work import converse, off_loop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.app import SystemCommand
    from textual.screen import Screen

    from aicmo.publishing import Content
    from aicmo.workspace import Workspace

THREADS = 3
"""A slow count must not hold up the rows, nor the rows a preview."""

log = logging.getLogger("aicmo.app")


class AicmoApp(App[None]):
    """``AicmoApp(workspace).run()``. The workspace stays open afterwards: it belongs to whoever opened it."""

    TITLE = "AICMO"
    CSS_PATH = "app.tcss"
    DEFAULT_MODE = FIRST
    MODES = {mode: factory(mode) for mode in SCREENS}
    BINDINGS = app_bindings()
    COMMANDS = COMMANDS
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]

    def __init__(self, workspace: Workspace, *, sends: bool = True) -> None:
        """``sends=False`` is for looking only: what runs is left to another process."""
        super().__init__()
        self.workspace = workspace
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="aicmo-screen")
        self.sending = Sending(self)
        self._sends = sends
        self._parts: asyncio.Future[None] | None = None
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DARK.name

    def on_mount(self) -> None:
        if self._sends:
            self.call_after_refresh(self.sending.start)

    async def on_unmount(self) -> None:
        self.threads.shutdown(wait=True, cancel_futures=True)

    async def ready(self) -> None:
        """The workspace builds its parts when they are first used, which must not happen on two threads at once."""
        if self._parts is None:
            self._parts = asyncio.get_running_loop().run_in_executor(self.threads, build_parts, self.workspace)
        await asyncio.shield(self._parts)

    # --- going somewhere --------------------------------------------------------------------------------------------

    def action_show_screen(self, mode: str) -> None:
        self.switch_mode(mode)

    def open_campaign(self, campaign_id: int) -> None:
        """The campaigns screen, with this one open in it."""
        from aicmo_tui.screens.campaign import CampaignScreen

        self.switch_mode("campaigns")
        if isinstance(self.screen, CampaignScreen):
            self.pop_screen()
        self.push_screen(CampaignScreen(campaign_id))

    def show_contact(self, email: str) -> None:
        """The contacts screen, at this person."""
        self.switch_mode("contacts")
        self.call_after_refresh(lambda: self.screen.show_person(email))

    def write_to(self, query: str) -> None:
        """The composer, for the people whom ``query`` finds."""
        self.switch_mode("composer")
        self.call_after_refresh(lambda: self.screen.write_to(query))

    def edit(self, content: Content, audience: str) -> None:
        """The composer, with this content in it."""
        self.switch_mode("composer")
        self.call_after_refresh(lambda: self.screen.edit(content, audience))

    def action_toggle_help(self) -> None:
        if self.screen.query("HelpPanel"):
            self.action_hide_help_panel()
        else:
            self.action_show_help_panel()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        yield from system_commands(self, screen)

    async def action_quit(self) -> None:
        if not self.sending.under_way:
            self.exit()
            return
        converse(self, self._quit_after_asking)

    async def _quit_after_asking(self) -> None:
        from aicmo_tui.widgets.dialogs import confirm

        left = await off_loop(self, lambda: still_to_go(self.workspace))
        question = line(f"A send is under way: {people(left)} still to go. Stop it and quit?")
        details = line(
            "What is on its way is finished first. The rest stays queued: it goes on at the next start, or with "
        )
        details += line(("aicmo run", TITLE), ".")
        if await self.push_screen_wait(confirm(question, "Stop and quit", details=details)):
            await self.sending.stop()
            self.exit()

    # --- telling ----------------------------------------------------------------------------------------------------

    def tell(self, message: str, *, title: str = "", severe: bool = False) -> None:
        """A toast, for what has passed. Its text is never read as markup."""
        self.notify(
            one_line(message, limit=300), title=title, severity="error" if severe else "information", markup=False
        )

    def report(self, error: Exception) -> None:
        """An error the person has to know of stays until it is closed; an unforeseen one is logged too."""
        from aicmo_tui.widgets.dialogs import Notice

        if isinstance(self.screen, Notice):
            return
        if isinstance(error, AicmoError):
            self.push_screen(Notice("That did not work", error.message, error.hint))
            return
        log.error("unforeseen in the app", exc_info=error)
        hint = (
            f"It is written down in {self.workspace.paths.log_file}. The app goes on; nothing that was saved is lost."
        )
        self.push_screen(Notice("Something unforeseen happened", f"{type(error).__name__}: {error}", hint))


def build_parts(workspace: Workspace) -> None:
    """Have the workspace build what every screen reads. What is wrong with it is told to whoever asks."""
    with contextlib.suppress(AicmoError):
        workspace.crm, workspace.publishing  # noqa: B018 - looking builds them
