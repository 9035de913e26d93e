"""Campaigns: all of them, how far each has come, and what it waits for. ``enter`` opens one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Vertical
from textual.widget import Widget

from aicmo.clock import parse_rfc3339
from aicmo.store.campaigns import Campaign, CampaignStatus
from aicmo.store.deliveries import Counts
from aicmo_tui.keys import key
from aicmo_tui.present import ACCENT, MUTED, WARN, Content, bar, day_and_time, empty, line, number, state, value
from aicmo_tui.screens.frame import PROGRESS_EVERY_S, Frame
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.inputs import PlainInput
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.widgets.progress import open_or_doubtful
from aicmo_tui.widgets.rows import Rows

if TYPE_CHECKING:
    from aicmo.workspace import Workspace

BAR_CELLS = 12
NONE_YET = empty("No campaign yet.", "Write a message, choose its people, and it stands here.", ("F5", "write"))


@dataclass(frozen=True, slots=True)
class Row:
    campaign: Campaign
    counts: Counts


class CampaignsScreen(Frame):
    MODE = "campaigns"
    CSS_PATH = "campaigns.tcss"
    HELP = """## Campaigns
Every campaign, the newest first; `↻` is a sequence. `enter` opens one: there it is approved, started, paused, and every
recipient is listed with what became of the message. `/` finds one by its name."""
    BINDINGS = [
        key("campaigns.write", "c", "app.show_screen('composer')", "write", "Write a message and make it a campaign"),
        key("campaigns.find", "slash", "find", "find", "Find one by its name", shown_as="/"),
        key("campaigns.back", "escape", "back", "all", "All campaigns again", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._rows: Sequence[Row] = ()

    def body(self) -> Iterable[Widget]:
        columns = [
            Column("Campaign", 18, name, grow=3),
            Column("Status", 11, lambda row: state(row.campaign.status)),
            Column(
                "Progress",
                BAR_CELLS,
                lambda row: bar(row.counts.done, row.counts.audience, BAR_CELLS),
                priority=3,
            ),
            Column("Sent", 9, lambda row: line(number(row.counts.sent)), right=True),
            Column("of", 9, lambda row: line((number(row.counts.audience), MUTED)), right=True, priority=2),
            Column("To look at", 18, to_look_at, grow=2),
            Column("Started", 16, started, priority=4),
        ]
        with Vertical(classes="list"):
            yield PlainInput(placeholder="part of a name", compact=True, id="find")
            yield LazyTable(columns, key_of=lambda row: row.campaign.id, id="campaigns")

    def on_mount(self) -> None:
        super().on_mount()
        self.poll(PROGRESS_EVERY_S, "campaigns", lambda: read_campaigns(self.workspace), self._show)

    @property
    def table(self) -> LazyTable[Row]:
        return self.query_one("#campaigns", LazyTable)

    def _show(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        wanted = self.query_one("#find", PlainInput).value.strip().casefold()
        found = [row for row in rows if wanted in row.campaign.name.casefold()]
        self.table.set_empty(line(("None has that in its name.", MUTED)) if rows else NONE_YET)
        self.table.reload(Rows(found))

    @on(PlainInput.Changed, "#find")
    def _narrow(self) -> None:
        self._show(self._rows)

    @on(PlainInput.Submitted, "#find")
    def _to_the_list(self) -> None:
        self.table.focus()

    def action_find(self) -> None:
        field = self.query_one("#find", PlainInput)
        field.display = True
        field.focus()

    def action_back(self) -> None:
        field = self.query_one("#find", PlainInput)
        field.value, field.display = "", False
        self.table.focus()

    def on_lazy_table_opened(self, event: LazyTable.Opened) -> None:
        self.app.open_campaign(event.row.campaign.id)


def read_campaigns(workspace: Workspace) -> list[Row]:
    """Blocking."""
    return [Row(campaign, counts) for campaign, counts in workspace.publishing.counted()]


def name(row: Row) -> Content:
    sign = ("↻ ", MUTED) if row.campaign.kind == "sequence" else ""
    return line(sign, value(row.campaign.name))


def to_look_at(row: Row) -> Content:
    """Why the program paused it, when it begins, or what of it is in doubt."""
    campaign = row.campaign
    if campaign.status is CampaignStatus.PAUSED and campaign.pause_reason:
        return value(campaign.pause_reason, WARN)
    if campaign.status is CampaignStatus.SCHEDULED and campaign.scheduled_at:
        return line((f"begins {day_and_time(parse_rfc3339(campaign.scheduled_at))}", ACCENT))
    return open_or_doubtful(row.counts)


def started(row: Row) -> Content:
    begun = row.campaign.started_at if row.counts.audience else None
    return line((day_and_time(parse_rfc3339(begun)) if begun else "-", MUTED))
