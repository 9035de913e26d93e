"""``aicmo note``: what was written down about somebody, by its number. ``aicmo contact note`` writes it."""

from __future__ import annotations

import click

from aicmo_tui.cli import output
from aicmo_tui.cli.verb import ROW_ID, Run, verb


@click.group()
def note() -> None:
    """Notes: pin, reword, delete; contact note writes one, contact timeline shows their numbers."""


@verb(note, changes=True)
@click.argument("number", metavar="ID", type=ROW_ID)
@click.option("--off", is_flag=True, help="Let it go again.")
def pin(run: Run, number: int, off: bool) -> None:
    """Keep a note, or anything else that happened, above the rest of its timeline."""
    with run.open_workspace() as workspace:
        workspace.timeline.pin(number, not off)
    _tell(run, "pin", number, "not pinned any more" if off else "pinned")


@verb(note, changes=True)
@click.argument("number", metavar="ID", type=ROW_ID)
@click.argument("words", metavar="TEXT", nargs=-1, required=True)
def edit(run: Run, number: int, words: tuple[str, ...]) -> None:
    """Put other words in its place."""
    with run.open_workspace() as workspace:
        workspace.timeline.rewrite_note(number, " ".join(words))
    _tell(run, "edit", number, "reworded")


@verb(note, changes=True)
@click.argument("number", metavar="ID", type=ROW_ID)
def delete(run: Run, number: int) -> None:
    """Take a note out of the timeline; undo brings it back. What happened cannot be taken out."""
    with run.open_workspace() as workspace:
        workspace.timeline.delete_note(number)
    _tell(run, "delete", number, "deleted")


def _tell(run: Run, name: str, number: int, done: str) -> None:
    status, said = ("dry_run", "would be") if run.dry_run else ("done", "is")
    record = {"schema": f"aicmo.note.{name}/1", "status": status, "id": number}
    output.document(record, run.form, [f"Note {number} {said} {done}."])
    if not run.dry_run:
        run.say("Take it back with: aicmo undo")
