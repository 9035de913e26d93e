"""Campaigns: all of them, and how far each has come. ``enter`` opens one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.widget import Widget

from aicmo.clock import parse_rfc3339
from aicmo.store.campaigns import Campaign
from aicmo.store.deliveries import Counts
from aicmo_tui.keys import key
from aicmo_tui.present import MUTED, Content, bar, day_and_time, empty, line, number, state, value
from aicmo_tui.screens.frame import PROGRESS_EVERY_S, Frame
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.lazy_table import LazyTable, Rows
from aicmo_tui.widgets.progress import open_or_doubtful

if TYPE_CHECKING:
    from aicmo.workspace import Workspace

BAR_CELLS = 12


@dataclass(frozen=True, slots=True)
class Row:
    campaign: Campaign
    counts: Counts


class CampaignsScreen(Frame):
    MODE = "campaigns"
    CSS_PATH = "campaigns.tcss"
    HELP = """## Campaigns
Every campaign, the newest first. `enter` opens one: there it is approved, started, paused, and every recipient is
listed with what became of the message."""
    BINDINGS = [
        key("campaigns.write", "c", "app.show_screen('composer')", "write", "Write a message and make it a campaign")
    ]

    def body(self) -> Iterable[Widget]:
        columns = [
            Column("Campaign", 18, lambda row: value(row.campaign.name), grow=3),
            Column("Status", 12, lambda row: state(row.campaign.status)),
            Column(
                "Progress",
                BAR_CELLS,
                lambda row: bar(row.counts.audience - row.counts.open, row.counts.audience, BAR_CELLS),
                priority=2,
            ),
            Column("Sent", 9, lambda row: line(number(row.counts.sent)), right=True),
            Column("of", 9, lambda row: line((number(row.counts.audience), MUTED)), right=True, priority=1),
            Column("In doubt", 18, lambda row: open_or_doubtful(row.counts), priority=1, grow=1),
            Column("Started", 16, started, priority=3),
        ]
        with Vertical(classes="list"):
            yield LazyTable(columns, key_of=lambda row: row.campaign.id, id="campaigns")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#campaigns", LazyTable).set_empty(
            empty("No campaign yet.", "Write a message, choose its people, and it stands here.", ("F5", "write"))
        )
        self.poll(PROGRESS_EVERY_S, "campaigns", lambda: read_campaigns(self.workspace), self._show)

    def _show(self, rows: list[Row]) -> None:
        self.query_one("#campaigns", LazyTable).reload(Rows(rows))

    def on_lazy_table_opened(self, event: LazyTable.Opened) -> None:
        self.app.open_campaign(event.row.campaign.id)


def read_campaigns(workspace: Workspace) -> list[Row]:
    """Blocking."""
    publishing = workspace.publishing
    return [Row(campaign, publishing.counts(campaign.id)) for campaign in publishing.campaigns()]


def started(row: Row) -> Content:
    begun = row.campaign.started_at
    return line((day_and_time(parse_rfc3339(begun)) if begun else "-", MUTED))
