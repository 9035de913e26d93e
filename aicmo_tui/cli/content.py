"""``aicmo content``: what is said."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aicmo.errors import InvalidInput, NotFound, TemplateInvalid
from aicmo_tui.cli import content_notes, content_versions, output
from aicmo_tui.cli.content_versions import CHANNEL, told_approval
from aicmo_tui.cli.verb import ROW_ID, Run, run_async, verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aicmo.publishing import Content
    from aicmo.publishing.channels import Count
    from aicmo.publishing.preflight.cards import Card
    from aicmo.store.contents import Version
    from aicmo.workspace import Workspace

TYPES = "email, social, blog, landing_page, whitepaper, case_study, webinar, product_update."


@click.group()
def content() -> None:
    """Write once, in versions for each channel: create, edit, compare, look at it as somebody would see it."""


for _each in (*content_versions.VERBS, *content_notes.VERBS):
    content.add_command(_each)


@verb(content, changes=True)
@click.option("--type", "type_", default="email", show_default=True, help=TYPES)
@click.option("--title", required=True, help="The name to find it by.")
@click.option("--subject", default="", help="Of an e-mail; may hold fields such as {{ first_name }}.")
@click.option("--preheader", default="", help="The line an inbox shows after the subject.")
@click.option("--body", required=True, metavar="FILE", help="Markdown, or HTML when it ends in .html; - is stdin.")
def create(run: Run, type_: str, title: str, subject: str, preheader: str, body: str) -> None:
    """Create content from a file."""
    from aicmo.publishing import Draft
    from aicmo.publishing.email.templates import MessageTemplate

    draft = Draft(subject, read_body(body), preheader, format_of(body))
    MessageTemplate(draft)  # a text that cannot be compiled is refused while its author is there
    with run.open_workspace() as workspace:
        made = workspace.contents.create(type_, title, draft)
    record = {"schema": "aicmo.content.create/1", "status": "done", "id": made.id, "version": made.number}
    told = [f"Created content {made.id}: {made.title}", f"Look at it with: aicmo content preview {made.id}"]
    if run.dry_run:
        record |= {"status": "dry_run", "id": None}
        told = [f"{made.title} would be created.", "Nothing was changed."]
    output.document(record, run.form, told)


@verb(content, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--title", help="Another name to find it by.")
@click.option("--subject", help="A new subject; on the website, the title of the page.")
@click.option("--preheader", help="A new preheader.")
@click.option("--body", metavar="FILE", help="A new body; - is stdin.")
@CHANNEL
def edit(
    run: Run,
    id_: int,
    title: str | None,
    subject: str | None,
    preheader: str | None,
    body: str | None,
    channel: str,
) -> None:
    """Save a next version, of the original or on a channel. An approval of the last one does not hold for it."""
    from dataclasses import replace

    from aicmo.publishing.email.templates import MessageTemplate

    if subject is None and preheader is None and body is None and title is None:
        raise InvalidInput("Nothing was said to change.", hint="Say --body, --subject, --preheader or --title.")
    with run.open_workspace() as workspace:
        contents = workspace.contents
        before = contents.wording(id_, channel)
        contents.refuse_unseen(contents.get(id_).type, channel, subject=subject or "", preheader=preheader or "")
        draft = before.draft
        if subject is not None:
            draft = replace(draft, subject=subject)
        if preheader is not None:
            draft = replace(draft, preheader=preheader)
        if body is not None:
            draft = replace(draft, body=read_body(body), format=format_of(body))
        MessageTemplate(draft)
        after = contents.save(id_, draft, channel=channel).version
        if title is not None:
            contents.rename(id_, title)
    changed = after != before or title is not None
    status = "dry_run" if run.dry_run else "done" if changed else "unchanged"
    record = {
        "schema": "aicmo.content.edit/1",
        "status": status,
        "id": id_,
        "channel": channel or None,
        "version": after.number,
    }
    where = f" on {channel}" if channel else ""
    what = f"is at version {after.number}" if after != before else f"stays at version {after.number}"
    told = [f"Content {id_}{where} {what}{', under another title' if title is not None else ''}."]
    output.document(record, run.form, [*told, "Nothing was changed."] if run.dry_run else told)


@verb(content, "list", lists=True)
def list_(run: Run) -> None:
    """All content, the latest written first."""
    with run.open_workspace() as workspace:
        found = [_record(each) for each in workspace.contents.list()]
    columns = ["id", "type", "title", "version", "approved", "updated_at"]
    output.rows(
        found, run.form, columns, empty="No content yet. Create some with: aicmo content create", numbers=["id"]
    )


@verb(content)
@click.argument("id_", metavar="ID", type=ROW_ID)
@CHANNEL
def show(run: Run, id_: int, channel: str) -> None:
    """One piece of content as it is written; with a channel, as it is worded there, and what comes from where."""
    with run.open_workspace() as workspace:
        contents = workspace.contents
        found, shows = contents.get(id_), contents.wording(id_, channel)
        approval = told_approval(contents, found, channel)
        where, counts = where_it_shows(found.type, channel), _counts(workspace, found.type, channel, shows)
        channels = [_channel_record(workspace, id_, each) for each in contents.channels(id_)]
    draft = shows.draft
    record = {
        **_record(found),
        "channel": channel or None,
        "version": shows.number,
        "approved": bool(shows.approved_at),
        "approval": approval,
        "own": list(shows.own),
        "subject": draft.subject,
        "preheader": draft.preheader,
        "body": draft.body,
        "format": draft.format,
        "counts": [{"what": each.what, "used": each.used, "most": each.most, "over": each.over} for each in counts],
        "channels": channels,
    }
    text = [f"{found.title} · {found.type} · " + (f"on {channel}" if channel else f"version {found.number}"), approval]
    if channel and channel == where and shows.original:
        text.append(told_origin(shows, channel))
    text += [told_count(each) for each in counts]
    if not channel and channels:
        text.append("channels: " + "; ".join(f"{each['channel']} {each['from']}" for each in channels))
    if draft.subject:
        text.append(f"Subject: {draft.subject}")
    output.document(record, run.form, [*text, "", draft.body])


@verb(content)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--as", "email", default="", metavar="EMAIL", help="As this contact sees it; else the first one.")
@click.option("--part", type=click.Choice(["text", "html", "source"]), default="text", show_default=True)
@click.option("--card", "reads_card", is_flag=True, help="Ask the page behind a post's first link what is on it.")
@CHANNEL
def preview(run: Run, id_: int, email: str, part: str, reads_card: bool, channel: str) -> None:
    """The message as one contact would get it, or the post as a channel would; nothing is sent.

    Under a post stands the card that the network shows of its first link, as far as it is known.
    """
    from aicmo.publishing.channels import post_of

    with run.open_workspace() as workspace:
        found, draft = workspace.contents.get(id_), workspace.contents.wording(id_, channel).draft
        where = where_it_shows(found.type, channel)
        if where == "email":
            seen = workspace.contents.preview(draft, email=email)
            record = {"to": seen.to, "subject": seen.subject, "preheader": seen.preheader}
            record |= {"text": seen.text, "html": seen.html, "source": seen.source}
            told = [f"To: {seen.to}", f"Subject: {seen.subject}"]
            told += [f"Preheader: {seen.preheader}"] if seen.preheader else []
            output.document(record, run.form, [*told, "", record[part]])
            return
        post = post_of(where or "social", draft)
        links = workspace.contents.links(found.type, channel, draft)
        card = first_card(workspace, where, links, reads=reads_card)
    html = post.wire if where == "website" else ""
    record = {"to": where or None, "subject": post.title, "text": post.text, "html": html, "source": post.wire}
    told = [
        *([f"Title: {post.title}"] if post.title else []),
        record[part],
        *(card_told(card) if card and part == "text" else ()),
    ]
    output.document({**record, "card": card_record(card) if card else None}, run.form, told)


def first_card(workspace: Workspace, channel: str, links: Sequence[str], *, reads: bool) -> Card | None:
    """That of the first link, on a channel that shows one."""
    from aicmo.publishing.channels import CHANNELS
    from aicmo.publishing.preflight.cards import Card

    if not links or not channel or not CHANNELS[channel].card:
        return None
    return run_async(workspace.publishing.preflight.card(links[0])) if reads else Card(links[0])


def card_told(card: Card) -> list[str]:
    why = card.trouble or ("the page names no title" if card.was_read else "not known; --card asks the page")
    return [
        "",
        f"Card: {card.title or why}",
        *([f"      {card.description}"] if card.description else []),
        f"      {card.host}" + (", with a picture" if card.has_picture else ""),
    ]


def card_record(card: Card) -> dict[str, Any]:
    """What nobody asked is null."""
    return {
        "url": card.url,
        "host": card.host,
        "read": card.was_read,
        "title": card.title or None,
        "description": card.description or None,
        "picture": card.has_picture if card.was_read and not card.trouble else None,
        "trouble": card.trouble or None,
    }


def where_it_shows(type_: str, channel: str) -> str:
    """The channel whose rules hold: that of the original where none is named; empty where it has none."""
    from aicmo.publishing import CONTENT_TYPES

    return channel or CONTENT_TYPES[type_].original


def told_origin(shows: Version, channel: str) -> str:
    """What is the channel's own, and what it takes from the original."""
    from aicmo.publishing.channels import CHANNELS

    fields = [("body", "body"), *([("title", "subject")] if CHANNELS[channel].titled else [])]
    return "; ".join(
        f"{title}: " + (f"its own, version {shows.number}" if name in shows.own else "from the original")
        for title, name in fields
    )


