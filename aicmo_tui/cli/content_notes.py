"""``aicmo content note``, ``notes`` and ``settle``: what is said about the words, and never leaves this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aicmo_tui.cli import output
from aicmo_tui.cli.content_versions import CHANNEL
from aicmo_tui.cli.verb import ROW_ID, Run, verb

if TYPE_CHECKING:
    from aicmo.publishing.writing.reviewing import NoteAbout


@verb(None, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.argument("words", metavar="TEXT", nargs=-1, required=True)
@CHANNEL
def note(run: Run, id_: int, words: tuple[str, ...], channel: str) -> None:
    """Write down what should be looked at; no reader ever gets to see it."""
    with run.open_workspace() as workspace:
        made = workspace.reviews.add(id_, " ".join(words), channel)
    status, id_made = ("dry_run", None) if run.dry_run else ("done", made.id)
    record = {"schema": "aicmo.content.note/1", "status": status, "id": id_made}
    output.document(record, run.form, ["Would be noted." if run.dry_run else f"Noted, as note {made.id}."])


@verb(None, lists=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
def notes(run: Run, id_: int) -> None:
    """What was noted about it, the open ones first."""
    with run.open_workspace() as workspace:
        found = [_record(each) for each in workspace.reviews.list(id_)]
    columns = ["id", "at", "about", "settled_at", "text"]
    output.rows(found, run.form, columns, empty="Nothing was noted about it.", numbers=["id"])


@verb(None, changes=True)
@click.argument("number", metavar="NOTE", type=ROW_ID)
@click.option("--off", is_flag=True, help="Open it again.")
def settle(run: Run, number: int, off: bool) -> None:
    """What a note asks for is done."""
    with run.open_workspace() as workspace:
        workspace.reviews.settle(number, again=off)
    status, said = ("dry_run", "would be") if run.dry_run else ("done", "is")
    record = {"schema": "aicmo.content.settle/1", "status": status, "id": number}
    output.document(record, run.form, [f"Note {number} {said} {'open again' if off else 'settled'}."])


def _record(found: NoteAbout) -> dict[str, Any]:
    about = "words that were changed since"
    if found.number or found.channel:
        about = " ".join(filter(None, (found.channel, f"version {found.number}" if found.number else "the original")))
    note = found.note
    return {
        "id": note.id,
        "text": note.text,
        "at": note.at,
        "about": about,
        "version": found.number or None,
        "channel": found.channel or None,
        "settled_at": note.settled_at or None,
    }


VERBS = (note, notes, settle)
