"""Health: who serves, how well, and what to do about the one that does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from aicmo.gateways.breaker import score
from aicmo.provider_state import ProviderState, StateChange
from aicmo_tui.present import ACCENT, MUTED, TITLE, WARN, ago, clock_time, empty, line, lines, number, state, value
from aicmo_tui.screens.frame import Frame
from aicmo_tui.standing import SENDING
from aicmo_tui.widgets.lazy_table import Column, LazyTable, Rows

POLL_S = 1.0
CHANGES_SHOWN = 30

WHAT_TO_DO = {
    "auth": "Set the right password where the configuration finds it; sending goes on as soon as it changes.",
    "quota": "Its allowance is used up. It is tried again when the allowance is new; the next server carries on.",
    "rate_limited": "It asked for a pause. Nothing to do: it is tried again by itself.",
    "transient": "It did not answer as it should. Nothing to do: it is tried again by itself.",
}
"""Cause -> the one thing to do."""


@dataclass(frozen=True, slots=True)
class Row:
    place: int
    """In its chain: 0 is the first choice."""
    name: str
    known: ProviderState
    serves: bool
    """Whether it is the one that new work goes to."""
    now: datetime


@dataclass(frozen=True, slots=True)
class Checked:
    rows: list[Row]
    changes: list[StateChange]


class HealthScreen(Frame):
    MODE = "health"
    CSS_PATH = "health.tcss"
    HELP = """## Health
Each server in the order it is asked. A server that fails rests and is tried again by itself; `blocked` waits for you or
for a reset. The score is the share that went well lately, with how many stand behind it."""

    def body(self) -> Iterable[Widget]:
        columns = [
            Column("Server", 16, name_cell, grow=2),
            Column("State", 22, state_cell, grow=3),
            Column("Score (n)", 10, score_cell, right=True, priority=1),
            Column("Latency", 8, latency_cell, right=True, priority=2),
            Column("Last good", 9, lambda row: line(ago(row.known.last_ok_at, row.now)), right=True, priority=1),
        ]
        with Vertical(classes="list"):
            yield LazyTable(columns, key_of=lambda row: row.name, opens=False, id="servers")
        with Horizontal(id="below"):
            with VerticalScroll(id="server", can_focus=False):
                yield Static(id="about")
            with VerticalScroll(id="changes", can_focus=False):
                yield Static(id="log")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#server").border_title = "What to do"
        self.query_one("#changes").border_title = "What happened"
        self.query_one("#servers", LazyTable).set_empty(
            empty("No mail server is set.", "Name one and test it: aicmo init", ("F2", "home"))
        )
        self.poll(POLL_S, "health", lambda: read_health(self.workspace), self._show)

    def _show(self, checked: Checked) -> None:
        self.query_one("#servers", LazyTable).reload(Rows(checked.rows))
        self.query_one("#log", Static).update(log(checked.changes))

    def on_lazy_table_moved(self, event: LazyTable.Moved) -> None:
        self.query_one("#about", Static).update(about(event.row) if event.row else Content(""))


def read_health(workspace) -> Checked:
    """Blocking: reads ``health.db``."""
    chain = workspace.chain(SENDING)
    known = chain.registry.states()
    now = workspace.clock.now()
    found = [(provider.name, known.get(provider.name) or ProviderState(provider.name)) for provider in chain.providers]
    serving = next((name for name, state in found if state.state == "ok"), "")
    rows = [Row(place, name, state, name == serving, now) for place, (name, state) in enumerate(found)]
    return Checked(rows, list(chain.registry.events(CHANGES_SHOWN)))


def name_cell(row: Row) -> Content:
    return line(value(row.name), ("  ◂ serves", ACCENT) if row.serves else "")


def state_cell(row: Row) -> Content:
    known = row.known
    if known.state == "ok":
        return state("ok" if known.last_ok_at or known.observations else "no data")
    again = f", again {ago(known.open_until, row.now)}" if known.open_until else ""
    return line(state(known.state), (f": {known.open_reason}{again}", MUTED))


def score_cell(row: Row) -> Content:
    if not row.known.observations:
        return line(("-", MUTED))
    return line(f"{score(row.known, row.now):.2f} ({row.known.observations:.0f})")


def latency_cell(row: Row) -> Content:
    latency_s = row.known.latency_s
    return line(("-", MUTED)) if latency_s is None else line(f"{number(round(latency_s * 1000))} ms")


def about(row: Row) -> Content:
    known = row.known
    rows = [line(value(row.name, TITLE), "  ", state_cell(row))]
    if known.state != "ok":
        rows.append(line(("do          ", WARN), WHAT_TO_DO.get(known.open_reason, WHAT_TO_DO["transient"])))
    elif not known.last_ok_at:
        rows.append(line(("Nothing was sent through it yet.", MUTED)))
    if known.last_error_at:
        code = value(f"{known.last_error_code} {known.last_error_text}")
        rows.append(line(("last error  ", MUTED), clock_time(known.last_error_at), " ", code))
    rows.append(line(("last good   ", MUTED), clock_time(known.last_ok_at) if known.last_ok_at else "-"))
    return lines(rows)


def log(changes: list[StateChange]) -> Content:
    if not changes:
        return line(("No server has changed its state.", MUTED))
    return lines(
        line(
            (clock_time(change.at), MUTED),
            " ",
            value(change.name, TITLE),
            " → ",
            state(change.after),
            " ",
            value(change.why),
        )
        for change in changes
    )
