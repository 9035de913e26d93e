"""What the contacts screen says of people: the cells of a row, all that is known of one, a line of their story."""

from __future__ import annotations

from datetime import date, datetime

from aicmo.clock import parse_rfc3339
from aicmo.crm.portrait import Portrait
from aicmo.crm.timeline import Item, Why
from aicmo.store.contacts import Contact
from aicmo.store.listing import Listed
from aicmo.store.lookups import Fact as Said
from aicmo.store.lookups import Verdict
from aicmo.store.suppressions import Suppression
from aicmo_tui.present import (
    ACCENT,
    BAD,
    BARS,
    GOOD,
    MUTED,
    TITLE,
    WARN,
    Content,
    ago,
    day_and_time,
    empty,
    exact_time,
    line,
    lines,
    value,
)
from aicmo_tui.widgets.facts import Fact

VERDICTS = {
    "valid": ("✓ verified", GOOD),
    "risky": ("▲ risky address", WARN),
    "invalid": ("✕ dead address", BAD),
    "unknown": ("? nobody could verify it", MUTED),
}
GLYPHS = {
    "replied": "✉",
    "clicked": "↗",
    "opened": "○",
    "auto_replied": "↺",
    "bounced": "✕",
    "complained": "✕",
    "unsubscribed": "✕",
    "form": "✎",
    "converted": "★",
    "delivery": "→",
    "stage": "▲",
    "change": "±",
    "enrichment": "+",
    "verification": "✓",
    "consent": "§",
    "arrival": "●",
}
"""A kind of the timeline -> its sign; what a person wrote down themselves has a ``·``."""


# --- the row ----------------------------------------------------------------------------------------------------------


