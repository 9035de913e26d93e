"""What stands beside the text in the composer: the preview, the counts, how it is saved, the notes.

Values in, ``Content`` out; ``see`` and ``read_beside`` read the store, and block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from aicmo.clock import parse_rfc3339
from aicmo.errors import AicmoError
from aicmo.publishing import Audience
from aicmo.publishing.channels import CHANNELS, Count, folded, post_of
from aicmo.publishing.email.inks import DARK, LIGHT, Inked, inked
from aicmo.publishing.preflight.cards import Card
from aicmo.publishing.writing.content_types import CONTENT_TYPES
from aicmo_tui.present import (
    ACCENT,
    BAD,
    GOOD,
    MUTED,
    TITLE,
    WARN,
    Content,
    ago,
    colour_code,
    day_and_time,
    empty,
    in_ink,
    line,
    lines,
    people,
    prose,
    value,
)
from aicmo_tui.present import number as grouped
from aicmo_tui.widgets.channel_bar import Tab

if TYPE_CHECKING:
    from aicmo.publishing.writing.reviewing import NoteAbout
    from aicmo.workspace import Workspace
    from aicmo_tui.screens.composing import Sitting, Written

Shown = Content
VIEWS = {"mail": ("text", "html", "dark", "source"), "post": ("text", "source"), "none": ("text",)}
"""The sides of a preview, by what is previewed."""
PAPERS = {"html": LIGHT, "dark": DARK}
"""The sides that are drawn in the message's own colours."""
FULL_AT = 0.9
"""A share of a limit (0-1) from which its count is marked."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The draft as somebody sees it."""

    kind: str
    """Of ``VIEWS``."""
    whose: str = ""
    """A reader's address, or a channel."""
    subject: str = ""
    preheader: str = ""
    sender: str = ""
    views: tuple[tuple[str, str], ...] = ()
    folds: tuple[str, str] = ("", "")
    """A post's text before and after "see more"."""
    inked: Inked | None = None
    """Of a message with HTML."""
    channel: str = ""
    card: Card | None = None
    """Of a post's first link; ``None`` where it has none."""
    counts: tuple[Count, ...] = ()
    trouble: AicmoError | None = None
    """Why it cannot be seen; ``None`` when it can."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What the store has beside the text."""

    tabs: tuple[Tab, ...]
    notes: tuple[NoteAbout, ...]
    fields: tuple[str, ...]
    """What ``{{`` offers."""


def see(workspace: Workspace, sitting: Sitting, written: Written, reader: int, cards: Mapping[str, Card]) -> Seen:
    """Blocking: the draft as that reader of the audience gets it, or as the channel shows it; ``cards``: what is known
    of the pages behind links."""
    contents, channel, draft = workspace.contents, sitting.shows_on, written.draft
    if written.is_empty:
        return Seen("none", counts=contents.counts(channel, draft) if channel else ())
    if not sitting.is_mail:
        post = post_of(channel or "bluesky", draft)
        views = (("text", post.text), ("source", post.wire))
        first = next(iter(contents.links(sitting.type, channel, draft)), "")
        return Seen(
            "post",
            sitting.channel_title or "Everywhere",
            post.title,
            views=views,
            folds=folded(channel, post.text) if channel else (post.text, ""),
            channel=channel,
            card=cards.get(first, Card(first)) if first else None,
            counts=contents.counts(channel, draft) if channel else (),
        )
    readers = workspace.crm.list(written.audience, limit=1, offset=reader) if reader else []
    email = readers[0].email if readers else ""
    try:
        got = contents.preview(draft, audience=written.audience, email=email, campaign_name=written.title)
    except AicmoError as error:
        return Seen("none", counts=contents.counts("email", draft), trouble=error)
    views = (("text", got.text), ("source", got.source))
    counts = contents.counts("email", replace(draft, subject=got.subject, preheader=got.preheader))
    sender = f"{workspace.config.sender.name} <{workspace.config.sender.email}>"
    return Seen("mail", got.to, got.subject, got.preheader, sender, views, inked=inked(got.html), counts=counts)


