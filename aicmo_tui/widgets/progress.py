"""How far a campaign has come: speed, when it will be done, a bar, and counts that add up to the audience on one line.

It draws what it is told; speed is what it saw the settled count do over the last seconds, so it is true whichever
process sends.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from textual.app import RenderResult
from textual.geometry import Size
from textual.widget import Widget

from aicmo.store.campaigns import Campaign
from aicmo.store.deliveries import Counts
from aicmo_tui.present import (
    ACCENT,
    BAD,
    MUTED,
    TITLE,
    WARN,
    Content,
    bar,
    clock_time,
    line,
    lines,
    number,
    state,
    value,
)

SPEED_OVER_S = 10.0
"""Seconds that the speed is averaged over."""
IN_DOUBT = {"unknown": WARN, "failed": BAD, "bounced": BAD}


class Speed:
    """Settled deliveries a second, from what was seen lately."""

    def __init__(self) -> None:
        self._seen: deque[tuple[datetime, int]] = deque()

    def note(self, settled: int, now: datetime) -> None:
        self._seen.append((now, settled))
        while now - self._seen[0][0] > timedelta(seconds=SPEED_OVER_S):
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """0.0 until two different moments were seen."""
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        elapsed_s = (last - first).total_seconds()
        return max(0, after - before) / elapsed_s if elapsed_s > 0 else 0.0


class Progress(Widget):
    DEFAULT_CSS = "Progress { height: auto; }"

    def __init__(self, *, named: bool = False, id: str | None = None) -> None:
        """``named`` draws the campaign's name above the bar, for places that do not say it themselves."""
        super().__init__(id=id)
        self._named = named
        self._shown: tuple[Campaign, Counts, datetime] | None = None
        self._through = ""
        self._speed = Speed()

    def show(self, campaign: Campaign, counts: Counts, now: datetime, through: str = "") -> None:
        """``through``: the server that takes it now, where that is to be said."""
        if self._shown is None or self._shown[0].id != campaign.id:
            self._speed = Speed()
        self._shown, self._through = (campaign, counts, now), through
        self._speed.note(counts.audience - counts.open, now)
        self.refresh(layout=True)

    def render(self) -> RenderResult:
        if self._shown is None:
            return ""
        return lines(self._rows(*self._shown, self.size.width))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._rows(*self._shown, width)) if self._shown else 0

    def _rows(self, campaign: Campaign, counts: Counts, now: datetime, width: int) -> list[Content]:
        rows = [self._first_row(campaign, counts, now)]
        if counts.audience:
            rows += [self._bar_row(counts, width), *counts_rows(counts, width)]
        return rows

    def _first_row(self, campaign: Campaign, counts: Counts, now: datetime) -> Content:
        standing = state(campaign.status)
        if self._through and campaign.status == "running":
            standing = line(standing, " through ", value(self._through))
        if counts.audience:
            standing = line(standing, "  ", self._pace(campaign, counts, now))
        return line(value(campaign.name, TITLE, limit=60), "  ", standing) if self._named else standing

    def _pace(self, campaign: Campaign, counts: Counts, now: datetime) -> Content:
        """``6,214 of 8,000 · 41/s · done ~14:07``."""
        parts = [line((f"{number(counts.done)} of {number(counts.audience)}", TITLE))]
        speed = self._speed.per_second
        if campaign.status == "running" and counts.open and speed > 0:
            done_at = now + timedelta(seconds=counts.open / speed)
            parts += [line((f"{speed:,.0f}/s", MUTED)), line((f"done ~{clock_time(done_at)}", MUTED))]
        return line((" · ", MUTED)).join(parts)

    def _bar_row(self, counts: Counts, width: int) -> Content:
        return bar(counts.done, counts.audience, max(10, min(60, width)))


def counts_rows(counts: Counts, width: int) -> list[Content]:
    """Every state that has anybody in it; together they are the audience. On one line where there is room."""
    parts: list[Content] = []
    for name, count in counts.as_dict().items():
        if name == "audience" or not (count or name in ("sent", "queued")):
            continue
        style = IN_DOUBT.get(name, ACCENT if name == "sent" else MUTED)
        parts.append(line((f"{number(count)} {name}", style)))
    parts[-1] += line((f"  = {number(counts.audience)}", MUTED))
    rows = [parts[0]]
    for part in parts[1:]:
        longer = line(rows[-1], (" · ", MUTED), part)
        if longer.cell_length <= width:
            rows[-1] = longer
        else:
            rows.append(part)
    return rows


def open_or_doubtful(counts: Counts) -> Content:
    """What of a campaign a person should look at, in a few cells."""
    parts = [
        line((f"{number(counts.unknown)} unknown", WARN)) if counts.unknown else None,
        line((f"{number(counts.failed + counts.bounced)} failed", BAD)) if counts.failed + counts.bounced else None,
    ]
    return line((" · ", MUTED)).join(part for part in parts if part) or line(("-", MUTED))
