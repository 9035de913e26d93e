"""What stands there while the workspace is being opened: the frame of the first screen, and that it is coming.

It is drawn before anything is loaded, so it must need nothing: no store, no configuration, no other screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Static

from aicmo_tui.present import MUTED, line
from aicmo_tui.screens import FIRST, SCREENS
from aicmo_tui.widgets.header import HeaderLine

if TYPE_CHECKING:
    from aicmo_tui.app import AicmoApp


class Opening(Screen[None]):
    """Tells the app when it stands."""

    DEFAULT_CSS = "Opening Static { height: 1fr; padding: 0 1; border: round $secondary; }"

    app: AicmoApp  # type: ignore[assignment]

    def compose(self) -> ComposeResult:
        header = HeaderLine()
        header.place = SCREENS[FIRST].title
        yield header
        yield Static(line(("Opening ...", MUTED)))

    def on_mount(self) -> None:
        self.call_after_refresh(self.app.first_frame_stands)
