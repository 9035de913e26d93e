"""Health: who serves, how well, and what to do about the one that does not. Shows the core's own report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from aicmo.gateways.status import HealthReport, ProviderHealth
from aicmo.provider_state import StateChange
from aicmo_tui.present import ACCENT, MUTED, TITLE, WARN, ago, clock_time, empty, line, lines, number, state, value
from aicmo_tui.screens.frame import Frame
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.lazy_table import LazyTable, Rows

if TYPE_CHECKING:
    from aicmo.workspace import Workspace

POLL_S = 1.0
CHANGES_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Row:
    """One provider in one chain."""

    capability: str
    """Empty below the first of its chain."""
    provider: ProviderHealth
    serves: bool
    """Whether it is the one that new work goes to."""
    action: str
    """What to do about it; empty when nothing is."""
    now: datetime

    @property
    def key(self) -> tuple[str, str]:
        return self.capability, self.provider.name


@dataclass(frozen=True, slots=True)
class Checked:
    rows: list[Row]
    changes: Sequence[StateChange]
    degraded: str


class HealthScreen(Frame):
    MODE = "health"
    CSS_PATH = "health.tcss"
    HELP = """## Health
Each provider in the order it is asked. One that fails rests and is tried again by itself; `blocked` waits for you or
for a reset. The score is the share that went well lately, with how many stand behind it."""

    def body(self) -> Iterable[Widget]:
        columns = [
            Column("Capability", 15, lambda row: value(row.capability), priority=3),
            Column("Provider", 16, provider_cell, grow=2),
            Column("State", 22, state_cell, grow=3),
            Column("Score (n)", 10, score_cell, right=True, priority=1),
            Column("Latency", 8, latency_cell, right=True, priority=2),
            Column("Last good", 9, last_good_cell, right=True, priority=1),
        ]
        with Vertical(classes="list"):
            yield LazyTable(columns, key_of=lambda row: row.key, opens=False, id="providers")
        with Horizontal(id="below"):
            with VerticalScroll(id="provider", can_focus=False):
                yield Static(id="about")
            with VerticalScroll(id="changes", can_focus=False):
                yield Static(id="log")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#provider").border_title = "What to do"
        self.query_one("#changes").border_title = "What happened"
        self.query_one("#providers", LazyTable).set_empty(
            empty("No mail server is set.", "Name one and test it: aicmo init", ("F2", "home"))
        )
        self.poll(POLL_S, "health", lambda: read_health(self.workspace), self._show)

    def _show(self, checked: Checked) -> None:
        self.query_one("#providers", LazyTable).reload(Rows(checked.rows))
        self.query_one("#log", Static).update(log(checked.changes, checked.degraded))

    def on_lazy_table_moved(self, event: LazyTable.Moved) -> None:
        self.query_one("#about", Static).update(about(event.row) if event.row else Content(""))


def read_health(workspace: Workspace) -> Checked:
    """Blocking: reads ``health.db``."""
    report = workspace.health()
    changes = workspace.registry.events(CHANGES_SHOWN)
    return Checked(list(rows_of(report, workspace.clock.now())), changes, report.degraded)


def rows_of(report: HealthReport, now: datetime) -> Iterable[Row]:
    actions = {each.provider: each.action for each in report.recommendations}
    for chain in report.capabilities:
        for place, provider in enumerate(chain.providers):
            title = "" if place else chain.capability.replace("_", " ")
            yield Row(title, provider, provider.name == chain.serving, actions.get(provider.name, ""), now)


def provider_cell(row: Row) -> Content:
    return line(value(row.provider.name), ("  ◂ serves", ACCENT) if row.serves else "")


def state_cell(row: Row) -> Content:
    provider = row.provider
    again = f", again {ago(provider.next_probe_at, row.now)}" if provider.next_probe_at else ""
    return line(state(provider.state), (f": {provider.reason}{again}" if provider.reason else "", MUTED))


def score_cell(row: Row) -> Content:
    if row.provider.score is None:
        return line(("-", MUTED))
    return line(f"{row.provider.score:.2f} ({row.provider.observations:.0f})")


def latency_cell(row: Row) -> Content:
    latency_ms = row.provider.latency_ms
    return line(("-", MUTED)) if latency_ms is None else line(f"{number(round(latency_ms))} ms")


def last_good_cell(row: Row) -> Content:
    return line(ago(row.provider.last_success_at, row.now))


def about(row: Row) -> Content:
    provider = row.provider
    rows = [line(value(provider.name, TITLE), "  ", state_cell(row))]
    if row.action:
        rows.append(line(("do          ", WARN), value(row.action)))
    if provider.last_error_at:
        when = clock_time(provider.last_error_at)
        rows.append(line(("last error  ", MUTED), when, " ", value(provider.last_error)))
    good = provider.last_success_at
    rows.append(line(("last good   ", MUTED), clock_time(good) if good else "nothing went through it yet"))
    return lines(rows)


def log(changes: Sequence[StateChange], degraded: str) -> Content:
    rows = [line(("▲ ", WARN), value(degraded, WARN))] if degraded else []
    for change in changes:
        when, name = (clock_time(change.at), MUTED), value(change.name, TITLE)
        rows.append(line(when, " ", name, " → ", state(change.after), " ", value(change.why)))
    return lines(rows or [line(("No provider has changed its state.", MUTED))])
