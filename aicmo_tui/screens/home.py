"""Home: what needs me now, what is being sent at this moment, and what comes next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from aicmo.publishing.agenda import Entry, Kind
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
    near_time,
    number,
    people,
    percent,
    value,
)
from aicmo_tui.screens import OVER, SCREENS
from aicmo_tui.screens.calendar import how_many, look, title
from aicmo_tui.screens.campaign_view import is_late
from aicmo_tui.screens.frame import PROGRESS_EVERY_S, Frame
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.widgets.progress import Progress
from aicmo_tui.widgets.rows import Rows

if TYPE_CHECKING:
    from aicmo.workspace import Workspace

PEOPLE_EVERY_S = 5.0
"""Counting a million people takes some 30 ms; nobody sees them come one by one."""
SENDING_SHOWN = 3
"""Running campaigns with a bar of their own."""
NEXT_EVERY_S = 5.0
"""Of every campaign that is to begin the people are counted."""
NEXT_WITHIN = timedelta(days=14)
NEXT_SHOWN = 4


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
    HELP = """## Home
What needs you now, what is being sent, and what comes next. `enter` opens the place where it is dealt with; what comes
next stands in the calendar, `F9`."""
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
                yield Static(id="next")
                yield Static(id="sums")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#needs", LazyTable).set_empty(empty("Nothing needs you now.", "What does will stand here."))
        self._contacts = 0
        self.poll(PEOPLE_EVERY_S, "people", lambda: self.workspace.crm.count(), self._note_contacts)
        self.poll(PROGRESS_EVERY_S, "home", lambda: read_now(self.workspace), self._show)
        self.poll(NEXT_EVERY_S, "next", lambda: read_next(self.workspace), self._show_next)

    def on_lazy_table_opened(self, event: LazyTable.Opened) -> None:
        need: Need = event.row
        if need.campaign:
            self.app.open_campaign(need.campaign)
        elif need.mode in OVER:
            self.app.action_open_over(need.mode)
        else:
            self.app.action_show_screen(need.mode)

    def _show_next(self, entries: list[Entry]) -> None:
        following = self.query_one("#next", Static)
        following.update(coming(entries, self.workspace.clock.now()))
        following.display = bool(entries)

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


def read_next(workspace: Workspace) -> list[Entry]:
    """What comes in the next days, the soonest first, without the people one wants to get back to. Blocking."""
    today, now = workspace.agenda.today(), workspace.clock.now()
    plan = workspace.agenda.look(today, today + NEXT_WITHIN)
    entries = (entry for day in sorted(plan.days) for entry in plan.of(day))
    return [entry for entry in entries if entry.at and entry.kind is not Kind.WENT and entry.at >= now][:NEXT_SHOWN]


def coming(entries: list[Entry], now: datetime) -> Content:
    """When, what, which, for how many."""
    rows = [line(""), line(("Next", TITLE))]
    for entry in entries:
        assert entry.at is not None  # only such are read
        sign, style, word = look(entry)
        rows.append(
            line(
                (f"{near_time(entry.at, now)}  ", MUTED),
                (f"{sign} {word}  ", style),
                value(title(entry)),
                "  ",
                how_many(entry),
            )
        )
    return lines(rows)


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
    everything = workspace.publishing.counted()
    campaigns = [campaign for campaign, _ in everything]
    counted = [(campaign, counts) for campaign, counts in everything if campaign.started_at]
    return Now(
        needs=list(needs(workspace, campaigns, counted)),
        running=[pair for pair in counted if pair[0].status == CampaignStatus.RUNNING and pair[1].open],
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
    names = {campaign.id: campaign.name for campaign in campaigns}
    for campaign_id in workspace.variants.unclear():
        text = line(("? ", WARN), "No clear winner: ", value(names[campaign_id]))
        yield Need(f"unclear {campaign_id}", text, "campaigns", campaign_id)
    begun = {campaign.id for campaign, counts in counted if counts.audience}
    for campaign in campaigns:
        if text := waits_for_word(campaign, begun=campaign.id in begun, now=workspace.clock.now()):
            yield Need(f"{campaign.status} {campaign.id}", text, "campaigns", campaign.id)


def waits_for_word(campaign: Campaign, *, begun: bool, now: datetime) -> Content | None:
    """What a campaign waits for that only a person can say; ``None`` when for nothing."""
    name = value(campaign.name)
    why = line(" (", value(campaign.pause_reason), ")") if campaign.pause_reason else line("")
    match campaign.status:
        case CampaignStatus.PAUSED if is_late(campaign, now, begun=begun):
            return line(("▲ ", WARN), "Late: ", name, why)
        case CampaignStatus.PAUSED if campaign.pause_reason:
            return line(("▲ ", WARN), "Paused by the program: ", name, why)
        case CampaignStatus.PAUSED:
            return line(("▲ ", WARN), "Paused: ", name)
        case CampaignStatus.DRAFT:
            return line(("○ ", MUTED), "Waits for approval: ", name)
        case CampaignStatus.APPROVED:
            return line(("● ", ACCENT), "Ready to start: ", name)
        case _:
            return None
