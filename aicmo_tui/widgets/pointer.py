"""What is wrong with a line that is typed: a caret beneath the place, and the sentence under it.

It lies over what is below while there is something to say, so that nothing jumps up and down as one types.
"""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input

from aicmo.errors import InvalidInput, QueryInvalid
from aicmo_tui.hints import hint_in_app
from aicmo_tui.present import BAD, MUTED, line, lines, value


class Pointer(Widget):
    DEFAULT_CSS = """
    Pointer {
        overlay: screen; width: 100%; height: auto; display: none; background: $panel;
        &.-pointing { display: block; }
    }
    """

    def __init__(self, typed: Input) -> None:
        super().__init__()
        self._typed = typed
        self._wrong: InvalidInput | None = None

    def on_mount(self) -> None:
        self.watch(self._typed, "scroll_x", lambda: self.refresh(), init=False)  # the place moves with the line

    def point(self, error: InvalidInput) -> None:
        """Say what is wrong with the line, and at which place if the error knows it."""
        self._wrong = error
        self.add_class("-pointing")
        self.refresh(layout=True)

    def rest(self) -> None:
        """There is nothing wrong any more."""
        self._wrong = None
        self.remove_class("-pointing")

    def render(self) -> Content:
        if self._wrong is None:
            return line("")
        error = self._wrong
        told = line(" ", ("✕ ", BAD), value(error.message, BAD), " ", value(hint_in_app(error.hint), MUTED))
        if not isinstance(error, QueryInvalid):
            return told
        return lines([line(" " * _cell(self._typed, error), ("^", BAD)), told])


def _cell(typed: Input, error: QueryInvalid) -> int:
    """Where on the screen's line reading stopped; at an edge of the field when that is out of sight."""
    field = typed.content_region
    cells = cell_len(error.query[: error.column]) - round(typed.scroll_x)
    return field.x + max(0, min(cells, field.width - 1))