def read_beside(workspace: Workspace, sitting: Sitting) -> Beside:
    """Blocking."""
    fields = workspace.contents.fields()
    if sitting.content is None:
        return Beside(plain_tabs(sitting), (), fields)
    content_id, contents = sitting.content.id, workspace.contents
    tabs = []
    for tab in plain_tabs(sitting):
        shows = contents.wording(content_id, tab.channel)
        rules = tab.channel or CONTENT_TYPES[sitting.type].original
        over = rules and any(each.over and not each.advice for each in contents.counts(rules, shows.draft))
        tabs.append(replace(tab, approved=bool(shows.approved_at), too_long=bool(over)))
    return Beside(tuple(tabs), workspace.reviews.list(content_id), fields)


def plain_tabs(sitting: Sitting) -> tuple[Tab, ...]:
    """The channels, before anything was read of them."""
    original = CONTENT_TYPES[sitting.type].original
    first = CHANNELS[original].title if original else "Everywhere"
    return tuple(Tab(each, CHANNELS[each].title if each else first) for each in sitting.channels)


def reach(audience: Audience) -> Content:
    suppressed = f", {grouped(audience.suppressed)} of them suppressed" if audience.suppressed else ""
    return line(("→ ", MUTED), (people(audience.total), TITLE), (suppressed, MUTED))


def origin(sitting: Sitting) -> Content:
    """What the channel has of its own."""
    version = sitting.version
    if not sitting.channel:
        return line(("the original, which every channel begins from", MUTED))
    if version is None or not version.own:
        return line(("as the original, until you write here", MUTED))
    said = f"its own words, version {version.number}"
    if CHANNELS[sitting.channel].titled and len(version.own) == 1:
        own, other = ("title", "body") if version.own == ("subject",) else ("body", "title")
        said = f"its own {own}, version {version.number}; the {other} is the original's"
    return line((said, MUTED))


def counts(found: Sequence[Count]) -> Content:
    """How long it is, the worst marked."""
    pieces = []
    for each in found:
        what = each.what.removeprefix("subject ") if pieces else each.what
        words = f"{what} {grouped(each.used)} of {grouped(each.most)}"
        if each.over and not each.advice:
            pieces.append(line((f"✕ {words}, {grouped(each.over)} too long", BAD)))
        elif each.over:
            pieces.append(line((f"▲ {words}", WARN)))
        else:
            pieces.append(line((words, WARN if each.used > FULL_AT * each.most and not each.advice else MUTED)))
    return Content("  ").join(pieces)


def preview_title(seen: Seen) -> Content:
    if seen.kind == "mail":
        return line("As ", value(seen.whose, limit=40), " sees it")
    return line("On ", value(seen.whose)) if seen.whose else line("Preview")


def preview_sides(seen: Seen, view: str) -> Content:
    sides = [(f"[{each}]", TITLE) if each == view else (each, MUTED) for each in VIEWS[seen.kind]]
    return Content(" · ").join(line(each) for each in sides) if len(sides) > 1 else line("")


def preview_head(seen: Seen, view: str) -> Content:
    """What stands above the words: who writes, the subject, the title of a page."""
    rows = []
    if seen.kind == "mail":
        rows = [line(("From     ", MUTED), value(seen.sender)), line(("Subject  ", MUTED), value(seen.subject, TITLE))]
        rows += [line(("then     ", MUTED), value(seen.preheader, MUTED))] if seen.preheader else []
        if view == "dark" and seen.inked:
            rows.append(line((_in_the_dark(seen.inked), MUTED)))
        rows.append(line(""))
    elif seen.subject:
        rows = [value(seen.subject, TITLE), line("")]
    return lines(rows)


def _in_the_dark(seen: Inked) -> str:
    """What the dark side shows, and what it does not."""
    if seen.is_adaptive:
        return "It has styles of its own for the dark, which are not drawn here."
    if seen.is_light:
        return "About as Gmail and Outlook turn it round; Apple Mail leaves its own light ground as it is."
    return "As Apple Mail shows it, which keeps colours; Gmail and Outlook turn ground and letters round."


