"""``aicmo content``: what is said."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aicmo.errors import InvalidInput, NotFound
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import ROW_ID, Run, verb

if TYPE_CHECKING:
    from aicmo.publishing import Content


@click.group()
def content() -> None:
    """Write once, in versions: create, edit, look at it as somebody would see it."""


@verb(content, changes=True)
@click.option(
    "--type", "type_", default="email", show_default=True, help="email, blog, social, landing_page, whitepaper."
)
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
    if run.dry_run:
        output.document(
            {"schema": "aicmo.content.create/1", "status": "dry_run", "id": None}, run.form, ["Would be created."]
        )
        return
    with run.open_workspace() as workspace:
        made = workspace.publishing.create_content(type_, title, draft)
    record = {"schema": "aicmo.content.create/1", "status": "done", "id": made.id, "version": made.number}
    output.document(record, run.form, [f"Created content {made.id}: {made.title}"])


@verb(content, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--subject", help="A new subject.")
@click.option("--preheader", help="A new preheader.")
@click.option("--body", metavar="FILE", help="A new body; - is stdin.")
def edit(run: Run, id_: int, subject: str | None, preheader: str | None, body: str | None) -> None:
    """Save a next version. An approval of the last one does not hold for it."""
    from dataclasses import replace

    from aicmo.publishing.email.templates import MessageTemplate

    with run.open_workspace() as workspace:
        before = workspace.publishing.content(id_)
        draft = before.draft
        if subject is not None:
            draft = replace(draft, subject=subject)
        if preheader is not None:
            draft = replace(draft, preheader=preheader)
        if body is not None:
            draft = replace(draft, body=read_body(body), format=format_of(body))
        MessageTemplate(draft)
        after = before if run.dry_run else workspace.publishing.save_content(id_, draft)
    status = "dry_run" if run.dry_run else "done" if after.number != before.number else "unchanged"
    record = {"schema": "aicmo.content.edit/1", "status": status, "id": id_, "version": after.number}
    output.document(record, run.form, [f"Content {id_} is at version {after.number}."])


@verb(content, "list", lists=True)
def list_(run: Run) -> None:
    """All content, the latest written first."""
    with run.open_workspace() as workspace:
        found = [_record(each) for each in workspace.publishing.contents()]
    columns = ["id", "type", "title", "version", "approved", "updated_at"]
    output.rows(
        found, run.form, columns, empty="No content yet. Create some with: aicmo content create", numbers=["id"]
    )


@verb(content)
@click.argument("id_", metavar="ID", type=ROW_ID)
def show(run: Run, id_: int) -> None:
    """One piece of content as it is written."""
    with run.open_workspace() as workspace:
        found = workspace.publishing.content(id_)
    draft = found.draft
    record = {**_record(found), "subject": draft.subject, "preheader": draft.preheader, "body": draft.body}
    text = [f"{found.title} · {found.type} · version {found.number}", f"Subject: {draft.subject}", "", draft.body]
    output.document(record, run.form, text)


@verb(content)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--as", "email", default="", metavar="EMAIL", help="As this contact sees it; else the first one.")
@click.option("--part", type=click.Choice(["text", "html", "source"]), default="text", show_default=True)
def preview(run: Run, id_: int, email: str, part: str) -> None:
    """The message as one contact would get it; nothing is sent."""
    with run.open_workspace() as workspace:
        seen = workspace.publishing.preview(workspace.publishing.content(id_).draft, email=email)
    record = {"to": seen.to, "subject": seen.subject, "text": seen.text, "html": seen.html, "source": seen.source}
    output.document(record, run.form, [f"To: {seen.to}", f"Subject: {seen.subject}", "", record[part]])


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