def score(number: int | None) -> Content:
    """``71 ▆``; ``-`` when there is nothing to judge by."""
    if number is None:
        return line(("-", MUTED))
    return line(f"{number} ", (BARS[min(number, 99) * len(BARS) // 100], ACCENT))


def last_touch(row: Listed, now: datetime) -> Content:
    return line((ago(parse_rfc3339(row.last_touch), now) if row.last_touch else "-", MUTED))


def nobody(query: str) -> Content:
    if query.strip():
        return empty(
            "Nobody like that.", "The filter finds no one.", ("escape", "clear the filter"), ("/", "change it")
        )
    return empty(
        "Nobody is here yet.",
        "Bring your people from a spreadsheet's CSV file.",
        ("i", "import"),
        ("F2", "home"),
    )


UNREADABLE = empty(
    "The filter cannot be read.",
    "Beneath it stands at which place, and why.",
    ("/", "change it"),
    ("escape", "clear it"),
)
"""What stands where an earlier filter had found nobody, while the one that is typed makes no sense."""


# --- one person -------------------------------------------------------------------------------------------------------


def who(contact: Contact) -> list[Fact]:
    """What stands in the list's row already: shown until the rest has been read."""
    work = ", ".join(part for part in (contact.title, contact.company) if part)
    told = [value(contact.name or contact.email, TITLE), value(contact.email)]
    told += [value(each) for each in (work, contact.phone) if each]
    return [_plain(each) for each in told]


def known(portrait: Portrait, now: datetime) -> list[Fact]:
    """All of it, what forbids writing to them first."""
    contact = portrait.contact
    told = who(contact)
    if portrait.suppressed is not None:
        told.append(_plain(forbidden(portrait.suppressed, now)))
    if portrait.verdict is not None:
        told.append(_plain(verdict(portrait.verdict, now)))
    standing = line(value(contact.stage))
    if portrait.score is not None:
        standing = line(standing, (" · score ", MUTED), score(portrait.score))
    told.append((_label("stage"), standing))
    if contact.tags:
        told.append((_label("tags"), value(" · ".join(contact.tags))))
    if portrait.planned is not None:
        overdue = portrait.planned.due < now.astimezone().date()
        due = (f", {day(portrait.planned.due, now)}", WARN if overdue else MUTED)
        told.append((_label("next"), line(value(portrait.planned.text), due)))
    for word in portrait.consents:
        said = "agreed" if word.given else "withdrew"
        told.append((_label(said), line(value(word.purpose), (f", {_on(word.at, now)}, ", MUTED), value(word.source))))
    by_field = {fact.field: fact for fact in portrait.facts}
    for key, text in contact.fields.items():
        told.append((_label(key), line(value(text), _whose(by_field.get(key), text, now))))
    for conflict in portrait.conflicts:
        says = "; ".join(f"{fact.provider} says {fact.value}" for fact in conflict.says)
        told.append((_label(conflict.field), line(("▲ ", WARN), value(conflict.value), "; ", value(says, WARN))))
    return told


def forbidden(suppressed: Suppression, now: datetime) -> Content:
    """``must not be written to: unsubscribed 3 d ago``."""
    when = ago(parse_rfc3339(suppressed.created_at), now)
    return line(("✕ must not be written to: ", BAD), value(suppressed.reason, BAD), (f" {when} ago", BAD))


def verdict(said: Verdict, now: datetime) -> Content:
    words, style = VERDICTS[said.status]
    return line((words, style), (f" {_on(said.at, now)}, ", MUTED), value(said.provider, MUTED))


def receipts(why: Why, now: datetime) -> Content:
    """How they came, and every step with its cause."""
    rows = [line((f"{_moment(why.arrival.at)}  ", MUTED), value(why.first_stage, TITLE), "  ", value(why.arrival.what))]
    for step in why.steps:
        by = line((" · ", MUTED), value(step.actor, MUTED)) if step.actor else line("")
        where = line(value(step.from_stage), " → ", value(step.to_stage, TITLE))
        of = line((" · of ", MUTED), value(step.of, MUTED)) if step.of else line("")
        rows.append(line((f"{_moment(step.at)}  ", MUTED), where, "  ", value(step.cause), of, by))
    if why.suppressed is not None:
        rows.append(line(forbidden(why.suppressed, now), (", says ", MUTED), value(why.suppressed.source)))
    return lines(rows)


def _plain(said: Content) -> Fact:
    return line(""), said


def _label(text: str) -> Content:
    return value(text.replace("_", " "), MUTED, limit=10)


def _whose(fact: Said | None, text: str, now: datetime) -> Content:
    """Who said it and when, where a provider did."""
    if fact is None or fact.value != text:
        return line("")
    return line(("  ", ""), value(fact.provider, MUTED), (f" {_on(fact.at, now)}", MUTED))


# --- their story ------------------------------------------------------------------------------------------------------


def happened(item: Item) -> Content:
    """One line of the story."""
    sign = "◆" if item.pinned else "☐" if item.id.startswith("next_action:") else GLYPHS.get(item.kind, "·")
    style = BAD if item.kind in ("bounced", "complained", "unsubscribed") else ACCENT if item.human else MUTED
    rest = " · ".join(each for each in (item.campaign, item.text) if each)
    machine = " (a machine)" if item.human is False else ""
    head = rest if item.kind == "note" and rest else item.what
    tail = line("  ", value(rest, MUTED)) if rest and head != rest else line("")
    return line((f"{sign} ", style), value(head), (machine, MUTED), tail)


def when(item: Item, now: datetime) -> Content:
    if not item.at:
        return line(("waits", MUTED))
    if len(item.at) == len("2026-11-24"):
        return line((day(date.fromisoformat(item.at), now, short=True), ACCENT))
    moment = parse_rfc3339(item.at)
    return line((ago(moment, now), ACCENT if moment > now else MUTED))


def in_full(item: Item) -> Content:
    """All that is known of one line of the story."""
    rows = [line((_moment(item.at) if "T" in item.at else item.at, MUTED))]
    if item.campaign:
        rows.append(line(("campaign ", MUTED), value(item.campaign)))
    rows += [value(each) for each in item.text.splitlines() if each.strip()]
    if item.because or item.human is False:
        by = "a machine did it" if item.human is False else "a person did it" if item.human else "nobody can tell"
        rows.append(line((by, MUTED), (f": {item.because}" if item.because else "", MUTED)))
    if item.actor:
        rows.append(line(("by ", MUTED), value(item.actor)))
    return lines(rows)


def changed_to(before: object, after: object) -> Content:
    """``“Acme” → “Acme Ltd”``; nothing is said as such."""
    return line(_quoted(before), (" → ", MUTED), _quoted(after))


def day(on: date, now: datetime, *, short: bool = False) -> str:
    """``Tue 24 Nov``, with the year where it is another one; ``short`` leaves the weekday out."""
    form = "%d %b" if short else "%a %d %b"
    return f"{on:{form}}" if on.year == now.astimezone().year else f"{on:%d %b %Y}"


def _quoted(text: object) -> Content:
    return line("“", value(str(text), limit=40), "”") if text else line(("nothing", MUTED))


def _on(at: str, now: datetime) -> str:
    return day(parse_rfc3339(at).astimezone().date(), now, short=True)


def _moment(at: str) -> str:
    moment = parse_rfc3339(at)
    return f"{day_and_time(moment)[4:-6]} {moment.astimezone():%Y} {exact_time(moment)[:5]}"
