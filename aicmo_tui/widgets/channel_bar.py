"""The channels that a piece of content has words for, as tabs: which one is written, which are done, which too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.app import RenderResult
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from aicmo_tui.keys import key
from aicmo_tui.present import ACCENT, BAD, GOOD, MUTED, TITLE, Content, line


@dataclass(frozen=True, slots=True)
class Tab:
    channel: str
    """Empty: the original, where no channel shows it as it is."""
    title: str
    approved: bool = False
    too_long: bool = False


class ChannelBar(Widget, can_focus=True):
    DEFAULT_CSS = """
    ChannelBar { height: 1; }
    ChannelBar:focus { background: $panel; }
    """
    BINDINGS = [
        key("channels.left", "left", "move(-1)", "channel before", "The channel to the left", show=False),
        key("channels.right", "right", "move(1)", "channel", "The channel to the right", shown_as="← →"),
    ]

    tabs: reactive[Sequence[Tab]] = reactive(())
    current = reactive("")

    class Chosen(Message):
        def __init__(self, channel: str) -> None:
            super().__init__()
            self.channel = channel

    def render(self) -> RenderResult:
        return line(*map(self._drawn, self.tabs), "" if self.has_focus else ("  esc", ACCENT))

    def _drawn(self, tab: Tab) -> Content:
        sign = line((" ✕", BAD)) if tab.too_long else line((" ✓", GOOD)) if tab.approved else line("")
        if tab.channel == self.current:
            return line(("[", ACCENT), (tab.title, TITLE), sign, ("]", ACCENT))
        return line(" ", (tab.title, MUTED), sign, " ")

    def on_click(self, event: events.Click) -> None:
        right = 0
        for tab in self.tabs:
            right += self._drawn(tab).cell_length
            if event.x < right:
                self.post_message(self.Chosen(tab.channel))
                return

    def action_move(self, step: int) -> None:
        channels = [tab.channel for tab in self.tabs]
        if self.current in channels:
            self.post_message(self.Chosen(channels[(channels.index(self.current) + step) % len(channels)]))
