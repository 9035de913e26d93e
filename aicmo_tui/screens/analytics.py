"""Analytics: what came of it, campaign by campaign. Every share names what it is a share of, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterable

from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from aicmo.analytics import CampaignAnalytics, Rate
from aicmo.clock import parse_rfc3339
from aicmo_tui.keys import key
from aicmo_tui.present import BAD, MUTED, TITLE, WARN, day_and_time, empty, line, lines, number, state, value
from aicmo_tui.screens.frame import Frame
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.widgets.rows import Rows

POLL_S = 1.0


class AnalyticsScreen(Frame):
    MODE = "analytics"
    CSS_PATH = "analytics.tcss"
    HELP = """## Analytics
What the ledger knows. *Accepted* is the share whose server took the message, of those whose outcome is known,
with the 95 % interval (Wilson). What is in doubt counts for neither. `enter` shows the people behind a row."""
    BINDINGS = [key("analytics.write", "c", "app.show_screen('composer')", "write", "Write the next one")]

    def body(self) -> Iterable[Widget]:
        columns = [
            Column("Campaign", 16, lambda row: value(row.campaign.name), grow=3),
            Column("Status", 11, lambda row: state(row.campaign.status), priority=3),
            Column("Audience", 9, lambda row: line(number(row.counts.audience)), right=True),
            Column("Sent", 9, lambda row: line(number(row.counts.sent)), right=True),
            Column("Accepted [95 %]", 20, lambda row: rate(row.accepted), right=True),
            Column("Failed", 7, lambda row: count(row.counts.failed, BAD), right=True, priority=1),
            Column("Bounced", 7, lambda row: count(row.counts.bounced, BAD), right=True, priority=2),
            Column("Unknown", 7, lambda row: count(row.counts.unknown, WARN), right=True, priority=1),
            Column("Suppr.", 6, lambda row: count(row.counts.suppressed, MUTED), right=True, priority=2),
            Column("Started", 16, started, priority=4),
        ]
        yield Static(id="sums", classes="summary")
        with Vertical(classes="list"):
            yield LazyTable(columns, key_of=lambda row: row.campaign.id, id="numbers")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#numbers", LazyTable).set_empty(
            empty(
                "No numbers yet.",
                "They begin with the first campaign that is sent.",
                ("F5", "write"),
                ("F6", "campaigns"),
            )
        )
        self.poll(POLL_S, "analytics", lambda: self.workspace.analytics.campaigns(), self._show)

    def _show(self, rows: list[CampaignAnalytics]) -> None:
        self.query_one("#sums", Static).update(sums(rows))
        self.query_one("#numbers", LazyTable).reload(Rows(rows))

    def on_lazy_table_opened(self, event: LazyTable.Opened) -> None:
        self.app.open_campaign(event.row.campaign.id)


def rate(rate: Rate) -> Content:
    """``98.4% [97.1-99.2]``; ``-`` where there is nothing to be a share of."""
    if rate.value is None or rate.interval is None:
        return line(("-", MUTED))
    low, high = rate.interval
    return line(f"{rate.value:.1%} ", (f"[{low * 100:.1f}-{high * 100:.1f}]", MUTED))


def count(number_of: int, style: str) -> Content:
    return line((number(number_of), style if number_of else MUTED))


def started(row: CampaignAnalytics) -> Content:
    begun = row.campaign.started_at
    return line((day_and_time(parse_rfc3339(begun)) if begun else "-", MUTED))


def sums(rows: list[CampaignAnalytics]) -> Content:
    """All campaigns together."""
    sent = sum(row.counts.sent for row in rows)
    known = sum(row.accepted.denominator for row in rows)
    unknown = sum(row.counts.unknown for row in rows)
    first = line(
        (f"{number(len(rows))} campaign{'' if len(rows) == 1 else 's'}", TITLE),
        f"   sent {number(sent)}   accepted ",
        rate(Rate(sent, known)),
        f" of {number(known)}",
    )
    doubt = (
        line((f"? {number(unknown)} may or may not have gone; they count for neither side", WARN))
        if unknown
        else line("")
    )
    return lines([first, doubt])
