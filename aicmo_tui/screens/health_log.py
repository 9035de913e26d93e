"""Everything that happened to the providers' states, as far back as is kept; live like the screen it stands over."""

from __future__ import annotations

from collections.abc import Iterable

from textual.containers import Vertical
from textual.widget import Widget

from aicmo_tui.keys import key
from aicmo_tui.present import empty
from aicmo_tui.screens.health_view import CHANGE_COLUMNS
from aicmo_tui.widgets.dialogs import Dialog, Notice
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.widgets.rows import Rows
from aicmo_tui.work import ask

POLL_S = 1.0


class HealthLog(Dialog[None]):
    DEFAULT_CSS = """
    HealthLog { align: center middle; background: $background 60%; }
    HealthLog > Vertical { width: 96%; height: 90%; background: $surface; border: round $primary; }
    """
    AUTO_FOCUS = "LazyTable"
    HELP = "Every change of a service's state, the latest first, and why it was."
    BINDINGS = [key("health_log.close", "escape,l", "close", "close", "Back to the providers")]

    def body(self) -> Iterable[Widget]:
        with Vertical() as frame:
            frame.border_title = "What happened · enter reads one · escape closes"
            yield LazyTable(CHANGE_COLUMNS, key_of=lambda change: (change.name, change.at, change.after))

    def on_mount(self) -> None:
        self.query_one(LazyTable).set_empty(empty("Nothing happened.", "No provider has changed its state."))
        self._read()
        self.set_interval(POLL_S, self._read)

    def _read(self) -> None:
        registry = self.app.workspace.registry
        ask(self, "log", registry.events, lambda changes: self.query_one(LazyTable).reload(Rows(changes)), again=False)

    def on_lazy_table_opened(self, event: LazyTable.Opened) -> None:
        change = event.row
        title = f"{change.name}: {change.before} → {change.after}"
        self.app.push_screen(Notice(title, change.why or "No reason was given."))

    def action_close(self) -> None:
        self.dismiss()