def told_count(count: Count) -> str:
    over = (
        "" if not count.over else f", {count.over:,} more than are shown" if count.advice else f", {count.over:,} over"
    )
    return f"{count.what}: {count.used:,} of {count.most:,}{over}"


def _counts(workspace: Workspace, type_: str, channel: str, shows: Version) -> tuple[Count, ...]:
    """An e-mail's as its first reader sees it; as it is written where there is none, or it cannot be filled."""
    from dataclasses import replace

    where, draft = where_it_shows(type_, channel), shows.draft
    if where == "email":
        with suppress(TemplateInvalid, NotFound):
            seen = workspace.contents.preview(draft)
            draft = replace(draft, subject=seen.subject, preheader=seen.preheader)
    return workspace.contents.counts(where, draft) if where else ()


def _channel_record(workspace: Workspace, id_: int, channel: str) -> dict[str, Any]:
    shows = workspace.contents.wording(id_, channel)
    over = [each for each in workspace.contents.counts(channel, shows.draft) if each.over and not each.advice]
    return {
        "channel": channel,
        "version": shows.number,
        "own": list(shows.own),
        "from": "its own " + " and ".join(shows.own) if shows.own else "as the original",
        "approved": bool(shows.approved_at),
        "over": over[0].over if over else 0,
    }


def read_body(file: str) -> str:
    """The text of a file, or of stdin. Raises ``NotFound`` or ``InvalidInput``."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFound(f"There is no file {file}.", hint="Name the text with --body FILE.") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{file} is not UTF-8 text.", hint="Save it as UTF-8.") from None
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.") from None


def format_of(file: str) -> str:
    return "html" if file.lower().endswith((".html", ".htm")) else "markdown"


def _record(found: Content) -> dict[str, Any]:
    return {
        "id": found.id,
        "type": found.type,
        "title": found.title,
        "version": found.number,
        "format": found.draft.format,
        "approved": found.approved,
        "updated_at": found.updated_at,
    }
