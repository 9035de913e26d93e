"""Values become what the screen shows: the only door from data to ``Content``.

Everything here ends in a ``Content`` built from literal pieces, so nothing a stranger wrote is ever read as markup,
and every piece passes ``aicmo.text`` once more on its way out. Widths are terminal cells, never characters. No
function here knows a widget, and nothing outside this module builds a ``Content`` from data.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from textual.content import Content

from aicmo.text import one_line, plain

if TYPE_CHECKING:
    from aicmo.publishing.email.inks import Inked, Paper

Piece = str | tuple[str, str] | Content
"""A text, a text with a style (a constant of ours, such as ``$success``), or finished content."""

MUTED = "$foreground 60%"
ACCENT = "$text-accent"
GOOD = "$text-success"
WARN = "$text-warning"
BAD = "$text-error"
TITLE = "bold"

LONGEST_LINE = 400
"""Characters of one value that are shown on a line; a name of 4,000 costs no more than this to draw."""
LONGEST_PROSE = 60_000
"""Characters of a body that are shown; more is cut with a sign that it was."""
BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Look:
    """How a state looks: never by colour alone."""

    glyph: str
    word: str
    style: str


LOOKS = {
    # a provider
    "ok": Look("●", "ok", GOOD),
    "slow": Look("◐", "slow", WARN),
    "cooling": Look("▲", "cooling", WARN),
    "flapping": Look("▲", "flapping", WARN),
    "probing": Look("◐", "probing", ACCENT),
    "blocked": Look("✕", "blocked", BAD),
    "forced": Look("◆", "forced", WARN),
    "disabled": Look("✕", "disabled", MUTED),
    "no data": Look("○", "no data", MUTED),
    "unsupported": Look("○", "unsupported", MUTED),
    # a delivery
    "queued": Look("○", "queued", MUTED),
    "claimed": Look("○", "queued", MUTED),
    "sending": Look("◐", "sending", ACCENT),
    "sent": Look("●", "sent", GOOD),
    "deferred": Look("◐", "deferred", WARN),
    "failed": Look("✕", "failed", BAD),
    "bounced": Look("✕", "bounced", BAD),
    "unknown": Look("?", "unknown", WARN),
    "suppressed": Look("○", "suppressed", MUTED),
    # a campaign
    "draft": Look("○", "draft", MUTED),
    "approved": Look("●", "approved", ACCENT),
    "scheduled": Look("◐", "scheduled", ACCENT),
    "running": Look("●", "running", GOOD),
    "paused": Look("▲", "paused", WARN),
    "finished": Look("●", "finished", GOOD),
    "cancelled": Look("✕", "cancelled", MUTED),
    # a finding of a check
    "error": Look("✕", "must be mended", BAD),
    "warning": Look("▲", "look at it", WARN),
    "info": Look("●", "good", GOOD),
}


def line(*pieces: Piece) -> Content:
    """One line of literal text. White space at a piece's ends is kept; inside it, control characters are gone."""
    return Content.assemble(*(_safe(piece) for piece in pieces))


def lines(rows: Iterable[Content]) -> Content:
    return Content("\n").join(rows)


def value(text: str, style: str = "", *, limit: int = LONGEST_LINE) -> Content:
    """Outside text on one line, trimmed, at most ``limit`` characters."""
    return Content.assemble((one_line(text, limit=limit), style))


def prose(text: str, style: str = "") -> Content:
    """Outside text with its own lines, such as a message's body."""
    return Content.assemble((plain(text, limit=LONGEST_PROSE).expandtabs(4), style))


def in_ink(seen: Inked, paper: Paper) -> Content:
    """A message in its own colours, as they are seen on that paper."""
    pieces, left = [], LONGEST_PROSE
    for ink in seen.inks:
        letters, ground = ink.on(paper)
        kind = "bold " if ink.is_strong else "underline " if ink.is_link else ""
        words = plain(ink.words[:left])
        left -= len(words)
        pieces.append((words, f"{kind}{colour_code(letters)} on {colour_code(ground)}"))
    return Content.assemble(*pieces, "" if left else "…")


