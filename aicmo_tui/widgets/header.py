"""The line on top of every screen: where I am, as whom, how the services are, what is in doubt, what time it is."""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import RenderResult
from textual.reactive import reactive
from textual.widget import Widget

from aicmo_tui.present import ACCENT, BAD, MUTED, TITLE, WARN, Content, fit, line, number, value

NOTHING = Content("")


@dataclass(frozen=True, slots=True)
class Standing:
    """What the header says, read from the store."""

    account: str = ""
    """The address one sends as; empty when none is set."""
    health: Content = NOTHING
    unknown: int = 0
    """Deliveries that may or may not have happened."""
    time: str = ""


class HeaderLine(Widget):
    DEFAULT_CSS = "HeaderLine { dock: top; height: 1; background: $panel; }"

    place = reactive("")
    standing: reactive[Standing | None] = reactive(None)
    """``None`` until it has been read."""
    trouble = reactive("")
    """Why what is shown may be old; empty when it is not."""

    def render(self) -> RenderResult:
        width = self.size.width
        left = line((" AICMO", f"{ACCENT} bold"), (" · ", MUTED), value(self.place, TITLE))
        right = line("")
        if self.trouble:
            right = line(("✕ ", BAD), value(self.trouble, BAD), "  ")
        standing = self.standing
        if standing is None:
            return left + fit(right, max(0, width - left.cell_length))
        if standing.unknown:
            right = line(right, (f"? {number(standing.unknown)} unknown", WARN), "  ")
        right = line(right, standing.health, "  ", standing.time, " ")
        middle = width - left.cell_length - right.cell_length
        account = value(standing.account, MUTED) if standing.account else line(("no sender set", WARN))
        if middle < account.cell_length + 4:
            return fit(left, max(0, width - right.cell_length - 1)) + " " + right
        return left + fit(line("  ", account), middle) + right
