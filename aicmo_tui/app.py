"""The Textual app over an opened workspace: modes, styles, keys and what belongs to no single screen.

It owns the threads that blocking work runs on and the one sender, so that leaving a screen stops nothing. All state
that matters is in the store; killing the terminal loses none of it. What the first frame does not need is imported
after it stands.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from textual.app import App

from aicmo.errors import AicmoError
from aicmo.text import one_line
from aicmo_tui.enriching import Enriching
from aicmo_tui.hints import hint_in_app
from aicmo_tui.keys import app_bindings
from aicmo_tui.present import TITLE, line, people, value
from aicmo_tui.screens import FIRST, OPENING, SCREENS, factory, load
from aicmo_tui.sending import Sending
from aicmo_tui.theme import DARK, THEMES
from aicmo_tui.unbroken import UnbrokenApp
from aicmo_tui.work import converse, off_loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from textual.app import SystemCommand
    from textual.command import Provider
    from textual.screen import Screen

    from aicmo.publishing import Content
    from aicmo.workspace import Workspace
    from aicmo_tui.screens.opening import Opening

THREADS = 3
"""A slow count must not hold up the rows, nor the rows a preview."""

FRAME_STANDS_S = 0.01
"""Until the first frame has left for the terminal: importing would hold up the thread that writes it."""
AT_REST_S = 0.2
"""Until the first screen has read and drawn what it shows."""

log = logging.getLogger("aicmo.app")


def people_by_name() -> type[Provider]:
    from aicmo_tui.commands import People

    return People


class AicmoApp(UnbrokenApp):
    """``AicmoApp(workspace).run()``. The workspace stays open afterwards: it belongs to whoever opened it."""

    TITLE = "AICMO"
    CSS_PATH = "app.tcss"
    MODES = {mode: factory(mode) for mode in SCREENS}
    BINDINGS = app_bindings()
    COMMANDS = App.COMMANDS | {people_by_name}
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]

    workspace: Workspace

    def __init__(
        self,
        workspace: Workspace | None = None,
        *,
        opens: Callable[[], Awaitable[Workspace]] | None = None,
        sends: bool = True,
    ) -> None:
        """``opens`` gives the workspace where there is none yet: it is called when the first frame stands, and what it
        raises ends the app as its ``failure``. ``sends=False`` is for looking only: what runs is left to others.
        """
        self.DEFAULT_MODE = FIRST if workspace is not None else OPENING
        super().__init__(report=self.report)
        if workspace is not None:
            self.workspace = workspace
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="aicmo-screen")
        self.sending = Sending(self)
        self.enriching = Enriching(self)
        self._opens = opens
        self._opening: asyncio.Task[None] | None = None
        self._wanted = FIRST
        """The screen to show when the workspace is open."""
        self._sends = sends
        self._leaving = False
        """The threads take nothing more."""
        self._parts: asyncio.Future[None] | None = None
        for theme in THEMES:
            self.register_theme(theme)
        # Set without its watcher, which would have every style sheet read twice before the first frame.
        self.set_reactive(AicmoApp.theme, DARK.name)
        self.stylesheet.set_variables(self.get_css_variables())

    def get_default_screen(self) -> Opening:
        """What stands there until the workspace is open; as no mode of the table it spares a parsing of all styles."""
        from aicmo_tui.screens.opening import Opening

        return Opening()

    def on_mount(self) -> None:
        if self._opens is not None:
            self.use_command_palette = False  # it looks for people
        else:
            self._begin()

    def first_frame_stands(self) -> None:
        """The opening screen has drawn itself: now the rest may be loaded."""
        self.set_timer(FRAME_STANDS_S, self._begin_opening)

    def _begin(self) -> None:
        # What stands now stays to the end: looking it through again and again, the collector held up a key for 50 ms.
        self.call_after_refresh(gc.freeze)
        if self._sends:
            self.call_after_refresh(self.sending.start)
        self.set_timer(AT_REST_S, self._load_ahead)

    def _load_ahead(self) -> None:
        """Load the other screens before they are asked for: the first visit is then as quick as the second."""
        if not self._leaving:
            self.threads.submit(lambda: [load(mode) for mode in SCREENS])

    def _begin_opening(self) -> None:
        self._opening = asyncio.create_task(self._open(), name="aicmo-open")

    async def _open(self) -> None:
        assert self._opens is not None
        try:
            self.workspace = await self._opens()
            await asyncio.to_thread(load, self._wanted)
        except Exception as error:  # told by whoever ran the app, where the person still sees it afterwards
            self.failure = error
            self.exit(return_code=1)
            return
        if self._exit:
            return
        self.use_command_palette = True
        await self.switch_mode(self._wanted)
        self._begin()

    async def on_unmount(self) -> None:
        self._leaving = True
        gc.unfreeze()
        if self._opening is not None:
            await self._opening  # what it opens is closed by its opener, who must know of it
        self.threads.shutdown(wait=True, cancel_futures=True)

    async def ready(self) -> None:
        """The workspace builds its parts when they are first used, which must not happen on two threads at once."""
        if self._parts is None:
            self._parts = asyncio.get_running_loop().run_in_executor(self.threads, build_parts, self.workspace)
        await asyncio.shield(self._parts)

    # --- going somewhere --------------------------------------------------------------------------------------------

    def action_show_screen(self, mode: str) -> None:
        self._wanted = mode
        if self.current_mode != OPENING:
            self.switch_mode(mode)

    def action_open_over(self, name: str) -> None:
        """A screen of ``OVER``, over the one that is shown."""
        screen = load(name)
        if not isinstance(self.screen, screen):
            self.push_screen(screen())

    def open_campaign(self, campaign_id: int) -> None:
        """The campaigns screen, with this one open in it; ``escape`` goes back to where one came from."""
        from aicmo_tui.screens.campaign import CampaignScreen
        from aicmo_tui.screens.frame import OneCampaign

        came_from = "" if self.current_mode == OneCampaign.MODE else self.current_mode
        self.switch_mode(OneCampaign.MODE)
        while isinstance(self.screen, OneCampaign):
            self.pop_screen()
        self.push_screen(CampaignScreen(campaign_id, came_from=came_from))

    def show_contact(self, email: str) -> None:
        """The contacts screen, at this person."""
        self.show_people(email)

    def show_people(self, query: str) -> None:
        """The contacts screen, with those whom ``query`` finds."""
        from aicmo_tui.screens.frame import Over

        self.switch_mode("contacts")
        while isinstance(self.screen, Over):
            self.pop_screen()
        self.call_after_refresh(lambda: self.screen.show_person(query))

    def write_to(self, query: str, *, anew: bool = False) -> None:
        """The composer, for the people whom ``query`` finds; ``anew``: with nothing written yet."""
        self.switch_mode("composer")
        self.call_after_refresh(lambda: self.screen.write_to(query, anew=anew))

    def edit(self, content: Content, audience: str) -> None:
        """The composer, with this content in it."""
        self.switch_mode("composer")
        self.call_after_refresh(lambda: self.screen.edit(content, audience))

    def action_toggle_help(self) -> None:
        if self.screen.query("HelpPanel"):
            self.action_hide_help_panel()
        else:
            self.action_show_help_panel()

    def action_close_help(self) -> None:
        self.action_hide_help_panel()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Escape closes the help where it stands open, and is the screen's own elsewhere."""
        return action != "close_help" or bool(self.screen_stack and self.screen.query("HelpPanel"))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        from aicmo_tui.commands import system_commands

        yield from system_commands(self, screen)

    async def action_quit(self) -> None:
        converse(self, self._quit)

    async def _put_away(self) -> bool:
        """Have every screen save what it holds; whether the app may be left."""
        from aicmo_tui.screens.frame import Frame
        from aicmo_tui.widgets.dialogs import confirm

        try:
            for screen in [each for stack in self._screen_stacks.values() for each in stack if isinstance(each, Frame)]:
                await screen.put_away()
        except AicmoError as error:
            question = line("What was written last cannot be saved. Leave without it?")
            return bool(await self.push_screen_wait(confirm(question, "Leave", details=value(error.message))))
        return True

    async def _quit(self) -> None:
        from aicmo_tui.standing import still_to_go
        from aicmo_tui.widgets.dialogs import confirm

        if not await self._put_away():
            return
        if not self.sending.under_way:
            await self.enriching.stop()
            self.exit()
            return
        left = await off_loop(self, lambda: still_to_go(self.workspace))
        question = line(f"A send is under way: {people(left)} still to go. Stop it and quit?")
        details = line(
            "What is on its way is finished first. The rest stays queued: it goes on at the next start, or with "
        )
        details += line(("aicmo run", TITLE), ".")
        if await self.push_screen_wait(confirm(question, "Stop and quit", details=details)):
            await self.sending.stop()
            await self.enriching.stop()
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

        foreseen = isinstance(error, AicmoError)
        if not foreseen:
            log.error("unforeseen in the app", exc_info=error)
        if isinstance(self.screen, Notice):
            return
        if foreseen:
            self.push_screen(Notice("That did not work", error.message, hint_in_app(error.hint)))
            return
        hint = (
            f"It is written down in {self.workspace.paths.log_file}. The app goes on; nothing that was saved is lost."
        )
        self.push_screen(Notice("Something unforeseen happened", f"{type(error).__name__}: {error}", hint))


def build_parts(workspace: Workspace) -> None:
    """Have the workspace build what every screen reads. What is wrong with it is told to whoever asks."""
    with contextlib.suppress(AicmoError):
        workspace.crm, workspace.contents, workspace.publishing  # noqa: B018 - looking builds them
