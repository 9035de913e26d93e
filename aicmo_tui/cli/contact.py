"""``aicmo contact``: people in, found, tagged, out."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from aicmo_tui.cli import output
from aicmo_tui.cli.contact_edit import add, delete, edit, tag
from aicmo_tui.cli.contact_enrich import ASKING
from aicmo_tui.cli.contact_import import import_
from aicmo_tui.cli.contact_merge import distinct, duplicates, merge
from aicmo_tui.cli.contact_rights import consent, erase, export_subject
from aicmo_tui.cli.contact_show import show
from aicmo_tui.cli.contact_story import next_, note, timeline, why
from aicmo_tui.cli.contact_sync import sync
from aicmo_tui.cli.people import QUERY, contact_record
from aicmo_tui.cli.verb import AT_MOST, Run, verb

_COLUMNS = ["email", "first_name", "last_name", "company", "title", "phone", "stage", "tags", "domain", "created_at"]
_NOBODY = "Nobody is there yet. Import people with: aicmo contact import FILE"


@click.group()
def contact() -> None:
    """The people you know: import, find, tag, export."""


@verb(contact, "list", lists=True, epilog=QUERY)
@click.argument("query", nargs=-1)
@click.option("--limit", type=AT_MOST, help="At most so many; 100 on a terminal.")
@click.option("--sort", default="added", help="added, email, name, company or stage; - before it turns it round.")
def list_(run: Run, query: tuple[str, ...], limit: int | None, sort: str) -> None:
    """Whom a query selects."""
    words = " ".join(query)
    shown = limit or (100 if run.form.is_text else -1)
    with run.open_workspace() as workspace:
        total = workspace.crm.count(words) if run.form.is_text else 0
        found = (contact_record(each) for each in workspace.crm.iterate(words, limit=shown, sort=sort))
        columns = ["email", "first_name", "last_name", "company", "stage", "tags"] if run.form.is_text else _COLUMNS
        output.rows(found, run.form, columns, empty="Nobody like that." if words else _NOBODY)
    if total > shown > 0:
        run.say(f"{shown:,} of {total:,}; --limit shows more.")


@verb(contact, epilog=QUERY)
@click.argument("query", nargs=-1)
def count(run: Run, query: tuple[str, ...]) -> None:
    """How many a query selects."""
    with run.open_workspace() as workspace:
        found = workspace.crm.count(" ".join(query))
    output.document({"count": found}, run.form, [str(found)])


@verb(contact, epilog=QUERY)
@click.argument("query", nargs=-1)
@click.option("--to", "file", metavar="FILE", help="A file for your eyes alone; else stdout.")
@click.option("--subject", metavar="EMAIL", help="All that is held about one person, as JSON, in place of a list.")
def export(run: Run, query: tuple[str, ...], file: str | None, subject: str | None) -> None:
    """Export people as CSV that the importer takes back exactly; formulas cannot run in it. With --json, as JSON."""
    if subject is not None:
        export_subject(run, subject, Path(file) if file else None)
        return
    words = " ".join(query)
    with run.open_workspace() as workspace:
        if file is None and not run.form.is_text:
            output.rows(map(contact_record, workspace.crm.iterate(words)), run.form, _COLUMNS, empty="")
            return
        if file is None:
            with open(sys.stdout.fileno(), "w", newline="", encoding="utf-8", closefd=False) as stdout:
                workspace.crm.export(words, stdout)
            return
        written = workspace.crm.export(words, Path(file))
    record = {"schema": "aicmo.contact.export/1", "status": "done", "count": written, "file": file}
    output.document(record, run.form, [f"{written:,} people in {file}"])


for _each in (
    import_,
    show,
    add,
    edit,
    tag,
    delete,
    duplicates,
    merge,
    distinct,
    erase,
    consent,
    why,
    timeline,
    note,
    next_,
):
    contact.add_command(_each)
contact.add_command(sync)
for _each in ASKING:
    contact.add_command(_each)
