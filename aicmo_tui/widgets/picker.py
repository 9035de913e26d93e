"""Choose one of many: a filter and a list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from aicmo_tui.keys import key
from aicmo_tui.present import TITLE, line, value
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.dialogs import Dialog
from aicmo_tui.widgets.inputs import PlainInput
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.widgets.rows import Rows

R = TypeVar("R")


class Choices(LazyTable[tuple[str, R]]):
    BINDINGS = [key("picker.choose", "enter", "open", "choose", "Take the one under the cursor")]


class Picker(Dialog[R | None], Generic[R]):
    """Gives what was chosen, or ``None``."""

    DEFAULT_CSS = """
    Picker { align: center middle; background: $background 60%; }
    Picker > Vertical { width: 64; max-width: 94%; height: 18; max-height: 90%; padding: 0 1;
        background: $surface; border: round $primary; }
    Picker Static { height: 1; }
    """
    AUTO_FOCUS = "LazyTable"
    HELP = "Choose one of the list. Closing it chooses none, and changes nothing."
    BINDINGS = [
        key("picker.close", "escape", "close", "close", "Choose none"),
        key("picker.filter", "slash", "filter", "filter", "Find by name", shown_as="/"),
    ]

    def __init__(self, title: str, choices: list[tuple[str, R]]) -> None:
        """``choices``: what is read, and what is given."""
        super().__init__()
        self._title, self._choices = title, choices

    def body(self) -> Iterable[Widget]:
        column = Column("", 20, lambda choice: value(choice[0]), grow=1)
        with Vertical():
            yield Static(line((self._title, TITLE)))
            yield PlainInput(placeholder="/ to filter", compact=True)
            yield Choices([column], key_of=lambda choice: choice[0])

    def on_mount(self) -> None:
        self.query_one(LazyTable).show(Rows(self._choices))

    def on_input_changed(self, event: PlainInput.Changed) -> None:
        wanted = event.value.casefold()
        self.query_one(LazyTable).show(Rows([choice for choice in self._choices if wanted in choice[0].casefold()]))

    def on_input_submitted(self) -> None:
        self.query_one(LazyTable).focus()

    def on_lazy_table_opened(self, event: LazyTable.Opened) -> None:
        self.dismiss(event.row[1])

    def action_filter(self) -> None:
        self.query_one(PlainInput).focus()

    def action_close(self) -> None:
        self.dismiss(None)
