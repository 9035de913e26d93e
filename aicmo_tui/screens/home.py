"""Home: what needs me now, and what is being sent at this moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from aicmo.store.campaigns import Campaign, CampaignStatus
from aicmo.store.deliveries import Counts
from aicmo_tui.keys import key, over
from aicmo_tui.present import (
    ACCENT,
    BAD,
    MUTED,
    TITLE,
    WARN,
    Content,
    empty,
    key_hint,
    line,
    lines,
    number,
    people,
    percent,
    value,
)
from aicmo_tui.screens import OVER, SCREENS
from aicmo_tui.screens.frame import PROGRESS_EVERY_S, Frame
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.lazy_table import LazyTable, Rows
from aicmo_tui.widgets.progress import Progress

if TYPE_CHECKING:
    from aicmo.workspace import Workspace

PEOPLE_EVERY_S = 5.0
"""Counting a million people takes some 30 ms; nobody sees them come one by one."""
SENDING_SHOWN = 3
"""Running campaigns with a bar of their own."""


@dataclass(frozen=True, slots=True)
class Need:
    """Something that waits for the person, and the screen, of either table, where it is dealt with."""

    what: str
    """Names it, so that the cursor stays on it."""
    text: Content
    mode: str
    campaign: int = 0
    """The campaign to open there; 0 is none."""

    @property
    def key(self) -> str:
        return "⏎" if self.mode in OVER else SCREENS[self.mode].key.upper()


@dataclass(frozen=True, slots=True)
class Now:
    needs: list[Need]
    running: list[tuple[Campaign, Counts]]
    sent: int
    asked: int
    """Deliveries of all started campaigns, whatever became of them."""
    at: datetime


class HomeScreen(Frame):
    MODE = "home"
    CSS_PATH = "home.tcss"
    HELP = "## Home\nWhat needs you now, and what is being sent. `enter` opens the place where it is dealt with."
    BINDINGS = [
        key("home.write", "c", "app.show_screen('composer')", "write", "Write a message"),
        key("home.people", "p", "app.show_screen('contacts')", "people", "Everyone you know"),
        *over("today", "companies"),
        *over("duplicates", show=False),
    ]

    def body(self) -> Iterable[Widget]:
        columns = [
            Column("Needs you", 20, lambda need: need.text, grow=1),
            Column("", 3, lambda need: line((need.key, f"{ACCENT} bold")), right=True),
        ]
        with Horizontal():
            with Vertical(classes="list"):
                yield LazyTable(columns, key_of=lambda need: need.what, id="needs")
            with VerticalScroll(id="now", can_focus=False):
                yield Static(id="sending-title")
                for place in range(SENDING_SHOWN):
                    yield Progress(named=True, id=f"sending-{place}")
                yield Static(id="sums")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#needs", LazyTable).set_empty(empty("Nothing needs you now.", "What does will stand here."))
        self._contacts = 0
        self.poll(PEOPLE_EVERY_S, "people", lambda: self.workspace.crm.count(), self._note_contacts)
        self.poll(PROGRESS_EVERY_S, "home", lambda: read_now(self.workspace), self._show)

    def on_lazy_table_opened(self, event: LazyTable.Opened) -> None:
        need: Need = event.row
        if need.campaign:
            self.app.open_campaign(need.campaign)
        elif need.mode in OVER:
            self.app.action_open_over(need.mode)
        else:
            self.app.action_show_screen(need.mode)

    def _note_contacts(self, contacts: int) -> None:
        self._contacts = contacts

    def _show(self, now: Now) -> None:
        table = self.query_one("#needs", LazyTable)
        table.reload(Rows(now.needs))
        running = line(("Sending now", TITLE)) if now.running else nothing_sending(self._contacts)
        self.query_one("#sending-title", Static).update(running)
        for place, progress in enumerate(self.query(Progress)):
            progress.display = place < len(now.running)
            if progress.display:
                campaign, counts = now.running[place]
                progress.show(campaign, counts, now.at)
        self.query_one("#sums", Static).update(sums(now, self._contacts))


def nothing_sending(contacts: int) -> Content:
    if contacts:
        return empty("Nothing is being sent.", "Write something and choose whom it is for.", ("F5", "write"))
    return empty(
        "Nobody is here yet.",
        "Bring your people from a file, then write to them.",
        ("F4", "contacts, and there i to import"),
        ("F5", "write the first message"),
    )


def sums(now: Now, contacts: int) -> Content:
    rows = [
        line(""),
        line(("What the ledger knows", TITLE)),
        line(f"{people(contacts)}"),
        line(f"{number(now.sent)} sent of {number(now.asked)} asked for ({percent(now.sent, now.asked)})"),
        line(""),
        key_hint("F8", "campaign by campaign"),
    ]
    return lines(rows)


def read_now(workspace: Workspace) -> Now:
    """Blocking: reads the ledger, the campaigns and the providers' health."""
    publishing = workspace.publishing
    campaigns = publishing.campaigns()
    counted = [(campaign, publishing.counts(campaign.id)) for campaign in campaigns if campaign.started_at]
    return Now(
        needs=list(needs(workspace, campaigns, counted)),
        running=[pair for pair in counted if pair[0].status == CampaignStatus.RUNNING],
        sent=sum(counts.sent for _, counts in counted),
        asked=sum(counts.audience for _, counts in counted),
        at=workspace.clock.now(),
    )


def needs(workspace: Workspace, campaigns: list[Campaign], counted: list[tuple[Campaign, Counts]]) -> Iterable[Need]:
    """The most urgent first."""
    if not workspace.config.sender.email:
        yield Need("sender", line(("✕ ", BAD), "No sender is set: aicmo init"), "health")
    if not workspace.publishing.ways:
        yield Need("no server", line(("✕ ", BAD), "No mail server is set: aicmo init"), "health")
    for advice in workspace.health().recommendations:
        if advice.severity == "critical" and advice.cause != "unknown":  # those follow, by campaign
            text = line(("✕ ", BAD), value(advice.told))
            yield Need(f"{advice.cause} {advice.provider}", text, "health")
    for campaign, counts in counted:
        if counts.unknown:
            text = line(("? ", WARN), f"{number(counts.unknown)} may or may not have gone: ", value(campaign.name))
            yield Need(f"unknown {campaign.id}", text, "campaigns", campaign.id)
    if waiting := workspace.today.waiting():
        yield Need("today", line(("☐ ", ACCENT), f"{people(waiting)} to get back to today"), "today")
    for campaign in campaigns:
        if campaign.status == CampaignStatus.PAUSED:
            why = line(" (", value(campaign.pause_reason), ")") if campaign.pause_reason else line("")
            yield Need(
                f"paused {campaign.id}",
                line(("▲ ", WARN), "Paused: ", value(campaign.name), why),
                "campaigns",
                campaign.id,
            )
        elif campaign.status == CampaignStatus.DRAFT:
            text = line(("○ ", MUTED), "Waits for approval: ", value(campaign.name))
            yield Need(f"draft {campaign.id}", text, "campaigns", campaign.id)
        elif campaign.status == CampaignStatus.APPROVED:
            yield Need(
                f"approved {campaign.id}",
                line(("● ", ACCENT), "Ready to start: ", value(campaign.name)),
                "campaigns",
                campaign.id,
            )