def _drawn(seen: Inked, view: str) -> Inked:
    return seen.turned() if view == "dark" and seen.is_light else seen


def preview(seen: Seen, view: str) -> Content:
    if seen.trouble is not None:
        return no_preview(seen.trouble)
    if seen.kind == "none":
        return empty("Your words, as a reader sees them.", "Write something.")
    if view in PAPERS and seen.inked:
        return in_ink(_drawn(seen.inked, view), PAPERS[view])
    if view == "text" and seen.kind == "post":
        shown, rest = seen.folds
        text = prose(shown) + line((" …see more ", WARN)) + prose(rest, MUTED) if rest else prose(shown)
        return lines([text, *_card(seen)])
    return prose(dict(seen.views)[view])


def ground_of(seen: Seen, view: str) -> str | None:
    """The colour behind all of it, such as ``#ffffff``; ``None``: the screen's own."""
    if view not in PAPERS or seen.inked is None:
        return None
    return colour_code(_drawn(seen.inked, view).ground or PAPERS[view].ground)


def _card(seen: Seen) -> Iterator[Content]:
    """What the network shows under the post for its first link, as far as anybody knows."""
    card, channel = seen.card, CHANNELS.get(seen.channel)
    if card is None or channel is None or seen.channel == "website":
        return
    yield line("")
    if not channel.card:
        yield line((f"{channel.title} shows no card for a link.", MUTED))
        return
    if card.title:
        yield line(("▌ ", ACCENT), value(card.title, TITLE))
    if card.description:
        yield line(("▌ ", ACCENT), value(card.description))
    yield line(("▌ ", ACCENT), value(card.host, MUTED), (" · with a picture" if card.has_picture else "", MUTED))
    if not card.was_read:
        keys = (("l", ACCENT), (" asks the page (", MUTED), ("esc", ACCENT), (" leaves the text).", MUTED))
        yield line(("  Title and picture are not known: ", MUTED), *keys)
    elif card.trouble:
        yield line(("  The page could not say more: ", MUTED), value(card.trouble, MUTED))
    elif not card.title:
        yield line(("  The page names no title.", MUTED))
    if channel.card == "poster":
        yield line((f"  {channel.title} makes no card of a link itself: it has to come with the post.", MUTED))


def no_preview(error: Exception) -> Content:
    hint = error.hint if isinstance(error, AicmoError) else ""
    return lines([line(("▲ ", WARN), value(str(error))), value(hint, MUTED)])


def state_of(sitting: Sitting, now: datetime, *, dirty: bool, unsaved: str) -> Content:
    """Whether it is on disk, and whether it is approved as it stands."""
    if unsaved:
        return line(("✕ not saved: ", BAD), value(unsaved, BAD, limit=60), (" · trying again", BAD))
    version = sitting.version
    if version is None:
        return line(("not written yet", MUTED))
    if dirty:
        return line(("saving …", MUTED))
    which = f"version {version.number}" if version.number else "the original's words"
    if version.approved_at:
        at = day_and_time(parse_rfc3339(version.approved_at))
        return line((f"{which}, ", MUTED), ("● approved ", GOOD), (at, MUTED))
    if not version.created_at:
        return line((which, MUTED))
    saved = parse_rfc3339(version.created_at)
    when = "just now" if (now - saved).total_seconds() < 2 else f"{ago(saved, now)} ago"
    return line((f"{which}, draft, saved {when}", MUTED))


def notes(found: Sequence[NoteAbout]) -> Content:
    """The open ones first."""
    rows = []
    for each in found:
        note = each.note
        about = CHANNELS[each.channel].title if each.channel else ""
        about = f"{about} version {each.number}".strip() if each.number else "earlier words"
        sign = line(("✓ ", GOOD)) if note.settled_at else line(("☐ ", WARN))
        rows.append(sign + value(note.text, MUTED if note.settled_at else "") + line((f"  {about}", MUTED)))
    return lines(rows)