def colour_code(colour: tuple[int, int, int]) -> str:
    """``#1c1c1e``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def fit(content: Content, width: int, *, right: bool = False) -> Content:
    """Exactly ``width`` cells: cut with an ellipsis, or filled with spaces on the left (``right``) or right."""
    if width <= 0:
        return Content("")
    cut = content.truncate(width, ellipsis=True)
    missing = width - cut.cell_length
    if missing <= 0:
        return cut
    return cut.pad_left(missing) if right else cut.pad_right(missing)


def state(name: str) -> Content:
    """Glyph and word, in colour."""
    look = LOOKS.get(name) or Look("?", one_line(name, limit=20), MUTED)
    return Content.assemble((f"{look.glyph} {look.word}", look.style))


def number(count: int) -> str:
    """``12,480``."""
    return f"{count:,}"


def people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"


def percent(part: int, whole: int) -> str:
    """``3.2%``; ``-`` of nothing, because a share of nothing is not zero."""
    return f"{part / whole:.1%}" if whole else "-"


def clock_time(moment: datetime) -> str:
    """Hours and minutes, in the machine's zone."""
    return f"{moment.astimezone():%H:%M}"


def exact_time(moment: datetime) -> str:
    """To the second, in the machine's zone."""
    return f"{moment.astimezone():%H:%M:%S}"


def day_and_time(moment: datetime) -> str:
    return f"{moment.astimezone():%a %d %b %H:%M}"


def near_time(moment: datetime, now: datetime) -> str:
    """The clock alone today, ``Mon 09:00`` within a week, else ``01 Dec 09:00``."""
    at, today = moment.astimezone(), now.astimezone().date()
    days = abs((at.date() - today).days)
    return f"{at:%H:%M}" if not days else f"{at:%a %H:%M}" if days < 7 else f"{at:%d %b %H:%M}"


def ago(moment: datetime | None, now: datetime) -> str:
    """``3 h`` since ``moment``, ``in 3 h`` until it; ``-`` when there is none."""
    if moment is None:
        return "-"
    seconds = (now - moment).total_seconds()
    return span(seconds) if seconds > -1 else f"in {span(-seconds)}"


def span(seconds: float) -> str:
    """A duration in its greatest unit: ``45 s``, ``3 min``, ``2 h``, ``5 d``."""
    if seconds < 60:
        return f"{max(0, round(seconds))} s"
    if seconds < 3_600:
        return f"{round(seconds / 60)} min"
    if seconds < 86_400:
        return f"{round(seconds / 3_600)} h"
    return f"{timedelta(seconds=seconds).days} d"


def countdown(seconds: float) -> str:
    """What is left to wait, to the second while that matters: ``0:44``, ``12:05``, then ``3 h``. Never below zero."""
    left = max(0, math.ceil(seconds))
    return f"{left // 60}:{left % 60:02}" if left < 3_600 else span(left)


def sparkline(values: Sequence[float | None], cells: int) -> Content:
    """The last ``cells`` values as bars from zero to the greatest, the newest at the right; ``·`` where there is none.

    Fewer than two values show nothing: one has no course.
    """
    shown = values[-cells:]
    top = max((each for each in shown if each), default=1)
    if len(shown) < 2:
        return Content("")
    bars = "".join("·" if each is None else BARS[round(max(0, each) / top * (len(BARS) - 1))] for each in shown)
    return Content.assemble((bars, ACCENT)).pad_left(cells - len(bars))


def bar(done: int, whole: int, width: int) -> Content:
    """A bar of ``width`` cells. It is full only when everything is done, and empty only when nothing is."""
    filled = 0 if not whole else done * width // whole
    if done > 0 and filled == 0:
        filled = 1
    return Content.assemble(("█" * filled, ACCENT), ("░" * (width - filled), MUTED))


def key_hint(key: str, what: str) -> Content:
    """An invitation in an empty place: the key that fills it."""
    return Content.assemble((key, f"{ACCENT} bold"), f" {what}")


def empty(what: str, why: str, *keys: tuple[str, str]) -> Content:
    """An empty place: what this is, why nothing is here, and the keys that change it."""
    rows = [line((what, TITLE)), line((why, MUTED))]
    if keys:
        rows += [Content(""), *(key_hint(key, does) for key, does in keys)]
    return lines(rows)


def _safe(piece: Piece) -> Piece:
    if isinstance(piece, Content):
        return piece
    if isinstance(piece, str):
        return _line(piece)
    return _line(piece[0]), piece[1]


def _line(text: str) -> str:
    """``one_line`` that keeps the ends: pieces are put side by side."""
    if text.isascii() and text.isprintable():
        return text
    return plain(text, limit=LONGEST_LINE).replace("\n", " ").replace("\t", " ")
